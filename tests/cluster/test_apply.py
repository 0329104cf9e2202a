"""`gitcd apply` on the real control plane: what it writes, what it leaves, and what it never does."""

from __future__ import annotations

import json

import pytest

from gitcd.usecases.apply_write import Writer
from tests.support.applying import config_map, declaration, deployment, documents, scene
from tests.support.audit import writes
from tests.support.containerversions import definition
from tests.support.ecr import CREDENTIALS, StandIn

__all__ = ["definition", "scene"]

APP = "envs/prod/web/app.yaml"
OTHER = "envs/prod/other/other.yaml"


def requests(scene, mark):
    return scene.plane.audit.since(mark, user=scene.plane.admin.name, agent="gitcd/")


@pytest.mark.slow
def test_a_first_run_takes_all_and_a_second_nothing(scene):
    ns = scene.namespace
    scene.commit({APP: documents(declaration(ns), deployment(ns), config_map(ns, "web", k="v"))})
    ran = scene.apply()
    assert ran.code == 0, ran.err
    assert ran.results == {"ContainerVersion/web": "Created", "ConfigMap/web": "Created", "Deployment/web": "Created"}
    assert scene.get("deployments", "web")["status"]["availableReplicas"] == 1
    assert scene.get("containerversions", "web")["status"]["lastGood"]["digest"] == "1.0.0"
    assert f"ConfigMap {ns}/web: created" in ran.err
    mark = scene.plane.audit.mark()
    again = scene.apply()
    assert (again.code, again.results, again.report["unchanged"]) == (0, {}, 3)
    assert requests(scene, mark)
    assert writes(requests(scene, mark)) == []


@pytest.mark.slow
def test_an_image_is_rolled_out_and_a_bad_one_says_why(scene):
    ns = scene.namespace
    scene.commit({APP: documents(declaration(ns, rollback={"enabled": False}), deployment(ns))})
    assert scene.apply().code == 0
    bad = deployment(ns, image="registry.example.com/team/web:bad-crash")
    scene.commit({APP: documents(declaration(ns, rollback={"enabled": False}), bad)})
    ran = scene.apply()
    assert ran.code == 4, ran.err
    (rollout,) = ran.report["rollouts"]
    assert (rollout["name"], rollout["result"]) == ("web", "Failed")
    assert "CrashLoopBackOff" in ran.err


@pytest.mark.slow
def test_all_takes_every_manifest_and_by_default_what_stands_beside_an_image(scene):
    ns = scene.namespace
    scene.commit({APP: documents(declaration(ns), deployment(ns)), OTHER: documents(config_map(ns, "other", k="v"))})
    ran = scene.apply()
    assert "ConfigMap/other" not in ran.results
    assert "1 manifest beside no declaration's image; --all applies them" in ran.err
    assert scene.apply("--all").results == {"ConfigMap/other": "Created"}


def test_a_group_waits_for_a_member_that_cannot_be_taken_live(scene):
    ns = scene.namespace
    group = {"strategy": {"group": "shop"}}
    twice = deployment(ns, "other", image="registry.example.com/team/other:1.1.0")
    twice["metadata"]["name"] = "twice"
    scene.commit({APP: documents(declaration(ns, **group), deployment(ns))})
    scene.commit({OTHER: documents(declaration(ns, "other", **group), deployment(ns, "other"), twice)})
    ran = scene.apply()
    assert ran.code == 5, ran.err
    assert ran.results["Deployment/web"] == ran.results["Deployment/other"] == "Left"
    assert "another declaration of its group cannot be taken live" in ran.out
    assert ran.report["rollouts"] == []


def test_dry_runs_write_nothing(scene):
    ns = scene.namespace
    scene.commit({OTHER: documents(config_map(ns, "other", k="v"))})
    mark = scene.plane.audit.mark()
    for mode in ("client", "server"):
        ran = scene.apply("--all", f"--dry-run={mode}")
        assert (ran.code, ran.results) == (0, {"ConfigMap/other": "Created"}), ran.err
        assert f"ConfigMap {ns}/other: would be created" in ran.err
        assert ": dry run, nothing was written: 1 created, 0 unchanged\n" in ran.err
        assert json.loads(ran.out)["dryRun"] is True
        shown = scene.apply("--all", f"--dry-run={mode}", "-o", "table").out.splitlines()
        assert shown[1].startswith(f"ConfigMap {ns}/other  would be created  ")
    assert all("dryRun=All" in each.path for each in writes(requests(scene, mark)))
    scene.apply("--all")
    scene.commit({OTHER: documents(config_map(ns, "other", k="w"))})
    for mode in ("client", "server"):
        (found,) = scene.apply("--all", f"--dry-run={mode}").report["objects"]
        assert found["result"] == "Changed"
        assert found["differences"] == [{"path": "data.k", "old": "v", "new": "w"}]
    assert scene.get("configmaps", "other")["data"] == {"k": "v"}


