from tests.support.controlplane import control_plane, namespace, workloads

__all__ = ["control_plane", "namespace", "workloads"]
