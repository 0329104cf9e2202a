"""`gitcd apply` where the cluster's admission changes what is written, denies it, or does not answer."""

from __future__ import annotations

import itertools

import pytest

from tests.support.admission import denying, mirrored, mutating, sidecar
from tests.support.applying import config_map, declaration, deployment, documents, scene
from tests.support.audit import writes
from tests.support.containerversions import definition
from tests.support.ecr import CREDENTIALS, StandIn

__all__ = ["definition", "scene"]

APP = "envs/prod/web/app.yaml"
OTHER = "envs/prod/other/other.yaml"
WEB = "registry.example.com/team/web"


def requests(scene, mark):
    return scene.plane.audit.since(mark, user=scene.plane.admin.name, agent="gitcd/")


def containers(scene):
    return scene.get("deployments", "web")["spec"]["template"]["spec"]["containers"]


@pytest.mark.slow
@pytest.mark.parametrize("patch", [sidecar, mirrored])
def test_what_a_webhook_adds_or_rewrites_is_rolled_out_and_left_as_it_is(scene, tmp_path, patch):
    ns = scene.namespace
    scene.commit({APP: documents(declaration(ns, timeouts={"rollout": "20s"}), deployment(ns))})
    with mutating(scene.plane, ns, tmp_path, patch):
        ran = scene.apply()
        assert ran.code == 0, ran.err
        assert [each["result"] for each in ran.report["rollouts"]] == ["Done"]
        mark = scene.plane.audit.mark()
        again = scene.apply()
        assert (again.code, again.results, again.report["unchanged"]) == (0, {}, 2)
        scene.commit({"README": b"nothing of apply's business\n"})  # so that the second look is a close one
        again = scene.apply()
        assert (again.code, again.report["rollouts"], again.report["unchanged"]) == (0, [], 2), again.err
        about_web = [each for each in writes(requests(scene, mark)) if each.resource == "deployments"]
        assert about_web == []
        scene.commit({APP: documents(declaration(ns), deployment(ns, image=f"{WEB}:1.1.0"))})
        ran = scene.apply()
        assert ran.code == 0, ran.err
        assert scene.get("containerversions", "web")["status"]["lastGood"]["digest"] == "1.1.0"
    there = {each["name"]: each["image"] for each in containers(scene)}
    expected = {"web": f"{WEB}:1.1.0", "proxy": "registry.example.com/mesh/proxy:1.0.0"}
    assert there == (expected if patch is sidecar else {"web": "mirror.example.net/team/web:1.1.0"})


@pytest.mark.slow
def test_a_bad_image_from_a_mirror_fails_by_its_pods_reason(scene, tmp_path):
    ns = scene.namespace
    scene.commit({APP: documents(declaration(ns), deployment(ns, image=f"{WEB}:bad-pull"))})
    with mutating(scene.plane, ns, tmp_path, mirrored):
        ran = scene.apply()
    assert ran.code == 4, ran.err
    assert "ImagePullBackOff" in ran.err


@pytest.mark.slow
def test_where_somebody_else_applies_a_digest_from_a_mirror_has_arrived(scene, tmp_path, monkeypatch):
    ns = scene.namespace
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    layout = b"apiVersion: gitcd.io/v1\nkind: ConfigRepository\nenvironments:\n"
    layout += b"  - {name: prod, path: envs/prod, applier: external}\n"
    with StandIn() as ecr:
        digest = ecr.put("team/web", tags=["1.0.0", "env-prod"])
        monkeypatch.setenv("GITCD_ECR_ENDPOINT_URL", ecr.url)
        repo = f"{ecr.host}/team/web"
        declared = documents(declaration(ns, imageRepo=repo, environment="prod", timeouts={"rollout": "20s"}))
        web = deployment(ns, image=f"{repo}:1.0.0@{digest}")
        scene.commit({"gitcd.yaml": layout, ".gitcd/declarations/web.yaml": declared, APP: documents(web)})
        scene.plane.apply(documents(deployment(ns, image=f"mirror.example.net/team/web:1.0.0@{digest}")).decode())
        ran = scene.apply()
    assert ran.code == 0, ran.err
    assert [each["result"] for each in ran.report["rollouts"]] == ["Done"]


@pytest.mark.slow
def test_another_image_than_the_commits_is_refused_and_never_taken_for_it(scene, tmp_path):
    ns = scene.namespace

    def moved(value):
        path = "/spec/template/spec/containers/0/image"
        return [{"op": "replace", "path": path, "value": f"{WEB}:latest"}]

    scene.commit({APP: documents(declaration(ns), deployment(ns))})
    with mutating(scene.plane, ns, tmp_path, moved):
        for _ in range(2):
            ran = scene.apply()
            assert ran.code == 5, ran.err
            assert f"admission makes {WEB}:latest of {WEB}:1.0.0" in ran.err


