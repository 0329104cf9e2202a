"""`gitcd apply` on the real control plane: what it writes, what it leaves, and what it never does."""

from __future__ import annotations

import pytest

from tests.support.applying import config_map, declaration, defined, deployment, documents, scene

__all__ = ["defined", "scene"]

APP = "envs/prod/web/app.yaml"


@pytest.mark.slow
def test_a_first_run_takes_all_and_a_second_nothing(scene):
    scene.commit(
        {
            APP: documents(
                declaration(scene.namespace),
                deployment(scene.namespace),
                config_map(scene.namespace, "web", k="v"),
            )
        }
    )
    ran = scene.apply()
    assert ran.code == 0, ran.err
    assert ran.results == {"ContainerVersion/web": "Created", "ConfigMap/web": "Created", "Deployment/web": "Created"}
    assert scene.get("deployments", "web")["status"]["availableReplicas"] == 1
    assert scene.get("containerversions", "web")["status"]["lastGood"]["digest"] == "1.0.0"
    mark = scene.plane.audit.mark()
    again = scene.apply()
    assert (again.code, again.results) == (0, {})
    ours = scene.plane.audit.since(mark, user=scene.plane.admin.name, agent="gitcd/")
    assert ours
    assert [each for each in ours if each.verb not in {"get", "list"}] == []
