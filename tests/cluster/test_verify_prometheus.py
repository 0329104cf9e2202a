"""Checks by queries, of a real Prometheus, and of servers that only pretend to be one."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gitcd.cluster.prometheus import Prometheus
from gitcd.model.strategy import Verify
from gitcd.model.verdict import Verdict
from tests.conftest import CANARIES
from tests.support.listening import Quiet, listening
from tests.support.prometheus import prometheus

__all__ = ["prometheus"]

TOKEN = "token-of-the-operator-1234"


def looked(url, query, **spec):
    return Prometheus(url, seconds=5).look(Verify("Prometheus", query=query, **spec))


@pytest.mark.parametrize(
    ("query", "spec", "wanted", "evidence"),
    [
        ("vector(0.25)", {"max": "0.5"}, Verdict.PASS, "0.25 is at most 0.5"),
        ("vector(0.75)", {"max": "0.5"}, Verdict.FAIL, "0.75 is not at most 0.5"),
        ("scalar(vector(3))", {"min": "3"}, Verdict.PASS, "3 is at least 3"),
        ("absent(nothing_at_all)", {"min": "1"}, Verdict.PASS, "1 is at least 1"),
        ("nothing_at_all", {"max": "1"}, Verdict.INCONCLUSIVE, "the query has no result (onEmpty: Inconclusive)"),
        ("nothing_at_all", {"max": "1", "on_empty": "Fail"}, Verdict.FAIL, "the query has no result (onEmpty: Fail)"),
        ("nothing_at_all", {"max": "1", "on_empty": "Pass"}, Verdict.PASS, "the query has no result (onEmpty: Pass)"),
        (
            "vector(0) / vector(0)",
            {"max": "1"},
            Verdict.INCONCLUSIVE,
            "the query has no result (onEmpty: Inconclusive)",
        ),
        ("vector(1) / vector(0)", {"max": "1"}, Verdict.FAIL, "inf is not at most 1"),
        ("vector(1) > 2", {}, Verdict.INCONCLUSIVE, "the query has no result (onEmpty: Inconclusive)"),
        ("vector(3) > 2", {}, Verdict.PASS, "the query has the result 3"),
        (
            'label_replace(vector(9), "pod", "a", "", "") or label_replace(vector(8), "pod", "b", "", "")',
            {"max": "8.5"},
            Verdict.FAIL,
            "9 is not at most 8.5 for {pod=a}",
        ),
        ("up[1m]", {}, Verdict.INCONCLUSIVE, "the query results in a matrix, where a vector or a scalar is wanted"),
        ('"text"', {}, Verdict.INCONCLUSIVE, "the query results in a string, where a vector or a scalar is wanted"),
        ("sum(", {}, Verdict.INCONCLUSIVE, "Prometheus says bad_data: "),
    ],
)
def test_a_real_prometheus_is_asked(prometheus, query, spec, wanted, evidence):
    look = looked(prometheus, query, **spec)
    assert look.verdict is wanted
    assert look.evidence.startswith(evidence)


@pytest.mark.slow
def test_what_it_scraped_is_judged(prometheus):
    for _ in range(100):
        look = looked(prometheus, 'up{job="itself"}', min="1")
        if look.verdict is not Verdict.INCONCLUSIVE:
            break
        time.sleep(0.1)
    assert (look.verdict, look.evidence) == (Verdict.PASS, "1 is at least 1")


@contextmanager
def pretending(answer) -> Iterator[tuple[str, list[str]]]:
    """A server that does what `answer` does with each request; and the lines of what it was asked."""
    asked: list[str] = []

    class Handler(Quiet):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            asked.extend((f"POST {self.path}", self.headers.get("Authorization", ""), body))
            answer(self)

        def do_GET(self):
            asked.append(f"GET {self.path}")
            self.send_error(404)

    with listening(Handler) as port:
        yield f"http://127.0.0.1:{port}", asked


def saying(status, body, **headers):
    def answer(handler):
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

    return answer


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (saying(200, b"<html>"), "answers 200 with something else than a result"),
        (saying(502, b"bad gateway"), "answers 502 with something else than a result"),
        (saying(200, {"status": "success", "data": {"resultType": "vector", "result": [{}]}}), "cannot be read"),
        (saying(200, {"status": "success"}), "the query results in a None"),
        (saying(200, b"[" * (1 << 19)), "answers 200 with something else than a result"),
        (saying(200, b"[" * (1 << 21)), "the query has more than 1048576 bytes of results"),
        (saying(302, b"", Location="http://169.254.169.254/latest/meta-data"), "answers 302 with something else"),
        (lambda handler: time.sleep(1.5), "Prometheus does not answer in time"),
        (lambda handler: handler.connection.close(), "Prometheus breaks the connection off"),
    ],
)
def test_T16_what_is_no_result_is_inconclusive_and_no_redirect_is_followed(answer, words):
    with pretending(answer) as (url, asked):
        look = Prometheus(url, seconds=1).look(Verify("Prometheus", query="up"))
    assert (look.verdict, words in look.evidence) == (Verdict.INCONCLUSIVE, True), look
    assert len(asked) == 3, "asked once, and nowhere else"


def test_nobody_there_is_inconclusive():
    look = looked("http://127.0.0.1:9", "up")
    assert (look.verdict, look.evidence.startswith("Prometheus refuses connections: ")) == (Verdict.INCONCLUSIVE, True)


def test_an_answer_that_drips_is_not_waited_for():
    def drip(handler):
        handler.send_response(200)
        handler.end_headers()
        for _ in range(20):
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.2)

    with pretending(drip) as (url, _):
        look = Prometheus(url, seconds=1).look(Verify("Prometheus", query="up"))
    assert look.evidence == "Prometheus does not answer in time"


def test_T12_the_token_goes_to_prometheus_and_into_no_evidence():
    secret = CANARIES["GITHUB_TOKEN"]
    from gitcd import redact

    redact.register(secret)
    redact.register(TOKEN)
    echo = saying(400, {"status": "error", "errorType": "bad_data", "error": f"{secret} {TOKEN}"})
    with pretending(echo) as (url, asked):
        look = Prometheus(f"{url}/prefix/", TOKEN).look(Verify("Prometheus", query='up{a="&b=c"}'))
    assert look.evidence == "Prometheus says bad_data: *** ***"
    assert asked == [
        "POST /prefix/api/v1/query",
        f"Bearer {TOKEN}",
        "query=up%7Ba%3D%22%26b%3Dc%22%7D&timeout=15s",
    ]
