"""Registries that are no ECR: a real one filled by skopeo, and one that does as it is told for what no real one shows."""

import base64
import json
import os
import stat
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitcd import redact
from gitcd.model.evidence import Aspect, Inspection
from gitcd.model.reference import Repository
from gitcd.model.registry import Failure, Image
from gitcd.registry.docker_config import ANONYMOUS, Login, find_login
from gitcd.registry.labels import ImageSource
from gitcd.registry.oci import Oci, base_of
from gitcd.registry.oci_auth import Gate, challenge_of
from gitcd.registry.oci_http import Clock, Reply, Transport, UnreachedError
from gitcd.registry.oci_images import OciImages
from gitcd.registry.oci_tags import OciTags
from gitcd.registry.settings import Access, RegistrySettings
from gitcd.registry.tags import Manifest
from gitcd.web import origin
from tests.support.distribution import LOGIN, basic, push, registry, skopeo, token_server
from tests.support.oddregistry import OddRegistry, Said, error, sha256
from tests.support.tls import self_signed

VERSION = "org.opencontainers.image.version"
APP = "team/app"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("registries")


@pytest.fixture(scope="module")
def server(home):
    (home / "plain").mkdir()
    with registry(home / "plain") as running:
        yield running


@pytest.fixture(scope="module")
def locked(home):
    (home / "locked").mkdir()
    with registry(home / "locked", password=True) as running:
        push(running, APP, "1.0.0")
        yield running


@pytest.fixture(scope="module")
def tokens(home):
    (home / "tokens").mkdir()
    with token_server(home / "tokens") as selling, registry(home / "tokens", tokens=selling) as running:
        push(running, APP, "1.0.0")
        yield running


@pytest.fixture
def odd():
    with OddRegistry() as running:
        running.put(APP, "1.0.0")
        yield running


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    """Retries follow one another at once; their number stays as it is."""
    monkeypatch.setattr("gitcd.registry.oci_http._FIRST_PAUSE", 0)


def ask(server, name, repository=APP, oci=None):
    return (oci or Oci()).look_up(Repository(server.host, repository), [name])[name]


def as_user(server, user=LOGIN[0], password=LOGIN[1], **more):
    return RegistrySettings(access={server.host: Access(username=user, password=password, **more)})


def docker_config(monkeypatch, tmp_path, config):
    (tmp_path / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))


class TestARealRegistry:
    def test_a_tag_and_a_digest_name_the_image_that_skopeo_sees(self, server):
        digest = push(server, APP, "1.0.0", "env-dev")
        seen = json.loads(skopeo(server, "inspect", f"docker://{server.host}/{APP}:env-dev"))["Digest"]
        found = Oci().look_up(Repository(server.host, APP), ["1.0.0", "env-dev", digest])
        assert {each.digest for each in found.values()} == {digest} == {seen}
        assert (found["env-dev"].tags, found[digest].tags, found[digest].partial) == (("env-dev",), (), True)

    def test_F8_an_index_is_what_its_tag_names_and_not_one_of_its_images(self, server):
        index = push(server, "team/multi", "2.0.0", platforms=("amd64", "arm64"))
        found = ask(server, "2.0.0", "team/multi")
        assert (found.digest, found.media_type) == (index, "application/vnd.oci.image.index.v1+json")

    def test_F3_what_is_missing_is_said_by_name_and_the_rest_is_answered(self, server):
        push(server, APP, "1.0.0")
        found = Oci().look_up(Repository(server.host, APP), ["1.0.0", "9.9.9"])
        assert isinstance(found["1.0.0"], Image)
        assert (found["9.9.9"].reason, found["9.9.9"].transient) == ("ImageNotFound", False)
        assert found["9.9.9"].message == f"{server.host}/{APP} has no image for the tag 9.9.9"

    def test_one_request_asks_for_one_tag(self, server):
        push(server, APP, "1.0.0")
        oci = Oci()
        ask(server, "1.0.0", oci=oci)
        assert oci.calls == 1

    @pytest.mark.parametrize("platforms", [("amd64",), ("amd64", "arm64")])
    def test_the_version_is_what_the_image_says_and_its_tag_where_that_is_so(self, server, platforms):
        labels = {
            VERSION: "3.1.0",
            "org.opencontainers.image.source": "https://x/y",
            "org.opencontainers.image.revision": "abc",
        }
        name = f"team/labels{len(platforms)}"
        digest = push(server, name, "env-dev", labels=labels, platforms=platforms)
        found = ask(server, "env-dev", name, OciImages())
        assert (found.label, found.tags) == ("3.1.0", ("env-dev",))
        assert OciImages().source(Repository(server.host, name), digest) == ImageSource("https://x/y", "abc")
        push(server, name, "3.1.0", seed=f"{name}:env-dev", labels=labels, platforms=platforms)
        assert ask(server, "env-dev", name, OciImages()).tags == ("env-dev", "3.1.0")
        assert ask(server, digest, name, OciImages()).label == ""

    @pytest.mark.parametrize("label", ["", "not a tag", "1.0+build"])
    def test_a_label_that_is_no_tag_is_no_version(self, server, label):
        push(server, "team/odd", "env-dev", seed=label, labels={VERSION: label})
        assert ask(server, "env-dev", "team/odd", OciImages()).label == ""

    def test_retagging_puts_the_same_bytes(self, server):
        old, index = push(server, APP, "env-dev", seed="old"), push(server, APP, "4.0.0", platforms=("amd64", "arm64"))
        repository, oci = Repository(server.host, APP), OciTags()
        manifest = oci.manifests(repository, [index])[index]
        assert isinstance(manifest, Manifest)
        assert oci.put(repository, manifest, "env-dev") is None
        raw = skopeo(server, "inspect", "--raw", f"docker://{server.host}/{APP}:env-dev")
        assert sha256(raw.encode()) == index != old

    def test_all_images_are_listed_with_their_tags(self, server):
        digest = push(server, "team/listed", "1.0.0", "env-dev")
        assert {image.digest: image.tags for image in OciTags().images(Repository(server.host, "team/listed"))} == {
            digest: ("1.0.0", "env-dev")
        }
        missing = list(OciTags().images(Repository(server.host, "team/nothing")))
        assert [each.reason for each in missing] == ["RepositoryNotFound"]


