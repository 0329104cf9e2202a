"""What goes live is what was verified: image and pod template of the idle slot, as git and the cluster have them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from typing import Any

import pytest

from gitcd.model.verdict import Measurement, Verdict
from gitcd.usecases.rollout_end import End
from gitcd.usecases.rollout_means import Question
from tests.support.applier import hand_over, nobody, second_process
from tests.support.mortal import Killed
from tests.support.played import until
from tests.support.rollouts import Rollouts
from tests.support.slotrollouts import FOLDER, Slots, slots_of

pytestmark = pytest.mark.slow

GREEN = f"{FOLDER}/green.yaml"
TWICE = [{"kind": "HTTP", "service": "preview", "interval": "1s", "count": 2}]
PATHS = tuple(f"{FOLDER}/{each}.yaml" for each in ("blue", "green", "app", "preview"))


@pytest.fixture
def checked(rollouts: Rollouts, tmp_path: Path) -> Slots:
    """1.0.0 in both slots, blue live; a new version has to pass twice."""
    made = slots_of(rollouts, tmp_path, verify=TWICE)
    made.git.apply()
    return made


def mode(value: dict[str, Any]) -> str:
    """What the only environment variable of a slot is set to; empty: there is none."""
    (container,) = value["spec"]["template"]["spec"]["containers"]
    return next((each["value"] for each in container.get("env", ())), "")


def with_mode(slots: Slots, text: str) -> None:
    """A person commits another value of that variable to the idle slot, and nothing else."""
    value = json.loads(slots.git.remote.show(GREEN))
    value["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "MODE", "value": text}]
    slots.git.remote.commit({GREEN: json.dumps(value, indent=2).encode()}, f"Set MODE to {text}")


@dataclass
class Checking:
    """Passes whatever it is asked, and remembers what stood in the cluster then; `between` is done at the first look."""

    slots: Slots
    between: Any = lambda: None
    seen: list[tuple[str, str]] = field(default_factory=list)

    def __call__(self, question: Question) -> Measurement:
        found = self.slots.deployment("green")
        self.seen.append((mode(found), self.slots.live()))
        if len(self.seen) == 1:
            self.between()
        return Measurement(question.now, Verdict.PASS)


def test_an_idle_slot_that_git_changes_while_it_is_verified_is_verified_again(checked: Slots) -> None:
    checked.git.move("1.1.0")
    check = Checking(checked, lambda: with_mode(checked, "fast"))
    assert checked.git.apply(check=check)["app"].end is End.SUPERSEDED
    assert (checked.live("git"), checked.live()) == ("blue", "blue")
    before = len(check.seen)
    assert checked.git.apply(check=check)["app"].end is End.DONE
    assert check.seen[before:] == [("fast", "blue")] * 2
    assert (checked.live("git"), checked.live(), mode(checked.deployment("green"))) == ("green", "green", "fast")


def test_what_git_changes_after_a_run_was_killed_is_brought_before_it_is_verified(checked: Slots) -> None:
    checked.git.move("1.1.0")

    def die(_: object, text: str) -> None:
        if text == "commit the switch":
            raise Killed

    check = Checking(checked)
    with pytest.raises(Killed):
        checked.git.apply(check=check, tell=die)
    with_mode(checked, "fast")
    assert checked.git.apply(check=check)["app"].end is End.DONE
    assert check.seen == [("", "blue")] * 2 + [("fast", "blue")] * 2
    assert mode(checked.deployment("green")) == "fast"


def test_an_idle_slot_that_somebody_changes_in_the_cluster_is_verified_anew(checked: Slots) -> None:
    """An operator that injects something, say, between two looks of one check."""
    checked.git.move("1.1.0")
    path = f"/apis/apps/v1/namespaces/{checked.namespace}/deployments/app-green?fieldManager=injector"

    def inject() -> None:
        annotations = {"example.com/injected": "yes"}
        body = {"spec": {"template": {"metadata": {"annotations": annotations}}}}
        checked.plane.request("PATCH", path, body, kind="merge-patch+json")

    asked: list[tuple[int, str]] = []

    def check(question: Question) -> Measurement:
        template = checked.deployment("green")["spec"]["template"]["metadata"]
        asked.append((question.number, template.get("annotations", {}).get("example.com/injected", "")))
        if len(asked) == 1:
            inject()
        return Measurement(question.now, Verdict.PASS)

    assert checked.git.apply(check=check)["app"].end is End.DONE
    assert asked == [(0, ""), (0, "yes"), (1, "yes")]
    assert checked.live() == "green"


def test_where_somebody_else_applies_it_is_verified_once_they_have_brought_it(
    rollouts: Rollouts, tmp_path: Path
) -> None:
    """They are late: git has changed the slot again before that is in the cluster."""
    checked = slots_of(rollouts, tmp_path, verify=TWICE)
    hand_over(checked.git, *PATHS)
    assert checked.git.apply(check=Checking(checked), carry=nobody)["app"].end is End.DONE
    checked.git.move("1.1.0")
    with second_process(checked.git, *PATHS) as applier:
        until(lambda: checked.version("green") == "1.1.0", "somebody else never applies")
        applier.send_signal(SIGSTOP)
        with_mode(checked, "fast")
        check = Checking(checked)

        def wake(_: object, text: str) -> None:
            if "is not what the commit says, at template.spec.containers[app].env" in text:
                applier.send_signal(SIGCONT)

        try:
            assert checked.git.apply(check=check, carry=nobody, tell=wake)["app"].end is End.DONE
        finally:
            applier.send_signal(SIGCONT)
    assert check.seen == [("fast", "blue")] * 2
    assert (checked.live("git"), checked.live()) == ("green", "green")
