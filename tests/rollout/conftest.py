from tests.support.containerversions import definition
from tests.support.controlplane import control_plane, namespace, workloads
from tests.support.gitrollouts import one_app
from tests.support.rollouts import rollouts

__all__ = ["control_plane", "definition", "namespace", "one_app", "rollouts", "workloads"]
