"""Two slots: what is live counts for promotion, rollback and status, and only the idle one is written."""

from datetime import timedelta

import pytest

from gitcd.errors import RefusedError
from gitcd.manifests.reading import read_hold
from gitcd.model.plan import OutcomeKind
from gitcd.model.trailers import parse
from gitcd.usecases.rollback import MovedError
from tests.support.repos import make_bare
from tests.support.scenes import HOST, NOW, Tags, app_files, digest, reference, run
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


FRONT = "envs/dev/front/deployment.yaml"
GROUPED = b"  strategy: {group: shop}\n"


class TestGroups:
    """`app` has two slots and `front` has none; both move together."""

    @pytest.fixture
    def tags(self) -> Tags:
        tags = Tags()
        for name in ("app", "front"):
            tags.move(f"team/{name}", "env-dev", "1.0.0")
        return tags

    @pytest.fixture
    def group(self, tmp_path, tags):
        """Both were bumped to 1.1.0 in one commit; app awaits its switch."""
        files = environment("dev", "1.0.0", "1.0.0", "blue") | app_files("front")
        files["envs/dev/app/cv.yaml"] = files["envs/dev/app/cv.yaml"].replace(
            b"strategy: {", b"strategy: {group: shop, "
        )
        files["envs/dev/front/cv.yaml"] += GROUPED
        remote = make_bare(tmp_path / "group.git", {"gitcd.yaml": LAYOUT} | files)
        run(remote.url, tags)
        for name in ("app", "front"):
            tags.move(f"team/{name}", "env-dev", "1.1.0")
        assert len(run(remote.url, tags).commits) == 1
        return remote

    @pytest.fixture
    def switched(self, group):
        message = f"dev: switch app\n\nGitcd-Environment: dev\nGitcd-App: team/app\nGitcd-Digest: {one('app')}\n"
        group.commit({"envs/dev/app/service.yaml": service("green")}, f"{message}Gitcd-Verb: switch\n")
        return group

    def failed(self, remote, tags, name, version="1.1.0", **more):
        leaving = digest(f"team/{name}:{version}")
        return back(remote, tags, f"dev/team/{name}", reason="it crashes", automatic=True, leaving=leaving, **more)

    def is_as_before(self, remote):
        slots = [remote.show(f"envs/dev/app/{colour}.yaml") for colour in ("blue", "green")]
        return (
            all(reference("app", "1.0.0") in each for each in slots)
            and remote.show("envs/dev/app/service.yaml") == service("blue")
            and reference("front", "1.0.0") in remote.show(FRONT)
        )

    @pytest.mark.parametrize("name", ["app", "front"])
    def test_before_the_switch_the_idle_slot_is_emptied_of_it(self, group, tags, name):
        count = group.count()
        assert self.failed(group, tags, name).commits
        assert group.count() == count + 1
        assert self.is_as_before(group)
        assert {each: held_off(group, each) for each in ("app", "front")} == {
            "app": [one("app")],
            "front": [one("front")],
        }
        moves = {move.identity.name: move.digest for move in parse(group.git("log", "-1", "--format=%B"))}
        assert moves == {name: digest(f"team/{name}:1.0.0") for name in ("app", "front")}
        assert run(group.url, tags).commits == ()

    @pytest.mark.parametrize("name", ["app", "front"])
    def test_after_the_switch_the_service_leads_back(self, switched, tags, name):
        count = switched.count()
        assert self.failed(switched, tags, name).commits
        assert switched.count() == count + 1
        assert switched.show("envs/dev/app/service.yaml") == service("blue")
        assert reference("app", "1.1.0") in switched.show("envs/dev/app/green.yaml")
        assert reference("front", "1.0.0") in switched.show(FRONT)
        assert {each: held_off(switched, each) for each in ("app", "front")} == {
            "app": [one("app")],
            "front": [one("front")],
        }
        assert run(switched.url, tags).commits == ()

    def test_a_person_who_asks_has_all_go_back(self, switched, tags):
        """Of two slots the former image is in the idle one, and is switched to once it is verified."""
        back(switched, tags, "dev/team/app", reason="slow")
        assert reference("front", "1.0.0") in switched.show(FRONT)
        assert switched.show("envs/dev/app/service.yaml") == service("green")
        assert held_off(switched, "app") == [one("app")]
        assert run(switched.url, tags).commits == ()

    def test_a_person_who_asks_for_the_other_has_nothing_come_live_afterwards(self, group, tags):
        back(group, tags, "dev/team/front", reason="slow")
        assert self.is_as_before(group)

    def test_what_a_person_put_into_the_idle_slot_stays(self, switched, tags):
        """Nothing of gitcd's leads there, so no switch would."""
        switched.commit({"envs/dev/app/blue.yaml": slot("blue", "0.9.0")}, "Try an old one")
        tags.move("team/front", "env-dev", "1.2.0")
        assert run(switched.url, tags).commits
        self.failed(switched, tags, "front", "1.2.0")
        assert reference("front", "1.1.0") in switched.show(FRONT)
        assert reference("app", "0.9.0") in switched.show("envs/dev/app/blue.yaml")
        assert switched.show("envs/dev/app/service.yaml") == service("green")

    def test_what_had_been_switched_before_stays(self, switched, tags):
        tags.move("team/front", "env-dev", "1.2.0")
        assert run(switched.url, tags).commits
        self.failed(switched, tags, "front", "1.2.0")
        assert reference("front", "1.1.0") in switched.show(FRONT)
        assert switched.show("envs/dev/app/service.yaml") == service("green")

    def test_what_has_moved_on_is_left_alone(self, group, tags):
        with pytest.raises(MovedError):
            self.failed(group, tags, "app", "1.3.0")

    def test_where_both_slots_hold_it_there_is_no_way_back(self, switched, tags):
        switched.commit({"envs/dev/app/blue.yaml": slot("blue", "1.1.0")}, "Everywhere")
        with pytest.raises(RefusedError, match="both slots hold the image that failed"):
            self.failed(switched, tags, "app")

    def test_all_in_one_file_go_back_as_well(self, tmp_path, tags):
        names = ("cv", "blue", "green", "service")
        files = environment("dev", "1.0.0", "1.0.0", "blue")
        files["envs/dev/app/cv.yaml"] = files["envs/dev/app/cv.yaml"].replace(
            b"strategy: {", b"strategy: {group: shop, "
        )
        front = app_files("front")
        front["envs/dev/front/cv.yaml"] += GROUPED
        parts = [files[f"envs/dev/app/{name}.yaml"] for name in names] + list(front.values())
        remote = make_bare(tmp_path / "file.git", {"gitcd.yaml": LAYOUT, "envs/dev/all.yaml": b"---\n".join(parts)})
        run(remote.url, tags)
        before = remote.show("envs/dev/all.yaml")
        for name in ("app", "front"):
            tags.move(f"team/{name}", "env-dev", "1.1.0")
        run(remote.url, tags)
        assert remote.show("envs/dev/all.yaml") != before
        self.failed(remote, tags, "front")
        assert remote.show("envs/dev/all.yaml") == before


def one(name):
    return digest(f"team/{name}:1.1.0")


def held_off(remote, name):
    path = f".gitcd/holds/dev/team.{name}.yaml"
    hold, problems = read_hold(path, remote.show(path))
    assert hold is not None, problems
    return [each.digest for each in hold.reject]