def test_another_cluster_is_refused(scene):
    scene.commit({OTHER: documents(config_map(scene.namespace, "other", k="v"))})
    mark = scene.plane.audit.mark()
    other = "00000000-0000-0000-0000-000000000000"
    scene.settings = {"environments": [{"name": "prod", "cluster": other}]}
    ran = scene.apply("--all", "-e", "prod")
    assert ran.code == 2
    assert "is not the cluster of prod" in ran.err
    assert other in ran.err
    scene.settings = {"environments": []}
    ran = scene.apply("--all")
    assert ran.code == 2
    assert "- {name: prod, cluster: " in ran.err
    assert writes(requests(scene, mark)) == []


def test_F39_a_conflict_is_reported_with_its_owner(scene):
    ns = scene.namespace
    scene.plane.kubectl(
        "apply",
        "--server-side",
        "--field-manager=helm",
        "-f",
        "-",
        stdin=json.dumps(config_map(ns, "other", k="theirs")),
    )
    scene.commit({OTHER: documents(config_map(ns, "other", k="ours"))})
    ran = scene.apply("--all")
    assert ran.code == 5
    assert "conflict: data.k is helm's" in ran.err
    assert scene.get("configmaps", "other")["data"] == {"k": "theirs"}


@pytest.mark.slow
def test_F39_an_image_is_taken_from_its_owner_only_by_leave(scene):
    ns = scene.namespace
    theirs = deployment(ns, image="registry.example.com/team/web:0.9.0")
    scene.plane.kubectl("apply", "--server-side", "--field-manager=helm", "-f", "-", stdin=json.dumps(theirs))
    scene.commit({APP: documents(declaration(ns, apply={"ownership": "Image"}), deployment(ns))})
    ran = scene.apply()
    assert ran.code != 0
    assert "helm" in ran.err
    assert "image" in ran.err
    mode = {"ownership": "Image", "takeOver": True}
    scene.commit({APP: documents(declaration(ns, apply=mode), deployment(ns))})
    assert scene.apply().code == 0
    assert scene.managers("deployments", "web")["gitcd"] == IMAGE_ONLY


def test_F39_with_leave_to_take_the_image_nothing_else_is_taken(scene):
    ns = scene.namespace
    theirs = deployment(ns, image="registry.example.com/team/web:0.9.0", replicas=3)
    scene.plane.kubectl("apply", "--server-side", "--field-manager=helm", "-f", "-", stdin=json.dumps(theirs))
    scene.commit({APP: documents(declaration(ns, apply={"takeOver": True}), deployment(ns, replicas=2))})
    ran = scene.apply("--dry-run=server")
    assert (ran.code, ran.results["Deployment/web"]) == (5, "Refused")
    assert "spec.replicas is helm's" in ran.err


IMAGE_ONLY = {
    "f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"web"}': {".": {}, "f:image": {}, "f:name": {}}}}}}
}


@pytest.mark.slow
def test_T24_with_ownership_image_nothing_else_is_owned(scene):
    ns = scene.namespace
    theirs = deployment(ns, image="registry.example.com/team/web:0.9.0", replicas=2)
    scene.plane.kubectl("create", "-f", "-", stdin=json.dumps(theirs))
    mode = {"ownership": "Image", "takeOver": True}
    ours = deployment(ns, replicas=5)
    scene.commit({APP: documents(declaration(ns, apply=mode), ours, config_map(ns, "web", k="v"))})
    ran = scene.apply()
    assert ran.code == 0, ran.err
    live = scene.get("deployments", "web")
    assert live["spec"]["replicas"] == 2
    assert live["spec"]["template"]["spec"]["containers"][0]["image"].endswith(":1.0.0")
    assert scene.managers("deployments", "web")["gitcd"] == IMAGE_ONLY
    assert scene.plane.kubectl("get", "cm", "web", "-n", ns, check=False).returncode != 0


