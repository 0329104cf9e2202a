"""What git says that a declaration deploys: the images at its places, of two slots those of the live one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gitcd.model.registry import Failure
from gitcd.model.site import Site
from gitcd.model.tree import MemoryTree
from gitcd.planning import bluegreen
from gitcd.planning.content import Held, carriers
from gitcd.planning.deployed import images_at
from gitcd.planning.matching import Declared, Surveyed
from gitcd.planning.scopes import Scopes
from gitcd.planning.survey import survey


@dataclass(frozen=True, slots=True)
class LiveImages:
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


def live_images(surveyed: Surveyed) -> LiveImages:
    """What stands in a declaration's places."""
    sites = _speaking(surveyed)
    if isinstance(sites, Failure):
        return LiveImages(doubt=sites)
    placed, doubt = images_at(sites, surveyed)
    return LiveImages(tuple(placed.items()), doubt)


def surveyed_in(declared: Declared, scopes: Scopes, files: Mapping[str, bytes]) -> Surveyed:
    """What a declaration of today would have owned with these files alone."""
    (surveyed,) = survey([declared], MemoryTree(files), scopes)
    return surveyed


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
