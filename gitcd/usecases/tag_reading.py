"""Images of ECR repositories, looked at: one by its version, tag or digest, or all that have a tag."""

from __future__ import annotations

import heapq
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from gitcd.model.reference import Repository
from gitcd.model.registry import Failure, Image
from gitcd.registry.tags import EcrTags, Manifest
from gitcd.usecases.tagging import as_error, is_absent

_INDEX = ("image.index", "manifest.list")
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Shown:
    """An image with its platforms, as `linux/arm64`; None where only its configuration would tell."""

    image: Image
    platforms: tuple[str, ...] | None = None


def get(registry: EcrTags, repository: Repository, identifier: str, *, platforms: bool = True) -> Shown:
    """One image. The platforms of an index cost a second request.

    Raises:
        GitcdError: there is none, or the registry cannot be asked.
    """
    image = registry.look_up(repository, [identifier])[identifier]
    if isinstance(image, Failure):
        remedy = "run `gitcd ecr-tags list` to see which there are" if is_absent(image) else image.remedy
        raise as_error(replace(image, remedy=remedy))
    if not (platforms and image.media_type and any(each in image.media_type for each in _INDEX)):
        return Shown(image)
    manifest = registry.manifests(repository, [image.digest])[image.digest]
    if isinstance(manifest, Failure):
        raise as_error(manifest)
    return Shown(image, platforms_of(manifest))


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
        children = json.loads(manifest.text)["manifests"]
        found = [_platform(child["platform"]) for child in children if child.get("platform")]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    return tuple(dict.fromkeys(name for name in found if not name.startswith("unknown/")))


def _platform(platform: dict[str, str]) -> str:
    parts = (platform["os"], platform["architecture"], platform.get("variant", ""))
    return "/".join(part for part in parts if part)


def _matching(registry: EcrTags, repository: Repository, pattern: re.Pattern[str]) -> Iterator[Image]:
    for image in registry.images(repository):
        if isinstance(image, Failure):
            raise as_error(image)
        if tags := tuple(tag for tag in image.tags if pattern.search(tag)):
            yield replace(image, tags=tags)


def _age(image: Image) -> tuple[datetime, str]:
    return image.pushed_at or _NEVER, image.digest