def test_T24_rights_and_webhooks_are_refused(scene):
    ns = scene.namespace
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": f"{ns}-admin"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "User", "name": "mallory", "apiGroup": "rbac.authorization.k8s.io"}],
    }
    scene.commit({OTHER: documents(role, config_map(ns, "other", k="v"))})
    ran = scene.apply("--all")
    assert ran.code == 5
    assert "ClusterRoleBinding is no kind that apply may write" in ran.err
    assert ran.results["ConfigMap/other"] == "Created"
    assert scene.plane.kubectl("get", "clusterrolebinding", f"{ns}-admin", check=False).returncode != 0


CANARY = "gitcd-canary-of-a-secret"


def test_T12_secrets_are_left_out_and_never_shown(scene):
    ns = scene.namespace
    metadata = {"name": "other", "namespace": ns}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"k": CANARY}}
    scene.commit({OTHER: documents(secret)})
    ran = scene.apply("--all")
    assert ran.code == 0
    assert "Secrets are not applied" in ran.err
    scene.settings = {"allow": {"kinds": ["Secret"]}}
    assert scene.apply("--all").results == {"Secret/other": "Created"}
    scene.commit({OTHER: documents({**secret, "stringData": {"k": f"{CANARY}-2", "l": CANARY}})})
    ran = scene.apply("--all", "--dry-run=server")
    assert ran.results == {"Secret/other": "Changed"}
    assert CANARY not in ran.out + ran.err
    scene.commit({OTHER: documents({**secret, "type": CANARY, "data": {"../k": "eA=="}})})
    ran = scene.apply("--all", "-v")
    assert ran.code == 5
    assert CANARY not in ran.out + ran.err


def test_F49_a_change_by_hand_is_shown_and_not_overwritten(scene):
    ns = scene.namespace
    scene.commit({OTHER: documents(config_map(ns, "other", k="v", l="w"))})
    scene.apply("--all")
    patch = json.dumps({"data": {"k": "by hand", "extra": "theirs"}})
    scene.plane.kubectl("patch", "cm", "other", "-n", ns, "--field-manager=kubectl-edit", "-p", patch)
    ran = scene.apply("--all")
    assert ran.code == 5
    assert "data.k is kubectl-edit's" in ran.err
    assert scene.get("configmaps", "other")["data"] == {"k": "by hand", "l": "w", "extra": "theirs"}


@pytest.mark.slow
def test_F49_replicas_go_to_the_autoscaler_in_two_steps(scene):
    ns = scene.namespace
    app = (declaration(ns), deployment(ns, replicas=3))
    scene.commit({APP: documents(*app)})
    assert scene.apply().code == 0
    autoscaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "namespace": ns},
        "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "maxReplicas": 4},
    }
    scene.commit({APP: documents(*app, autoscaler)})
    ran = scene.apply("--no-wait")
    assert ran.code == 0, ran.err
    assert scene.get("deployments", "web")["spec"]["replicas"] == 3
    owners = scene.managers("deployments", "web")
    assert "f:replicas" not in owners["gitcd"]["f:spec"]
    assert owners["gitcd-handover"] == {"f:spec": {"f:replicas": {}}}
    scene.plane.kubectl("scale", "deployment/web", "-n", ns, "--replicas=2")
    assert scene.apply("--no-wait").code == 0
    assert scene.get("deployments", "web")["spec"]["replicas"] == 2


def test_what_kubectl_applied_is_taken_over_once(scene):
    ns = scene.namespace
    scene.plane.kubectl("apply", "-f", "-", stdin=json.dumps(config_map(ns, "other", k="v", old="gone")))
    scene.commit({OTHER: documents(config_map(ns, "other", k="w"))})
    rehearsed = scene.apply("--all", "--dry-run=server")
    assert (rehearsed.code, rehearsed.results) == (0, {"ConfigMap/other": "Changed"}), rehearsed.err
    ran = scene.apply("--all")
    assert ran.code == 0, ran.err
    assert scene.get("configmaps", "other")["data"] == {"k": "w"}
    assert set(scene.managers("configmaps", "other")) == {"gitcd"}


