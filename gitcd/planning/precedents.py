"""What history forbids: a move that gitcd has made before, and that somebody took back, is not made again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gitcd import manifests
from gitcd.model.declaration import Identity
from gitcd.model.plan import OutcomeKind
from gitcd.model.reference import short
from gitcd.model.site import Site
from gitcd.planning.decide import Decision
from gitcd.planning.holds import Holds, NoHistory, Past, reverted
from gitcd.planning.screening import stem


@dataclass(frozen=True, slots=True)
class Question:
    """What the history of some files has to answer: was this declaration moved to this digest before?

    An empty digest asks for the last move, wherever it went. `evidence` is the text by which a file shows that it was
    moved there; empty: the digest.
    """

    identity: Identity
    digest: str
    paths: tuple[str, ...]
    evidence: str = ""

    def is_answered_by(self, digest: str, files: Iterable[bytes]) -> bool:
        """Whether the files of a commit that tells of a move to this digest bear it out."""
        evidence = (self.evidence or digest).encode()
        return any(evidence in data for data in files)


def questions(decisions: Iterable[Decision]) -> list[Question]:
    """One question for every declaration that is about to move."""
    return [
        Question(
            each.outcome.identity,
            resolved.digest,
            tuple(sorted({edit.site.path for edit in each.edits})),
            "" if any(edit.digest for edit in each.edits) else resolved.version,
        )
        for each in decisions
        if each.edits and (resolved := each.outcome.resolved)
    ]


def honour(decisions: Iterable[Decision], past: Mapping[Identity, Past], holds: Holds) -> list[Decision]:
    """Hold what a human took back; block what cannot be known."""
    return [
        _honour(each, past.get(each.outcome.identity)) if each.edits and not _allowed(each, holds) else each
        for each in decisions
    ]


def _allowed(decision: Decision, holds: Holds) -> bool:
    """Whether a hold file lets the digest in again."""
    hold, resolved = holds.get(decision.outcome.identity), decision.outcome.resolved
    return hold is not None and resolved is not None and any(each.digest == resolved.digest for each in hold.allow)


def _honour(decision: Decision, past: Past) -> Decision:
    resolved = decision.outcome.resolved
    if past is None or resolved is None:
        return decision
    if isinstance(past, NoHistory):
        message = f"history that may forbid this move is missing: {past.reason}"
        return decision.stop(OutcomeKind.BLOCKED, "HistoryMissing", message, transient=True)
    if not reverted(past, resolved.digest, _sites_then(decision, past.files), decision.wanted):
        return decision
    name = resolved.version or short(resolved.digest)
    return decision.stop(
        OutcomeKind.HELD,
        "Reverted",
        f"{name} was written by commit {past.commit[:10]} and taken back since; it stays out until the tag moves on",
        f"To let it in again, run `gitcd release {decision.outcome.identity}`, or write it by hand.",
    )


def _sites_then(decision: Decision, files: Mapping[str, bytes]) -> list[Site]:
    repository = decision.surveyed.declared.declaration.spec.repository
    return [
        site
        for path, data in files.items()
        for site in manifests.find(path, data, [stem(repository)]).sites
        if site.repository == repository
    ]