class TestTheWayThere:
    def test_a_certificate_counts_where_its_authority_is_known(self, home, monkeypatch):
        (home / "tls").mkdir()
        with registry(home / "tls", certificate=self_signed(home / "tls")) as running:
            push(running, APP, "1.0.0")
            settings = RegistrySettings(access={running.host: Access(endpoint_url=running.url, kind="oci")})
            assert ask(running, "1.0.0", oci=Oci(settings)).reason == "TlsFailed"
            monkeypatch.setenv("SSL_CERT_FILE", str(home / "tls" / "certificate.pem"))
            assert isinstance(ask(running, "1.0.0", oci=Oci(settings)), Image)

    def test_the_proxy_of_the_environment_is_asked_for_others_than_this_machine(self, odd, monkeypatch):
        monkeypatch.setenv("http_proxy", odd.url.replace("//", "//user:proxy-password@"))
        monkeypatch.setenv("no_proxy", "direct.example.com")
        there = type("There", (), {"host": "registry.example.com"})
        settings = RegistrySettings(access={there.host: Access(plain_http=True)})
        assert isinstance(ask(there, "1.0.0", oci=Oci(settings)), Image)
        assert [each.path for each in odd.asked] == [f"http://registry.example.com/v2/{APP}/manifests/1.0.0"]
        assert "proxy-password" not in redact.clean("it is proxy-password")

    def test_a_settings_endpoint_is_asked_in_place_of_the_host(self, odd):
        mirrored = type("Mirrored", (), {"host": "registry.example.com"})
        settings = RegistrySettings(
            access={mirrored.host: Access(endpoint_url=odd.url, kind="oci")}, region="us-east-1"
        )
        assert isinstance(ask(mirrored, "1.0.0", oci=Oci(settings)), Image)

    @pytest.mark.parametrize(
        ("host", "access", "expected"),
        [
            ("", None, True),
            ("123456789012.dkr.ecr.us-east-1.amazonaws.com", None, True),
            ("123456789012.dkr.ecr.us-east-1.amazonaws.com", Access(kind="oci"), True),
            ("public.ecr.aws", None, False),
            ("docker.io", None, False),
            ("ecr.internal", Access(endpoint_url="http://x"), True),
            ("ecr.internal", Access(endpoint_url="http://x", kind="oci"), False),
            ("ecr.internal", Access(endpoint_url="http://x", username="ann"), False),
            ("ecr.internal", Access(kind="ecr"), True),
            ("r.example.com", Access(role_arn="arn:x"), False),
        ],
    )
    def test_what_is_asked_by_the_api_of_ecr(self, host, access, expected):
        settings = RegistrySettings("http://general", "us-east-1", {host: access} if access else {})
        assert settings.is_ecr(Repository(host, APP)) is expected