@pytest.mark.parametrize(
    "metadata",
    [
        {"annotations": {"argocd.argoproj.io/tracking-id": "web:/ConfigMap:x/other"}},
        {"labels": {"kustomize.toolkit.fluxcd.io/name": "web"}},
        {"annotations": {"gitcd.io/environment": "staging"}},
    ],
)
def test_what_another_tool_keeps_is_refused(scene, metadata):
    ns = scene.namespace
    theirs = config_map(ns, "other", k="v")
    theirs["metadata"] |= metadata
    scene.plane.apply(json.dumps(theirs))
    scene.commit({OTHER: documents(config_map(ns, "other", k="w"))})
    ran = scene.apply("--all")
    assert ran.code == 5
    assert "keeps it" in ran.err
    assert "takeOver" not in ran.err  # it is no workload
    assert scene.get("configmaps", "other")["data"] == {"k": "v"}


def test_what_a_run_wrote_that_was_killed_then_is_known_to_the_next_one(scene, monkeypatch):
    ns = scene.namespace

    def dies(*of, write=Writer.write):
        write(*of)
        raise KeyboardInterrupt

    scene.commit({OTHER: documents(config_map(ns, "gone", k="v"))})
    with monkeypatch.context() as patch:
        patch.setattr(Writer, "write", dies)
        assert scene.apply("--all").code == 130
    assert scene.get("configmaps", "gone")
    scene.commit({OTHER: documents(config_map(ns, "stays", k="v"))})
    ran = scene.apply("--all", "--prune", "--yes-prune")
    assert ran.results == {"ConfigMap/gone": "Pruned", "ConfigMap/stays": "Created"}, ran.err


def test_prune_deletes_what_left_git_and_only_that(scene):
    ns = scene.namespace
    names = [f"m{number}" for number in range(6)]
    scene.commit({f"envs/prod/{name}.yaml": documents(config_map(ns, name, k="v")) for name in names})
    scene.apply("--all")
    scene.plane.kubectl("create", "configmap", "theirs", "-n", ns)
    scene.plane.kubectl("delete", "cm", "m1", "-n", ns)
    scene.plane.kubectl("create", "configmap", "m1", "-n", ns)
    scene.plane.kubectl("annotate", "cm", "m2", "-n", ns, "gitcd/prune=false")
    scene.commit({f"envs/prod/{name}.yaml": None for name in ("m0", "m1", "m2")})
    ran = scene.apply("--all")
    assert ran.code == 0
    assert "1 object no longer in git: --prune deletes them" in ran.err
    ran = scene.apply("--all", "--prune", "--dry-run=server")
    assert ran.results == {"ConfigMap/m0": "Pruned"}
    assert ran.report["kept"] == [
        {"kind": "ConfigMap", "namespace": ns, "name": "m2", "message": "an annotation says so"}
    ]
    assert scene.get("configmaps", "m0")
    ran = scene.apply("--all", "--prune")
    assert (ran.code, ran.results) == (0, {"ConfigMap/m0": "Pruned"}), ran.err
    left = scene.plane.get(f"/api/v1/namespaces/{ns}/configmaps")["items"]
    assert {each["metadata"]["name"] for each in left} >= {"m1", "m2", "m3", "m4", "m5", "theirs", "gitcd-prod"}
    assert "m0" not in {each["metadata"]["name"] for each in left}


def test_what_cannot_be_read_now_is_not_pruned(scene):
    ns = scene.namespace
    pod = deployment(ns, "dup")
    names = [f"m{number}" for number in range(9)]
    files = {f"envs/prod/{name}.yaml": documents(config_map(ns, name, k="v")) for name in names}
    scene.commit({**files, OTHER: documents(pod)})
    assert scene.apply("--all", "--no-wait").code == 0
    pod["spec"]["template"]["spec"]["volumes"] = [{"name": "v", "emptyDir": {}}, {"name": "v", "emptyDir": {}}]
    scene.commit({OTHER: documents(pod), "envs/prod/m0.yaml": None})
    for flags in (("--all", "--prune"), ("--prune",)):
        ran = scene.apply(*flags, "--no-wait")
        assert "Pruned" not in ran.results.values()
    assert "no longer in git" not in scene.apply("--all", "--no-wait").err
    assert scene.get("deployments", "dup")
    assert scene.get("configmaps", "m0")