def test_a_label_that_changes_with_every_request_is_not_fought(scene, tmp_path):
    ns, stamp = scene.namespace, itertools.count()

    def stamped(_value):
        return [{"op": "add", "path": "/metadata/labels", "value": {"stamp": str(next(stamp))}}]

    scene.commit({OTHER: documents(config_map(ns, "other", k="v"))})
    with mutating(scene.plane, ns, tmp_path, stamped, resource=("", "configmaps")):
        assert scene.apply("--all").results == {"ConfigMap/other": "Created"}
        first = scene.get("configmaps", "other")["metadata"]["labels"]
        mark = scene.plane.audit.mark()
        scene.commit({"README": b"nothing of apply's business\n"})
        again = scene.apply("--all")
        assert (again.code, again.results) == (0, {}), again.err
        assert [each.name for each in writes(requests(scene, mark)) if each.name == "other"] == []
        assert scene.get("configmaps", "other")["metadata"]["labels"] == first
        scene.commit({OTHER: documents(config_map(ns, "other", k="w"))})
        assert scene.apply("--all").results == {"ConfigMap/other": "Changed"}


def test_a_webhook_that_does_not_answer_is_named_and_others_go_on(scene, tmp_path):
    ns = scene.namespace
    files = {APP: documents(deployment(ns)), OTHER: documents(config_map(ns, "other", k="v"))}
    scene.commit(files)
    with mutating(scene.plane, ns, tmp_path, sidecar) as webhook:
        webhook.stop()
        ran = scene.apply("--all", "--no-wait")
        assert ran.code == 3, ran.err
        assert ran.results == {"ConfigMap/other": "Created", "Deployment/web": "Failed"}
        said = (
            f"Deployment {ns}/web: the admission webhook {webhook.name} cannot be asked, and nothing passes without it"
        )
        assert said in ran.err
        assert "See that what stands behind it runs, then run again." in ran.err
    ran = scene.apply("--all", "--no-wait")
    assert (ran.code, ran.results) == (0, {"Deployment/web": "Created"}), ran.err


@pytest.mark.slow
def test_a_rollout_that_a_webhook_hinders_stands_still_and_another_goes_on(scene, tmp_path):
    ns, free = scene.namespace, f"{scene.namespace}-free"
    scene.plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": free}})
    strict = {"timeouts": {"rollout": "1s"}}

    def commit(version):
        files = {APP: documents(declaration(ns, **strict), deployment(ns, image=f"{WEB}:{version}"))}
        image = f"registry.example.com/team/other:{version}"
        scene.commit({**files, OTHER: documents(declaration(free, "other"), deployment(free, "other", image=image))})

    commit("1.0.0")
    assert scene.apply().code == 0
    commit("1.1.0")
    with mutating(scene.plane, ns, tmp_path, sidecar) as webhook:
        webhook.stop()
        for ends in ({"web": "Hindered", "other": "Done"}, {"web": "Hindered"}):
            ran = scene.apply()
            assert ran.code == 3, ran.err
            assert {each["name"]: each["result"] for each in ran.report["rollouts"]} == ends
            assert ran.results["Deployment/web"] == "Left"
            assert f"Deployment {ns}/web: the admission webhook {webhook.name} cannot be asked" in ran.err
    ran = scene.apply()
    assert (ran.code, ran.results) == (0, {"Deployment/web": "Changed"}), ran.err


def test_what_a_policy_denies_is_told_in_its_words_and_not_tried_again(scene):
    """In whatever words: none of them has the object deleted to be made anew."""
    ns = scene.namespace
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "job", "namespace": ns, "annotations": {"gitcd/replace": "true"}},
        "spec": {
            "suspend": True,
            "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": f"{WEB}:1.0.0"}]}},
        },
    }
    scene.commit({OTHER: documents(job)})
    assert scene.apply("--all", "--no-wait").code == 0
    uid = scene.plane.get(f"/apis/batch/v1/namespaces/{ns}/jobs/job")["metadata"]["uid"]
    job["spec"]["activeDeadlineSeconds"] = 60
    scene.commit({OTHER: documents(job), APP: documents(config_map(ns, "fine", k="v"))})
    words = "deadlines are immutable here"
    with denying(scene.plane, ns, ("batch", "jobs"), "!has(object.spec.activeDeadlineSeconds)", words):
        mark = scene.plane.audit.mark()
        ran = scene.apply("--all", "--no-wait")
        assert ran.code == 5, ran.err
        assert ran.results == {"ConfigMap/fine": "Created", "Job/job": "Failed"}
        assert f"Job {ns}/job: not admitted: " in ran.err
        assert words in ran.err
        tried = [each.verb for each in writes(requests(scene, mark)) if each.resource == "jobs"]
        assert tried == ["patch"]
    assert scene.plane.get(f"/apis/batch/v1/namespaces/{ns}/jobs/job")["metadata"]["uid"] == uid
