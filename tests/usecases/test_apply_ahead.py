"""A look at a cluster that was begun before it was known what is wanted."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from gitcd.errors import TransientError
from gitcd.model.applied import Entry, Inventory
from gitcd.model.live import Ref
from gitcd.usecases import apply_live
from gitcd.usecases.apply_live import look_ahead, see
from gitcd.usecases.apply_look import take_look
from gitcd.usecases.apply_record import Record
from gitcd.usecases.apply_wanted import NOTHING
from gitcd.usecases.apply_write import Writer

ONE, TWO, LOST, GONE = (Ref("ConfigMap", "ns", name) for name in ("one", "two", "lost", "gone"))


class Cluster:
    """Objects that are there, but for one that is gone and one that cannot be read; `asked` are those asked for."""

    def __init__(self) -> None:
        self.asked: list[Ref] = []
        self.discovery: Any = SimpleNamespace(find=lambda *_: None)

    def get(self, ref: Ref) -> dict[str, Any] | None:
        self.asked.append(ref)
        if ref == LOST:
            raise TransientError("the cluster is in trouble")
        metadata = {"namespace": ref.namespace, "name": ref.name, "uid": f"uid of {ref.name}"}
        return None if ref == GONE else {"kind": "ConfigMap", "apiVersion": "v1", "metadata": metadata}


@pytest.fixture
def cluster() -> Any:
    return Cluster()


def test_what_was_seen_is_not_asked_again(cluster) -> None:
    ahead = look_ahead(cluster, [ONE, LOST, GONE], "1")
    sight = see(cluster, [ONE, TWO, LOST, GONE], ahead)
    assert sorted(cluster.asked) == sorted([ONE, TWO, LOST, GONE])
    assert sight.live.keys() == {ONE, TWO}
    assert sight.hidden.keys() == {LOST}


def test_what_was_seen_and_is_not_wanted_is_left_out(cluster) -> None:
    sight = see(cluster, [TWO], look_ahead(cluster, [ONE, LOST], "1"))
    assert (sight.live.keys(), sight.hidden) == ({TWO}, {})


def test_what_was_seen_long_ago_is_asked_again(cluster, monkeypatch) -> None:
    ahead = look_ahead(cluster, [ONE], "1")
    ahead.sight.result(10)
    monkeypatch.setattr(apply_live, "_FRESH", -1.0)
    assert see(cluster, [ONE], ahead).live.keys() == {ONE}
    assert cluster.asked == [ONE, ONE]


@pytest.mark.parametrize(("version", "times"), [("7", 1), ("8", 2)])
def test_what_was_seen_before_somebody_applied_is_asked_again(cluster, version, times) -> None:
    record = Record("gitcd", "prod", Inventory("c0ffee", (Entry(ONE, "uid of one", "m", "o"),)), version)
    look = take_look(Writer(cluster, "prod"), NOTHING, record, narrowed=False, ahead=look_ahead(cluster, [ONE], "7"))
    assert [each.ref for each in look.left] == [ONE]
    assert cluster.asked == [ONE] * times
