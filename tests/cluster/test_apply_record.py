"""The record of what was applied: small ones are plain, large ones packed, and neither is believed blindly."""

from __future__ import annotations

import pytest

from gitcd.cluster.access import find_access
from gitcd.cluster.api import Api, DeclinedError
from gitcd.errors import ConfigError, RefusedError
from gitcd.model.applied import Entry, Inventory
from gitcd.model.live import Ref
from gitcd.usecases.apply_record import read_record, write_record


@pytest.fixture
def api(control_plane):
    return Api(find_access(str(control_plane.admin.kubeconfig)))


def inventory(number):
    refs = [Ref("ConfigMap", "team", f"m{each:05d}") for each in range(number)] + [Ref("Namespace", "", "team")]
    return Inventory("c" * 40, tuple(Entry(ref, f"uid-of-{ref.name}", "m" * 16, "o" * 16) for ref in refs), "s" * 16)


@pytest.mark.parametrize("number", [0, 3, 6000])
def test_what_is_written_is_read(api, namespace, number):
    blank = read_record(api, namespace, "prod")
    assert (blank.version, blank.inventory) == ("", Inventory())
    written = write_record(api, blank, inventory(number))
    found = read_record(api, namespace, "prod")
    assert found.version == written.version
    assert (found.inventory.commit, found.inventory.state) == ("c" * 40, "s" * 16)
    assert found.inventory.by_ref == inventory(number).by_ref
    assert write_record(api, found, found.inventory).version == found.version


def test_who_was_slower_is_told(api, namespace):
    blank = read_record(api, namespace, "prod")
    first = write_record(api, blank, inventory(1))
    with pytest.raises(DeclinedError):
        write_record(api, blank, inventory(2))
    write_record(api, first, inventory(2))
    with pytest.raises(DeclinedError) as refused:
        write_record(api, first, inventory(3))
    assert refused.value.status == 409


def test_what_is_no_record_is_not_taken_for_one(api, control_plane, namespace):
    control_plane.kubectl("create", "configmap", "gitcd-prod", "-n", namespace)
    with pytest.raises(RefusedError, match="is not the record of prod"):
        read_record(api, namespace, "prod")


def test_a_damaged_one_is_named(api, control_plane, namespace):
    text = "--from-literal=environment=prod"
    control_plane.kubectl("create", "configmap", "gitcd-prod", "-n", namespace, text)
    control_plane.kubectl(
        "patch", "configmap", "gitcd-prod", "-n", namespace, "-p", '{"binaryData": {"objects.gz": "aGVsbG8="}}'
    )
    with pytest.raises(RefusedError, match="is damaged"):
        read_record(api, namespace, "prod")


def test_a_namespace_that_is_not_there_is_named(api):
    with pytest.raises(ConfigError, match="cannot be written"):
        write_record(api, read_record(api, "no-such-namespace", "prod"), inventory(1))
