"""The hold that a rollback leaves behind: what was deployed stays out, and says why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from gitcd.errors import ConfigError
from gitcd.manifests.reading import read_hold, render_hold
from gitcd.model import times
from gitcd.model.declaration import Identity
from gitcd.model.hold import Hold, Reject, hold_path
from gitcd.model.plan import FileChange
from gitcd.model.tree import Mode, Tree


@dataclass(frozen=True, slots=True)
class Rejection:
    """A digest that is held off, what people call it, and who says so."""

    digest: str
    version: str
    reason: str
    by: str
    now: datetime
    until: str

    @property
    def entry(self) -> Reject:
        stamp = times.shown(self.now)
        return Reject(self.digest, self.version, self.reason, self.by, stamp, self.until)


def hold_change(
    tree: Tree, identity: Identity, hold: Hold, rejections: Iterable[Rejection], proposed: Tree | None = None
) -> FileChange | None:
    """The hold file with these rejections in place of what it said of their digests; None: it is so already.

    `proposed` is the tree of a branch that proposes it already: what it says in the same words keeps its time.

    Raises:
        ConfigError: a value is none that a hold file can have.
    """
    new = {each.digest: each.entry for each in rejections}
    for said in _proposed(proposed, identity) if proposed else ():
        if said.digest in new:
            new[said.digest] = _newer(said, new[said.digest])
    allow = tuple(each for each in hold.allow if each.digest not in new)
    kept = [_newer(each, new.pop(each.digest, each)) for each in hold.reject]
    path, data = hold_path(identity), render_hold(replace(hold, reject=(*kept, *new.values()), allow=allow))
    _, problems = read_hold(path, data)
    if problems:
        raise ConfigError("; ".join(f"{each.pointer}: {each.message}" for each in problems))
    before = _text(tree, path)
    return None if before == data else FileChange(path, Mode.FILE, before, data)


def _text(tree: Tree, path: str) -> bytes | None:
    entries = [entry for entry in tree.entries() if entry.path == path]
    return next((found for _, found in list(tree.read(entries))), None)


def _proposed(tree: Tree, identity: Identity) -> tuple[Reject, ...]:
    path = hold_path(identity)
    data = _text(tree, path)
    hold, _ = read_hold(path, data) if data is not None else (None, ())
    return hold.reject if hold else ()


def _newer(old: Reject, new: Reject) -> Reject:
    """What is said anew; where it is the same once more, the first time stands."""
    return old if replace(new, time=old.time) == old else new