class TestCredentials:
    def test_without_any_a_locked_registry_says_how_to_get_in(self, locked):
        found = ask(locked, "1.0.0")
        assert (found.reason, found.remedy[:14]) == ("CredentialsMissing", "`docker login ")

    def test_those_of_the_operator_count(self, locked):
        assert isinstance(ask(locked, "1.0.0", oci=Oci(as_user(locked))), Image)
        found = ask(locked, "1.0.0", oci=Oci(as_user(locked, password="wrong-password")))
        assert found.reason == "InvalidCredentials"
        assert "wrong-password" not in found.message

    def test_the_first_request_that_needs_them_carries_them_and_then_all_do(self, locked):
        oci = Oci(as_user(locked))
        for _ in range(3):
            assert isinstance(ask(locked, "1.0.0", oci=oci), Image)
        assert oci.calls == 4

    @pytest.mark.parametrize("key", ["{}", "https://{}", "https://{}/v1/"])
    def test_docker_login_is_enough(self, locked, monkeypatch, tmp_path, key):
        auth = base64.b64encode(":".join(LOGIN).encode()).decode()
        docker_config(monkeypatch, tmp_path, {"auths": {key.format(locked.host): {"auth": auth}}})
        assert isinstance(ask(locked, "1.0.0"), Image)

    def test_podmans_file_is_read_too(self, locked, monkeypatch, tmp_path):
        auth = base64.b64encode(":".join(LOGIN).encode()).decode()
        (tmp_path / "auth.json").write_text(json.dumps({"auths": {locked.host: {"auth": auth}}}))
        monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
        assert isinstance(ask(locked, "1.0.0"), Image)

    @pytest.mark.parametrize("how", ["credHelpers", "credsStore"])
    def test_T10_a_helper_gets_the_host_on_stdin_and_nothing_on_its_command_line(
        self, locked, monkeypatch, tmp_path, how
    ):
        seen = helper(monkeypatch, tmp_path, {"Username": LOGIN[0], "Secret": LOGIN[1]})
        docker_config(monkeypatch, tmp_path, {how: {locked.host: "tests"} if how == "credHelpers" else "tests"})
        assert isinstance(ask(locked, "1.0.0"), Image)
        assert seen.read_text() == f"get {locked.host}"

    def test_T10_a_helper_that_fails_is_named_and_what_it_says_is_not_repeated(self, monkeypatch, tmp_path):
        helper(monkeypatch, tmp_path, "secret-in-the-noise", status=1)
        docker_config(monkeypatch, tmp_path, {"credHelpers": {"r.example.com": "tests"}})
        found = find_login("r.example.com")
        assert (found.reason, "secret-in-the-noise" in str(found)) == ("CredentialHelperFailed", False)

    def test_a_helper_that_knows_nothing_lets_one_go_without(self, monkeypatch, tmp_path):
        helper(monkeypatch, tmp_path, "credentials not found in native keychain", status=1)
        docker_config(monkeypatch, tmp_path, {"credsStore": "tests"})
        assert find_login("r.example.com") == ANONYMOUS

    def test_a_helper_that_is_not_there_or_no_program_is_told(self, monkeypatch, tmp_path):
        docker_config(monkeypatch, tmp_path, {"credHelpers": {"r.example.com": "absent", "s.example.com": "../evil"}})
        assert find_login("r.example.com").reason == "CredentialHelperMissing"
        assert find_login("s.example.com").reason == "CredentialsUnreadable"

    @pytest.mark.parametrize(
        "said", ["[]", '{"Username": "x"}', "nonsense", '{"Username": null, "Secret": "x"}', '{"Username": "x", "Secret": [1]}']
    )  # fmt: skip
    def test_a_helper_that_answers_something_else_is_told(self, monkeypatch, tmp_path, said):
        helper(monkeypatch, tmp_path, said)
        docker_config(monkeypatch, tmp_path, {"credsStore": "tests"})
        assert find_login("r.example.com").reason == "CredentialHelperFailed"

    @pytest.mark.parametrize(
        "config", ["{", "[]", '{"auths": {"r.example.com": {"auth": "no base64"}}}', '{"auths": {"r.example.com": 1}}',
                   '{"auths": {"r.example.com": {"auth": "YWxpY2U="}}}']
    )  # fmt: skip
    def test_a_file_that_cannot_be_understood_is_told_and_not_quoted(self, monkeypatch, tmp_path, config):
        docker_config(monkeypatch, tmp_path, config)
        found = find_login("r.example.com")
        assert (found.reason, str(tmp_path) in found.message) == ("CredentialsUnreadable", True)

    def test_a_folder_that_may_not_be_entered_holds_nothing(self, monkeypatch, tmp_path):
        def is_file(_path):
            raise PermissionError

        docker_config(monkeypatch, tmp_path, {})
        monkeypatch.setattr("pathlib.Path.is_file", is_file)
        found = find_login("r.example.com")
        assert (found.reason, str(tmp_path) in found.message) == ("CredentialsUnreadable", True)

    @pytest.mark.parametrize("entry", [{"username": None, "password": None}, {"auth": None}, {}])
    def test_an_entry_without_anything_is_none(self, monkeypatch, tmp_path, entry):
        docker_config(monkeypatch, tmp_path, {"auths": {"r.example.com": entry}})
        assert find_login("r.example.com") == ANONYMOUS

    @pytest.mark.parametrize("entry", [{"username": "a", "password": "\ud800"}, {"identitytoken": "\ud800"}])
    def test_text_that_cannot_be_sent_is_refused_by_the_registry(self, tokens, locked, monkeypatch, tmp_path, entry):
        docker_config(monkeypatch, tmp_path, {"auths": dict.fromkeys([tokens.host, locked.host], entry)})
        assert ask(tokens, "1.0.0").reason == "InvalidCredentials"
        assert ask(locked, "1.0.0").reason in {"InvalidCredentials", "CredentialsMissing"}

    def test_docker_hub_is_found_under_its_old_address(self, monkeypatch, tmp_path):
        auth = base64.b64encode(b"ann:hub-password-77").decode()
        docker_config(monkeypatch, tmp_path, {"auths": {"https://index.docker.io/v1/": {"auth": auth}}})
        assert find_login("docker.io") == Login("ann", "hub-password-77")
        assert base_of("docker.io", Access()) == "https://registry-1.docker.io"

    def test_T10_every_secret_that_was_read_is_masked_from_then_on(self, monkeypatch, tmp_path):
        auth = base64.b64encode(b"ann:masked-password-1").decode()
        docker_config(monkeypatch, tmp_path, {"auths": {"r.example.com": {"auth": auth}}})
        assert "masked" not in repr(find_login("r.example.com"))
        assert "masked-password-1" not in redact.clean("it is masked-password-1")


