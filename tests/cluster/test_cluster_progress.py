"""What the status tells of rollouts, on a real API server where others write it, too."""

from __future__ import annotations

import pytest

from gitcd.cluster.access import find_access
from gitcd.cluster.api import Api
from gitcd.cluster.progress import Progress, read_progress, write_progress
from gitcd.errors import RefusedError
from tests.support.containerversions import BASE, definition, manifest
from tests.support.controlplane import ControlPlane

__all__ = ["definition"]

GOOD = {"digest": f"sha256:{'a' * 64}", "time": "2026-01-01T00:00:00Z"}
THEIRS = {"strategy": "RollingUpdate", "step": "Apply", "attempt": 1, "newDigest": "x"}


@pytest.fixture
def api(definition: ControlPlane, namespace: str) -> Api:
    """With a ContainerVersion whose record somebody else has written."""
    path = f"{BASE}/namespaces/{namespace}/containerversions"
    definition.request("POST", path, manifest("app", namespace))
    theirs = {"status": {"rollout": THEIRS}}
    definition.request("PATCH", f"{path}/app/status?fieldManager=restore", theirs, kind="merge-patch+json")
    return Api(find_access(str(definition.admin.kubeconfig)))


def found(api: Api, namespace: str) -> Progress:
    progress = read_progress(api, namespace, "app")
    assert progress is not None
    return progress


def test_T31_a_record_of_somebody_else_ends_with_the_rollout(api: Api, namespace: str) -> None:
    progress = found(api, namespace)
    assert progress.fields == {"rollout": THEIRS}
    written = write_progress(api, progress, {"lastGood": GOOD}, ())
    assert written is not None
    assert written.fields == found(api, namespace).fields == {"lastGood": GOOD}


def test_a_definition_that_is_older_is_named_with_its_remedy(api: Api, namespace: str) -> None:
    with pytest.raises(RefusedError, match="is older than this gitcd") as refused:
        write_progress(api, found(api, namespace), {"rollout": {"later": "x"}}, ())
    assert "gitcd schema crd | kubectl apply" in refused.value.remedy
