"""In which order the members of a group begin, where one comes after another: over runs that decide as they are told."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from gitcd.model.declaration import Identity, Spec
from gitcd.model.strategy import Strategy
from gitcd.rollout.facts import Release
from gitcd.rollout.table import Finished, Wait
from gitcd.usecases.rollout_end import End
from gitcd.usecases.rollout_team import Team

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def identity(name):
    return Identity("dev", "team", name)


@dataclass(eq=False)
class Played:
    """A rollout that is through after so many turns."""

    name: str
    after: tuple[str, ...] = ()
    turns: int = 2
    log: list[str] = field(default_factory=list)
    said: str = ""
    meeting: None = None

    def __post_init__(self):
        spec = Spec("registry.example.com/team/app", tag="env-dev", strategy=Strategy(group="shop"))
        after = frozenset(map(identity, self.after))
        self.release = Release(identity(self.name), spec, "1.1.0", "1.1.0", "c" * 40, (), after=after)

    def turn(self):
        self.log.append(self.name)
        self.turns -= 1
        return Wait("Settle") if self.turns > 0 else Finished()

    def is_through(self, decision):
        return isinstance(decision, Finished)

    def wait(self):
        pass

    def succeed(self):
        pass

    def say(self, text):
        self.said = text


def played(**after):
    """The members that had their turn, turn by turn, until the group is done."""
    runs = [Played(name, tuple(first)) for name, first in after.items()]
    team, turns = Team(runs, means=None), []
    while not team.ended:
        for run in runs:
            run.log.clear()
        team.turn()
        turns.append("".join(sorted(each for run in runs for each in run.log)))
        assert len(turns) < 20
    assert {each.end for each in team.ended} == {End.DONE}
    return turns


@pytest.mark.parametrize(("after", "expected"), [
    ({"a": "", "b": ""}, ["ab", "ab"]),
    ({"a": "", "b": "a"}, ["a", "a", "ab", "ab"]),
    ({"a": "b", "b": ""}, ["b", "b", "ab", "ab"]),
    ({"a": "", "b": "a", "c": "b"}, ["a", "a", "ab", "ab", "abc", "abc"]),
    ({"a": "", "b": "a", "c": ""}, ["ac", "ac", "abc", "abc"]),
    ({"a": "z", "b": ""}, ["ab", "ab"]),  # z is as it shall be, so it is not among those that move
    ({"a": "b", "b": "a"}, ["ab", "ab"]),  # each by another of its workloads: then there is no order to keep
    ({"a": "b", "b": "a", "c": ""}, ["c", "c", "abc", "abc"]),
])  # fmt: skip
def test_who_comes_after_another_begins_once_that_is_through(after, expected):
    assert played(**after) == expected


def test_who_waits_says_for_whom():
    first, then = Played("a"), Played("b", ("a",))
    Team([first, then], means=None).turn()
    assert then.said == "waits for team/a of its group, which comes first"


def test_who_has_begun_goes_on_though_the_other_is_not_well_any_more():
    first, then = Played("a", turns=1), Played("b", ("a",), turns=9)
    team = Team([first, then], means=None)
    team.turn()
    team.turn()
    first.turns = 3
    then.log.clear()
    team.turn()
    team.turn()
    assert then.log == ["b", "b"]
