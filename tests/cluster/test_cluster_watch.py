"""Watches on a real API server, also where it ends them, forgets what has been, or is in trouble."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gitcd.cluster.access import find_access
from gitcd.cluster.api import Api
from gitcd.cluster.watch import Watch, places
from tests.support import faultproxy
from tests.support.containerversions import definition, scene
from tests.support.controlplane import ControlPlane
from tests.support.waiting import wait_until

__all__ = ["definition", "scene"]


class Heard:
    def __init__(self) -> None:
        self.notices: queue.Queue[tuple[str, str] | None] = queue.Queue()
        self.errors: queue.Queue[Exception] = queue.Queue()

    def next(self) -> str:
        """The name of the next one that changed; `*` for all."""
        notice = self.notices.get(timeout=20)
        return notice[1] if notice else "*"

    def until(self, name: str) -> None:
        while self.next() != name:
            pass


@contextmanager
def watching(plane: ControlPlane, namespace: str, user: bool = False) -> Iterator[Heard]:
    heard = Heard()
    access = plane.user if user else plane.admin
    watch = Watch(Api(find_access(str(access.kubeconfig))), namespace, heard.notices.put, heard.errors.put, pause=0.02)
    watch.start()
    try:
        yield heard
    finally:
        watch.stop()


def test_what_is_declared_changed_and_deleted_is_heard_of(scene) -> None:
    with watching(scene.plane, scene.namespace) as heard:
        assert heard.next() == "*"
        scene.declare("app")
        assert heard.next() == "app"
        scene.patch("app", {"spec": {"pin": "Digest"}})
        assert heard.next() == "app"
        scene.delete("app")
        assert heard.next() == "app"


def test_a_status_that_is_about_the_present_spec_is_no_news(scene) -> None:
    scene.declare("app")
    with watching(scene.plane, scene.namespace) as heard:
        assert heard.next() == "*"
        scene.run()
        assert scene.get("app")["status"]["observedGeneration"] == 1
        scene.patch("app", {"metadata": {"labels": {"x": "y"}}})
        scene.declare("other")
        assert heard.next() == "other"
        scene.patch("app", {"spec": {"pin": "Digest"}})
        assert heard.next() == "app"


def test_F40_a_watch_that_ends_goes_on_where_it_was(scene) -> None:
    with faultproxy.before(scene.plane) as proxy, watching(proxy.plane, scene.namespace) as heard:
        assert heard.next() == "*"
        wait_until(lambda: any("watch=1" in path for _, path in proxy.seen))
        scene.declare("app")
        assert heard.next() == "app"
        proxy.close_streams()
        scene.declare("other")
        assert heard.next() == "other"
        lists = [path for _, path in proxy.seen if "limit=1" in path]
        assert len(lists) == 1


@pytest.mark.parametrize("trouble", ["event", "answer"])
def test_F40_where_the_past_is_gone_all_are_looked_at(scene, trouble) -> None:
    with faultproxy.before(scene.plane) as proxy:
        if trouble == "event":
            proxy.expire_watch(path="watch=")
        else:
            proxy.answer(410, path="watch=")
        with watching(proxy.plane, scene.namespace) as heard:
            assert [heard.next(), heard.next()] == ["*", "*"]
            scene.declare("app")
            assert heard.next() == "app"


def test_F40_a_stream_that_breaks_in_the_middle_of_an_event_loses_none(scene) -> None:
    with faultproxy.before(scene.plane) as proxy:
        proxy.cut(path="watch=", after=200)
        with watching(proxy.plane, scene.namespace) as heard:
            assert heard.next() == "*"
            scene.declare("app")
            heard.until("app")


def test_F41_a_server_in_trouble_is_told_of_once_and_asked_again(scene) -> None:
    with faultproxy.before(scene.plane) as proxy:
        proxy.answer(503, path="watch=", times=3)
        with watching(proxy.plane, scene.namespace) as heard:
            assert heard.next() == "*"
            wait_until(lambda: sum("watch=1" in path for _, path in proxy.seen) >= 4)
            scene.declare("app")
            heard.until("app")
            assert heard.errors.qsize() == 1


def test_F43_where_all_is_forbidden_each_namespace_is_watched(scene) -> None:
    admin, user = (Api(find_access(str(each.kubeconfig))) for each in (scene.plane.admin, scene.plane.user))
    assert places(admin, ["b", "a"]) == [""]
    assert places(user, ["b", "a", "b"]) == ["a", "b"]
    with faultproxy.before(scene.plane) as proxy:
        proxy.answer(503, path="containerversions", times=10)
        troubled = Api(find_access(str(proxy.plane.admin.kubeconfig)), patience=0.5)
        assert places(troubled, ["a"]) == [""]


def test_F43_one_that_is_forbidden_is_told_of(scene) -> None:
    with watching(scene.plane, scene.namespace, user=True) as heard:
        assert "Forbidden" in str(heard.errors.get(timeout=20))
        assert heard.notices.empty()
