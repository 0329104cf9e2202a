"""Two slots as one tree has them, and the edits that let the Services lead to the other one, or take it back."""

from __future__ import annotations

from dataclasses import dataclass

from gitcd.errors import RefusedError
from gitcd.model.declaration import Identity
from gitcd.model.hold import Hold
from gitcd.model.plan import FileChange
from gitcd.model.registry import Failure
from gitcd.model.tree import YAML_ENDINGS, Entry, Tree
from gitcd.planning.inputs import Inputs
from gitcd.planning.matching import Surveyed
from gitcd.planning.pulls import asks_for_pull
from gitcd.planning.survey import survey
from gitcd.planning.switching import SlotImages, image_changes, slot_images, switch_changes
from gitcd.usecases.holding import find_identity


@dataclass(frozen=True, slots=True)
class Pair:
    """One declaration with two slots in one tree."""

    tree: Tree
    inputs: Inputs
    surveyed: Surveyed
    stand: SlotImages

    @property
    def identity(self) -> Identity:
        return self.surveyed.declared.identity

    @property
    def hold(self) -> Hold:
        return self.inputs.holds.get(self.identity, Hold())

    @property
    def by_pull(self) -> bool:
        return asks_for_pull(self.surveyed.declared, self.inputs.scopes)

    def switched(self) -> tuple[FileChange, ...]:
        """The files with the Services leading to the other slot.

        Raises:
            RefusedError: a Service cannot be written.
        """
        return _or_refuse(switch_changes(self.tree, self.surveyed, self.stand.slots, self._files()))

    def refilled(self) -> tuple[FileChange, ...]:
        """The files with the live slot's image in the idle one.

        Raises:
            RefusedError: a manifest cannot be written.
        """
        return _or_refuse(image_changes(self.tree, self.stand.slots.idle, self.stand.live))

    def _files(self) -> list[Entry]:
        """The files in which its Services may stand."""
        reach, scopes = self.surveyed.declared.reach, self.inputs.scopes
        entries = (each for each in self.tree.entries() if each.path.endswith(YAML_ENDINGS))
        return [
            each
            for each in entries
            if isinstance(owner := scopes.environment_of(each.path), str | None) and reach.holds(each.path, owner)
        ]


def pair_of(tree: Tree, inputs: Inputs, identity: Identity) -> Pair:
    """Both slots of a declaration as a tree has them.

    Raises:
        ConfigError: it is not declared there any more.
        RefusedError: its slots cannot be told apart.
    """
    find_identity(inputs, str(identity))
    declared = next(each for each in inputs.declared if each.identity == identity)
    (surveyed,) = survey([declared], tree, inputs.scopes)
    stand = slot_images(surveyed)
    if isinstance(stand, Failure):
        raise RefusedError(stand.message, remedy=stand.remedy)
    return Pair(tree, inputs, surveyed, stand)


def _or_refuse(changes: list[FileChange] | Failure) -> tuple[FileChange, ...]:
    if isinstance(changes, Failure):
        raise RefusedError(changes.message, remedy=changes.remedy)
    return tuple(changes)
