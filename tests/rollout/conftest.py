from tests.support.containerversions import definition
from tests.support.gitrollouts import one_app
from tests.support.rollouts import rollouts
from tests.support.slotrollouts import slots

__all__ = ["definition", "one_app", "rollouts", "slots"]
