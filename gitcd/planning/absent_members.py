"""Members of groups that are absent because their declaration is broken: read from whatever can be read of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from gitcd.manifests.reading import Membership, read_memberships
from gitcd.model.plan import Outcome
from gitcd.model.tree import Tree
from gitcd.planning.scopes import Scopes
from gitcd.planning.screening import is_readable
from gitcd.planning.settling import Absent


def absent_members(broken: Iterable[Outcome], tree: Tree, scopes: Scopes) -> list[Absent]:
    """The members of groups among broken declarations. Their files are read once more; there are few, if any."""
    by_path: defaultdict[str, list[Outcome]] = defaultdict(list)
    for outcome in broken:
        by_path[outcome.origin.path].append(outcome)
    entries = [entry for entry in tree.entries() if entry.path in by_path and is_readable(entry)] if by_path else []
    found = [
        absent
        for entry, data in tree.read(entries)
        for membership in read_memberships(data)
        for absent in _matching(by_path[entry.path], membership, scopes)
    ]
    return sorted(found, key=lambda absent: (absent.outcome.identity, absent.outcome.origin.path))


def _matching(broken: Iterable[Outcome], membership: Membership, scopes: Scopes) -> Iterator[Absent]:
    for outcome in broken:
        identity = outcome.identity
        if membership.subject == (identity.app if identity.name else ""):
            owner = scopes.environment_of(outcome.origin.path)
            found = owner if isinstance(owner, str) else ""
            yield Absent(identity.environment or membership.environment or found, membership.group, outcome)
