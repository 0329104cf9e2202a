"""Two slots: what is live counts for promotion, rollback and status, and only the idle one is written."""

from datetime import timedelta

import pytest

from gitcd.model.plan import OutcomeKind
from tests.support.repos import make_bare
from tests.support.scenes import HOST, NOW, Tags, digest, reference, run
from tests.usecases.test_promote import outcome, promoted
from tests.usecases.test_rollback import back
from tests.usecases.test_status import items

LAYOUT = b"""\
apiVersion: gitcd.io/v1
kind: ConfigRepository
environments:
  - {name: dev, path: envs/dev}
  - {name: prod, path: envs/prod, promoteFrom: dev}
"""
DECLARED = f"""\
apiVersion: gitcd.io/v1
kind: ContainerVersion
metadata: {{name: app, namespace: team}}
spec:
  imageRepo: {HOST}/team/app
  tag: env-%s
  selector: {{app: app}}
  strategy: {{kind: ServiceBlueGreen, blueGreen: {{serviceName: app, labelNames: [slot]}}}}
"""


def slot(name, version):
    image = reference("app", version).decode()
    labels = f"{{app: app, slot: {name}}}"
    return (
        f"apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: app-{name}, namespace: team, labels: {{app: app}}}}\n"
        f"spec:\n  template:\n    metadata: {{labels: {labels}}}\n    spec:\n      containers:\n"
        f"        - {{name: main, image: '{image}'}}\n"
    ).encode()


def service(live):
    return (
        "apiVersion: v1\nkind: Service\nmetadata: {name: app, namespace: team}\n"
        f"spec:\n  selector: {{app: app, slot: {live}}}\n"
    ).encode()


def environment(name, blue, green, live):
    folder = f"envs/{name}/app"
    return {
        f"{folder}/cv.yaml": (DECLARED % name).encode(),
        f"{folder}/blue.yaml": slot("blue", blue),
        f"{folder}/green.yaml": slot("green", green),
        f"{folder}/service.yaml": service(live),
    }


@pytest.fixture
def tags() -> Tags:
    tags = Tags({"team/app": ["1.0.0", "1.1.0"]})
    tags.move("team/app", "env-dev", "1.1.0")
    tags.move("team/app", "env-prod", "1.0.0")
    return tags


@pytest.fixture
def remote(tmp_path):
    """dev has switched to green with 1.1.0; prod is live on blue with 1.0.0, its idle slot too."""
    dev = environment("dev", "1.0.0", "1.0.0", "blue")
    remote = make_bare(
        tmp_path / "slots.git", {"gitcd.yaml": LAYOUT} | dev | environment("prod", "1.0.0", "1.0.0", "blue")
    )
    remote.commit({"envs/dev/app/green.yaml": slot("green", "1.1.0")}, "Bump the idle slot")
    remote.commit({"envs/dev/app/service.yaml": service("green")}, "Switch")
    return remote


def test_status_shows_the_live_slot_since_the_switch(remote):
    item = items(remote)["dev/team/app"]
    assert (item.version, item.digest) == ("1.1.0", digest("team/app:1.1.0"))
    assert item.since.commit == remote.tip


def test_the_live_slot_of_the_source_is_promoted_into_the_idle_slot_of_the_target(remote, tags):
    found = outcome(promoted(remote, tags))
    assert (found.kind, found.reason) == (OutcomeKind.BUMPED, "Promoted")
    assert reference("app", "1.1.0") in remote.show("envs/prod/app/green.yaml")
    assert reference("app", "1.0.0") in remote.show("envs/prod/app/blue.yaml")


def test_a_rollback_leaves_the_idle_slot_that_kept_the_former_image_and_holds_off_the_live_one(remote, tags):
    tip = remote.tip
    published = back(remote, tags, "dev/team/app", reason="slow")
    assert remote.git("diff", "--name-only", tip, "main").split() == [".gitcd/holds/dev/team.app.yaml"]
    assert remote.git("log", "-1", "--format=%s") == "dev: roll back app 1.1.0 -> 1.0.0"
    assert (outcome(published).kind, outcome(published).reason) == (OutcomeKind.CURRENT, "AwaitsSwitch")
    assert run(remote.url, tags).commits == ()
    assert back(remote, tags, "dev/team/app", reason="slow", now=NOW + timedelta(hours=1)).commits == ()


def test_a_rollback_readies_an_idle_slot_that_did_not_keep_it(remote, tags):
    remote.commit({"envs/dev/app/blue.yaml": slot("blue", "1.1.0")}, "Bump the old slot too")
    back(remote, tags, "dev/team/app", reason="slow")
    assert reference("app", "1.0.0") in remote.show("envs/dev/app/blue.yaml")
    assert reference("app", "1.1.0") in remote.show("envs/dev/app/green.yaml")


def test_an_idle_slot_whose_image_is_held_off_awaits_no_switch(remote, tags):
    tags.move("team/app", "env-dev", "1.2.0")
    assert len(run(remote.url, tags).commits) == 1
    waiting = outcome(run(remote.url, tags))
    assert (waiting.kind, waiting.reason) == (OutcomeKind.CURRENT, "AwaitsSwitch")
    reject = f"{{digest: '{digest('team/app:1.2.0')}', version: 1.2.0, reason: slow, time: '2026-11-22T11:00:00Z'}}"
    remote.commit({".gitcd/holds/dev/team.app.yaml": f"reject: [{reject}]\n".encode()}, "Hold it")
    held = outcome(run(remote.url, tags))
    assert (held.kind, held.reason) == (OutcomeKind.HELD, "Rejected")
    assert "gitcd release dev/team/app" in held.remedy
