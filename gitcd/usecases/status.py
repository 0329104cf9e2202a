"""What every environment deploys, since when, and what keeps it there: from git alone, unless tags are asked for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from gitcd.git.branch import Branch
from gitcd.git.history import History, Landed
from gitcd.git.worktree import WorkTree
from gitcd.model.declaration import Identity, Spec
from gitcd.model.hold import Hold
from gitcd.model.kinship import kinship
from gitcd.model.layout import Environment
from gitcd.model.memory import FORGETFUL
from gitcd.model.overview import EnvironmentStatus, Item, Overview, Provenance, State
from gitcd.model.plan import Outcome
from gitcd.model.reference import Repository, short
from gitcd.model.registry import Answers, Failure, Image, Query
from gitcd.model.trailers import Move, persons, verbs
from gitcd.planning import holds
from gitcd.planning.followed import followed_image, followed_tag, followed_version, shown_rule
from gitcd.planning.holds import NoHistory
from gitcd.planning.inputs import Inputs
from gitcd.planning.intake import read_inputs
from gitcd.planning.limits import limit
from gitcd.planning.matching import Declared, Surveyed
from gitcd.planning.moments import running_freeze
from gitcd.planning.overview import LiveImages, live_images
from gitcd.planning.promotion import merged
from gitcd.planning.scopes import Scopes
from gitcd.planning.survey import survey
from gitcd.usecases.context import Resolve, Selection
from gitcd.usecases.keeping import Source
from gitcd.usecases.planner import check_selection
from gitcd.usecases.status_past import Past, Subject, Tenure, tenures

_SPOKEN = {"promote": "promoted", "rollback": "rolled back"}


BROKEN = "Broken"
UNCLEAR = "Unclear"


@dataclass(frozen=True, slots=True)
class Beside:
    """What is compared with the branch: what waits in branches of pull requests; and who is asked about tags, if so."""

    proposals: tuple[Branch, ...] = ()
    resolve: Resolve | None = None


def overview(
    source: Source, selection: Selection, now: datetime, *, base: str = "", beside: Beside | None = None
) -> Overview:
    """The state of the selected declarations.

    Raises:
        ConfigError: gitcd.yaml is not valid, or the selection meets nothing.
    """
    inputs = read_inputs(source.tree, source.memory)
    check_selection(selection, inputs)
    permitted, refused = limit(inputs.declared, source.limits)
    chosen = [each for each in permitted if selection.takes(each.identity)]
    sources = _sources_of(permitted, inputs.scopes)
    wanted = {sources[each.identity] for each in chosen if each.identity in sources}
    near = [each for each in permitted if each.identity in wanted and not selection.takes(each.identity)]
    surveyed = survey([*chosen, *near], source.tree, inputs.scopes, FORGETFUL if selection.apps else source.memory)
    stands = {each.declared.identity: live_images(each) for each in surveyed}
    mine = [each for each in surveyed if selection.takes(each.declared.identity)]
    since, warnings = _since(source, inputs.scopes, mine, stands, committed=not isinstance(source.tree, WorkTree))
    beside = beside or Beside()
    answers = beside.resolve(_tag_queries(mine, stands)) if beside.resolve else None
    scene = _Scene(inputs, sources, stands, since, now, answers, beside.proposals)
    items = [scene.item(each) for each in mine]
    broken = [_at_home(each, inputs.scopes) for each in (*inputs.broken, *refused)]
    items += [_broken(each) for each in broken if _concerns(each, selection)]
    environments = _environments(inputs.scopes, items, now)
    order = {each.name: number for number, each in enumerate(environments)}
    apps = kinship(item.identity for item in items)
    items.sort(key=lambda item: (apps[item.identity], order.get(item.identity.environment, -1), item.where))
    return Overview(environments, tuple(items), base, tuple(warnings))


def _at_home(outcome: Outcome, scopes: Scopes) -> Outcome:
    """The same; one that nobody could read belongs, as far as can be told, where its file lies."""
    identity, environment = outcome.identity, scopes.environment_of(outcome.origin.path)
    if identity.environment or not isinstance(environment, str):
        return outcome
    return replace(outcome, identity=Identity(environment, identity.namespace, identity.name))


def _concerns(outcome: Outcome, selection: Selection) -> bool:
    """Whether a broken declaration is among the selected, as far as it can be told."""
    return selection.takes(outcome.identity) or not (outcome.identity.environment or selection.apps)


def _sources_of(permitted: Iterable[Declared], scopes: Scopes) -> dict[Identity, Identity]:
    """The declaration that each one is promoted from, where there is one."""
    apps = kinship(each.identity for each in permitted)
    known = {(each.environment, app): each for each, app in apps.items()}
    asked = {each: (scopes.layout_of(each.environment).promote_from, app) for each, app in apps.items()}
    return {each: known[source] for each, source in asked.items() if source in known}


def _since(
    source: Source,
    scopes: Scopes,
    surveyed: Sequence[Surveyed],
    stands: Mapping[Identity, LiveImages],
    *,
    committed: bool,
) -> tuple[dict[Identity, Provenance], list[str]]:
    """The commits that brought what is deployed now; and why they are not known."""
    history = source.recollect() if surveyed else None
    if not isinstance(history, History):
        return {}, [
            f"ages are not known: {history.reason if history else 'there is no git history'}"
        ] if surveyed else []
    subjects = [Subject.of(each) for each in surveyed]
    past = Past(history, scopes, subjects)
    found: dict[Identity, Landed | NoHistory] = {}
    asked = []
    for subject in subjects:
        stand, trail = stands[subject.identity], past.trail(subject)
        if committed and trail and Move(subject.identity, stand.digest) in trail[0].commit.moves:
            found[subject.identity] = trail[0]  # it says so itself
        elif stand.value:
            asked.append(Tenure(subject, stand.value, committed=committed))
    found |= tenures(past, asked)
    lost = sorted({each.reason for each in found.values() if isinstance(each, NoHistory)})
    origins = {
        each: provenance(at, each, stands[each].digest, first=past.trail_of(each)[-1] is at)
        for each, at in found.items()
        if isinstance(at, Landed)
    }
    return origins, [f"some ages are not known: {reason}" for reason in lost]


def provenance(landed: Landed, identity: Identity, digest: str, *, first: bool) -> Provenance:
    """What kind of commit brought a digest there."""
    commit, told = landed.commit, landed.told
    if Move(identity, digest) in told.moves:
        spoken = [_SPOKEN[verb] for verb in verbs(told.message) if verb in _SPOKEN]
        act = spoken[-1] if spoken else "bumped"
    else:
        act = "added" if first else "edited"
    by = next(iter(persons(told.message)), commit.author) if act in _SPOKEN.values() else commit.author
    return Provenance(commit.oid, landed.when, by, act)


def _tag_queries(surveyed: Iterable[Surveyed], stands: Mapping[Identity, LiveImages]) -> list[Query]:
    """The followed tags, and the tags that stand in places without a digest."""
    return merged(
        Query(
            spec.repository,
            frozenset({spec.tag, *_bare(stands[each.declared.identity])} - {""}),
            follows=frozenset({spec.follow} if spec.follow else ()),
        )
        for each in surveyed
        for spec in (each.declared.declaration.spec,)
    )


def _bare(stand: LiveImages) -> list[str]:
    return [image.tag for image in stand.images if not image.digest]


@dataclass(frozen=True, slots=True)
class _Scene:
    """All that an item rests on. Without answers of the registry, tags are not compared."""

    inputs: Inputs
    sources: Mapping[Identity, Identity]
    stands: Mapping[Identity, LiveImages]
    since: Mapping[Identity, Provenance]
    now: datetime
    answers: Answers | None
    proposals: Sequence[Branch]

    def item(self, surveyed: Surveyed) -> Item:
        declared = surveyed.declared
        identity, spec = declared.identity, declared.declaration.spec
        stand = self.stands[identity]
        where = tuple(dict.fromkeys(place for _, place in stand.placed)) or (str(declared.declaration.origin),)
        states = [*_doubts(stand), *([State("Suspended", "spec.suspend is set")] if spec.suspend else [])]
        states += _held(self.inputs.holds.get(identity), self.now)
        states += _behind(stand, self.sources.get(identity), self.stands)
        states += _pending(stand, identity, self.proposals)
        states += _tag_drift(stand, spec, self.answers) if self.answers else ()
        since = self.since.get(identity)
        return Item(
            identity, str(spec.repository), self._tag(spec), stand.name, stand.digest, since, tuple(states), where
        )

    def _tag(self, spec: Spec) -> str:
        """The followed tag; empty where a rule chooses it and the registry was not asked."""
        tag = followed_tag(spec, self.answers) if self.answers else spec.tag
        return tag if isinstance(tag, str) else ""


def _doubts(stand: LiveImages) -> Iterator[State]:
    if stand.doubt:
        yield State(UNCLEAR, stand.doubt.message)
    elif stand.images and stand.image is None:
        shown = " and ".join(f"{image.tag or short(image.digest)} ({where})" for image, where in stand.placed)
        yield State("Mixed", f"its places name several images: {shown}")


def _held(hold: Hold | None, now: datetime) -> Iterator[State]:
    """What a hold file keeps from happening now."""
    if hold is None:
        return
    if hold.freeze and (found := holds.applies(hold, "", now)):
        yield State("Held", found.message)
    for each in hold.reject:
        if found := holds.applies(replace(hold, freeze=False), each.digest, now):
            yield State("Held", found.message)


def _behind(stand: LiveImages, origin: Identity | None, stands: Mapping[Identity, LiveImages]) -> Iterator[State]:
    """How it differs from what it is promoted from."""
    source = stands.get(origin) if origin else None
    if origin and source and source.value and stand.value and not _agree(source, stand):
        shown = f"{source.name or 'an image'} ({short(source.digest)})" if source.digest else source.name
        yield State("Behind", f"{origin.environment} deploys {shown}")


def _agree(one: LiveImages, other: LiveImages) -> bool:
    """Whether both deploy the same: by digest where both name one, else by tag."""
    if one.image and other.image and not (one.digest and other.digest):
        return one.image.tag == other.image.tag
    return one.value == other.value


def _pending(stand: LiveImages, identity: Identity, proposed: Iterable[Branch]) -> Iterator[State]:
    """The branches that carry another image for it, and wait for somebody to merge them."""
    for branch in proposed:
        digest = branch.digests.get(identity, "")
        if digest and digest != stand.digest:
            yield State("Pending", f"{branch.name} proposes {short(digest)}")


def _tag_drift(stand: LiveImages, spec: Spec, answers: Answers) -> Iterator[State]:
    """How the followed tag differs from what git deploys."""
    repository, tag, answer = spec.repository, followed_tag(spec, answers), followed_image(spec, answers)
    if not isinstance(answer, Image) or isinstance(tag, Failure):
        why = answer.message if isinstance(answer, Failure) else ""
        yield State("TagUnknown", why if spec.follow else f"the tag {tag}: {why}")
        return
    held = {image.digest or _digest(answers, repository, image.tag) for image in stand.images}
    if stand.value and held != {answer.digest}:
        version = followed_version(spec, tag, answer.tags, answer.label)
        name = f"{version} ({short(answer.digest)})" if isinstance(version, str) else short(answer.digest)
        yield State("TagDrift", f"{shown_rule(spec)} is {name}" if spec.follow else f"the tag {tag} names {name}")


def _digest(answers: Answers, repository: Repository, tag: str) -> str:
    answer = answers.get(repository, tag)
    return answer.digest if isinstance(answer, Image) else ""


def _broken(outcome: Outcome) -> Item:
    state = State(BROKEN, f"{outcome.reason}: {outcome.message}")
    return Item(outcome.identity, outcome.image_repo, states=(state,), where=(str(outcome.origin),))


def _environments(scopes: Scopes, items: Collection[Item], now: datetime) -> tuple[EnvironmentStatus, ...]:
    """Those of the layout in its order, as far as they are selected, and those that it does not know."""
    present = {item.identity.environment for item in items}
    known = [each for each in scopes.environments.values() if each.name in present]
    found = [EnvironmentStatus(each.name, each.promote_from, _frozen(each, now)) for each in known]
    strange = sorted(present - scopes.environments.keys())
    return (*found, *(EnvironmentStatus(name) for name in strange))


def _frozen(environment: Environment, now: datetime) -> str:
    freeze = running_freeze(environment, now)
    if freeze is None:
        return ""
    return f"frozen{f' until {freeze.until}' if freeze.until else ''}{f': {freeze.reason}' if freeze.reason else ''}"
