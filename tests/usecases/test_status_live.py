"""What is told of a cluster beside what git says. tests/rollout asks a real one."""

from gitcd.model.declaration import Identity
from gitcd.model.overview import Item, Overview
from gitcd.model.settings import EnvironmentCluster, Settings
from gitcd.usecases.status_live import with_running

UID = "01234567-89ab-cdef-0123-456789abcdef"
SETTINGS = Settings(environments=(EnvironmentCluster("prod", UID),))
OLD, NEW = (f"sha256:{digit * 64}" for digit in "ab")
TILES = Item(Identity("prod", "maps", "tiles"), "registry.example.com/maps/tiles", version="1.1.0", digest=NEW)


class Cluster:
    """An API server that has these Deployments, and this status of the declaration."""

    server = "https://cluster.example.com"

    def __init__(self, *deployments, status=None):
        declared = {
            "metadata": {"namespace": "maps", "name": "tiles"},
            "spec": {"selector": {"app": "tiles"}},
            "status": status or {},
        }
        self.lists = {"deployments": list(deployments), "containerversions": [declared]}

    def get(self, path):
        return {"metadata": {"uid": UID}}

    def collect(self, path, take):
        return [take(each) for each in self.lists.get(path.rpartition("/")[2], ())]


def deployment(name, version, digest, replicas):
    image = f"registry.example.com/maps/tiles:{version}@{digest}"
    pods = {"metadata": {"labels": {"app": "tiles"}}, "spec": {"containers": [{"name": "main", "image": image}]}}
    spec = {"replicas": replicas, "template": pods}
    metadata = {"namespace": "maps", "name": name}
    return {"metadata": metadata, "spec": spec, "status": {"availableReplicas": replicas}}


def looked(cluster):
    (item,) = with_running(Overview((), (TILES,)), cluster, SETTINGS).items
    return item


def test_a_slot_without_pods_does_not_count_beside_one_that_has_some():
    item = looked(Cluster(deployment("blue", "1.0.0", OLD, 0), deployment("green", "1.1.0", NEW, 2)))
    assert (item.running.names, item.running.pods, item.states) == (("1.1.0",), 2, ())
    item = looked(Cluster(deployment("blue", "1.0.0", OLD, 2), deployment("green", "1.1.0", NEW, 0)))
    assert (item.running.names, [state.kind for state in item.states]) == (("1.0.0",), ["NotLive"])


def test_what_is_scaled_to_zero_as_a_whole_still_says_what_it_is():
    item = looked(Cluster(deployment("web", "1.1.0", NEW, 0)))
    assert (item.running.names, item.running.pods, item.states) == (("1.1.0",), 0, ())


def test_a_step_that_waits_for_a_person_says_how_it_goes_on():
    (state,) = looked(Cluster(status={"rollout": {"step": "Approval2"}})).states
    assert state.text == "step Approval2 waits for `gitcd rollout approve tiles -n maps`"
    (state,) = looked(Cluster(status={"rollout": {"step": "Weight1"}})).states
    assert state.text == "step Weight1"
