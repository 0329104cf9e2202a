"""What `gitcd run` serves, over real connections."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from gitcd import __version__
from gitcd.cluster.review import Deed, Reviewer, Verdict
from gitcd.cluster.workloads import Workload
from gitcd.errors import ConfigError, TransientError
from gitcd.manifests.reading import read_declarations
from gitcd.rendering.workloads import HEADER, Row, as_json, as_page
from gitcd.usecases import controller_http
from gitcd.usecases.controller import Health
from gitcd.usecases.controller_http import Server, Site
from gitcd.usecases.controller_workloads import Workloads, match
from gitcd.usecases.metrics import Meter

HOSTILE = "<script>alert(1)</script>\"&'"
ROWS = (
    Row("team", "app", "Deployment", "main", "1.1.0", 3, "app", "env-dev"),
    Row("team", HOSTILE, "Deployment", "main", HOSTILE, 0, "other", HOSTILE),
)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Fixed(Workloads):
    def __init__(self, rows: tuple[Row, ...] = ROWS) -> None:
        self.asked: list[str] = []
        self._rows = rows

    def rows(self, namespace: str = "") -> tuple[Row, ...]:
        self.asked.append(namespace)
        return tuple(row for row in self._rows if namespace in {"", row.namespace})


class Judge(Reviewer):
    """Knows two tokens."""

    def __init__(self) -> None:
        self.asked: list[Deed] = []

    def judge(self, token: str, deed: Deed) -> Verdict:
        self.asked.append(deed)
        return {"good": Verdict.ALLOWED, "poor": Verdict.FORBIDDEN}.get(token, Verdict.UNKNOWN)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def site(clock: Clock) -> Site:
    workloads = Fixed()
    return Site(Health(60, clock), Meter(), lambda: workloads)


@pytest.fixture
def serve() -> Iterator:
    """Serve a site, and ask it: (status, headers, body)."""
    with ExitStack() as stack:

        def serve(site: Site):
            server = Server(site, "127.0.0.1", 0)
            server.start()
            stack.callback(server.stop)
            port = int(server.url.rpartition(":")[2])

            def ask(path: str, method: str = "GET", body: str | None = None, **headers: str):
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
                stack.callback(connection.close)
                connection.request(method, path, body, headers)
                answer = connection.getresponse()
                return answer.status, dict(answer.headers), answer.read().decode()

            ask.port = port
            return ask

        yield serve


def test_probes_follow_the_loop(site, serve, clock) -> None:
    ask = serve(site)
    assert [ask(path)[0] for path in ("/healthz", "/alive", "/readyz")] == [200, 200, 503]
    site.health.is_ready = True
    assert ask("/readyz")[::2] == (200, "ok\n")
    clock.now = 61
    assert [ask(path)[0] for path in ("/healthz", "/alive", "/readyz")] == [503, 503, 503]
    site.health.beat(leads=True)
    assert [ask(path)[0] for path in ("/healthz", "/alive", "/readyz")] == [200, 200, 200]


def test_one_that_stands_by_is_ready(site, serve) -> None:
    site.health.beat(leads=False)
    assert serve(site)("/readyz")[0] == 200


def test_the_version_is_told(site, serve) -> None:
    status, headers, body = serve(site)("/version")
    assert (status, headers["Content-Type"], json.loads(body)) == (200, "application/json", {"version": __version__})


def test_metrics_say_whether_it_leads(site, serve) -> None:
    ask = serve(site)
    assert "\ngitcd_leader 0\n" in ask("/metrics")[2]
    site.health.beat(leads=True)
    status, headers, body = ask("/metrics")
    assert (status, headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert "\ngitcd_leader 1\n" in body


def test_the_list_has_cvmanagers_fields(site, serve) -> None:
    ask = serve(site)
    status, headers, body = ask("/v1/cv/workloads")
    assert (status, headers["Content-Type"]) == (200, "application/json")
    first = {"Namespace": "team", "Name": "app", "Type": "Deployment", "Container": "main", "Version": "1.1.0", "AvailablePods": 3, "CV": "app", "Tag": "env-dev"}  # fmt: skip
    assert json.loads(body)[0] == first
    assert json.loads(ask("/v1/cv/workloads/app?namespace=team")[2]) == [first]
    assert [each["CV"] for each in json.loads(ask("/v1/cv/workloads/other")[2])] == ["other"]
    assert ask("/v1/cv/workloads/app?namespace=elsewhere")[0] == 404
    assert json.loads(ask("/v1/cv/workloads?namespace=elsewhere")[2]) == []
    assert ask("/v1/cv/workloads?format=xml")[0] == 400


def test_T22_a_name_is_text_on_the_page(site, serve) -> None:
    status, headers, body = serve(site)("/v1/cv/workloads?format=html")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "<script" not in body
    assert body.count("&lt;script&gt;alert(1)&lt;/script&gt;&#34;&amp;&#39;") == 3
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert all(f'<th scope="col">{name}</th>' in body for name in HEADER)
    assert "No workload" in as_page(())
    assert as_json(()) == "[]\n"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_nothing_can_be_changed(site, serve, method) -> None:
    assert serve(site)("/v1/cv/workloads/app?status=Success", method)[0] == 501


def test_a_body_is_not_read(site, serve) -> None:
    assert serve(site)("/healthz", body="x" * 100)[0] == 413


def test_head_has_no_body(site, serve) -> None:
    status, headers, body = serve(site)("/version", "HEAD")
    assert (status, body) == (200, "")
    assert int(headers["Content-Length"]) > 0


@pytest.mark.parametrize(
    ("path", "status"),
    [("/", 404), ("/v1/cv/workloadsX", 404), ("/../etc/passwd", 404), ("/version/", 200), ("/metrics?" + "&".join(f"a{n}=1" for n in range(20)), 400)],
)  # fmt: skip
def test_strange_addresses(site, serve, path, status) -> None:
    assert serve(site)(path)[0] == status


def test_what_is_no_address(site, serve) -> None:
    with socket.create_connection(("127.0.0.1", serve(site).port), timeout=10) as raw:
        raw.sendall(b"GET http://[ HTTP/1.1\r\n\r\n")
        assert raw.recv(12) == b"HTTP/1.0 400"


def test_the_cluster_in_trouble_is_told(site, serve) -> None:
    def workloads() -> Workloads:
        raise TransientError("the API server cannot be reached")

    status, _, body = serve(Site(site.health, site.meter, workloads))("/v1/cv/workloads")
    assert (status, body) == (503, "the API server cannot be reached\n")


def test_where_it_is_asked_only_those_read_whom_the_cluster_lets(site, serve) -> None:
    judge = Judge()
    ask = serve(Site(site.health, site.meter, site.workloads, judge))
    assert ask("/metrics")[0] == 401
    assert ask("/metrics")[1]["WWW-Authenticate"] == "Bearer"
    assert ask("/metrics", Authorization="Bearer bad")[0] == 401
    assert ask("/metrics", Authorization="Basic good")[0] == 401
    assert ask("/metrics?access_token=good")[0] == 401
    assert ask("/metrics", Authorization="bearer good")[0] == 200
    status, _, body = ask("/v1/cv/workloads?namespace=team", Authorization="Bearer poor")
    assert (status, body) == (403, "the cluster does not let you list containerversions.gitcd.io in namespace team\n")
    assert site.workloads().asked == []
    assert ask("/v1/cv/workloads/app?namespace=team", Authorization="Bearer good")[0] == 200
    assert judge.asked[-1] == Deed(group="gitcd.io", resource="containerversions", namespace="team")
    asked = len(judge.asked)
    assert [ask(path)[0] for path in ("/healthz", "/alive", "/version")] == [200, 200, 200]
    assert len(judge.asked) == asked


def test_so_many_at_once_and_no_more(site, serve, monkeypatch) -> None:
    ask = serve(site)
    with ExitStack() as stack:
        held = [stack.enter_context(socket.create_connection(("127.0.0.1", ask.port), timeout=10)) for _ in range(16)]
        time.sleep(0.1)
        late = stack.enter_context(socket.create_connection(("127.0.0.1", ask.port), timeout=10))
        assert late.recv(10) == b""
        for each in held:
            each.sendall(b"GET /version HTTP/1.0\r\n\r\n")
            assert each.recv(12) == b"HTTP/1.0 200"


def test_one_that_dawdles_is_cut_off(site, serve, monkeypatch) -> None:
    monkeypatch.setattr(controller_http, "_SECONDS", 0.2)
    ask = serve(site)
    with socket.create_connection(("127.0.0.1", ask.port), timeout=10) as slow:
        slow.sendall(b"GET /ver")
        assert slow.recv(10) == b""
    assert ask("/version")[0] == 200


def test_a_port_that_is_taken_is_a_mistake_of_the_setup(site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ConfigError, match="nothing can be served"):
        Server(site, "127.0.0.1", taken.getsockname()[1])


def declaration(spec: str):
    text = f"apiVersion: gitcd.io/v1\nkind: ContainerVersion\nmetadata: {{name: app, namespace: team}}\nspec: {{imageRepo: r.example.com/app, tag: env, {spec}}}\n"
    (declared,) = read_declarations("cv.yaml", text.encode()).declarations
    return declared


IMAGES = (("main", "r.example.com/app:1.0@sha256:" + "a" * 64), ("side", "other:2"), ("odd", "$(IMAGE)"))


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ("selector: {app: x}", [("web", "main", "1.0")]),
        ("selector: {pods: y}", [("web", "main", "1.0")]),
        ("selector: {app: z}", []),
        ("workload: {kind: Deployment, name: web}", [("web", "main", "1.0")]),
        ("workload: {kind: StatefulSet, name: web}", []),
        ("selector: {app: x}, container: {name: side}", [("web", "side", "2")]),
        ("selector: {app: x}, container: {name: odd}", [("web", "odd", "$(IMAGE)")]),
        ("pin: Digest", []),
    ],
)
def test_which_workloads_are_meant(spec, found) -> None:
    web = Workload("Deployment", "team", "web", ({"app": "x"}, {"pods": "y"}), IMAGES, 2)
    rows = match([declaration(spec)], [web])
    assert [(row.name, row.container, row.version) for row in rows] == found
