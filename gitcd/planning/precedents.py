"""What history forbids: a move that gitcd has made before, and that somebody took back, is not made again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from gitcd import manifests
from gitcd.model.declaration import ContainerVersion, Identity
from gitcd.model.plan import OutcomeKind
from gitcd.model.reference import short
from gitcd.model.site import Site
from gitcd.planning.decide import Decision
from gitcd.planning.holds import Holds, NoHistory, Past, PastMove, changed, reverted
from gitcd.planning.matching import Surveyed
from gitcd.planning.moments import moment
from gitcd.planning.screening import stem
from gitcd.planning.wanted import Wanted


@dataclass(frozen=True, slots=True)
class Question:
    """What history has to answer: was this declaration moved to this digest before, and was that taken back?

    An empty digest asks for the last move, wherever it went; what is `wanted` does not matter then.
    """

    surveyed: Surveyed
    digest: str = ""
    wanted: tuple[Wanted, ...] = ()

    @property
    def identity(self) -> Identity:
        return self.surveyed.declared.identity

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(self.surveyed.files)

    def is_answered_by(self, digest: str, files: Mapping[str, bytes]) -> bool:
        """Whether the files of a commit that tells of a move to this digest show a place that was taken back since."""
        declaration, present = self.surveyed.declared.declaration, self.surveyed.sites
        then = [site for path, data in files.items() for site in _sites(declaration, path, data)]
        if not self.digest:
            return changed(digest, then, present)
        return digest == self.digest and reverted(digest, then, present, self.wanted)


def questions(decisions: Iterable[Decision]) -> list[Question]:
    """One question for every declaration that is about to move."""
    return [
        Question(each.surveyed, resolved.digest, each.wanted)
        for each in decisions
        if each.edits and (resolved := each.outcome.resolved) and not _returns(each)
    ]


def honour(decisions: Iterable[Decision], past: Mapping[Identity, Past], holds: Holds) -> list[Decision]:
    """Hold what a human took back; block what cannot be known."""
    return [_honour(each, past.get(each.outcome.identity), holds) if each.edits else each for each in decisions]


def _returns(decision: Decision) -> bool:
    """Whether a person asks by name for what stood there before."""
    return decision.aim is not None and decision.aim.back


def _allowed(decision: Decision, past: PastMove, holds: Holds) -> bool:
    """Whether a hold file lets the digest in again, and was written after the move that was taken back.

    A revert of the move that an allowance let in brings the spent allowance back, and must not bring the move back too.
    """
    hold, resolved = holds.get(decision.outcome.identity), decision.outcome.resolved
    return any(
        each.digest == (resolved and resolved.digest)
        and not ((given := moment(each.time)) and past.when and given < past.when)
        for each in (hold.allow if hold else ())
    )


def _honour(decision: Decision, past: Past, holds: Holds) -> Decision:
    resolved = decision.outcome.resolved
    if past is None or resolved is None:
        return decision
    if isinstance(past, NoHistory):
        message = f"history that may forbid this move is missing: {past.reason}"
        kind = OutcomeKind.FAILED if past.lasting else OutcomeKind.BLOCKED
        return decision.stop(kind, "HistoryMissing", message, past.remedy, transient=not past.lasting)
    question = Question(decision.surveyed, resolved.digest, decision.wanted)
    if not question.is_answered_by(past.digest, past.files) or _allowed(decision, past, holds):
        return decision
    name = resolved.version or short(resolved.digest)
    return decision.stop(
        OutcomeKind.HELD,
        "Reverted",
        f"{name} was written by commit {past.commit[:10]} and taken back since; it stays out until the tag moves on",
        f"To let it in again, run `gitcd release {decision.outcome.identity}`, or write it by hand.",
    )


def _sites(declaration: ContainerVersion, path: str, data: bytes) -> Iterator[Site]:
    """What of a file concerns a declaration, whoever its workloads belong to."""
    spec = declaration.spec
    for site in manifests.find(path, data, [stem(spec.repository)]).sites:
        if site.repository == spec.repository:
            yield site
    others = [manifests.locate(path, data, place) for place in spec.places if f"/{path}".endswith(f"/{place.file}")]
    if spec.config:
        key = manifests.config_site(path, data, declaration.namespace, spec.config.name, spec.config.key)
        others += [key] if isinstance(key, Site) and key.value is not None else []
    yield from (each for each in others if isinstance(each, Site))