def test_many_are_pruned_only_when_asked_twice(scene):
    ns = scene.namespace
    scene.commit({f"envs/prod/{name}.yaml": documents(config_map(ns, name, k="v")) for name in "abc"})
    scene.apply("--all")
    scene.commit({"envs/prod/a.yaml": None})
    ran = scene.apply("--all", "--prune")
    assert ran.code == 5
    assert "1 of the 3 objects on record would be deleted" in ran.err
    rehearsed = scene.apply("--all", "--prune", "--dry-run=server")
    assert (rehearsed.code, rehearsed.results) == (5, {"ConfigMap/a": "Pruned"})
    assert "say --yes-prune if it is meant" in rehearsed.err
    assert scene.get("configmaps", "a")
    assert scene.apply("--all", "--prune", "--yes-prune").results == {"ConfigMap/a": "Pruned"}


def test_an_immutable_field_is_named_and_replaced_only_by_leave(scene):
    ns = scene.namespace

    def job(image, **annotations):
        pod = {"restartPolicy": "Never", "containers": [{"name": "a", "image": image}]}
        metadata = {"name": "job", "namespace": ns, "annotations": annotations}
        return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"template": {"spec": pod}}}

    scene.commit({OTHER: documents(job("registry.example.com/a:1"))})
    assert scene.apply("--all", "--no-wait").code == 0
    scene.commit({OTHER: documents(job("registry.example.com/a:2"))})
    ran = scene.apply("--all", "--no-wait")
    assert ran.code == 5
    assert "it may not be changed in spec.template" in ran.err
    assert "gitcd/replace" in ran.err
    scene.commit({OTHER: documents(job("registry.example.com/a:2", **{"gitcd/replace": "true"}))})
    ran = scene.apply("--all", "--no-wait")
    assert ran.code == 0, ran.err
    found = scene.plane.get(f"/apis/batch/v1/namespaces/{ns}/jobs/job")
    assert found["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.example.com/a:2"


def test_duplicates_are_refused_before_anything_is_asked(scene):
    ns = scene.namespace
    twice = deployment(ns, "dup")
    twice["spec"]["template"]["spec"]["containers"][0]["env"] = [
        {"name": "A", "value": "1"},
        {"name": "A", "value": "2"},
    ]
    scene.commit({OTHER: documents(twice, config_map(ns, "other", k="v"))})
    ran = scene.apply("--all")
    assert ran.code == 5
    assert "spec.template.spec.containers[dup].env has A more than once" in ran.err
    assert ran.results == {"ConfigMap/other": "Created", "Deployment/dup": "Refused"}


def test_what_failed_stops_what_depends_on_it_and_nothing_else(scene):
    ns = scene.namespace
    scene.plane.kubectl(
        "apply",
        "--server-side",
        "--field-manager=helm",
        "-f",
        "-",
        stdin=json.dumps(config_map(ns, "other", k="theirs")),
    )
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "other", "namespace": ns},
        "spec": {"ports": [{"port": 80}]},
    }
    scene.commit(
        {
            OTHER: documents(config_map(ns, "other", k="ours"), service),
            "envs/prod/third/a.yaml": documents({**service, "metadata": {"name": "third", "namespace": ns}}),
        }
    )
    ran = scene.apply("--all")
    assert ran.results == {"ConfigMap/other": "Refused", "Service/other": "Left", "Service/third": "Created"}


@pytest.mark.slow
def test_an_object_waits_for_what_it_comes_after(scene):
    """In whatever folder, and in every run until that is well."""
    ns = scene.namespace

    def job(name: str) -> bytes:
        pod = {"restartPolicy": "Never", "containers": [{"name": "a", "image": f"registry.example.com/a:{name}"}]}
        metadata = {"name": name, "namespace": ns}
        spec = {"backoffLimit": 0, "template": {"spec": pod}}
        return documents({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec})

    late, web = config_map(ns, "late", k="v"), deployment(ns)
    for each in (late, web):
        each["metadata"]["annotations"] = {"gitcd/after": "Job/bad-job"}
    scene.commit({OTHER: job("bad-job"), "envs/prod/a.yaml": documents(late), APP: documents(declaration(ns), web)})
    ran = scene.apply("--all")
    assert ran.code == 4, ran.err
    left = {"ConfigMap/late": "Left", "Deployment/web": "Left"}
    assert ran.results == {"ContainerVersion/web": "Created", "Job/bad-job": "Created", **left}
    assert ran.err.count("error:") == 1
    again = scene.apply("--all")
    assert (again.code, again.results) == (4, left), again.err
    for each in (late, web):
        each["metadata"]["annotations"] = {"gitcd/after": "Job/good"}
    scene.commit({OTHER: job("good"), "envs/prod/a.yaml": documents(late), APP: documents(declaration(ns), web)})
    ran = scene.apply("--all")
    assert ran.code == 0, ran.err
    assert ran.results == {"Job/good": "Created", "ConfigMap/late": "Created", "Deployment/web": "Created"}


