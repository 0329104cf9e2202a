"""A blue-green pair over several runs on a real remote: bump, switch, and then rest."""

import pytest

from gitcd.model.declaration import Identity
from gitcd.usecases.rollout_git import Branch
from tests.support.repos import make_bare
from tests.support.scenes import HOST, LAYOUT, Tags, mirror_of, reference, run

DECLARATION = f"""\
apiVersion: gitcd.io/v1
kind: ContainerVersion
metadata: {{name: app, namespace: team}}
spec:
  imageRepo: {HOST}/team/app
  tag: env-dev
  selector: {{app: app}}
  strategy: {{kind: ServiceBlueGreen, blueGreen: {{serviceName: app, labelNames: [slot]}}}}
"""


def workload(slot):
    return f"""\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: app-{slot}, namespace: team, labels: {{app: app}}}}
spec:
  template:
    metadata: {{labels: {{app: app, slot: {slot}}}}}
    spec: {{containers: [{{name: main, image: "{HOST}/team/app:1.0.0"}}]}}
"""


def service(slot):
    selector = f"{{app: app, slot: {slot}}}"
    return f"apiVersion: v1\nkind: Service\nmetadata: {{name: app, namespace: team}}\nspec: {{selector: {selector}}}\n"


@pytest.mark.parametrize("kept", [False, True], ids=["no cache", "kept cache"])
def test_after_a_switch_in_git_three_further_runs_change_nothing(tmp_path, kept):
    texts = {"cv": DECLARATION, "blue": workload("blue"), "green": workload("green"), "service": service("blue")}
    files = {f"envs/dev/{name}.yaml": text.encode() for name, text in texts.items()}
    remote = make_bare(tmp_path / "remote.git", files | {"gitcd.yaml": LAYOUT})
    cache, tags = (tmp_path / "cache" if kept else None), Tags()
    for tag, version in (("past", "1.0.0"), ("env-dev", "1.1.0")):
        tags.move("team/app", tag, version)
    assert len(run(remote.url, tags, cache).commits) == 1
    assert reference("app", "1.1.0") in remote.show("envs/dev/green.yaml")
    assert remote.show("envs/dev/blue.yaml") == files["envs/dev/blue.yaml"]
    for slot in ("blue", "green"):  # before the switch, and after it
        remote.commit({"envs/dev/service.yaml": service(slot).encode() + b"# looked at\n"})
        tip = remote.tip
        reasons = [run(remote.url, tags, cache).work.plan.outcomes[0].reason for _ in range(3)]
        assert reasons == ["AwaitsSwitch" if slot == "blue" else "Live"] * 3
        assert remote.tip == tip


def test_a_service_that_two_declarations_switch_moves_for_neither(tmp_path):
    """Neither by a commit nor by a rollout, as one's switch would move the other's image."""
    texts = {"cv": DECLARATION, "blue": workload("blue"), "green": workload("green"), "service": service("blue")}
    texts["other"] = DECLARATION.replace("name: app,", "name: other,")
    files = {f"envs/dev/{name}.yaml": text.encode() for name, text in texts.items()}
    remote, tags = make_bare(tmp_path / "remote.git", files | {"gitcd.yaml": LAYOUT}), Tags()
    for tag, version in (("past", "1.0.0"), ("env-dev", "1.1.0")):
        tags.move("team/app", tag, version)
    published = run(remote.url, tags)
    assert published.commits == ()
    assert {each.reason for each in published.work.plan.outcomes} == {"ServiceShared"}
    with mirror_of(remote.url) as mirror:
        mirror.fetch()
        for names in ({"app"}, {"app", "other"}):
            wanted = {Identity("dev", "team", name) for name in names}
            assert Branch(mirror).releases(mirror.tip, wanted) == []
