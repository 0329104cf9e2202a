"""What the registry must know of an image before it may move in: its scan, its signature.

Only a move to other content raises a question. A question without an answer keeps the gate closed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from gitcd.model.evidence import Aspect, Evidence, Inspected, Inspection, Scan, Signing
from gitcd.model.plan import OutcomeKind
from gitcd.model.reference import Repository
from gitcd.planning import gates
from gitcd.planning.decide import Decision
from gitcd.planning.gates import Asked
from gitcd.planning.scopes import Scopes


def inspections(decisions: Iterable[Decision], scopes: Scopes) -> list[Inspection]:
    """What the gates want to know of the images that are about to move in, and of those that they replace."""
    asked = {question for each in decisions for question in _inspections(each, _asked(each, scopes))}
    return sorted(asked)


def judge(decisions: Iterable[Decision], inspected: Inspected, scopes: Scopes) -> list[Decision]:
    """Block what a gate refuses, and what it cannot check; note what was seen."""
    return [_judge(each, asked, inspected) if (asked := _asked(each, scopes)) else each for each in decisions]


def _asked(decision: Decision, scopes: Scopes) -> Asked:
    """What is asked of this move; nothing where no other content moves in."""
    back = decision.aim is not None and decision.aim.back
    if back or not decision.edits or decision.outcome.kind is not OutcomeKind.BUMPED:
        return Asked()
    declared = decision.surveyed.declared
    return gates.asked(declared.declaration.spec.gates, scopes.layout_of(declared.identity.environment).gates)


def _inspections(decision: Decision, asked: Asked) -> set[Inspection]:
    repository, new, old = _images(decision)
    scanned = [digest for digest in (new, old) if digest] if asked.max_severity else []
    found = {Inspection(repository, digest, Aspect.SCAN) for digest in scanned}
    return found | {Inspection(repository, new, Aspect.SIGNING)} if asked.signed else found


def _judge(decision: Decision, asked: Asked, inspected: Inspected) -> Decision:
    repository, new, old = _images(decision)
    scan = inspected.scan(repository, new) if asked.max_severity else None
    old_scan = inspected.scan(repository, old) if asked.max_severity and old else None
    signing = inspected.signing(repository, new) if asked.signed else None
    evidence = Evidence(
        scan if isinstance(scan, Scan) else None,
        old_scan if isinstance(old_scan, Scan) else None,
        signing if isinstance(signing, Signing) else None,
    )
    seen = replace(decision, outcome=replace(decision.outcome, evidence=evidence))
    block = None if scan is None else gates.check_scan(scan, asked.max_severity)
    if block is None and signing is not None:
        block = gates.check_signing(signing)
    if block is None:
        return seen
    kind = OutcomeKind.FAILED if block.unchecked else OutcomeKind.BLOCKED
    return seen.stop(kind, block.reason, block.message, block.remedy, transient=block.transient)


def _images(decision: Decision) -> tuple[Repository, str, str]:
    """The repository, the digest that moves in, and the one that it replaces (empty: not known)."""
    outcome = decision.outcome
    new = outcome.resolved.digest if outcome.resolved else ""
    return decision.surveyed.declared.declaration.spec.repository, new, outcome.old_digest
