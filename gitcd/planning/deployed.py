"""What the manifests deploy: the images that stand in a declaration's places, whatever its tag names by now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gitcd.model.declaration import Identity
from gitcd.model.reference import Repository
from gitcd.model.registry import Failure
from gitcd.model.site import Site
from gitcd.planning.content import Held, carriers, held
from gitcd.planning.matching import Surveyed


@dataclass(frozen=True, slots=True)
class Deployed:
    """The images of one declaration: by digest, or by tag where no digest stands, each with one of its places.

    There may be others that are not among them: for a mistake, `doubt`, or as `warnings` say.
    """

    identity: Identity
    repository: Repository
    images: Mapping[str, str]
    paths: tuple[str, ...]
    doubt: Failure | None = None
    warnings: tuple[str, ...] = ()


def deployed(surveyed: Surveyed) -> Deployed:
    """What all places of a declaration hold."""
    declared = surveyed.declared
    repository = declared.declaration.spec.repository
    placed, doubt = images_at(carriers(surveyed.sites), surveyed)
    images: dict[str, str] = {}
    for image, where in placed.items():
        images.setdefault(image.identifier, where)
    if doubt:
        doubt = replace(doubt, message=f"{declared.identity} ({declared.declaration.origin}): {doubt.message}")
    files, warnings = tuple(surveyed.files), tuple(surveyed.warnings)
    return Deployed(declared.identity, repository, images, files, doubt, warnings)


def images_at(sites: Sequence[Site], surveyed: Surveyed) -> tuple[dict[Held, str], Failure | None]:
    """The images that sites of a declaration name, each with the first of its places; and why there may be others."""
    placed: dict[Held, str] = {}
    unclear = []
    for site in sites:
        image = held(site, surveyed.declared.declaration.spec.repository)
        if image.identifier:
            placed.setdefault(image, site.where)
        else:
            unclear.append(site)
    return placed, _doubt(surveyed, unclear)


def _doubt(surveyed: Surveyed, unclear: Sequence[Site]) -> Failure | None:
    if surveyed.refusals:
        shown = "; ".join(f"{each.where}: {each.reason}" for each in surveyed.refusals)
        return Failure("ManifestRefused", shown, "Mend the file, or leave it out with spec.paths.")
    if surveyed.failures:
        return surveyed.failures[0]
    if unclear:
        message = f"{unclear[0].where} names neither a tag nor a digest"
        return Failure("ImageUnclear", message, "Write there which image is meant; a reconcile does.")
    return None
