"""The plan: everything one run decided, before anything is written. It is printed, committed, logged and replayed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from gitcd.errors import ExitCode
from gitcd.model.declaration import Identity, Origin
from gitcd.model.evidence import Evidence
from gitcd.model.registry import Failure
from gitcd.model.tree import Mode


class OutcomeKind(StrEnum):
    """What became of one declaration in one run."""

    BUMPED = "Bumped"  # other content is written
    PIN_ONLY = "PinOnly"  # the same content in another spelling; pods restart all the same
    PROPOSED = "Proposed"  # a pull request carries it
    CURRENT = "Current"
    HELD = "Held"  # a hold file, or a human's revert
    FROZEN = "Frozen"
    SUSPENDED = "Suspended"
    PROMOTED = "AwaitsPromotion"  # the environment moves by promotion only
    BLOCKED = "Blocked"  # a gate
    CONFLICT = "Conflict"
    FAILED = "Failed"


CHANGING = frozenset({OutcomeKind.BUMPED, OutcomeKind.PIN_ONLY})
BROKEN = frozenset({OutcomeKind.CONFLICT, OutcomeKind.FAILED})


class Direction(StrEnum):
    """How the wanted image relates to the present one, by the time each was pushed."""

    FORWARD = "forward"
    BACKWARD = "backward"
    SAME = "same"
    UNKNOWN = ""


@dataclass(frozen=True, slots=True)
class Change:
    """One spot that changes: what stands there, what shall stand there."""

    path: str
    line: int
    pointer: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Resolved:
    """What the followed tag names, as the registry said in this run."""

    tag: str
    version: str
    digest: str
    pushed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was decided about one declaration, and why. `reason` is CamelCase, `message` one sentence."""

    identity: Identity
    origin: Origin
    kind: OutcomeKind
    image_repo: str = ""
    reason: str = ""
    message: str = ""
    remedy: str = ""
    transient: bool = False
    resolved: Resolved | None = None
    old: str = ""  # what stands now: version or tag, for people
    old_digest: str = ""
    direction: Direction = Direction.UNKNOWN
    changes: tuple[Change, ...] = ()
    places: tuple[str, ...] = ()  # path:line of every place that the declaration owns
    warnings: tuple[str, ...] = ()
    evidence: Evidence | None = None  # what gates saw in the registry; None: no gate asked
    proposal: str = ""  # the branch by which it is proposed
    pull: str = ""  # the address of the pull request, where it is known

    @property
    def changed(self) -> bool:
        return self.kind in CHANGING


@dataclass(frozen=True, slots=True)
class FileChange:
    """A file of a commit, whole: what it was, what it becomes (None: it is removed; `before` None: it is new)."""

    path: str
    mode: Mode
    before: bytes | None
    after: bytes | None


@dataclass(frozen=True, slots=True)
class PlannedCommit:
    """One commit. Commits of one plan stand in order, each on top of the one before."""

    kind: OutcomeKind  # BUMPED or PIN_ONLY
    environments: tuple[str, ...]
    outcomes: tuple[Outcome, ...]
    files: tuple[FileChange, ...]
    message: str = ""


@dataclass(frozen=True, slots=True)
class PlannedPull:
    """A pull request that shall exist: one commit on top of the base, by itself, whatever else the plan does.

    The commit's outcomes are told of as what they are once it is merged. `id` stands for the images that it brings.
    One that is `insisted` on was asked for by a person, whatever somebody said to the same content before.
    """

    environment: str
    branch: str
    id: str
    commit: PlannedCommit
    standing: bool = False  # whether the branch carries exactly this already
    insisted: bool = False


class PullAct(StrEnum):
    """What a run did about a pull request."""

    PLANNED = "planned"  # this was a rehearsal
    OPENED = "opened"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    CLOSED = "closed"  # nothing of it is wanted any more
    CLEARED = "cleared"  # it was merged or closed before, and left its branch behind
    LEFT = "left"  # as it is: a person's commit, a person's no, or something that cannot be decided now
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Delivered:
    """What became of one pull request; `reason` is a sentence where there is something to say."""

    branch: str
    act: PullAct
    apps: tuple[str, ...] = ()
    id: str = ""
    url: str = ""
    title: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole decision. `base` is the commit it was made on, empty for a folder of files."""

    base: str
    outcomes: tuple[Outcome, ...] = ()
    commits: tuple[PlannedCommit, ...] = ()
    failures: tuple[Failure, ...] = ()  # what concerns no single declaration
    warnings: tuple[str, ...] = field(default=())
    pulls: tuple[PlannedPull, ...] = ()
    shared: tuple[FileChange, ...] = ()  # files that several commits or pull requests change apart, changed by all

    @property
    def counts(self) -> Counter[OutcomeKind]:
        return Counter(outcome.kind for outcome in self.outcomes)

    @property
    def rehearsed(self) -> tuple[Delivered, ...]:
        """The pull requests as far as they can be told of without carrying anything out."""
        return tuple(
            Delivered(
                pull.branch,
                PullAct.UNCHANGED if pull.standing else PullAct.PLANNED,
                tuple(str(outcome.identity) for outcome in pull.commit.outcomes),
                pull.id,
                title=pull.commit.message.partition("\n")[0],
            )
            for pull in self.pulls
        )

    @property
    def files(self) -> tuple[FileChange, ...]:
        """The net change of every file over all commits and pull requests, by path."""
        net: dict[str, FileChange] = {}
        commits = [*self.commits, *(pull.commit for pull in self.pulls)]
        for change in [*(change for commit in commits for change in commit.files), *self.shared]:
            first = net.get(change.path, change)
            net[change.path] = FileChange(change.path, change.mode, first.before, change.after)
        return tuple(net[path] for path in sorted(net) if net[path].before != net[path].after)


def exit_code(codes: Iterable[ExitCode]) -> ExitCode:
    """The one code that stands for several, by the order of docs/exit-codes.md."""
    present = set(codes)
    order = (
        ExitCode.BUG,
        ExitCode.USAGE,
        ExitCode.ROLLOUT_FAILED,
        ExitCode.ITEMS_FAILED,
        ExitCode.TRANSIENT,
        ExitCode.DIFFERENCES,
    )
    return next((code for code in order if code in present), ExitCode.OK)


def plan_exit_code(plan: Plan, *, differences: bool = False) -> ExitCode:
    """What a process that made (and maybe carried out) this plan exits with.

    `differences`: whether a change that was only shown counts as code 1, as for `diff` and `--check`. What a branch
    carries already, and waits for somebody to merge it, is none.
    """
    broken = [outcome for outcome in plan.outcomes if outcome.kind in BROKEN or outcome.transient]
    codes = [_code(transient=outcome.transient) for outcome in broken]
    codes += [_code(transient=failure.transient) for failure in plan.failures]
    if differences and (plan.commits or not all(pull.standing for pull in plan.pulls)):
        codes.append(ExitCode.DIFFERENCES)
    return exit_code(codes)


def _code(*, transient: bool) -> ExitCode:
    return ExitCode.TRANSIENT if transient else ExitCode.ITEMS_FAILED
