"""Two slots among people and controllers who mean them no good: nothing unverified goes live, and it is said why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gitcd.model.verdict import Measurement
from gitcd.usecases.apply_write import Writer
from gitcd.usecases.rollout_end import End
from gitcd.usecases.rollout_means import Question
from tests.rollout.test_bluegreen_bound import Checking, with_mode
from tests.support.rollouts import Rollouts
from tests.support.slotrollouts import FOLDER, Slots, slots_of

pytestmark = pytest.mark.slow


@pytest.fixture
def checked(rollouts: Rollouts, tmp_path: Path) -> Slots:
    made = slots_of(rollouts, tmp_path, verify=[{"kind": "HTTP", "service": "preview", "interval": "1s", "count": 2}])
    made.git.apply()
    return made


def patched(slots: Slots, path: str, body: dict[str, Any], manager: str, kind: str = "merge-patch+json") -> None:
    slots.plane.request("PATCH", f"{path}?fieldManager={manager}", body, kind=kind)


def deployments(slots: Slots) -> str:
    return f"/apis/apps/v1/namespaces/{slots.namespace}/deployments"


def services(slots: Slots) -> str:
    return f"/api/v1/namespaces/{slots.namespace}/services"


def test_an_idle_slot_that_is_deleted_while_it_is_verified_comes_back_and_is_verified_anew(checked: Slots) -> None:
    checked.git.move("1.1.0")
    check = Checking(checked, lambda: checked.plane.request("DELETE", f"{deployments(checked)}/app-green"))
    uids: list[str] = []

    def ask(question: Question) -> Measurement:
        uids.append(checked.deployment("green")["metadata"]["uid"])
        return check(question)

    assert checked.git.apply(check=ask)["app"].end is End.DONE
    assert [uids.count(each) for each in dict.fromkeys(uids)] == [1, 2]
    assert (checked.live("git"), checked.live()) == ("green", "green")


def test_a_variable_that_a_person_sets_on_the_idle_slot_is_not_switched_to(checked: Slots) -> None:
    with_mode(checked, "slow")
    checked.git.move("1.1.0")
    container = {"name": "app", "env": [{"name": "MODE", "value": "fast"}]}
    body = {"spec": {"template": {"spec": {"containers": [container]}}}}

    def meddle() -> None:
        patched(checked, f"{deployments(checked)}/app-green", body, "kubectl-edit", "strategic-merge-patch+json")

    carry = Writer(checked.git.cluster.objects, "dev").carry
    rolled = checked.git.apply(check=Checking(checked, meddle), carry=carry)["app"]
    assert rolled.end is End.REFUSED
    assert rolled.trouble is not None
    assert "app-green: conflict: spec.template.spec.containers" in rolled.trouble.message
    assert rolled.trouble.message.endswith("is kubectl-edit's")
    assert (checked.live("git"), checked.live()) == ("blue", "blue")


def test_a_service_for_verification_that_leads_to_the_live_slot_by_anothers_will(checked: Slots) -> None:
    checked.git.move("1.1.0")
    patched(checked, f"{services(checked)}/preview", {"spec": {"selector": {"slot": "blue"}}}, "helm")
    carry = Writer(checked.git.cluster.objects, "dev").carry
    check = Checking(checked)
    rolled = checked.git.apply(check=check, carry=carry)["app"]
    assert rolled.end is End.REFUSED
    assert rolled.trouble is not None
    assert rolled.trouble.message.endswith("/preview: conflict: spec.selector is helm's")
    assert check.seen == []
    assert (checked.live("git"), checked.live()) == ("blue", "blue")


@pytest.mark.usefixtures("outage")
def test_a_live_service_that_selects_neither_slot(checked: Slots) -> None:
    checked.git.move("1.1.0")
    patched(checked, f"{services(checked)}/app", {"spec": {"selector": {"slot": "purple"}}}, "kubectl-edit")
    check = Checking(checked)
    rolled = checked.git.apply(check=check)["app"]
    assert rolled.end is End.FAILED
    assert rolled.trouble is not None
    assert rolled.trouble.reason == "Drift"
    assert "/app selects neither slot (app=app, slot=purple) in the cluster" in rolled.trouble.message
    assert (check.seen, checked.live()) == ([], "purple")


def test_a_service_for_verification_that_git_leads_to_the_live_slot_is_refused(checked: Slots) -> None:
    checked.git.move("1.1.0")
    preview = json.loads(checked.git.remote.show(f"{FOLDER}/preview.yaml"))
    preview["spec"]["selector"]["slot"] = "blue"
    checked.git.remote.commit({f"{FOLDER}/preview.yaml": json.dumps(preview).encode()})
    check = Checking(checked)
    rolled = checked.git.apply(check=check)["app"]
    assert rolled.trouble is not None
    assert (rolled.end, rolled.trouble.reason) == (End.FAILED, "VerificationServiceUnclear")
    assert check.seen == []
