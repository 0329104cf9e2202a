"""Leases on a real API server: one of several holds it, and the next one gets it when that one has gone."""

from __future__ import annotations

import pytest

from gitcd.cluster.access import find_access
from gitcd.cluster.api import Api, DeclinedError
from gitcd.cluster.lease import Lease, Place
from tests.support import faultproxy
from tests.support.controlplane import ControlPlane

LEASES = "/apis/coordination.k8s.io/v1/namespaces/{}/leases/gitcd"


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def contend(control_plane: ControlPlane, namespace: str):
    """A contender for one Lease, by its name."""

    def contend(holder: str, clock: Clock, plane: ControlPlane = control_plane) -> Lease:
        api = Api(find_access(str(plane.admin.kubeconfig)), patience=5)
        return Lease(api, Place(namespace, "gitcd"), holder, clock=clock)

    return contend


def spec_of(plane: ControlPlane, namespace: str) -> dict:
    return plane.get(LEASES.format(namespace))["spec"]


def test_one_of_two_holds_it_and_keeps_it(control_plane, namespace, contend) -> None:
    clock = Clock()
    one, two = contend("one", clock), contend("two", clock)
    assert (one.hold(), two.hold()) == (True, False)
    taken = spec_of(control_plane, namespace)
    assert (taken["holderIdentity"], taken["leaseDurationSeconds"], taken["leaseTransitions"]) == ("one", 15, 0)
    clock.now += 14
    assert (one.hold(), two.hold()) == (True, False)
    kept = spec_of(control_plane, namespace)
    assert (kept["acquireTime"], kept["leaseTransitions"]) == (taken["acquireTime"], 0)
    assert kept["renewTime"] > taken["renewTime"]
    assert two.seen_holder == "one"


def test_it_is_taken_over_when_it_was_not_renewed_for_as_long_as_it_lasts(control_plane, namespace, contend) -> None:
    clock = Clock()
    one, two = contend("one", clock), contend("two", clock)
    assert one.hold()
    assert not two.hold()
    clock.now += 14.9
    assert not two.hold()
    clock.now += 0.1
    assert two.hold()
    assert spec_of(control_plane, namespace)["leaseTransitions"] == 1
    assert not one.hold()


def test_a_renewal_is_seen_whatever_the_other_clock_says(control_plane, namespace, contend) -> None:
    """Another's renewTime may lie far in the past: what counts is whether it changes."""
    clock = Clock()
    one, two = contend("one", clock), contend("two", clock)
    assert one.hold()
    past = {"spec": {"renewTime": "2001-01-01T00:00:00.000000Z"}}
    control_plane.request("PATCH", LEASES.format(namespace), past, kind="merge-patch+json")
    assert not two.hold()
    clock.now += 10
    assert one.hold()
    assert not two.hold()
    clock.now += 10
    assert not two.hold()


@pytest.mark.parametrize("forged", [
    {"leaseDurationSeconds": 2**31 - 1},
    {"leaseDurationSeconds": 86400, "renewTime": "2999-01-01T00:00:00.000000Z"},
])  # fmt: skip
def test_one_that_says_it_lasts_for_ever_is_believed_for_a_while_only(
    control_plane, namespace, contend, forged
) -> None:
    clock = Clock()
    one, two = contend("one", clock), contend("two", clock)
    assert one.hold()
    control_plane.request("PATCH", LEASES.format(namespace), {"spec": forged}, kind="merge-patch+json")
    assert not two.hold()
    clock.now += 29.9
    assert not two.hold()
    clock.now += 0.1
    assert two.hold()
    assert spec_of(control_plane, namespace)["leaseDurationSeconds"] == 15


def test_nobody_takes_a_long_one_from_somebody_who_renews_it(control_plane, namespace, contend) -> None:
    clock = Clock()
    one, two = contend("one", clock), contend("two", clock)
    one.duration = 3600
    for _ in range(4):
        assert (one.hold(), two.hold()) == (True, False)
        clock.now += 25


def test_one_that_is_released_is_free_at_once(control_plane, namespace, contend) -> None:
    clock = Clock()
    one, two = contend("one", clock), contend("two", clock)
    assert one.hold()
    two.release()
    assert spec_of(control_plane, namespace)["holderIdentity"] == "one"
    one.release()
    assert two.hold()
    assert spec_of(control_plane, namespace)["holderIdentity"] == "two"


def test_what_nobody_has_changed_is_kept_and_released_by_one_request_each(control_plane, namespace, contend) -> None:
    one = contend("one", Clock())
    assert one.hold()
    before = one._api.calls
    assert one.hold()
    one.release()
    assert one._api.calls == before + 2
    assert spec_of(control_plane, namespace)["holderIdentity"] == ""


def test_one_that_somebody_deleted_is_made_anew(control_plane, namespace, contend) -> None:
    one = contend("one", Clock())
    assert one.hold()
    control_plane.request("DELETE", LEASES.format(namespace))
    assert one.hold()
    assert spec_of(control_plane, namespace)["holderIdentity"] == "one"
    control_plane.request("DELETE", LEASES.format(namespace))
    one.release()


def test_one_that_was_lost_meanwhile_is_not_written_over(control_plane, namespace, contend) -> None:
    clock = Clock()
    one, two = contend("one", clock), contend("two", clock)
    assert one.hold()
    assert not two.hold()
    clock.now += 15
    assert two.hold()
    one.release()
    assert spec_of(control_plane, namespace)["holderIdentity"] == "two"
    assert not one.hold()


def test_of_two_that_write_at_once_one_gets_it(control_plane, contend) -> None:
    clock = Clock()
    one, two = contend("one", clock), contend("two", clock)
    assert one.hold()
    assert not two.hold()
    one.release()
    late = two._get()
    assert one.hold()
    assert not two._write(two._api.replace, two.place.path, {**late, "spec": two._mine({})})
    assert not two.hold()


def test_F39_a_renewal_that_landed_unheard_does_not_lose_it(control_plane, contend) -> None:
    with faultproxy.before(control_plane) as proxy:
        one = contend("one", Clock(), proxy.plane)
        assert one.hold()
        proxy.answer(503, path="leases", method="PUT")
        assert one.hold()


def test_who_may_not_is_told_so(control_plane, namespace, contend) -> None:
    api = Api(find_access(str(control_plane.user.kubeconfig)))
    with pytest.raises(DeclinedError, match="Forbidden"):
        Lease(api, Place(namespace, "gitcd"), "user").hold()
