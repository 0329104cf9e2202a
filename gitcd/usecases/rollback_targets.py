"""Where a rollback can go: what git held before, as far as the registry still has it and it would run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from gitcd.errors import ConfigError, RefusedError
from gitcd.git.history import Landed
from gitcd.model.hold import Hold
from gitcd.model.reference import Repository, short
from gitcd.model.registry import Answers, Failure, Image, Query
from gitcd.planning import holds
from gitcd.planning.content import Held
from gitcd.planning.earlier_values import earlier
from gitcd.planning.overview import LiveImages
from gitcd.registry.tags import Manifest

_SHOWN = 8
_MOST = 50  # how many former values are looked at
_ROUND = 3  # values that it takes to go somewhere and back
_SHORTEST = 7  # digits of a digest that name it
_ALGORITHM = "sha256:"
_UNKNOWN = "unknown"  # of a platform: the notes that builders leave about an image

Manifests = Callable[[Repository, Sequence[str]], Mapping[str, Manifest | Failure]]


@dataclass(frozen=True, slots=True)
class Former:
    """A value that git held, and a commit at which it did. `digest` is empty where nobody knows it.

    `flaw` says why it cannot be gone back to; empty: it can. `rejected`: because a hold file keeps it out.
    """

    images: tuple[Held, ...]
    landed: Landed
    digest: str = ""
    pushed_at: datetime | None = None
    flaw: str = ""
    rejected: bool = False

    @property
    def name(self) -> str:
        return " + ".join(dict.fromkeys(image.tag or short(image.digest) for image in self.images))


def formers(trail: Sequence[Landed], standings: Sequence[LiveImages]) -> list[Former]:
    """The values of a declaration, newest first, the present one first; what is not clear is passed over."""
    clear = [
        Former((stand.image,) if stand.image else stand.images, landed)
        for landed, stand in zip(trail, standings, strict=True)
        if not stand.doubt and stand.images
    ]
    return [each for number, each in enumerate(clear) if not number or each.images != clear[number - 1].images]


def queries(repository: Repository, found: Sequence[Former], followed: str) -> list[Query]:
    """What the registry has to be asked about them, and what the followed tag names."""
    held = [image for each in found[:_MOST] for image in each.images]
    digests = frozenset(each.digest for each in held if each.digest)
    tags = frozenset(each.tag for each in held if not each.digest) | {followed} - {""}
    return [Query(repository, tags, digests)]


@dataclass(frozen=True, slots=True)
class Judge:
    """What speaks for and against the former values of one declaration."""

    repository: Repository
    answers: Answers
    followed: str
    hold: Hold | None
    now: datetime

    def judged(self, found: Sequence[Former]) -> list[Former]:
        """The same, each with its digest and what speaks against it."""
        return [self._judged(each) for each in found[:_MOST]]

    def _judged(self, former: Former) -> Former:
        if len(former.images) > 1:
            return replace(former, flaw="its places held several images")
        held = former.images[0]
        if not held.digest and held.tag == self.followed:
            flaw = f"git held the moving tag {held.tag} alone, so nobody knows which image it was"
            return replace(former, flaw=flaw)
        answer = held.answer(self.repository, self.answers)
        if not isinstance(answer, Image):
            return replace(former, digest=held.digest, flaw=answer.message)
        former = replace(former, digest=answer.digest, pushed_at=answer.pushed_at)
        if answer.archived:
            return replace(former, flaw="it is archived in the registry and cannot be pulled")
        rejection = holds.applies(replace(self.hold, freeze=False), answer.digest, self.now) if self.hold else None
        return replace(former, flaw=rejection.message, rejected=True) if rejection else former


def is_back(found: Sequence[Former], hold: Hold | None, now: datetime) -> bool:
    """Whether the present value is where somebody went back to: it stood before, and what came between is held off."""
    if hold is None or len(found) < _ROUND:
        return False
    present, left, *before = found
    is_held_off = holds.rejection(hold, left.digest, now) is not None
    return is_held_off and any((each.digest or each.images) == (present.digest or present.images) for each in before)


def choose(found: Sequence[Former], wanted: str) -> Former:
    """The value to go back to: the one that is named, else the nearest before the present one.

    Raises:
        ConfigError: git never held what is named, or nothing at all before.
        RefusedError: it cannot be gone back to; what can is named.
    """
    if not found:
        raise RefusedError("what it deploys now is not clear, so there is no way back", remedy="Mend its places first.")
    present = found[0]
    steps = [each for each in _way_back(found) if each.digest != present.digest]
    target = _named(found, wanted) if wanted else next(iter(steps), None)
    if target is None:
        raise RefusedError(
            f"git held nothing before {present.name}, so there is nothing to go back to",
            remedy="Only what git held can be gone back to; where it did not, edit the file.",
        )
    if target.rejected:
        raise RefusedError(f"{target.flaw}, so it is not gone back to", remedy="`gitcd release` lets it in again.")
    flaw = target.flaw or ("" if wanted else _forward(target, present))
    if flaw:
        raise RefusedError(f"{target.name} cannot be gone back to: {flaw}", remedy=nearest(usable(found)))
    return target


def usable(found: Sequence[Former]) -> list[Former]:
    """The steps back that nothing speaks against, the nearest first."""
    present = found[0]
    steps = (each for each in _way_back(found) if each.digest != present.digest)
    return [each for each in steps if not each.flaw and not _forward(each, present)]


def _way_back(found: Sequence[Former]) -> Iterator[Former]:
    """The steps back; a digest that a hold rejects was found bad, and is none."""
    for number in earlier([each.digest or each.images for each in found]):
        if not found[number].rejected:
            yield found[number]


def _named(found: Sequence[Former], wanted: str) -> Former:
    digest = wanted.removeprefix(_ALGORITHM)
    by_digest = len(digest) >= _SHORTEST
    for each in found:
        if each.name == wanted or (by_digest and each.digest.removeprefix(_ALGORITHM).startswith(digest)):
            return each
    names = list(dict.fromkeys(each.name for each in found))
    more = " …" if len(names) > _SHOWN else ""
    raise ConfigError(f"git never held {wanted} there", remedy=f"It held: {', '.join(names[:_SHOWN])}{more}")


def _forward(target: Former, present: Former) -> str:
    """Why a step back would be one forward."""
    if target.pushed_at and present.pushed_at and target.pushed_at > present.pushed_at:
        return "it was pushed after the present image; say --to if it is meant"
    return ""


def nearest(steps: Sequence[Former]) -> str:
    """How to go to the first of these steps."""
    if not steps:
        return "None of the versions before can be gone back to."
    return f"The nearest version that can is {steps[0].name}: say `--to {steps[0].name}`."


def platforms(manifest: Manifest | Failure | None) -> frozenset[str] | None:
    """The platforms that an index holds images for; None where that is not known, as of an image without an index."""
    if not isinstance(manifest, Manifest):
        return None
    try:
        children = json.loads(manifest.text).get("manifests")
        if not children:
            return None
        named = (each.get("platform") or {} for each in children)
        return frozenset(_platform(each) for each in named if each.get("os", _UNKNOWN) != _UNKNOWN)
    except (ValueError, AttributeError, TypeError, RecursionError):
        return None


def _platform(named: Mapping[str, object]) -> str:
    return "/".join(str(named[key]) for key in ("os", "architecture", "variant") if named.get(key))


def misfit(target: frozenset[str] | None, present: frozenset[str] | None) -> str:
    """Why the target might not run where the present image does; empty where nothing says so."""
    if not present:
        return ""
    if target is None:
        return f"it is for one platform, and the present image is for {_listed(present)}" if len(present) > 1 else ""
    lacking = present - target
    return f"it is not for {_listed(lacking)}, as the present image is" if lacking else ""


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))
