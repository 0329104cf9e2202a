"""Aims: images that git held, to which a promotion or a rollback moves declarations in place of what tags name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gitcd.model.declaration import Follow, Identity, Spec
from gitcd.model.kinship import kinship
from gitcd.model.plan import Outcome
from gitcd.model.reference import EcrRegistry, Repository, short
from gitcd.model.registry import Answers, Failure, Image, Query
from gitcd.planning.content import Held
from gitcd.planning.matching import Declared
from gitcd.planning.overview import LiveImages


@dataclass(frozen=True, slots=True)
class Aim:
    """Where a declaration shall move, and why.

    `name` is what git calls the image. `absent` is what is said where the registry does not hold it. `source` is the
    declaration whose value it was, whose soak time counts. `back`: it returns to what it held before, which neither a
    gate nor a frozen environment stops. `by_pull`: it is proposed, however else the environment is delivered.
    """

    digest: str
    name: str
    reason: str
    message: str
    absent: Failure | None = None
    source: Identity | None = None
    back: bool = False
    by_pull: bool = False


Aims = Mapping[Identity, Aim | Failure]


@dataclass(frozen=True, slots=True)
class Pair:
    """A declaration, and the one of the same app whose image it gets."""

    target: Declared
    source: Declared


@dataclass(frozen=True, slots=True)
class Matching:
    """What two environments have in common, and what only one of them has."""

    pairs: tuple[Pair, ...]
    without_source: tuple[Identity, ...]
    without_target: tuple[Identity, ...]


def match(declared: Iterable[Declared], source: str, target: str) -> Matching:
    """Pair the declarations of two environments."""
    both = [each for each in declared if each.identity.environment in {source, target}]
    apps = kinship(each.identity for each in both)
    by_place: defaultdict[str, dict[str, Declared]] = defaultdict(dict)
    for each in both:
        by_place[each.identity.environment][apps[each.identity]] = each
    sources, targets = by_place[source], by_place[target]
    return Matching(
        tuple(Pair(targets[app], sources[app]) for app in sorted(targets.keys() & sources.keys())),
        tuple(targets[app].identity for app in sorted(targets.keys() - sources.keys())),
        tuple(sources[app].identity for app in sorted(sources.keys() - targets.keys())),
    )


def source_queries(pairs: Iterable[Pair], stands: Mapping[Identity, LiveImages]) -> list[Query]:
    """What the registry has to be asked where a source names its image by tag alone."""
    named = [(each.source, stands[each.source.identity]) for each in pairs]
    return merged(
        Query(declared.declaration.spec.repository, tags=frozenset({image.tag}))
        for declared, stand in named
        for image in stand.images
        if not image.digest
    )


def aims(
    pairs: Iterable[Pair], stands: Mapping[Identity, LiveImages], answers: Answers, broken: Iterable[Outcome]
) -> dict[Identity, Aim | Failure]:
    """For every target what its source deploys now, or why that is not known."""
    found = {each.target.identity: _aim(each, stands[each.source.identity], answers) for each in pairs}
    return found | {identity: _broken(identity, why) for identity, why in _by_app(broken).items() if identity in found}


def _aim(pair: Pair, stand: LiveImages, answers: Answers) -> Aim | Failure:
    source = pair.source.identity
    image = _deployed(pair, stand, answers)
    if isinstance(image, Failure):
        return image
    name = image.tag or short(image.digest)
    message = f"promoted from {source.environment}"
    return Aim(image.digest, image.tag, "Promoted", message, _absent(pair, name, image.digest), source)


def _deployed(pair: Pair, stand: LiveImages, answers: Answers) -> Held | Failure:
    """The one image that the source deploys."""
    declared, spec = pair.source, pair.source.declaration.spec
    who = f"{declared.identity} ({declared.declaration.origin})"
    if stand.doubt:
        return Failure("SourceUnclear", f"what {who} deploys is not known: {stand.doubt.message}", stand.doubt.remedy)
    if (image := stand.image) is None:
        return _several(who, stand)
    bare = {each.tag for each in stand.images if not each.digest}
    if spec.tag in bare:
        message = f"{who} names its image by the tag {spec.tag} alone, which moves"
        return Failure("SourceNotPinned", message, f"`gitcd reconcile -e {declared.identity.environment}` pins it.")
    named = [answers.get(spec.repository, tag) for tag in sorted(bare)]
    if missing := next((each for each in named if isinstance(each, Failure)), None):
        return missing
    digests = {each.digest for each in named if isinstance(each, Image)} | {image.digest} - {""}
    return Held(image.tag, digests.pop()) if len(digests) == 1 else _several(who, stand)


def _several(who: str, stand: LiveImages) -> Failure:
    shown = " and ".join(f"{image.tag or short(image.digest)} ({where})" for image, where in stand.placed)
    return Failure("SourceUnclear", f"{who} deploys several images: {shown}", "Let all its places name one.")


def _absent(pair: Pair, name: str, digest: str) -> Failure:
    """What is missing where the target's repository does not hold the image."""
    source, target = pair.source.declaration.spec.repository, pair.target.declaration.spec.repository
    which = f"{name} ({digest})" if name != short(digest) else digest
    if source == target:
        message = f"{target} no longer holds {which}, which {pair.source.identity} deploys"
        return Failure("ImageMissing", message, "Push it again, or let the source deploy another one first.")
    message = f"{target} does not hold {which}, which {pair.source.identity} deploys from {source}: its copy is missing"
    return Failure("CopyMissing", message, f"Copy {source}@{digest} to {target}, digest and all.")


def _by_app(broken: Iterable[Outcome]) -> dict[Identity, Outcome]:
    return {each.identity: each for each in broken if each.identity.environment}


def _broken(identity: Identity, outcome: Outcome) -> Failure:
    return Failure(outcome.reason, f"{identity}: {outcome.message}", outcome.remedy)


def aim_queries(declared: Iterable[Declared], found: Aims) -> list[Query]:
    """What the registry has to be asked about aims: whether the target's own repository holds the digest."""
    return merged(
        Query(spec.repository, _untold(spec, aim), frozenset({aim.digest}))
        for each in declared
        for spec in (each.declaration.spec,)
        if isinstance(aim := found.get(each.identity), Aim)
    )


def _untold(spec: Spec, aim: Aim) -> frozenset[str]:
    """The name of an image, where a registry does not tell an image's tags, so that it has to be asked for the name."""
    asked = spec.pin == "Version" and EcrRegistry.parse(spec.repository.registry) is None
    return frozenset({aim.name} - {""}) if asked else frozenset()


def merged(queries: Iterable[Query]) -> list[Query]:
    """One query for each repository, in their order."""
    tags: defaultdict[Repository, set[str]] = defaultdict(set)
    digests: defaultdict[Repository, set[str]] = defaultdict(set)
    follows: defaultdict[Repository, set[Follow]] = defaultdict(set)
    for query in queries:
        tags[query.repository] |= query.tags
        digests[query.repository] |= query.digests
        follows[query.repository] |= query.follows
    return [
        Query(each, frozenset(tags[each]), frozenset(digests[each]), frozenset(follows[each])) for each in sorted(tags)
    ]
