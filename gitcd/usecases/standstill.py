"""Nothing to do is how most runs end. It is remembered with all that it rests on, so that the next run need not plan.

A plan follows from the commit, the operator's limits, the selection, the registry's answers, the time and the history.
A plan in which every declaration stays for a reason that neither time nor history has a part in follows from the first
four alone. Such a plan is kept under the first three, with the questions to the registry and a seal of the answers:
equal answers, equal plan. Where declarations or aims are given beside the commit, nothing is remembered.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from gitcd.model.declaration import Identity, Origin
from gitcd.model.memory import Memory
from gitcd.model.plan import Direction, Outcome, OutcomeKind, Plan, Resolved
from gitcd.model.reference import Repository, is_digest
from gitcd.model.registry import Answer, Answers, Failure, Query
from gitcd.planning.inputs import Inputs
from gitcd.planning.scopes import Scopes
from gitcd.planning.standing import IN_FORCE_FOR_NOW
from gitcd.usecases.planner import Context, Planned

_SUBJECT = "standstill"
_LASTING = frozenset({OutcomeKind.CURRENT, OutcomeKind.SUSPENDED, OutcomeKind.PROMOTED})
_dump = json.JSONEncoder(separators=(",", ":")).encode
_ODD = (zlib.error, ValueError, LookupError, TypeError, AttributeError)


def recall(memory: Memory, context: Context, tip: str) -> Planned | None:
    """The plan that changes nothing on this tip, if one is remembered and the registry still says the same.

    The steps that led to it are left out.
    """
    fact = memory.recall(_SUBJECT, _key(context, tip)) if context.is_of_tree and not context.aims else None
    if fact is None:
        return None
    try:
        asked, seal, outcomes = json.loads(zlib.decompress(base64.b64decode(fact)))
        queries = [_unpack_query(*each) for each in asked]
        plan = Plan(tip, tuple(_unpack_outcome(each) for each in outcomes))
    except _ODD:
        return None
    answers = context.resolve(queries)
    if _seal(queries, answers) != seal:
        return None
    return Planned(plan, Inputs(None, Scopes(None), (), (), {}), (), answers)


def note(memory: Memory, context: Context, planned: Planned) -> None:
    """Remember the plan if it is a lasting one."""
    plan = planned.plan
    moved = plan.commits or plan.failures or plan.warnings
    if not context.is_of_tree or context.aims or moved or not all(map(_lasts, plan.outcomes)):
        return
    queries = _asked(planned.answers)
    pieces = _fact(plan, queries, _seal(queries, planned.answers))
    memory.note(_SUBJECT, _key(context, plan.base), _compressed(pieces))


def _lasts(outcome: Outcome) -> bool:
    stays = outcome.kind in _LASTING and outcome.reason != IN_FORCE_FOR_NOW
    return stays and not outcome.changes and outcome.evidence is None


def _compressed(pieces: Iterable[str]) -> str:
    compress = zlib.compressobj(1)
    parts = [compress.compress(piece.encode()) for piece in pieces]
    return base64.b64encode(b"".join([*filter(None, parts), compress.flush()])).decode()


def _fact(plan: Plan, queries: Sequence[Query], seal: str) -> Iterator[str]:
    """The JSON of all in pieces: as a whole it would be a hundred thousand lists."""
    yield "[["
    yield from _listed(_pack_query(each) for each in queries)
    yield f'],"{seal}",['
    yield from _listed(_pack_outcome(each) for each in plan.outcomes)
    yield "]]"


def _listed(values: Iterable[list[Any]]) -> Iterator[str]:
    for number, value in enumerate(values):
        yield f"{',' if number else ''}{_dump(value)}"


def _asked(answers: Answers) -> list[Query]:
    names: defaultdict[Repository, set[str]] = defaultdict(set)
    for repository, name in answers.by_key:
        names[repository].add(name)
    return [
        Query(repository, frozenset(each for each in known if not is_digest(each)), frozenset(filter(is_digest, known)))
        for repository, known in sorted(names.items())
    ]


def _key(context: Context, tip: str) -> str:
    limits = sorted((name, scope.environments, scope.paths, scope.registries) for name, scope in context.limits.items())
    selection = sorted(context.selection.environments), sorted(context.selection.apps)
    given = [(each.identity, each.declaration) for each in context.given]
    return f"{tip} {hashlib.sha256(repr((limits, selection, given)).encode()).hexdigest()}"


def _seal(queries: Sequence[Query], answers: Answers) -> str:
    """Stands for all that the registry said of what was asked."""
    seal = hashlib.sha256()
    said: dict[int, bytes] = {}  # by identity: one image answers for its tag and its digest
    for query in queries:
        for name in sorted(query.tags | query.digests):
            answer = answers.get(query.repository, name)
            if id(answer) not in said or isinstance(answer, Failure):
                said[id(answer)] = _said(answer)
            seal.update(said[id(answer)])
    return seal.hexdigest()


def _said(answer: Answer) -> bytes:
    if isinstance(answer, Failure):
        return f"{answer!r}\0".encode()
    return f"{answer.digest} {answer.tags} {answer.pushed_at} {answer.archived}\0".encode()


def _pack_query(query: Query) -> list[Any]:
    return [query.repository.registry, query.repository.path, sorted(query.tags), sorted(query.digests)]


def _unpack_query(registry: str, path: str, tags: list[str], digests: list[str]) -> Query:
    return Query(Repository(registry, path), frozenset(tags), frozenset(digests))


def _pack_outcome(outcome: Outcome) -> list[Any]:
    identity, origin, resolved = outcome.identity, outcome.origin, outcome.resolved
    pushed_at = resolved.pushed_at.isoformat() if resolved and resolved.pushed_at else ""
    return [
        [identity.environment, identity.namespace, identity.name],
        [origin.path, origin.line],
        [resolved.tag, resolved.version, resolved.digest, pushed_at] if resolved else None,
        [str(outcome.kind), outcome.image_repo, outcome.reason, outcome.message, outcome.remedy],
        outcome.transient,
        [outcome.old, outcome.old_digest, str(outcome.direction)],
        outcome.places,
        outcome.warnings,
    ]


def _unpack_outcome(fact: Any) -> Outcome:
    identity, (path, line), resolved, (kind, *words), transient, (old, old_digest, direction), places, warnings = fact
    image_repo, reason, message, remedy = words
    return Outcome(
        Identity(*identity),
        Origin(path, line),
        _KINDS[kind],
        image_repo,
        reason,
        message,
        remedy,
        transient,
        _unpack_resolved(*resolved) if resolved else None,
        old,
        old_digest,
        _DIRECTIONS[direction],
        (),
        tuple(places),
        tuple(warnings),
    )


def _unpack_resolved(tag: str, version: str, digest: str, pushed_at: str) -> Resolved:
    return Resolved(tag, version, digest, datetime.fromisoformat(pushed_at) if pushed_at else None)


_KINDS = {str(kind): kind for kind in _LASTING}
_DIRECTIONS = {str(direction): direction for direction in Direction}
