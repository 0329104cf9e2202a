"""The kind ContainerVersion on the real API server."""

from __future__ import annotations

import pytest

from gitcd.manifests.dump import to_yaml
from gitcd.model.crd import NAME, custom_resource_definition
from tests.support.controlplane import ControlPlane


@pytest.fixture(scope="session")
def definition(control_plane: ControlPlane) -> ControlPlane:
    """The control plane with the definition installed, as `gitcd schema crd` prints it."""
    control_plane.apply(to_yaml(custom_resource_definition()))
    control_plane.kubectl("wait", "--for=condition=Established", "--timeout=20s", f"crd/{NAME}")
    return control_plane
