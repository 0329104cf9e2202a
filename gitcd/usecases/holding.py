"""Hold and release: write or remove one hold file, in one commit of its own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from gitcd.errors import ConfigError, TransientError
from gitcd.git.commit import Author, NewCommit
from gitcd.git.mirror import Mirror
from gitcd.git.tree import CommitTree
from gitcd.git.worktree import WorkTree
from gitcd.manifests.reading import read_hold, render_hold
from gitcd.model import times
from gitcd.model.declaration import Identity
from gitcd.model.hold import Allow, Hold, Reject, hold_path
from gitcd.model.plan import FileChange
from gitcd.model.reference import is_digest, short
from gitcd.model.tree import Mode, Tree
from gitcd.planning.holds import NoHistory, Past
from gitcd.planning.inputs import Inputs
from gitcd.planning.moments import moment
from gitcd.planning.precedents import Question
from gitcd.planning.survey import survey
from gitcd.rendering.text import one_line
from gitcd.usecases.context import Elsewhere, Selection
from gitcd.usecases.planner import declared_inputs
from gitcd.usecases.publish import Published, publish

Recall = Callable[[Sequence[Question]], Mapping[Identity, Past]]


@dataclass(frozen=True, slots=True)
class HoldRequest:
    """What to hold, and why. Without `reject` (a digest) every move is frozen.

    `environments` are those that `app` is looked for in; none: all.
    """

    app: str
    reject: str = ""
    version: str = ""
    reason: str = ""
    by: str = ""
    until: str = ""
    environments: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Held:
    """The change to one hold file; `change` is None where nothing has to change. `said` is for people."""

    identity: Identity
    change: FileChange | None
    said: str
    reason: str = ""
    note: str = ""  # what could not be found out meanwhile

    @property
    def message(self) -> str:
        """The commit message: one line, and the reason in a sentence that nothing in it can turn into a trailer."""
        reason = f"\n\nThe reason given: {one_line(self.reason)}" if self.reason else ""
        return f"{one_line(self.said)}{reason}\n"


def hold(tree: Tree, request: HoldRequest, now: datetime, source: Elsewhere | None = None) -> Held:
    """The hold file that the request asks for, merged with the one that is there.

    Raises:
        ConfigError: no declaration of that name, or several; or a value that a hold file cannot have.
    """
    inputs = declared_inputs(tree, source)
    identity = find_identity(inputs, request.app, environments=request.environments)
    if (end := moment(request.until)) and end <= now:
        raise ConfigError(f"the hold would have ended at {request.until}", remedy="Give a time to come, or none.")
    if request.reject and not is_digest(request.reject):
        raise ConfigError(f"{request.reject!r} is not a digest", remedy="Give sha256: and 64 hexadecimal digits.")
    if problem := inputs.unreadable.get(identity):
        raise ConfigError(str(problem), remedy=f"Mend it, or remove it with `gitcd release {identity}`.")
    old = inputs.holds.get(identity, Hold())
    said = f"Hold {identity}"
    if request.reject:
        kept = tuple(each for each in old.reject if each.digest != request.reject)
        entry = Reject(request.reject, request.version, request.reason, request.by, times.shown(now), request.until)
        new = replace(old, reject=(*kept, entry))
        said += f": reject {request.version or short(request.reject)}"
    else:
        new = replace(old, freeze=True, until=request.until, time=old.time if old.freeze else times.shown(now))
        new = replace(new, reason=request.reason or old.reason, by=request.by or old.by)
    said += f" until {request.until}" if request.until else ""
    return Held(identity, _change(tree, hold_path(identity), _rendered(identity, new)), said, request.reason)


def release(
    tree: Tree,
    app: str,
    recall: Recall,
    *,
    by: str = "",
    reason: str = "",
    now: datetime,
    source: Elsewhere | None = None,
    environments: Collection[str] = (),
) -> Held:
    """End what holds; where that is a person's revert too, write down that its digest may come again.

    A hold file that cannot be read is removed.

    Raises:
        ConfigError: no declaration of that name, or several; or the history is not there, and will not be.
        TransientError: the history, which says what people took back, cannot be had now.
    """
    inputs = declared_inputs(tree, source)
    identity = find_identity(inputs, app, inputs.holds, environments)
    said = f"Release {identity}"
    if problem := inputs.unreadable.get(identity):
        return Held(identity, _change(tree, problem.path, None), said, reason)
    old = inputs.holds.get(identity, Hold())
    past, note = _past(tree, inputs, identity, recall), ""
    if isinstance(past, NoHistory):
        note = f"history that may hold {identity} is missing: {past.reason}"
        if not (old.reject or old.freeze):
            missing = ConfigError if past.lasting else TransientError
            raise missing(note, remedy=past.remedy or "Run again.")
        past = None
    allow = old.allow
    if past and all(each.digest != past.digest for each in allow):
        allow = (*allow, Allow(past.digest, reason, by, times.shown(now)))
        said += f": let {short(past.digest)} in again"
    if allow == old.allow and not old.reject and not old.freeze:
        return Held(identity, None, f"Nothing holds {identity}")
    after = _rendered(identity, Hold(allow=allow)) if allow else None
    return Held(identity, _change(tree, hold_path(identity), after), said, reason, note)


def commit(
    mirror: Mirror, compute: Callable[[CommitTree, str], Held], author: Author, when: datetime
) -> Published[Held]:
    """Carry a hold or a release to the branch."""

    def work(tree: CommitTree, tip: str) -> tuple[Held, Sequence[NewCommit]]:
        held = compute(tree, tip)
        return held, [NewCommit(held.message, [held.change])] if held.change else []

    return publish(mirror, work, author=author, when=when)


def write(tree: WorkTree, held: Held) -> None:
    """Write the hold file into a work tree; committing is left to the user."""
    if held.change is None:
        return
    if held.change.after is None:
        tree.remove(held.change.path)
    else:
        tree.write(held.change.path, held.change.after)


def find_identity(
    inputs: Inputs, app: str, holds: Iterable[Identity] = (), environments: Collection[str] = ()
) -> Identity:
    """The one declaration that an operand names, in one of these environments where any are given.

    `holds` are names that count though nothing is declared under them.

    Raises:
        ConfigError: none, or several.
    """
    known = [each.identity for each in inputs.declared]
    known += [each.identity for each in inputs.broken if each.identity in inputs.unreadable]
    known += [each for each in holds if each not in known]
    selection = Selection(frozenset(environments), frozenset({app}))
    found = [identity for identity in known if selection.takes(identity)]
    if len(found) == 1:
        return found[0]
    if found:
        raise ConfigError(f"{app!r} names {len(found)} declarations", remedy=f"Say which: {_listed(found)}")
    where = f" in {', '.join(sorted(environments))}" if environments else ""
    raise ConfigError(
        f"no declaration{where} is called {app!r}", remedy=f"There are: {_listed(known)}" if known else ""
    )


def _past(tree: Tree, inputs: Inputs, identity: Identity, recall: Recall) -> Past:
    """The last move of the declaration, if its places no longer hold it."""
    declared = next((each for each in inputs.declared if each.identity == identity), None)
    if declared is None:
        return None
    (surveyed,) = survey([declared], tree, inputs.scopes)
    return recall([Question(surveyed)]).get(identity)


def _rendered(identity: Identity, hold: Hold) -> bytes:
    """The file's bytes; what could not be read back later is refused now."""
    data = render_hold(hold)
    _, problems = read_hold(hold_path(identity), data)
    if problems:
        raise ConfigError("; ".join(f"{each.pointer}: {each.message}" for each in problems))
    return data


def _change(tree: Tree, path: str, after: bytes | None) -> FileChange | None:
    entries = [entry for entry in tree.entries() if entry.path == path]
    before = next((data for _, data in tree.read(entries)), None)
    return None if before == after else FileChange(path, Mode.FILE, before, after)


def _listed(identities: Sequence[Identity]) -> str:
    shown = ", ".join(str(each) for each in identities[:10])
    return shown + (f" and {len(identities) - 10} more" if len(identities) > 10 else "")  # noqa: PLR2004 - a line's worth