def helper(monkeypatch, folder, answer, status=0):
    """A credential helper on the path; the file it returns holds the command line and stdin of the last call."""
    seen, said = folder / "seen", folder / "said"
    said.write_text(answer if isinstance(answer, str) else json.dumps(answer))
    program = folder / "docker-credential-tests"
    program.write_text(f'#!/bin/sh\nprintf "%s " "$@" > {seen}\ncat >> {seen}\ncat {said}\nexit {status}\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return seen


class TestTokens:
    def test_anybody_may_read_what_is_public(self, tokens):
        tokens.tokens.asked.clear()
        assert isinstance(ask(tokens, "1.0.0"), Image)
        ((query, authorization),) = tokens.tokens.asked
        assert (query, authorization) == ("service=registry.test&scope=repository%3Ateam%2Fapp%3Apull", "")

    def test_T10_one_that_is_not_known_by_its_form_is_shown_nowhere_and_used_until_it_ends(self, monkeypatch):
        token, now = "opaque-token-of-no-known-form-0123456789", [1000.0]

        class Shop:
            name, base = "registry.example.com", "https://registry.example.com"

            def send(self, _method, url, _headers, **_more):
                return Reply(200, {}, json.dumps({"token": token, "expires_in": 60}).encode(), url)

        monkeypatch.setattr("gitcd.registry.oci_auth.time", SimpleNamespace(monotonic=lambda: now[0]))
        gate = Gate(Shop(), lambda: ANONYMOUS)
        asked = {"www-authenticate": 'Bearer realm="https://registry.example.com/token",service="registry"'}
        assert gate.answer(Reply(401, asked, b"", "https://registry.example.com/v2/"), "pull", {}) is None
        assert token not in redact.clean(f"the server says: {token}")
        assert gate.headers("pull") == {"Authorization": f"Bearer {token}"}
        now[0] += 49
        assert gate.headers("pull")
        now[0] += 1
        assert gate.headers("pull") == {}, "not in the last seconds, either"

    def test_a_token_is_bought_once_for_a_repository(self, tokens):
        tokens.tokens.asked.clear()
        oci = Oci(as_user(tokens))
        for _ in range(3):
            assert isinstance(ask(tokens, "1.0.0", oci=oci), Image)
        assert [authorization for _, authorization in tokens.tokens.asked] == [basic(*LOGIN)]

    def test_many_threads_at_once_buy_one(self, tokens):
        tokens.tokens.asked.clear()
        names = [f"{number}.0.0" for number in range(20)]
        found = Oci(as_user(tokens)).look_up(Repository(tokens.host, APP), names)
        assert len(tokens.tokens.asked) == 1
        assert isinstance(found["1.0.0"], Image)

    def test_wrong_credentials_are_shown_a_few_times_and_no_more(self, tokens, locked):
        tokens.tokens.asked.clear()
        for running in (tokens, locked):
            oci = Oci(as_user(running, password="wrong-password"))
            found = [ask(running, "1.0.0", f"team/app-{number}", oci) for number in range(10)]
            assert {each.reason for each in found} == {"InvalidCredentials"}
            assert "team/app-9" in found[-1].message
            assert oci.calls <= 13
        assert len(tokens.tokens.asked) == 3

    def test_who_was_let_in_once_goes_on(self, tokens, monkeypatch):
        oci, sell = Oci(as_user(tokens)), tokens.tokens.answer
        assert isinstance(ask(tokens, "1.0.0", oci=oci), Image)
        monkeypatch.setattr(tokens.tokens, "answer", lambda *_: None)
        assert {ask(tokens, "1.0.0", f"team/no-{each}", oci).reason for each in range(5)} == {"InvalidCredentials"}
        monkeypatch.setattr(tokens.tokens, "answer", sell)
        assert ask(tokens, "1.0.0", "team/another", oci).reason == "ImageNotFound"

    def test_who_is_not_known_is_told_so(self, tokens):
        assert ask(tokens, "1.0.0", oci=Oci(as_user(tokens, password="wrong-password"))).reason == "InvalidCredentials"

    def test_an_identity_token_buys_tokens_too(self, tokens, monkeypatch, tmp_path):
        docker_config(monkeypatch, tmp_path, {"auths": {tokens.host: {"identitytoken": f"identity-{LOGIN[1]}"}}})
        monkeypatch.setattr(tokens.tokens, "public", False)
        assert isinstance(ask(tokens, "1.0.0"), Image)
        docker_config(monkeypatch, tmp_path, {"auths": {tokens.host: {"identitytoken": "another-one"}}})
        assert ask(tokens, "1.0.0").reason == "InvalidCredentials"

    def test_pushing_asks_for_the_right_to(self, tokens):
        digest, repository = push(tokens, APP, "1.0.0"), Repository(tokens.host, APP)
        oci = OciTags(as_user(tokens))
        assert oci.put(repository, oci.manifests(repository, [digest])[digest], "env-dev") is None
        anybody = OciTags()
        failure = anybody.put(repository, anybody.manifests(repository, [digest])[digest], "env-dev")
        assert (failure.reason, "may push" in failure.remedy) == ("AccessDenied", True)

    def test_F2_a_token_that_is_no_longer_good_is_renewed_once(self, odd, home):
        with token_server(home) as selling:
            challenge = {
                "WWW-Authenticate": f'Bearer realm="{selling.realm}",service="s",scope="repository:{APP}:pull"'
            }
            odd.answers["HEAD manifests/1.0.0"] = [Said(401, challenge), Said(body=None), Said(401, challenge)]
            oci = Oci()
            assert isinstance(ask(odd, "1.0.0", oci=oci), Image)
            assert isinstance(ask(odd, "1.0.0", oci=oci), Image)
            assert len(selling.asked) == 2
            for method in ("HEAD", "GET"):
                odd.answers[f"{method} manifests/1.0.0"] = [Said(401, challenge)] * 9
            assert ask(odd, "1.0.0", oci=oci).reason == "AccessDenied"
            assert len(selling.asked) == 6  # two tries each for HEAD and, to know why, for GET

    @pytest.mark.parametrize(
        "realm",
        ["http://tokens.example.com/t", "ftp://x/t", "", "http://127.0.0.2:1/t", "http://[::1/t", "https://169.254.169.254/t",
         "https://[fe80::1]/t"],
    )  # fmt: skip
    def test_T17_credentials_go_to_no_address_that_could_be_anybodys(self, odd, realm):
        odd.answers["HEAD manifests/1.0.0"] = [Said(401, {"WWW-Authenticate": f'Bearer realm="{realm}",service="s"'})]
        found = ask(odd, "1.0.0", oci=Oci(as_user(odd)))
        assert found.reason in {"TokenAddressRefused", "RedirectRefused"}
        assert [each.authorization for each in odd.asked] == [""]

    @pytest.mark.parametrize(
        "body", [b"{}", b"[]", b"nonsense", b'{"token": "a\\nb"}', b'{"token": 7, "expires_in": "x"}']
    )
    def test_what_is_no_token_is_not_used(self, odd, body):
        realm = f"{odd.url}/token"
        odd.answers["HEAD manifests/1.0.0"] = [Said(401, {"WWW-Authenticate": f'Bearer realm="{realm}"'})]
        odd.answers["GET scope=repository%3Ateam%2Fapp%3Apull"] = [Said(200, {}, body)]
        assert ask(odd, "1.0.0").reason == "MalformedAnswer"

    def test_a_registry_that_does_not_say_how_is_told_so(self, odd):
        odd.answers["HEAD manifests/1.0.0"] = [Said(401)]
        assert ask(odd, "1.0.0").reason == "AccessDenied"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('Bearer realm="https://a/t?x=1",service="s, t",scope="repository:a:pull,push"',
         ("bearer", "https://a/t?x=1", "s, t", "repository:a:pull,push")),
        ("bearer realm=https://a/t", ("bearer", "https://a/t", "", "")),
        ('Basic realm="x \\"y\\""', ("basic", 'x "y"', "", "")),
        ('Negotiate, Basic realm="a"', ("basic", "a", "", "")),
        ('Bearer realm="https://a/t",service="s", Basic realm="b"', ("bearer", "https://a/t", "s", "")),
        ('Basic realm="b, Bearer x=y", Bearer realm="https://a/t",service="s"', ("bearer", "https://a/t", "s", "")),
        ("BASIC", ("basic", "", "", "")),
        ("Negotiate abc==", None),
        ("", None),
    ],
)  # fmt: skip
def test_challenges(header, expected):
    found = challenge_of(Reply(401, {"www-authenticate": header}, b"", ""))
    assert (found and (found.scheme, found.realm, found.service, found.scope)) == expected


