"""What a commit wants of one environment, as a value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gitcd.model.applied import BROKEN, Applied
from gitcd.model.registry import Failure

if TYPE_CHECKING:  # a run that finds everything as it was wants nothing
    from gitcd.model.declaration import Identity
    from gitcd.model.live import Manifest, Ref
    from gitcd.model.plan import Outcome
    from gitcd.model.problem import Problem
    from gitcd.model.site import Refusal
    from gitcd.planning.applying import Wave
    from gitcd.planning.applying_scope import Part
    from gitcd.usecases.rollout_releases import Said


@dataclass(frozen=True, slots=True)
class Want:
    """An environment at one commit.

    `waves` are what is written, in order; `manifests` all that may be written, also what was not asked for: whatever is
    among them is not pruned. `barred` are those that are not written, and why; `broken` the declarations that cannot be
    followed.
    """

    waves: tuple[Wave, ...]
    manifests: tuple[Manifest, ...]
    parts: tuple[Part, ...]
    barred: tuple[Applied, ...] = ()
    refusals: tuple[Refusal | Problem, ...] = ()
    broken: tuple[Outcome, ...] = ()
    charts: tuple[str, ...] = ()
    passed: int = 0  # manifests that were not asked for
    releases: Said = field(default_factory=dict)  # what the declarations shall run, or why that is not clear
    unfit: tuple[Applied, ...] = ()  # all that may not be written, also of what was not asked for
    external: bool = False  # somebody else applies it: nothing is written but declarations that lie elsewhere

    @property
    def refs(self) -> set[Ref]:
        """The objects that are written."""
        return {each.ref for wave in self.waves for each in wave.manifests}

    @property
    def unclear(self) -> tuple[tuple[Identity, Failure], ...]:
        """The declarations of which it is not clear what they shall run; those without a workload have none to say."""
        found = ((part.identity, self.releases.get(part.identity)) for part in self.parts if part.workloads)
        return tuple((identity, each) for identity, each in found if isinstance(each, Failure))

    @property
    def is_whole(self) -> bool:
        """Whether all that stands in git could be read, so that what is missing has really gone."""
        return not (self.refusals or self.broken or any(each.fate in BROKEN for each in self.unfit))


NOTHING = Want((), (), ())
