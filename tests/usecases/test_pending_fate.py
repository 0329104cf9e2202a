"""Branches that take declarations over to the other slot, or back: what becomes of them in the end."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from gitcd.git.history import ensure_history
from gitcd.model.declaration import Identity, Spec
from gitcd.model.plan import PullAct
from gitcd.model.pull import PullState
from gitcd.rollout.facts import Release
from gitcd.usecases.promote import Pen
from gitcd.usecases.reconcile import reconcile
from gitcd.usecases.rollback import RollbackRequest, Sources, rollback
from gitcd.usecases.switch import Switcher
from tests.support.memoryforge import MemoryForge
from tests.support.repos import make_bare
from tests.support.scenes import AUTHOR, HOST, NOW, Tags, app_files, context, digest, mirror_of, run
from tests.usecases.test_promote_pulls import acts, desk
from tests.usecases.test_rollback_slots import DECLARED, GROUPED, LAYOUT, environment, held_off, service, slot

OVER = "gitcd/switch/dev/team.app"
BACK = "gitcd/rollback/dev/team.app"
SERVICE = "envs/dev/app/service.yaml"
GREEN = "envs/dev/app/green.yaml"


@pytest.fixture
def tags() -> Tags:
    tags = Tags()
    for name in ("app", "front"):
        tags.move(f"team/{name}", "env-dev", "1.0.0")
    return tags


@pytest.fixture
def remote(tmp_path, tags):
    """app has two slots, and awaits its switch to 1.1.0; front moves with it."""
    files = environment("dev", "1.0.0", "1.0.0", "blue") | app_files("front")
    files["envs/dev/app/cv.yaml"] = (DECLARED % "dev").replace("strategy: {", "strategy: {group: shop, ").encode()
    files["envs/dev/front/cv.yaml"] += GROUPED
    remote = make_bare(tmp_path / "ways.git", {"gitcd.yaml": LAYOUT} | files)
    run(remote.url, tags)
    for name in ("app", "front"):
        tags.move(f"team/{name}", "env-dev", "1.1.0")
    assert run(remote.url, tags).commits
    return remote


@pytest.fixture
def forge(remote, tags):
    """The branch is protected, and the switch proposed."""
    remote.hook("update", 'test "$1" != refs/heads/main || { echo protected >&2; exit 1; }')
    forge = MemoryForge(remote)
    with mirror_of(remote.url) as mirror:
        switcher = Switcher(mirror, context(mirror, tags), Pen(AUTHOR, desk=desk(forge)), lambda *_: (), lambda: NOW)
        identity = Identity("dev", "team", "app")
        version = digest("team/app:1.1.0")
        switcher.switch([Release(identity, Spec(f"{HOST}/team/app", tag="env-dev"), "1.1.0", version, "c" * 40, ())])
    assert [pull.branch for pull in forge.pulls] == [OVER]
    return forge


def reconciled(remote, tags, forge):
    with mirror_of(remote.url) as mirror:
        return reconcile(mirror, context(mirror, tags), AUTHOR, desk=desk(forge))


def taken_back(remote, tags, forge, name="app", *, protected, version="1.1.0", to=""):
    leaving = digest(f"team/{name}:{version}")
    request = RollbackRequest(f"dev/team/{name}", to, reason="it crashes", automatic=True, leaving=leaving)
    with mirror_of(remote.url) as mirror:
        sources = Sources(lambda: ensure_history(mirror, mirror.tip), lambda *_: {})
        request = replace(request, by_pull=protected)
        return rollback(mirror, context(mirror, tags), request, sources, Pen(AUTHOR, desk=desk(forge)))


def unprotected(remote):
    remote.hook("update", "true")


def test_a_switch_that_is_of_use_is_left_alone(remote, tags, forge):
    head = forge.head(OVER)
    remote.commit({SERVICE: b"# the shop\n" + service("blue")}, "Say what it is")
    for _ in range(2):
        assert OVER not in acts(reconciled(remote, tags, forge))
    assert (forge.head(OVER), forge.pulls[0].state, forge.comments) == (head, PullState.OPEN, [])


@pytest.mark.parametrize("method", ["merge", "squash", "rebase", "bare"])
def test_once_merged_the_branch_of_a_switch_goes(remote, tags, forge, method):
    forge.merged(forge.pulls[0], method)
    assert acts(reconciled(remote, tags, forge)) == {OVER: PullAct.CLEARED}
    assert forge.head(OVER) == ""


def test_a_switch_made_by_hand_closes_the_proposal_of_it(remote, tags, forge):
    remote.commit({SERVICE: b"# by hand\n" + service("green")}, "Switch")
    assert acts(reconciled(remote, tags, forge)) == {OVER: PullAct.CLOSED}
    assert "dev/team/app is current" in forge.comments[-1][1]


@pytest.mark.parametrize("name", ["app", "front"])
def test_after_a_rollback_the_switch_is_closed_and_said_why(remote, tags, forge, name):
    unprotected(remote)
    assert taken_back(remote, tags, forge, name, protected=False).commits
    assert acts(reconciled(remote, tags, forge)) == {OVER: PullAct.CLOSED}
    assert (forge.pulls[0].state, forge.head(OVER)) == (PullState.CLOSED, "")
    why = "`dev/team/app is not switched to what its hold keeps out: it crashes`"
    assert forge.comments == [("1", f"Closed by gitcd, as nothing is left to merge. {why}")]
    assert reconciled(remote, tags, forge).is_idle


def test_after_a_proposed_rollback_is_merged_both_are_gone(remote, tags, forge):
    taken_back(remote, tags, forge, protected=True)
    assert acts(reconciled(remote, tags, forge)) == {}
    forge.merged(forge.pulls[1])
    assert acts(reconciled(remote, tags, forge)) == {BACK: PullAct.CLEARED, OVER: PullAct.CLOSED}
    assert (forge.head(OVER), forge.head(BACK)) == ("", "")
    assert reconciled(remote, tags, forge).is_idle


def test_a_switch_to_what_somebody_holds_off_is_closed(remote, tags, forge):
    reject = f"reject: [{{digest: '{digest('team/app:1.1.0')}', version: 1.1.0, reason: slow, time: '{NOW:%FT%TZ}'}}]\n"
    remote.commit({".gitcd/holds/dev/team.app.yaml": reject.encode()}, "Hold it")
    assert acts(reconciled(remote, tags, forge)) == {OVER: PullAct.CLOSED}
    assert "dev/team/app is not switched to what its hold keeps out: slow" in forge.comments[-1][1]


def test_a_switch_to_what_was_held_off_for_a_time_that_is_over_stays_open(remote, tags, forge):
    until = f"{NOW - timedelta(minutes=1):%FT%TZ}"
    reject = f"reject: [{{digest: '{digest('team/app:1.1.0')}', version: 1.1.0, until: '{until}'}}]\n"
    remote.commit({".gitcd/holds/dev/team.app.yaml": reject.encode()}, "Hold it for a while")
    assert acts(reconciled(remote, tags, forge)) == {}
    assert forge.head(OVER)


def test_a_switch_whose_slot_has_moved_on_is_closed(remote, tags, forge):
    remote.commit({GREEN: slot("green", "1.2.0")}, "Another one")
    assert acts(reconciled(remote, tags, forge))[OVER] is PullAct.CLOSED
    assert (
        "`dev/team/app is not switched by this: git has changed Deployment team/app-green since"
        in forge.comments[-1][1]
    )


def test_a_switch_of_what_is_declared_no_more_is_closed(remote, tags, forge):
    remote.commit({"envs/dev/app/cv.yaml": None, "envs/dev/front/cv.yaml": None}, "Let them be")
    assert acts(reconciled(remote, tags, forge)) == {OVER: PullAct.CLOSED}


def test_a_switch_that_a_person_declined_stays_until_it_is_of_no_use(remote, tags, forge):
    forge.close(forge.pulls[0])
    assert acts(reconciled(remote, tags, forge)) == {}
    unprotected(remote)
    taken_back(remote, tags, forge, protected=False)
    assert acts(reconciled(remote, tags, forge)) == {OVER: PullAct.CLEARED}


def test_a_switch_branch_of_another_is_nobodys_business(remote, tags, forge):
    theirs = remote.git("commit-tree", f"{OVER}^{{tree}}", "-p", OVER, "-m", "Theirs")
    remote.git("update-ref", f"refs/heads/{OVER}", theirs)
    unprotected(remote)
    taken_back(remote, tags, forge, protected=False)
    assert acts(reconciled(remote, tags, forge)) == {}
    assert forge.pulls[0].state is PullState.OPEN


def test_a_rollback_that_newer_images_overtook_is_closed(remote, tags, forge):
    taken_back(remote, tags, forge, protected=True)
    unprotected(remote)
    for name in ("app", "front"):
        tags.move(f"team/{name}", "env-dev", "1.2.0")
    reconciled(remote, tags, forge)
    assert {each: pull.state for each, pull in zip((OVER, BACK), forge.pulls, strict=True)} == {
        OVER: PullState.CLOSED,
        BACK: PullState.CLOSED,
    }
    assert "has moved on" in dict(forge.comments)["2"]


def test_a_rollback_without_its_hold_is_left_open(remote, tags, forge):
    """Somebody has made the same edits by hand: what failed is not held off yet."""
    taken_back(remote, tags, forge, protected=True)
    paths = remote.git("diff", "--name-only", f"main...{BACK}").split()
    files = {path: remote.show(path, BACK) for path in paths if not path.startswith(".gitcd")}
    unprotected(remote)
    remote.commit(files, "Back")
    tags.move("team/app", "env-dev", "1.0.0")
    tags.move("team/front", "env-dev", "1.0.0")
    assert BACK not in acts(reconciled(remote, tags, forge))
    forge.merged(forge.pulls[1])
    assert acts(reconciled(remote, tags, forge)).get(BACK) is PullAct.CLEARED
    assert held_off(remote, "app") == [digest("team/app:1.1.0")]
