"""Images of ECR repositories, looked at: one by its version, tag or digest, or all that have a tag."""

from __future__ import annotations

import heapq
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from gitcd.model.reference import Repository, is_digest
from gitcd.model.registry import Failure, Image
from gitcd.registry.tags import EcrTags, Manifest
from gitcd.usecases.tagging import as_error, is_absent

# Of other artifacts the configuration says nothing that we look for. Source: the OCI image specification, and "Image
# Manifest Version 2, Schema 2" of Docker's distribution.
_CONFIGURATIONS = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
)
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Shown:
    """An image with its platforms, as `linux/arm64`; None: not known, and `hindrance` says what is in the way."""

    image: Image
    platforms: tuple[str, ...] | None = None
    hindrance: Failure | None = None


def get(registry: EcrTags, repository: Repository, identifier: str, *, platforms: bool = True) -> Shown:
    """One image. The platforms of an index cost a second request, the one of a single-platform image two more.

    Raises:
        GitcdError: there is none, or the registry cannot be asked.
    """
    image = registry.look_up(repository, [identifier])[identifier]
    if isinstance(image, Failure):
        remedy = "run `gitcd ecr-tags list` to see which there are" if is_absent(image) else image.remedy
        raise as_error(replace(image, remedy=remedy))
    found = _platforms(registry, repository, image.digest) if platforms else None
    return Shown(image, hindrance=found) if isinstance(found, Failure) else Shown(image, found)


def listed(registry: EcrTags, repository: Repository, pattern: str = "", limit: int | None = None) -> list[Image]:
    """Images that have a tag in which the pattern is found, with those tags; the ones pushed last come first.

    Raises:
        GitcdError: the registry cannot be asked.
        re.error: the pattern is none.
    """
    chosen = _matching(registry, repository, re.compile(pattern))
    if limit is None:
        return sorted(chosen, key=_age, reverse=True)
    return heapq.nlargest(limit, chosen, key=_age)


def platforms_of(manifest: Manifest) -> tuple[str, ...] | None:
    """What an index says about its children; attestations, which are of no platform, are left out."""
    try:
        children = _parsed(manifest)["manifests"]
        return _named(child["platform"] for child in children if child.get("platform"))
    except (LookupError, TypeError, AttributeError):
        return None


def _platforms(registry: EcrTags, repository: Repository, digest: str) -> tuple[str, ...] | Failure | None:
    manifest = registry.manifests(repository, [digest])[digest]
    if isinstance(manifest, Failure):
        return manifest
    name = _configuration_of(manifest)
    if not name:
        return platforms_of(manifest)
    configuration = registry.configuration(repository, name)
    if isinstance(configuration, Failure):
        return configuration
    try:
        return _named([configuration])
    except (LookupError, TypeError):
        return None


def _configuration_of(manifest: Manifest) -> str:
    """The digest of the configuration of a single-platform image; empty for anything else."""
    config = _parsed(manifest).get("config")
    if not isinstance(config, dict) or config.get("mediaType") not in _CONFIGURATIONS:
        return ""
    digest = str(config.get("digest", ""))
    return digest if is_digest(digest) else ""


def _parsed(manifest: Manifest) -> dict[str, Any]:
    try:
        found = json.loads(manifest.text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _named(platforms: Iterable[Mapping[str, str]]) -> tuple[str, ...]:
    """The names of platforms, which indexes and configurations spell alike."""
    there = [each for each in platforms if each["os"] and each["architecture"]]
    names = ["/".join(filter(None, (each["os"], each["architecture"], each.get("variant")))) for each in there]
    return tuple(dict.fromkeys(name for name in names if not name.startswith("unknown/")))


def _matching(registry: EcrTags, repository: Repository, pattern: re.Pattern[str]) -> Iterator[Image]:
    for image in registry.images(repository):
        if isinstance(image, Failure):
            raise as_error(image)
        if tags := tuple(tag for tag in image.tags if pattern.search(tag)):
            yield replace(image, tags=tags)


def _age(image: Image) -> tuple[datetime, str]:
    return image.pushed_at or _NEVER, image.digest
