from tests.support.containerversions import definition
from tests.support.gitrollouts import one_app
from tests.support.rollouts import rollouts
from tests.support.slotrollouts import never_deserted, outage, slots

__all__ = ["definition", "never_deserted", "one_app", "outage", "rollouts", "slots"]
