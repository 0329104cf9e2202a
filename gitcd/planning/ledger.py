"""A plan as it is remembered: its lasting outcomes, the registry's answers under them, and what they rest on.

An outcome lasts if it follows from the commit, the settings and the registry's answers alone: the declaration stays as
it is, for a reason that neither time nor history has a part in. The others are open: they are decided in every run.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from gitcd.model import schema
from gitcd.model.declaration import Follow, Identity, Origin
from gitcd.model.layout import ConfigRepository
from gitcd.model.plan import Direction, Outcome, OutcomeKind, Plan, Resolved
from gitcd.model.reference import Repository
from gitcd.model.registry import Answer, Answers, Failure, Query
from gitcd.planning.grounds import Ground, Grounds
from gitcd.planning.restrictions import IN_FORCE_FOR_NOW
from gitcd.planning.screening import Clue

_LASTING = frozenset({OutcomeKind.CURRENT, OutcomeKind.SUSPENDED, OutcomeKind.PROMOTED})
_SEAL_LENGTH = 16
_BATCH = 256
_UNRESOLVED = (None, None, None, None)
ODD = (zlib.error, ValueError, LookupError, TypeError, AttributeError)

_dump = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Ledger:
    """The outcomes in the plan's order (None: open), and each question to the registry with a seal of the answers.

    The warnings are those of the plan: like the layout they stay while no declaration, link or stray hold changes.
    """

    layout: ConfigRepository | None
    warnings: tuple[str, ...]
    outcomes: Sequence[Outcome | None]
    asked: Sequence[tuple[Query, str]]

    @property
    def open(self) -> set[int]:
        """The numbers of the outcomes that have to be decided in any case."""
        return {number for number, outcome in enumerate(self.outcomes) if outcome is None}

    @classmethod
    def of(cls, layout: ConfigRepository | None, plan: Plan, asked: Iterable[Query], answers: Answers) -> Ledger:
        kept = [each if _lasts(each) else None for each in plan.outcomes]
        return cls(layout, plan.warnings, kept, [(each, seal(each, answers)) for each in asked])

    def updated(self, fresh: Mapping[int, Outcome], asked: Sequence[Query], answers: Answers) -> Ledger:
        """The same with these outcomes in place of those of their numbers, and all that was asked for them."""
        repositories = {query.repository for query in asked}
        kept = [each for each in self.asked if each[0].repository not in repositories]
        outcomes = list(self.outcomes)
        for number, outcome in fresh.items():
            outcomes[number] = outcome if _lasts(outcome) else None
        return Ledger(self.layout, self.warnings, outcomes, [*kept, *((each, seal(each, answers)) for each in asked)])

    def pack(self) -> str:
        head = [schema.plain(self.layout) if self.layout else None, self.warnings]
        questions = (_pack_query(*each) for each in self.asked)
        outcomes = map(_pack_outcome, self.outcomes)
        return _compressed("[", _listed(head), ",[", _listed(questions), "],[", _listed(outcomes), "]]")

    @classmethod
    def unpack(cls, fact: str) -> Ledger:
        """What was packed; for anything else, one of `ODD` is raised."""
        layout, warnings, asked, outcomes = _expanded(fact)
        return cls(
            _unpack_layout(layout) if layout else None,
            tuple(warnings),
            [each and _unpack_outcome(each) for each in outcomes],
            [_unpack_query(each) for each in asked],
        )


def pack_grounds(grounds: Iterable[Ground]) -> str:
    return _compressed("[", _listed(map(_pack_ground, grounds)), "]")


def unpack_grounds(fact: str) -> Grounds:
    """What was packed; for anything else, one of `ODD` is raised."""
    return Grounds([_unpack_ground(*each) for each in _expanded(fact)])


def seal(query: Query, answers: Answers) -> str:
    """Stands for all that the registry said of what was asked."""
    said, last = [], None
    for follow in sorted(query.follows, key=repr):
        tag = answers.followed(query.repository, follow)
        said += [str(tag), _said(answers.get(query.repository, tag)) if isinstance(tag, str) else ""]
    for name in sorted(query.tags | query.digests):
        answer = answers.get(query.repository, name)
        said.append("" if answer is last else _said(answer))  # one image answers for its tag and its digest
        last = answer
    return hashlib.sha256("\0".join(said).encode()).hexdigest()[:_SEAL_LENGTH]


def _said(answer: Answer) -> str:
    if isinstance(answer, Failure):
        return repr(answer)
    return f"{answer.digest} {answer.tags} {answer.pushed_at} {answer.archived} {answer.label}"


def _lasts(outcome: Outcome) -> bool:
    stays = outcome.kind in _LASTING and outcome.reason != IN_FORCE_FOR_NOW and not outcome.proposal
    return stays and not outcome.changes and outcome.evidence is None


def _compressed(*parts: str | Iterable[str]) -> str:
    """The text as one line, made in pieces: as a whole it would be a hundred thousand lists."""
    compress = zlib.compressobj(1)
    pieces = [
        compress.compress(piece.encode()) for part in parts for piece in ([part] if isinstance(part, str) else part)
    ]
    return base64.b64encode(b"".join([*filter(None, pieces), compress.flush()])).decode()


def _expanded(fact: str) -> Any:
    return json.loads(zlib.decompress(base64.b64decode(fact)))


def _listed(values: Iterable[Any]) -> Iterator[str]:
    rest, comma = iter(values), ""
    while some := list(islice(rest, _BATCH)):
        yield comma + _dump(some)[1:-1]
        comma = ","


def _unpack_layout(plain: object) -> ConfigRepository:
    layout, problems = schema.read(ConfigRepository, plain)
    if layout is None:
        raise ValueError(str(problems[0]))
    return layout


def _pack_query(query: Query, answered: str) -> list[Any]:
    follows = [schema.plain(each) for each in sorted(query.follows, key=repr)]
    registry, path = query.repository.registry, query.repository.path
    return [registry, path, sorted(query.tags), sorted(query.digests), follows, answered]


def _unpack_query(fact: Any) -> tuple[Query, str]:
    registry, path, tags, digests, follows, answered = fact
    found = frozenset(_unpack_follow(each) for each in follows)
    return Query(Repository(registry, path), frozenset(tags), frozenset(digests), found), answered


def _unpack_follow(plain: object) -> Follow:
    follow, problems = schema.read(Follow, plain)
    if follow is None:
        raise ValueError(str(problems[0]))
    return follow


def _pack_ground(ground: Ground) -> list[Any]:
    identity, clue = ground.identity, ground.clue
    return [
        [identity.environment, identity.namespace, identity.name],
        [clue.repository.registry, clue.repository.path, sorted(clue.names), clue.word, clue.container],
        ground.files,
        ground.named,
        ground.group,
    ]


def _unpack_ground(identity: list[str], clue: Any, files: list[str], named: list[str], group: str) -> Ground:
    registry, path, names, word, container = clue
    sought = Clue(Repository(registry, path), frozenset(names), word, container)
    return Ground(Identity(*identity), sought, tuple(files), tuple(named), group)


def _pack_outcome(outcome: Outcome | None) -> list[Any] | None:
    if outcome is None:
        return None
    identity, origin, resolved = outcome.identity, outcome.origin, outcome.resolved
    pushed_at = resolved.pushed_at.isoformat() if resolved and resolved.pushed_at else ""
    return [
        *(identity.environment, identity.namespace, identity.name, origin.path, origin.line),
        *((resolved.tag, resolved.version, resolved.digest, pushed_at) if resolved else _UNRESOLVED),
        *(str(outcome.kind), outcome.image_repo, outcome.reason, outcome.message, outcome.remedy, outcome.transient),
        *(outcome.old, outcome.old_digest, str(outcome.direction), outcome.places, outcome.warnings),
    ]


def _unpack_outcome(fact: Any) -> Outcome:
    environment, namespace, name, path, line, tag, version, digest, pushed_at, kind, *rest = fact
    image_repo, reason, message, remedy, transient, old, old_digest, direction, places, warnings = rest
    return Outcome(
        Identity(environment, namespace, name),
        Origin(path, line),
        _KINDS[kind],
        image_repo,
        reason,
        message,
        remedy,
        transient,
        None if tag is None else _unpack_resolved(tag, version, digest, pushed_at),
        old,
        old_digest,
        _DIRECTIONS[direction],
        (),
        tuple(places),
        tuple(warnings),
    )


def _unpack_resolved(tag: str, version: str, digest: str, pushed_at: str) -> Resolved:
    return Resolved(tag, version, digest, datetime.fromisoformat(pushed_at) if pushed_at else None)


_KINDS: Mapping[str, OutcomeKind] = {str(kind): kind for kind in _LASTING}
_DIRECTIONS: Mapping[str, Direction] = {str(direction): direction for direction in Direction}
