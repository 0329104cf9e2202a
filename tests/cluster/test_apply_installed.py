"""The Role that `gitcd install --apply` renders, on a real API server: enough for apply, and no more than it says."""

from __future__ import annotations

import json

import pytest

from gitcd.usecases.install import install
from tests.support.applying import config_map, declaration, deployment, documents, scene, uid_of
from tests.support.containerversions import definition

__all__ = ["definition", "scene"]

APP = "envs/prod/web/app.yaml"


@pytest.fixture
def account(scene):
    """Apply's own ServiceAccount, with the rights that an installation for this one namespace gives it."""
    scene.settings = {"namespaces": [{"name": scene.namespace, "environments": ["prod"]}]}
    path = scene.folder / "installed.yaml"
    path.write_text(json.dumps({"environments": [{"name": "prod", "cluster": uid_of(scene.plane)}], **scene.settings}))
    files = install(
        {"apply": "images", "namespace": scene.namespace, "crd": False},
        {"repo": "https://git.example.com/a/b.git", "config": str(path)},
    )
    scene.plane.apply(files["serviceaccount.yaml"] + "---\n" + files["rbac.yaml"])
    return scene.plane.account(scene.namespace, "gitcd")


@pytest.mark.slow
def test_its_rights_are_enough_for_a_rollout(scene, account):
    ns = scene.namespace
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": ns},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
    }
    many = [config_map(ns, f"m{number}", k="v") for number in range(10)]
    app = (declaration(ns), deployment(ns, replicas=1), service, *many)
    scene.commit({APP: documents(*app)})
    mark = scene.plane.audit.mark()
    ran = scene.apply(kubeconfig=account.kubeconfig)
    assert ran.code == 0, ran.err
    newer = deployment(ns, image="registry.example.com/team/web:bad-crash", replicas=1)
    scene.commit({APP: documents(app[0], newer, service, *many)})
    ran = scene.apply(kubeconfig=account.kubeconfig)
    assert ran.code == 4, ran.err
    asked = scene.plane.audit.since(mark, user=account.name)
    assert [each for each in asked if each.status == 403] == []


def test_it_may_not_read_secrets_nor_write_elsewhere(scene, account):
    for words in (("get", "secrets"), ("create", "rolebindings"), ("delete", "statefulsets"), ("delete", "configmaps")):
        asked = scene.plane.kubectl("auth", "can-i", *words, "-n", scene.namespace, access=account, check=False)
        assert asked.stdout.strip() == "no", words
    asked = scene.plane.kubectl("auth", "can-i", "patch", "deployments", "-n", "default", access=account, check=False)
    assert asked.stdout.strip() == "no"
