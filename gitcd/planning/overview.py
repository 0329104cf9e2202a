"""What git says that a declaration deploys: the images at its places, of two slots those of the live one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gitcd.model.registry import Failure
from gitcd.model.site import Site
from gitcd.model.tree import MemoryTree
from gitcd.planning import bluegreen
from gitcd.planning.content import Held, carriers, held
from gitcd.planning.matching import Declared, Surveyed
from gitcd.planning.scopes import Scopes
from gitcd.planning.survey import survey


@dataclass(frozen=True, slots=True)
class Standing:
    """The images of one declaration, each once with one of its places; `doubt`: there may be others, or none."""

    placed: tuple[tuple[Held, str], ...] = ()
    doubt: Failure | None = None

    @property
    def images(self) -> tuple[Held, ...]:
        return tuple(image for image, _ in self.placed)

    @property
    def image(self) -> Held | None:
        """The one image that all places name, be it by tag or by digest; None where they contradict each other."""
        tags, digests = ({getattr(each, part) for each in self.images} - {""} for part in ("tag", "digest"))
        if self.doubt or not self.images or len(tags) > 1 or len(digests) > 1:
            return None
        return Held("".join(tags), "".join(digests))

    @property
    def digest(self) -> str:
        """The digest that the places name; empty where they name several, or tags alone."""
        return self.image.digest if self.image else ""

    @property
    def value(self) -> frozenset[str]:
        """What the places name, by digest or else by tag; nothing where that is not clear."""
        images = (self.image,) if self.image else () if self.doubt else self.images
        return frozenset(image.identifier for image in images)

    @property
    def name(self) -> str:
        """What people call the image; of several, all of them."""
        return " + ".join(dict.fromkeys(image.tag for image in self.images if image.tag))


def standing(surveyed: Surveyed) -> Standing:
    """What stands in a declaration's places."""
    spec = surveyed.declared.declaration.spec
    sites = _speaking(surveyed)
    if isinstance(sites, Failure):
        return Standing(doubt=sites)
    placed: dict[Held, str] = {}
    unclear = []
    for site in sites:
        image = held(site, spec.repository)
        if image.identifier:
            placed.setdefault(image, site.where)
        else:
            unclear.append(site)
    return Standing(tuple(placed.items()), _doubt(surveyed, unclear))


def standing_in(declared: Declared, scopes: Scopes, files: Mapping[str, bytes]) -> Standing:
    """What a declaration of today would have deployed with these files alone."""
    (surveyed,) = survey([declared], MemoryTree(files), scopes)
    return standing(surveyed)


def telling_files(surveyed: Surveyed) -> tuple[str, ...]:
    """The files that say what a declaration deploys."""
    return tuple(sorted({*surveyed.files, *(service.path for service in surveyed.services)}))


def _speaking(surveyed: Surveyed) -> list[Site] | Failure:
    """The sites that say what runs: of two slots those of the one that is live."""
    spec = surveyed.declared.declaration.spec
    if spec.strategy.blue_green is None or surveyed.failures:
        return carriers(surveyed.in_order().sites)
    slots = bluegreen.slots(surveyed, spec.strategy.blue_green)
    return slots if isinstance(slots, Failure) else list(slots.live)


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