def test_T18_a_long_challenge_takes_no_longer_than_its_length_asks():
    for odd in ("_", "a", "a ", 'a="', "_a", "a= ", "\\", 'a="\\'):
        challenge_of(Reply(401, {"www-authenticate": odd * 200_000}, b"", ""))  # hours, if it were squared


@given(st.text())
def test_whatever_a_challenge_says_it_is_read_or_left(header):
    found = challenge_of(Reply(401, {"www-authenticate": header}, b"", ""))
    assert found is None or found.scheme in {"basic", "bearer"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["auth", "username", "r.example.com", "identitytoken", "x"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.dictionaries(st.sampled_from(["auths", "HttpHeaders"]), JSON) | JSON)
def test_whatever_stands_in_a_file_of_credentials_it_is_read_or_told(tmp_path, config):
    (tmp_path / "config.json").write_text(json.dumps(config))
    found = find_login("r.example.com", {"DOCKER_CONFIG": str(tmp_path)})
    assert isinstance(found, Login) or found.reason == "CredentialsUnreadable"


@given(st.text(), st.sampled_from(["http", "https", "HTTPS"]), st.integers(0, 70_000))
def test_an_origin_is_one_or_none(host, scheme, port):
    found = origin(f"{scheme}://{host}:{port}/x")
    assert found is None or (found[0] == scheme.lower() and found[1])


class TestFaults:
    def test_without_a_digest_in_the_answer_it_is_computed(self, odd):
        for method in ("HEAD", "GET"):
            odd.answers[f"{method} manifests/1.0.0"] = [Said(body=None, without=("Docker-Content-Digest",))]
        assert ask(odd, "1.0.0").digest == sha256(odd.manifests[APP, "1.0.0"])
        assert [each.method for each in odd.asked] == ["HEAD", "GET"]

    def test_a_registry_without_HEAD_is_asked_by_GET(self, odd):
        odd.answers["HEAD manifests/1.0.0"] = [Said(405)]
        assert isinstance(ask(odd, "1.0.0"), Image)

    @pytest.mark.parametrize("digest", ["sha512:abc", "sha256:" + "g" * 64, "nonsense\x1b[31m"])
    def test_F9_what_is_no_digest_is_refused(self, odd, digest):
        odd.answers["HEAD manifests/1.0.0"] = [Said(200, {"Docker-Content-Digest": digest})]
        found = ask(odd, "1.0.0")
        assert (found.reason, "\x1b" in found.message) == ("InvalidDigest", False)

    def test_F9_bytes_that_are_not_those_of_the_digest_are_refused(self, odd):
        other = "sha256:" + "0" * 64
        odd.answers["HEAD manifests/1.0.0"] = [Said(405)]
        odd.answers["GET manifests/1.0.0"] = [Said(body=None, headers={"Docker-Content-Digest": other})]
        assert ask(odd, "1.0.0").reason == "InvalidDigest"
        odd.manifests[APP, other] = odd.manifests[APP, "1.0.0"]
        assert ask(odd, other).reason == "InvalidDigest"
        assert OciTags().manifests(Repository(odd.host, APP), [other])[other].reason == "InvalidDigest"

    def test_a_configuration_that_is_not_there_is_no_image_that_is_not(self, odd):
        digest = odd.put(APP, "2.0.0")
        odd.blobs.clear()
        found = OciImages().source(Repository(odd.host, APP), digest)
        assert (found.reason, "configuration" in found.message) == ("ImageIncomplete", True)

    def test_a_configuration_that_is_not_what_its_digest_says_is_refused(self, odd):
        digest = odd.put(APP, "2.0.0")
        odd.blobs = dict.fromkeys(odd.blobs, b"{}")
        found = OciImages().source(Repository(odd.host, APP), digest)
        assert (found.reason, found.transient) == ("MalformedAnswer", True)

    @pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
    def test_F1_what_is_busy_is_asked_again(self, odd, status):
        odd.answers["HEAD manifests/1.0.0"] = [Said(status)] * 4
        assert isinstance(ask(odd, "1.0.0"), Image)

    @pytest.mark.parametrize(("status", "reason"), [(429, "Throttled"), (503, "RegistryUnavailable")])
    def test_F1_what_stays_busy_fails_for_now(self, odd, status, reason):
        odd.answers["HEAD manifests/1.0.0"] = [Said(status)] * 9
        found = ask(odd, "1.0.0")
        assert (found.reason, found.transient, len(odd.asked)) == (reason, True, 5)

    def test_F36_a_registry_that_wants_to_be_left_alone_for_long_is_left_alone(self, odd):
        odd.answers["HEAD manifests/1.0.0"] = [Said(429, {"Retry-After": "3600"})] * 9
        assert ask(odd, "1.0.0").reason == "Throttled"
        assert len(odd.asked) == 1

    def test_F36_and_waited_for_where_it_is_short(self, odd):
        odd.answers["HEAD manifests/1.0.0"] = [
            Said(429, {"Retry-After": "0"}),
            Said(503, {"Retry-After": "Thu, 01 Jan 2026 00:00:00 GMT"}),
            Said(503, {"Retry-After": f"Thu, 01 Jan 2026 00:00:00 +{'9' * 20}"}),
        ]
        assert isinstance(ask(odd, "1.0.0"), Image)

    def test_F10_a_body_that_is_cut_short_is_asked_for_again(self, odd):
        odd.answers["HEAD manifests/1.0.0"] = [Said(405)]
        odd.answers["GET manifests/1.0.0"] = [Said(body=None, cut=True)]
        assert isinstance(ask(odd, "1.0.0"), Image)

    def test_F10_a_registry_that_does_not_answer_is_given_up(self, odd, monkeypatch):
        monkeypatch.setattr("gitcd.registry.oci_http._READ_SECONDS", 0.1)
        odd.answers["HEAD manifests/1.0.0"] = [Said(delay=0.3), Said(body=None)]
        assert isinstance(ask(odd, "1.0.0"), Image)
        odd.asked.clear()
        odd.answers["HEAD manifests/1.0.0"] = [Said(delay=0.3)] * 9
        found = ask(odd, "1.0.0")
        assert (found.reason, found.transient, len(odd.asked)) == ("Timeout", True, 5)

    def test_F10_a_body_that_only_trickles_is_given_up(self, odd):
        now = iter(range(0, 100_000, 7))
        clock = Clock(now=lambda: next(now), sleep=lambda _: None)
        odd.manifests[APP, "large"] = b" " * (4 << 20)
        transport = Transport(odd.host, odd.url, lambda: None, clock)
        with pytest.raises(UnreachedError) as raised:
            transport.send("GET", f"{odd.url}/v2/{APP}/manifests/large")
        assert (raised.value.failure.reason, raised.value.failure.transient) == ("Timeout", True)
        assert transport.send("GET", f"{odd.url}/v2/{APP}/manifests/1.0.0").status == 200

    def test_F10_a_registry_that_was_waited_for_long_enough_is_not_asked_again(self, odd):
        now = iter(range(0, 1000, 40))
        clock = Clock(now=lambda: next(now), sleep=lambda _: None)
        said = [Said(503)] * 9
        odd.answers["HEAD manifests/1.0.0"] = said
        reply = Transport(odd.host, odd.url, lambda: None, clock).send("HEAD", f"{odd.url}/v2/{APP}/manifests/1.0.0")
        assert (reply.status, len(odd.asked)) == (503, 2)

    def test_F10_nobody_there_is_transient(self):
        found = ask(type("Nobody", (), {"host": "127.0.0.1:1"}), "1.0.0")
        assert (found.reason, found.transient) == ("ConnectionFailed", True)

    def test_F11_a_registry_without_tls_is_none_where_nobody_says_so(self, odd):
        settings = RegistrySettings(access={odd.host: Access(endpoint_url=f"https://{odd.host}", kind="oci")})
        found = ask(odd, "1.0.0", oci=Oci(settings))
        assert (found.reason, found.transient) == ("TlsFailed", True)

    @pytest.mark.parametrize(
        ("host", "access", "base"),
        [
            ("r.example.com", Access(), "https://r.example.com"),
            ("r.example.com:5000", Access(plain_http=True), "http://r.example.com:5000"),
            ("localhost:5000", Access(), "http://localhost:5000"),
            ("127.0.0.1", Access(), "http://127.0.0.1"),
            ("[::1]:5000", Access(), "http://[::1]:5000"),
            ("localhost.example.com", Access(), "https://localhost.example.com"),
            ("10.0.0.7:5000", Access(), "https://10.0.0.7:5000"),
            ("r.example.com", Access(endpoint_url="http://mirror:8080/"), "http://mirror:8080"),
        ],
    )
    def test_T16_only_this_machine_is_asked_without_tls_unless_the_operator_says_so(self, host, access, base):
        assert base_of(host, access) == base

    @pytest.mark.parametrize(
        "host",
        ["169.254.169.254", "169.254.170.2:443", "[fe80::1]", "[::ffff:169.254.169.254]", "2852039166:80", "169.254.43518:1",
         "0xa9.254.169.0376:80"],
    )  # fmt: skip
    def test_T16_where_machines_keep_credentials_nobody_is_asked(self, host):
        found = ask(type("Metadata", (), {"host": host}), "1.0.0")
        assert found.reason == "RedirectRefused"

    def test_T17_a_redirect_is_followed_without_credentials(self, odd):
        with OddRegistry() as other:
            other.manifests[APP, "1.0.0"] = odd.manifests[APP, "1.0.0"]
            there = f"{other.url}/v2/{APP}/manifests/1.0.0"
            odd.answers["HEAD manifests/1.0.0"] = [
                Said(401, {"WWW-Authenticate": "Basic realm=x"}),
                Said(307, {"Location": there}),
            ]
            assert isinstance(ask(odd, "1.0.0", oci=Oci(as_user(odd))), Image)
            assert [each.authorization for each in odd.asked] == ["", basic(*LOGIN)]
            assert [each.authorization for each in other.asked] == [""]

    def test_T17_another_host_that_a_redirect_leads_to_cannot_ask_for_credentials(self, odd):
        with OddRegistry() as other:
            away = Said(307, {"Location": f"{other.url}/v2/{APP}/manifests/1.0.0"})
            challenge = {"WWW-Authenticate": f'Bearer realm="{other.url}/token",service="s"'}
            for method in ("HEAD", "GET"):
                odd.answers[f"{method} manifests/1.0.0"] = [away] * 9
                other.answers[f"{method} manifests/1.0.0"] = [Said(401, challenge)] * 9
            found = ask(odd, "1.0.0", oci=Oci(as_user(odd)))
            assert (found.reason, "redirected to 127.0.0.1" in found.message) == ("AccessDenied", True)
            assert {each.authorization for each in (*odd.asked, *other.asked)} == {""}
            assert other.counted("/token") == 0

    def test_T16_this_machine_is_not_asked_by_way_of_a_proxy(self, odd, monkeypatch):
        with OddRegistry() as proxy:
            for name in ("http_proxy", "HTTP_PROXY"):
                monkeypatch.setenv(name, proxy.url)
            assert isinstance(ask(odd, "1.0.0"), Image)
            assert proxy.asked == []

    @pytest.mark.parametrize(
        "location", ["http://169.254.169.254/latest", "ftp://x/y", "file:///etc/passwd", "http://[/", "http://2852039166/"]
    )  # fmt: skip
    def test_T16_a_redirect_astray_is_refused(self, odd, location):
        odd.answers["HEAD manifests/1.0.0"] = [Said(307, {"Location": location})]
        assert ask(odd, "1.0.0").reason == "RedirectRefused"

    def test_redirects_in_a_circle_end(self, odd):
        odd.answers["HEAD manifests/1.0.0"] = [Said(307, {"Location": f"/v2/{APP}/manifests/1.0.0"})] * 9
        assert ask(odd, "1.0.0").reason == "TooManyRedirects"

    def test_T18_an_answer_without_end_is_cut_off(self, odd):
        odd.manifests[APP, "huge"] = b" " * ((4 << 20) + 2)
        odd.answers["HEAD manifests/huge"] = [Said(405)]
        assert ask(odd, "huge").reason == "AnswerTooLarge"

    @pytest.mark.parametrize(
        ("said", "reason"),
        [
            (error(404, "NAME_UNKNOWN"), "RepositoryNotFound"),
            (error(404, "MANIFEST_UNKNOWN"), "ImageNotFound"),
            (error(403, "DENIED", "no\x1b[31m access"), "AccessDenied"),
            (error(400, "TAG_INVALID"), "RequestRefused"),
            (Said(404, {}, b"<html>"), "ImageNotFound"),
        ],
    )
    def test_F5_what_the_registry_says_is_told(self, odd, said, reason):
        odd.answers["HEAD manifests/1.0.0"] = [Said(404)]
        odd.answers["GET manifests/1.0.0"] = [said]
        found = ask(odd, "1.0.0")
        assert (found.reason, found.transient, "\x1b" in found.message) == (reason, False, False)

    def test_T14_what_is_not_allowed_is_not_asked(self, odd):
        oci = OciImages(RegistrySettings(allowed=("r.example.com",)))
        assert ask(odd, "1.0.0", oci=oci).reason == "RegistryNotAllowed"
        assert oci.page(Repository(odd.host, APP), "").reason == "RegistryNotAllowed"
        assert odd.asked == []

    def test_nothing_is_known_of_findings_and_signatures(self, odd):
        found = OciImages().inspect(Inspection(Repository(odd.host, APP), "sha256:" + "0" * 64, Aspect.SCAN))
        assert (isinstance(found, Failure), found.transient) == (True, False)

    @pytest.mark.parametrize(
        ("status", "reason"),
        [(409, "ImmutableTag"), (412, "ImmutableTag"), (405, "RegistryReadOnly"), (500, "RegistryUnavailable")],
    )
    def test_why_a_tag_could_not_be_put(self, odd, status, reason):
        digest, repository, oci = odd.put(APP, "1.0.0"), Repository(odd.host, APP), OciTags()
        odd.answers["PUT manifests/env"] = [Said(status)] * 9
        assert oci.put(repository, oci.manifests(repository, [digest])[digest], "env").reason == reason