def test_new_kinds_are_served_before_they_are_used(scene):
    group = f"{scene.namespace}.example.com"
    names = {"plural": "widgets", "singular": "widget", "kind": "Widget"}
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"widgets.{group}"},
        "spec": {"group": group, "names": names, "scope": "Namespaced", "versions": [version]},
    }
    metadata = {"name": "w", "namespace": scene.namespace}
    widget = {"apiVersion": f"{group}/v1", "kind": "Widget", "metadata": metadata, "size": 3}
    scene.settings = {"allow": {"kinds": ["CustomResourceDefinition", "Widget"]}}
    scene.commit({OTHER: documents(widget, definition)})
    ran = scene.apply("--all")
    assert ran.code == 0, ran.err
    assert ran.results == {f"CustomResourceDefinition/widgets.{group}": "Created", "Widget/w": "Created"}
    assert scene.apply("--all").results == {}


def test_an_older_commit_can_be_taken_there(scene):
    ns = scene.namespace
    first = scene.commit({OTHER: documents(config_map(ns, "other", k="1"))})
    scene.commit({OTHER: documents(config_map(ns, "other", k="2"))})
    scene.apply("--all")
    assert scene.get("configmaps", "other")["data"] == {"k": "2"}
    ran = scene.apply("--all", "--revision", first[:10])
    assert (ran.code, ran.report["commit"]) == (0, first), ran.err
    assert scene.get("configmaps", "other")["data"] == {"k": "1"}
    ran = scene.apply("--all", "--revision", "0123456789")
    assert ran.code == 2
    assert "has no commit 0123456789" in ran.err


def test_kustomizations_are_built(scene, monkeypatch):
    ns = scene.namespace
    monkeypatch.setenv("PATH", f"{scene.plane.binaries}:/usr/bin:/bin")
    scene.commit(
        {
            "base/kustomization.yaml": b"resources: [cm.yaml]\n",
            "base/cm.yaml": documents(config_map("", "built", k="v")),
            "envs/prod/app/kustomization.yaml": f"namespace: {ns}\nresources: [../../../base]\n".encode(),
        }
    )
    ran = scene.apply("--all")
    assert (ran.code, ran.results) == (0, {"ConfigMap/built": "Created"}), ran.err
    monkeypatch.setattr("gitcd.usecases.kustomizing._PROGRAMS", (("no-such-program", "build"),))
    ran = scene.apply("--all", "--dry-run=client")
    assert ran.code == 2
    assert "neither kustomize nor kubectl" in ran.err


def test_two_do_not_apply_one_environment_at_a_time(scene, monkeypatch):
    monkeypatch.setattr("gitcd.usecases.apply._PATIENCE", 0.5)
    ns = scene.namespace
    scene.commit({OTHER: documents(config_map(ns, "other", k="v"))})
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "gitcd-prod", "namespace": ns},
        "spec": {"holderIdentity": "another-run", "leaseDurationSeconds": 600},
    }
    scene.plane.apply(json.dumps(lease))
    ran = scene.apply("--all")
    assert ran.code == 3
    assert f"prod is being applied by another-run, who keeps the Lease gitcd-prod in namespace {ns}" in ran.err
    assert f"`kubectl delete lease gitcd-prod --namespace {ns}`" in ran.err
    assert scene.plane.kubectl("get", "cm", "other", "-n", ns, check=False).returncode != 0


@pytest.mark.parametrize("lost", ["deleted", "archived"])
def test_F7_an_image_that_nobody_can_pull_is_not_rolled_out(scene, monkeypatch, lost):
    ns = scene.namespace
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with StandIn() as ecr:
        digest = ecr.put("team/web", tags=["1.0.0", "env-prod"], status="ARCHIVED" if lost == "archived" else "ACTIVE")
        if lost == "deleted":
            ecr.delete("team/web", digest)
        monkeypatch.setenv("GITCD_ECR_ENDPOINT_URL", ecr.url)
        repo = f"{ecr.host}/team/web"
        scene.commit({APP: documents(declaration(ns, imageRepo=repo), deployment(ns, image=f"{repo}:1.0.0@{digest}"))})
        ran = scene.apply()
    assert ran.code == 5, ran.err
    assert ran.results == {"ContainerVersion/web": "Created", "Deployment/web": "Refused"}
    assert digest in ran.err
    assert scene.plane.kubectl("get", "deployment", "web", "-n", ns, check=False).returncode != 0


