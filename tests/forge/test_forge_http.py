"""What goes out to a forge is bound to its origin, and what comes back has limits."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitcd import redact
from gitcd.forge import http
from gitcd.forge.failures import ForgeError
from gitcd.forge.http import Client, message_of
from gitcd.forge.limits import asked_to_wait
from gitcd.forge.tokens import GivenToken
from gitcd.model.pull import Trouble
from tests.support.fakes_hub import Fake, Reply, Request, route, serving
from tests.support.forges import Waits

TOKEN = "secret-token-of-a-forge"


class Things(Fake):
    """`answers` by path, sent as they are."""

    def __init__(self) -> None:
        super().__init__()
        self.hub.tokens = {TOKEN}
        self.answers: dict[str, tuple[int, Any, dict[str, str]]] = {}

    def carry_out(self, request: Request) -> tuple[int, Any, dict[str, str]]:
        return self.answers.get(request.path) or super().carry_out(request)

    @route("GET", "/list")
    def list(self, _request: Request) -> Reply:
        return 200, list(range(7))

    @route("POST", "/things")
    def make(self, request: Request) -> Reply:
        return 201, request.body


@pytest.fixture
def server() -> Iterator[Things]:
    fake = Things()
    with serving(fake):
        yield fake


@pytest.fixture
def stranger() -> Iterator[Things]:
    """Another host, which must never see a credential."""
    fake = Things()
    with serving(fake):
        yield fake


@pytest.fixture
def waits() -> Waits:
    return Waits()


@pytest.fixture
def client(server: Things, waits: Waits) -> Client:
    redact.register(TOKEN)
    return Client("Forge", server.url, GivenToken(TOKEN), clock=waits.clock)


def failure(client: Client, *words: Any, **more: Any) -> ForgeError:
    with pytest.raises(ForgeError) as caught:
        client.send(*words, **more)
    return caught.value


class TestOrigin:
    @pytest.mark.parametrize("status", [301, 302, 307, 308])
    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_T17_no_redirect_to_another_host(
        self, server: Things, stranger: Things, client: Client, status: int, method: str
    ) -> None:
        server.answers["/things"] = (status, None, {"Location": f"{stranger.url}/things"})
        error = failure(client, method, "things", None if method == "GET" else {"a": 1})
        assert error.trouble is Trouble.REFUSED
        assert "gets no token" in str(error)
        assert stranger.requests == []

    def test_T17_no_page_at_another_host(self, server: Things, stranger: Things, client: Client) -> None:
        server.answers["/list"] = (200, [1], {"Link": f'<{stranger.url}/list?page=2>; rel="next"'})
        pages = client.pages("list")
        assert next(pages).body == [1]
        with pytest.raises(ForgeError, match="is refused"):
            next(pages)
        assert stranger.requests == []

    @pytest.mark.parametrize(
        "location",
        [
            "http://127.0.0.1:1/x",
            "//example.com/x",
            "https://127.0.0.1/x",
            "http://localhost/x",
            "ftp://x/y",
            "http://[/",
        ],
    )
    def test_T17_another_port_scheme_or_name_is_another_host(
        self, server: Things, client: Client, location: str
    ) -> None:
        server.answers["/things"] = (307, None, {"Location": location})
        assert failure(client, "GET", "things").trouble is Trouble.REFUSED
        assert len(server.requests) == 1

    def test_a_moved_repository_is_followed_within_the_host(self, server: Things, client: Client) -> None:
        server.answers["/old"] = (301, None, {"Location": "/list"})
        assert client.get("old") == [0, 1, 2, 3, 4, 5, 6]

    def test_a_redirect_never_changes_the_method(self, server: Things, client: Client) -> None:
        server.answers["/old"] = (302, None, {"Location": "/things"})
        assert failure(client, "POST", "old", {"a": 1}).trouble is Trouble.REFUSED
        server.answers["/old"] = (308, None, {"Location": "/things"})
        assert client.send("POST", "old", {"a": 1}).body == {"a": 1}

    def test_a_circle_of_redirects_ends(self, server: Things, client: Client) -> None:
        server.answers["/old"] = (307, None, {"Location": "/old"})
        assert "in a circle" in str(failure(client, "GET", "old"))
        assert len(server.requests) == 4

    def test_pages_follow_the_link(self, server: Things, client: Client) -> None:
        server.page_size = 3
        assert [page.body for page in client.pages("list")] == [[0, 1, 2], [3, 4, 5], [6]]

    def test_endless_pages_end(self, server: Things, client: Client) -> None:
        server.answers["/list"] = (200, [1], {"Link": f'<{server.url}/list>; rel="next"'})
        assert len(list(client.pages("list"))) == http.MAX_PAGES


class TestSecrets:
    @pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 429, 500])
    def test_T10_an_error_that_echoes_the_token_does_not_show_it(
        self, server: Things, client: Client, status: int
    ) -> None:
        said = {"message": f"bad header: Authorization: Bearer {TOKEN}", "errors": [TOKEN]}
        server.answers["/things"] = (status, said, {})
        error = failure(client, "GET", f"things?x={TOKEN}" if status == 404 else "things")
        assert TOKEN not in f"{error} {error.failure!r} {error.failure.remedy}"

    def test_T10_neither_client_nor_token_shows_it(self, client: Client) -> None:
        assert TOKEN not in f"{client!r} {client.tokens!r} {client.tokens}"

    def test_T22_what_a_forge_says_cannot_steer_a_terminal(self, server: Things, client: Client) -> None:
        server.answers["/things"] = (422, {"message": "\x1b[2J\x9b31m\u202eevil\r\nSigned-off-by: x"}, {})
        message = failure(client, "GET", "things").failure.message
        assert message.endswith("[2J31mevil Signed-off-by: x")
        assert "\n" not in message

    def test_T22_how_much_a_forge_says_is_bounded(self, server: Things, client: Client) -> None:
        server.answers["/things"] = (422, {"message": "a" * 10_000, "errors": ["b" * 10_000] * 100}, {})
        assert len(failure(client, "GET", "things").failure.message) < 500


class TestAnswers:
    def test_more_than_is_sensible_is_refused(
        self, server: Things, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(http, "_MAX_BYTES", 2 << 20)
        server.answers["/things"] = (200, b'"' + b"a" * (3 << 20) + b'"', {})
        assert "more than 2 MiB" in str(failure(client, "GET", "things"))

    @pytest.mark.parametrize("body", [b"<html>Sign in</html>", b"\xff\xfe", b"[" * 100_000])
    def test_a_page_for_people_is_no_answer(self, server: Things, client: Client, body: bytes) -> None:
        server.answers["/things"] = (200, body, {})
        error = failure(client, "GET", "things")
        assert (error.trouble, error.failure.remedy) == (Trouble.REFUSED, "check forge.url")

    def test_an_error_page_is_quoted_without_its_tags(self, server: Things, client: Client) -> None:
        server.answers["/things"] = (404, b"<html><h1>Not here</h1></html>", {})
        assert "404: Not here" in str(failure(client, "GET", "things"))

    @pytest.mark.parametrize(
        ("body", "words"),
        [
            ({"message": "Validation Failed", "errors": [{"code": "custom", "message": "No commits"}]}, "Validation Failed, No commits, custom"),
            ({"message": {"title": ["is too long"]}}, ""),
            ({"message": ["one", "two"]}, "one, two"),
            ({"error": {"message": "not found"}}, "not found"),
            ({"type": "error", "error": {"message": "a", "detail": "b"}}, "a, b"),
            ("plain", "plain"),
            (None, ""),
            (17, ""),
        ],
    )  # fmt: skip
    def test_the_words_of_every_forge_are_found(self, body: Any, words: str) -> None:
        assert message_of(body) == words

    @given(
        st.recursive(
            st.none() | st.text() | st.integers(),
            lambda inner: (
                st.lists(inner) | st.dictionaries(st.sampled_from(["message", "errors", "error", "code"]), inner)
            ),
        )
    )
    def test_any_answer_has_words_on_one_line(self, body: Any) -> None:
        assert "\n" not in message_of(body)


class TestAttempts:
    def test_what_may_be_repeated_is(self, server: Things, client: Client, waits: Waits) -> None:
        server.fail("GET", "list", 503, times=2)
        assert len(client.get("list")) == 7
        assert (len(server.requests), len(waits.slept)) == (3, 2)

    def test_attempts_are_bounded_and_further_apart_each_time(
        self, server: Things, client: Client, waits: Waits
    ) -> None:
        server.fail("GET", "list", 500, times=99)
        assert failure(client, "GET", "list").trouble is Trouble.TRANSIENT
        assert len(server.requests) == http.ATTEMPTS
        assert [0.25 <= waits.slept[0] <= 0.5, 0.5 <= waits.slept[1] <= 1, 1 <= waits.slept[2] <= 2] == [True] * 3

    @pytest.mark.parametrize("status", [0, 500, 502, 504])
    def test_what_may_not_be_repeated_is_not(self, server: Things, client: Client, status: int) -> None:
        server.fail("POST", "things", status, times=99)
        error = failure(client, "POST", "things", {"a": 1})
        assert (error.trouble, error.unclear, len(server.requests)) == (Trouble.TRANSIENT, True, 1)

    def test_nobody_listens(self, waits: Waits) -> None:
        with socket.socket() as trial:
            trial.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{trial.getsockname()[1]}"
        error = failure(Client("Forge", url, GivenToken(TOKEN), clock=waits.clock), "POST", "things", {})
        assert (error.trouble, error.unclear) == (Trouble.TRANSIENT, False)
        assert "cannot be reached: Failed to establish a new connection" in str(error)
        assert len(waits.slept) == http.ATTEMPTS - 1

    def test_a_certificate_that_nobody_vouches_for(self, tmp_path: Path, waits: Waits) -> None:
        with _tls(tmp_path) as url:
            error = failure(Client("Forge", url, GivenToken(TOKEN), clock=waits.clock), "GET", "things")
        assert error.trouble is Trouble.TRANSIENT
        assert "no trusted connection" in str(error)

    @pytest.mark.parametrize("status", [400, 405, 409, 422])
    def test_a_refusal_is_final(self, server: Things, client: Client, status: int) -> None:
        server.fail("GET", "list", status, times=99, body={"message": "no"})
        error = failure(client, "GET", "list")
        assert (error.trouble, error.status, len(server.requests)) == (Trouble.REFUSED, status, 1)


class TestProxies:
    def test_a_proxy_of_the_environment_is_used(self, server: Things, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("http_proxy", server.url.replace("//", "//gitcd:proxy%2Fpassword@"))
        client = Client("Forge", "http://forge.example", GivenToken(TOKEN))
        assert client.get("list") == [0, 1, 2, 3, 4, 5, 6]
        (request,) = server.requests
        assert request.headers["host"] == "forge.example"
        assert request.headers["proxy-authorization"] == "Basic Z2l0Y2Q6cHJveHkvcGFzc3dvcmQ="
        assert redact.clean("it is proxy/password") == "it is ***"

    def test_no_proxy_is_used_where_none_shall_be(
        self, server: Things, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert len(client.get("list")) == 7


class TestRateLimits:
    @pytest.mark.parametrize(
        ("status", "headers", "said", "seconds"),
        [
            (429, {"retry-after": "17"}, "", 17),
            (429, {}, "", 60),
            (403, {"retry-after": "5"}, "You have exceeded a secondary rate limit", 5),
            (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1795400030"}, "API rate limit exceeded", 31),
            (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1795399000"}, "", 1),
            (429, {"ratelimit-remaining": "0", "ratelimit-reset": "1795400010"}, "", 11),
            (429, {"ratelimit-remaining": "0", "ratelimit-reset": "12"}, "", 12),
            (429, {"retry-after": "Mon, 23 Nov 2026 02:13:50 GMT"}, "", 30),
            (429, {"retry-after": "nonsense"}, "", 60),
            (403, {}, "You have exceeded a secondary rate limit. Please wait", 60),
            (403, {"x-ratelimit-remaining": "12"}, "Resource not accessible by integration", None),
            (503, {"retry-after": "3"}, "", 3),
            (503, {}, "", None),
            (404, {"retry-after": "3"}, "", None),
            (200, {"x-ratelimit-remaining": "0"}, "", None),
        ],
    )
    def test_F36_how_long_a_forge_asks_to_wait(
        self, status: int, headers: dict[str, str], said: str, seconds: float | None
    ) -> None:
        assert asked_to_wait(status, headers, said, 1795400000.0) == seconds

    @pytest.mark.parametrize("year", ["9" * 20, "10000", "2026 00:00:00 +" + "9" * 20])
    def test_F36_a_date_that_no_calendar_has_upsets_nothing(self, year: str) -> None:
        headers = {"retry-after": f"Mon, 01 Jan {year} 00:00:00 GMT"}
        assert asked_to_wait(429, headers, "", 1795400000.0) == 60.0

    @given(
        st.integers(200, 599),
        st.dictionaries(
            st.sampled_from(["retry-after", "x-ratelimit-remaining", "x-ratelimit-reset"]), st.text(max_size=12)
        ),
        st.text(),
    )
    def test_F36_no_header_upsets_it(self, status: int, headers: dict[str, str], said: str) -> None:
        wait = asked_to_wait(status, headers, said, time.time())
        assert wait is None or wait >= 0

    def test_F36_a_reset_within_the_deadline_is_waited_for(self, server: Things, client: Client, waits: Waits) -> None:
        reset = str(int(waits.start) + 20)
        client.deadline = waits.start + 60
        server.fail("POST", "things", 403, headers={"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset})
        assert client.send("POST", "things", {"a": 1}).status == 201
        assert 19 <= waits.slept[0] <= 22

    def test_F36_a_reset_beyond_the_deadline_is_not(self, server: Things, client: Client, waits: Waits) -> None:
        reset = str(int(waits.start) + 3000)
        client.deadline = waits.start + 60
        server.fail("*", "", 403, times=99, headers={"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset})
        error = failure(client, "GET", "list")
        assert (error.trouble, waits.slept, len(server.requests)) == (Trouble.RATE_LIMITED, [], 1)
        assert error.failure.retry_after is not None
        assert error.failure.retry_after > 2900

    def test_F36_without_a_deadline_nobody_waits_for_hours(self, server: Things, client: Client, waits: Waits) -> None:
        server.fail("*", "", 429, times=99, headers={"Retry-After": "3600"})
        assert failure(client, "GET", "list").trouble is Trouble.RATE_LIMITED
        assert waits.slept == []


def _tls(folder: Path) -> Any:
    """A server with a certificate that nobody knows; it hangs up on whoever does not mind."""
    import contextlib
    import threading

    certificate, key = _self_signed(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    @contextlib.contextmanager
    def serve() -> Iterator[str]:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            listening.settimeout(0.2)
            done = threading.Event()

            def accept() -> None:
                while not done.is_set():
                    with contextlib.suppress(OSError):
                        connection, _ = listening.accept()
                        context.wrap_socket(connection, server_side=True).close()

            thread = threading.Thread(target=accept, daemon=True)
            thread.start()
            yield f"https://127.0.0.1:{listening.getsockname()[1]}"
            done.set()
            thread.join()

    return serve()


def _self_signed(folder: Path) -> tuple[Path, Path]:
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, *plain))
    return folder / "cert.pem", folder / "key.pem"
