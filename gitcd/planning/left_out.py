"""Files that nobody's places are looked for in, though they may hold some: who is mentioned there is warned."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from gitcd.model.memory import Memory
from gitcd.model.tree import Entry, Tree
from gitcd.planning.matching import Surveyed
from gitcd.planning.scopes import Tie
from gitcd.planning.screening import MAX_FILE, REGULAR, Screen, needle

MAX_SEARCHED = 32 << 20  # bytes; a larger file is not even searched, and may mention everybody

_SUBJECT = "left out"

Claim = str | Tie | None  # whose a file is


def warn_left_out(
    surveyed: Sequence[Surveyed], tree: Tree, claimed: Iterable[tuple[Entry, Claim]], screen: Screen, memory: Memory
) -> None:
    """Warn every declaration whose repository stands in a file within its reach that is too large, or in dispute."""
    left = {entry: claim for entry, claim in claimed if entry.mode in REGULAR and _reason(entry, claim)}
    if not left:
        return
    seekers: defaultdict[bytes, list[Surveyed]] = defaultdict(list)
    for each in surveyed:
        seekers[needle(each.declared.declaration.spec.repository)].append(each)
    everybody = frozenset(seekers)
    for entry, words in _mentioned(tree, left, screen, memory):
        claim = left[entry]
        environments = claim.environments if isinstance(claim, Tie) else (claim,)
        for each in (each for word in everybody & (everybody if words is None else words) for each in seekers[word]):
            if any(each.declared.reach.holds(entry.path, environment) for environment in environments):
                each.looked_into.append(entry.path)
                repository = each.declared.declaration.spec.image_repo
                each.warnings.append(f"{entry.path} may hold {repository}, but {_reason(entry, claim)}")


def _reason(entry: Entry, claim: Claim) -> str:
    if entry.size > MAX_FILE:
        return f"is larger than {MAX_FILE} bytes and was not read"
    if isinstance(claim, Tie):
        return f"belongs to {' and '.join(claim.environments)} alike and is left alone"
    return ""


def _mentioned(
    tree: Tree, entries: Iterable[Entry], screen: Screen, memory: Memory
) -> Iterator[tuple[Entry, frozenset[bytes] | None]]:
    """What of the declarations' interest stands in each file, remembered by its id; None where nobody can tell."""
    mark, unknown = screen.fingerprint, []
    for entry in entries:
        known, _, words = (memory.recall(_SUBJECT, entry.oid) or "").partition(" ")
        if entry.size > MAX_SEARCHED:
            yield entry, None
        elif known == mark:
            yield entry, frozenset(words.encode().split(b","))
        else:
            unknown.append(entry)
    for entry, data in tree.read(unknown):
        found = screen.needles(data)
        memory.note(_SUBJECT, entry.oid, f"{mark} {b','.join(sorted(found)).decode()}")
        yield entry, found
