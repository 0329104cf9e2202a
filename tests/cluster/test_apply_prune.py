"""`gitcd apply --prune` where not everything goes well: rights that are missing, numbers that are too large."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from gitcd.cli.apply import command
from gitcd.cluster.objects import Objects
from gitcd.manifests.dump import to_yaml
from gitcd.planning.applying_prune import MOST, SHARE, ceiling
from tests.support.applying import config_map, documents, scene
from tests.support.containerversions import definition

__all__ = ["definition", "scene"]

RBAC = "rbac.authorization.k8s.io"


VERBS = ["get", "list", "watch", "create", "update", "patch"]


@pytest.fixture
def account(scene):
    """May do everything but delete."""
    return account_with(scene, {"apiGroups": ["*"], "resources": ["*"], "verbs": VERBS})


def account_with(scene, *rules):
    ns = scene.namespace
    subject = {"kind": "ServiceAccount", "name": "careful", "namespace": ns}
    made = [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "careful", "namespace": ns}},
        {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": ns}, "rules": list(rules)},
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": ns},
            "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": ns},
            "subjects": [subject],
        },
    ]
    scene.plane.apply("---\n".join(map(to_yaml, made)))
    return scene.plane.account(ns, "careful")


def test_what_may_not_be_deleted_is_told_with_its_remedy_and_tried_again(scene, account):
    ns = scene.namespace
    files = {f"envs/prod/{name}.yaml": documents(config_map(ns, name, k="v")) for name in "abcdef"}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": ns}}
    scene.commit({**files, "envs/prod/s.yaml": documents({**service, "spec": {"ports": [{"port": 80}]}})})
    assert scene.apply("--all").code == 0
    scene.commit(
        {"envs/prod/a.yaml": None, "envs/prod/s.yaml": None, "envs/prod/b.yaml": documents(config_map(ns, "b"))}
    )
    ran = scene.apply("--all", "--prune", "--yes-prune", kubeconfig=account.kubeconfig)
    assert ran.code == 5
    assert ran.results == {"ConfigMap/b": "Changed", "ConfigMap/a": "Failed", "Service/s": "Failed"}
    assert f"ConfigMap {ns}/a: it may not be deleted: configmaps" in ran.err
    assert "Give gitcd's ServiceAccount the verb delete on Service, as `gitcd install --prune` renders it" in ran.err
    ran = scene.apply("--all", "--prune", "--yes-prune")
    assert (ran.code, ran.results) == (0, {"ConfigMap/a": "Pruned", "Service/s": "Pruned"})


@pytest.mark.parametrize(
    ("metadata", "result"),
    [({"labels": {"seen": "yes"}}, "Pruned"), ({"annotations": {"gitcd/prune": "false"}}, "Failed")],
)
def test_what_changes_just_then_is_judged_anew(scene, monkeypatch, metadata, result):
    """As when a controller notes in its status that others have just been deleted."""
    ns = scene.namespace
    scene.commit({f"envs/prod/{name}.yaml": documents(config_map(ns, name, k="v")) for name in "ab"})
    assert scene.apply("--all").code == 0
    scene.commit({"envs/prod/a.yaml": None})
    delete, times = Objects.delete, iter(range(1))

    def changed_first(self, ref, **how):
        for _ in times:
            path = f"/api/v1/namespaces/{ns}/configmaps/{ref.name}"
            scene.plane.request("PATCH", path, {"metadata": metadata}, kind="merge-patch+json")
        return delete(self, ref, **how)

    monkeypatch.setattr(Objects, "delete", changed_first)
    assert scene.apply("--all", "--prune", "--yes-prune").results == {"ConfigMap/a": result}


def test_it_does_not_go_with_single_declarations(scene):
    ran = scene.apply("--prune", "--app", "web")
    assert ran.code == 2
    assert "does not go with --app" in ran.err


@pytest.mark.parametrize(("doomed", "total"), [*product((1, 2, MOST, MOST + 1), (4, 5, 9, 10, 49, 50, 51, 1000))])
def test_more_than_ten_or_a_fifth_need_a_word(doomed, total):
    assert bool(ceiling(doomed, total)) == (doomed > 10 or doomed * 5 > total)


@pytest.mark.parametrize("where", ["help", "docs/apply.md"])
def test_the_numbers_are_said(where):
    page = Path(__file__).parents[2] / where
    text = (
        page.read_text()
        if page.suffix
        else str(next(each.help for each in command.params if each.name == "prune_many"))
    )
    assert f"more than {MOST} objects, or more than {SHARE:.0%} of those on record" in " ".join(text.split()).replace(
        "More", "more"
    )


def services(namespace: str, *names: str) -> bytes:
    spec = {"ports": [{"port": 80}]}
    metadata = ({"name": name, "namespace": namespace} for name in names)
    return documents(*({"apiVersion": "v1", "kind": "Service", "metadata": each, "spec": spec} for each in metadata))


@pytest.mark.parametrize("count", [1, 12])
def test_a_kind_that_may_not_be_read_fails_alone_and_is_never_taken_for_gone(scene, count):
    ns = scene.namespace
    core = {"apiGroups": [""], "resources": ["configmaps", "namespaces"], "verbs": VERBS}
    blind = account_with(scene, core, {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": VERBS})
    scene.commit({"envs/prod/old/s.yaml": services(ns, *(f"s{number}" for number in range(count)))})
    assert scene.apply("--all").code == 0
    configs = {"envs/prod/new/c.yaml": documents(config_map(ns, "c", k="v"))}
    scene.commit({**configs, "envs/prod/old/s.yaml": None, "envs/prod/t.yaml": services(ns, "t")})
    ran = scene.apply("--all", "--prune", "--yes-prune", kubeconfig=blind.kubeconfig)
    assert (ran.code, ran.results) == (5, {"ConfigMap/c": "Created", "Service/t": "Failed"}), ran.err
    assert f"forbidden: services{' ' if count > 10 else ''}" in ran.err
    assert "Give gitcd's ServiceAccount the verbs get, list, create and patch" in ran.err
    ran = scene.apply("--all", "--prune", "--yes-prune")
    pruned = {f"Service/s{number}": "Pruned" for number in range(count)}
    assert (ran.code, ran.results) == (0, {"Service/t": "Created", **pruned}), ran.err


def test_what_is_never_deleted_is_told_once_and_then_forgotten(scene):
    ns = scene.namespace
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    metadata = {"name": "kept", "namespace": ns}
    written = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": claim}
    scene.commit({"envs/prod/a.yaml": documents(written), "envs/prod/b.yaml": documents(config_map(ns, "b", k="v"))})
    scene.apply("--all")
    scene.commit({"envs/prod/a.yaml": None})
    ran = scene.apply("--all")
    assert ran.code == 0
    assert "PersistentVolumeClaim" in ran.err
    assert "objects of kind PersistentVolumeClaim are never deleted" in ran.err
    assert "--prune deletes" not in ran.err
    again = scene.apply("--all")
    assert (again.code, again.err) == (0, f"prod at {scene.remote.tip[:12]}: 1 unchanged\n")


def test_what_is_never_deleted_is_told_even_where_nothing_else_is_left(scene):
    ns = scene.namespace
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    metadata = {"name": "kept", "namespace": ns}
    written = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": claim}
    scene.commit({"envs/prod/a.yaml": documents(written)})
    scene.apply("--all")
    scene.commit({"envs/prod/a.yaml": None})
    ran = scene.apply("--all", "--prune")
    assert ran.code == 5
    assert "prod has no manifest left, and everything would be deleted" in ran.err
    assert "objects of kind PersistentVolumeClaim are never deleted" in ran.err


def test_what_is_on_its_way_out_already_counts_as_gone(scene):
    ns = scene.namespace
    slow = config_map(ns, "slow", k="v")
    slow["metadata"]["finalizers"] = ["example.com/slow"]
    others = {f"envs/prod/{name}.yaml": documents(config_map(ns, name, k="v")) for name in "abcde"}
    scene.commit({"envs/prod/slow.yaml": documents(slow), **others})
    scene.apply("--all")
    scene.commit({"envs/prod/slow.yaml": None})
    assert scene.apply("--all", "--prune").results == {"ConfigMap/slow": "Pruned"}
    assert "deletionTimestamp" in scene.get("configmaps", "slow")["metadata"]
    again = scene.apply("--all", "--prune")
    assert (again.code, again.results, again.report["leftOver"]) == (0, {}, [])