@pytest.mark.slow
def test_where_somebody_else_applies_it_waits_and_writes_no_workload(scene):
    ns = scene.namespace
    layout = b"apiVersion: gitcd.io/v1\nkind: ConfigRepository\nenvironments:\n"
    layout += b"  - {name: prod, path: envs/prod, applier: external}\n"
    declared = {".gitcd/declarations/web.yaml": documents(declaration(ns, environment="prod"))}
    scene.commit({"gitcd.yaml": layout, **declared, APP: documents(deployment(ns), config_map(ns, "web", k="v"))})
    mark = scene.plane.audit.mark()
    ran = scene.apply("--all", "--budget", "1s")
    assert ran.code == 0, ran.err
    assert ran.results == {"ContainerVersion/web": "Created"}
    assert [each["result"] for each in ran.report["rollouts"]] == ["Progressing"]
    scene.plane.apply(json.dumps(deployment(ns)))  # as Flux would
    ran = scene.apply("--all")
    assert ran.code == 0, ran.err
    assert [each["result"] for each in ran.report["rollouts"]] == ["Done"]
    assert set(scene.managers("deployments", "web")) & {"gitcd", "gitcd-rollout"} == set()
    written = {each.resource for each in writes(requests(scene, mark))}
    assert written <= {"containerversions", "containerversions/status", "events", "leases", "configmaps"}
    assert scene.get("containerversions", "web")["status"]["lastGood"]["digest"] == "1.0.0"
    assert scene.plane.kubectl("get", "cm", "web", "-n", ns, check=False).returncode != 0


def test_a_broken_document_is_named_and_the_others_are_applied(scene):
    ns = scene.namespace
    scene.commit({OTHER: b"apiVersion: v1\nkind: ConfigMap\n---\n" + documents(config_map(ns, "other", k="v"))})
    ran = scene.apply("--all")
    assert ran.code == 5
    assert f"{OTHER}:1: ConfigMap: metadata is missing" in ran.err
    assert ran.results == {"ConfigMap/other": "Created"}
    assert scene.apply("--all", "--prune").code == 5


def test_a_namespace_that_nobody_names_is_no_namespace(scene):
    scene.commit({OTHER: documents(config_map("", "other", k="v"))})
    ran = scene.apply("--all")
    assert ran.code == 5
    assert "it names no namespace" in ran.err


def test_an_environment_writes_only_where_the_operator_maps_it(scene):
    ns = scene.namespace
    scene.settings = {"namespaces": [{"name": "elsewhere", "environments": ["prod"]}]}
    scene.commit({OTHER: documents(config_map(ns, "other", k="v"))})
    ran = scene.apply("--all")
    assert ran.code == 5
    assert f"the environment prod may not write into the namespace {ns}" in ran.err


@pytest.mark.slow
def test_a_run_commits_and_then_applies(scene, monkeypatch):
    ns = scene.namespace
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with StandIn() as ecr:
        monkeypatch.setenv("GITCD_ECR_ENDPOINT_URL", ecr.url)
        repo = f"{ecr.host}/team/web"
        old = ecr.put("team/web", tags=["1.0.0"])
        new = ecr.put("team/web", tags=["1.1.0", "env-prod"])
        scene.commit({APP: documents(declaration(ns, imageRepo=repo), deployment(ns, image=f"{repo}:1.0.0@{old}"))})
        ran = scene.run("--once", "--apply", "images", "--apply-namespace", ns)
        assert ran.code == 0, ran.err
        image = scene.get("deployments", "web")["spec"]["template"]["spec"]["containers"][0]["image"]
        assert image == f"{repo}:1.1.0@{new}"
        assert scene.get("containerversions", "web")["status"]["lastGood"]["commit"] == scene.remote.tip
        mark = scene.plane.audit.mark()
        assert scene.run("--once", "--apply", "images", "--apply-namespace", ns).code == 0
        assert writes(requests(scene, mark)) == []
