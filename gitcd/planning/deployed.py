"""What the manifests deploy: the images that stand in a declaration's places, whatever its tag names by now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gitcd.model import reference
from gitcd.model.declaration import Identity
from gitcd.model.reference import Repository, is_digest, is_tag, split_reference
from gitcd.model.registry import Failure
from gitcd.model.site import Form, Site
from gitcd.planning.matching import Surveyed

_UNSAID = "latest"  # what a container runs whose image names neither tag nor digest


@dataclass(frozen=True, slots=True)
class Deployed:
    """The images of one declaration: by digest, or by tag where no digest stands, each with one of its places.

    `doubt` says why there may be others that are not among them.
    """

    identity: Identity
    repository: Repository
    images: Mapping[str, str]
    paths: tuple[str, ...]
    doubt: Failure | None = None


def deployed(surveyed: Surveyed) -> Deployed:
    """What all places of a declaration hold."""
    images: dict[str, str] = {}
    unclear: list[Site] = []
    for site in _telling(surveyed):
        if name := _image_of(site):
            images.setdefault(name, site.where)
        else:
            unclear.append(site)
    declared = surveyed.declared
    doubt = _doubt(surveyed, unclear)
    return Deployed(
        declared.identity,
        declared.declaration.spec.repository,
        images,
        tuple(surveyed.files),
        _located(doubt, surveyed),
    )


def _telling(surveyed: Surveyed) -> Iterator[Site]:
    """The sites that name images. A version in a ConfigMap only repeats what the images beside it say."""
    others = any(site.form is not Form.CONFIG for site in surveyed.sites)
    for site in surveyed.sites:
        if site.form is not Form.CONFIG or (site.value and not (others and is_tag(site.value))):
            yield site


def _image_of(site: Site) -> str:
    """A digest, else a tag; empty where the site leaves it to another file."""
    if site.repository is None:
        return _named(site.value or "")
    return site.digest or site.tag or (_UNSAID if site.form is Form.IMAGE else "")


def _named(text: str) -> str:
    """What a text names that was derived from an image: a tag, a digest, `tag@digest` or a whole reference."""
    last = text.rpartition("@")[2]
    if is_digest(last) or is_tag(text):
        return last
    try:
        return split_reference(text)[1]
    except reference.ReferenceError:
        return ""


def _doubt(surveyed: Surveyed, unclear: list[Site]) -> Failure | None:
    if surveyed.refusals:
        shown = "; ".join(f"{each.where}: {each.reason}" for each in surveyed.refusals)
        return Failure("ManifestRefused", shown, "Mend the file, or leave it out with spec.paths.")
    if surveyed.failures:
        return surveyed.failures[0]
    if unclear:
        message = f"{unclear[0].where} names neither a tag nor a digest"
        return Failure("ImageUnclear", message, "Write there which image is meant; a reconcile does.")
    return None


def _located(failure: Failure | None, surveyed: Surveyed) -> Failure | None:
    if failure is None:
        return None
    declared = surveyed.declared
    message = f"{declared.identity} ({declared.declaration.origin}): {failure.message}"
    return Failure(failure.reason, message, failure.remedy, failure.transient)
