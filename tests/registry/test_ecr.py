from __future__ import annotations

import contextlib
import json
import logging
import socket
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime

import pytest

from gitcd.errors import ConfigError, ExitCode
from gitcd.model.reference import Repository
from gitcd.model.registry import Failure, Image
from gitcd.registry import clients
from gitcd.registry.ecr import Ecr
from gitcd.registry.settings import Access, RegistrySettings
from tests.support.ecr import OCI_INDEX, StandIn

APP = "team/app"
DIGEST = "sha256:" + "ab" * 32
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"


def failure(registry: Ecr, repository: Repository, identifier: str = "prod") -> Failure:
    answer = registry.look_up(repository, [identifier])[identifier]
    assert isinstance(answer, Failure), answer
    return answer


class TestCalls:
    def test_one_call_answers_tags_and_digests_that_exist(self, ecr: StandIn, registry: Ecr) -> None:
        first = ecr.put(APP, tags=["1.2.3", "prod"])
        second = ecr.put(APP, tags=["1.2.4"])
        answers = registry.look_up(ecr.repository(APP), ["prod", "1.2.4", first])
        assert {key: answer.digest for key, answer in answers.items()} == {"prod": first, "1.2.4": second, first: first}
        assert answers["prod"].tags == ("1.2.3", "prod")
        assert ecr.counted() == {"DescribeImages": 1}
        assert registry.calls == 1

    def test_a_hundred_ids_are_one_call(self, ecr: StandIn, registry: Ecr) -> None:
        for number in range(100):
            ecr.put(APP, tags=[f"1.0.{number}"])
        answers = registry.look_up(ecr.repository(APP), [f"1.0.{number}" for number in range(100)])
        assert all(isinstance(answer, Image) for answer in answers.values())
        assert registry.calls == 1

    def test_missing_ids_cost_two_more_calls(self, ecr: StandIn, registry: Ecr) -> None:
        ecr.put(APP, tags=["prod"])
        answers = registry.look_up(ecr.repository(APP), ["prod", "nope", DIGEST])
        assert isinstance(answers["prod"], Image)
        assert [call.operation for call in ecr.calls] == ["DescribeImages", "BatchGetImage", "DescribeImages"]

    def test_F8_indexes_are_asked_for_too_where_an_id_is_missing(self, ecr: StandIn, registry: Ecr) -> None:
        digest = ecr.put_index(APP, tags=["prod"])
        answers = registry.look_up(ecr.repository(APP), ["prod", "nope"])
        assert isinstance(answers["prod"], Image)
        assert answers["prod"].digest == digest
        assert {OCI_INDEX, DOCKER_LIST} <= set(ecr.calls[1].body["acceptedMediaTypes"])

    def test_nothing_left_to_ask_saves_the_third_call(self, ecr: StandIn, registry: Ecr) -> None:
        ecr.put(APP, tags=["prod"])
        assert failure(registry, ecr.repository(APP), "nope").reason == "ImageNotFound"
        assert registry.calls == 2

    def test_region_account_and_user_agent_come_from_the_host(self, ecr: StandIn, registry: Ecr) -> None:
        name = "210987654321.dkr.ecr.eu-west-1.amazonaws.com/team/app"
        ecr.put(name, tags=["prod"])
        assert isinstance(registry.look_up(ecr.repository(name), ["prod"])["prod"], Image)
        (call,) = ecr.calls
        assert (call.region, call.body["registryId"]) == ("eu-west-1", "210987654321")
        assert "gitcd/" in call.user_agent

    def test_an_untagged_image_is_found_by_digest(self, ecr: StandIn, registry: Ecr) -> None:
        old = ecr.put(APP, tags=["prod"])
        ecr.put(APP, manifest="{}", tags=["prod"])
        assert registry.look_up(ecr.repository(APP), [old])[old] == Image(
            old, (), datetime(2026, 1, 15, 12, tzinfo=UTC), 33_455_385, "application/vnd.oci.image.manifest.v1+json"
        )

    def test_a_host_of_ones_own_with_an_endpoint_counts_as_ecr(self, ecr: StandIn) -> None:
        ecr.put(APP, tags=["prod"])
        settings = RegistrySettings(region=ecr.region, access={"ecr.internal": Access(endpoint_url=ecr.url)})
        answers = Ecr(settings).look_up(Repository("ecr.internal", APP), ["prod"])
        assert isinstance(answers["prod"], Image)
        assert "registryId" not in ecr.calls[0].body


class TestRoles:
    ROLE = "arn:aws:iam::210987654321:role/reader"
    OTHER = "210987654321.dkr.ecr.us-east-1.amazonaws.com"

    @pytest.fixture
    def registry(self, ecr: StandIn, monkeypatch: pytest.MonkeyPatch) -> Ecr:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", ecr.url)
        access = {"210987654321": Access(role_arn=self.ROLE, external_id="xyz")}
        return Ecr(RegistrySettings(endpoint_url=ecr.url, access=access))

    def test_a_role_is_assumed_once_for_its_account_only(self, ecr: StandIn, registry: Ecr) -> None:
        for name in (APP, f"{self.OTHER}/team/a", f"{self.OTHER}/team/b"):
            ecr.put(name, tags=["prod"])
            assert isinstance(registry.look_up(ecr.repository(name), ["prod"])["prod"], Image)
        (role,) = ecr.roles
        assert (role["RoleArn"], role["ExternalId"]) == (self.ROLE, "xyz")
        keys = [call.access_key for call in ecr.calls if call.operation == "DescribeImages"]
        assert keys == ["AKIASTANDIN", "ASIAROLE00000001", "ASIAROLE00000001"]

    def test_a_role_that_is_denied_is_named_and_tried_once(self, ecr: StandIn, registry: Ecr) -> None:
        ecr.fail("AssumeRole", "AccessDenied", status=403, times=-1)
        for name in ("team/a", "team/b"):
            answer = failure(registry, ecr.repository(f"{self.OTHER}/{name}"))
            assert answer.reason == "AccessDenied"
            assert self.ROLE in answer.message
            assert "sts:AssumeRole" in answer.remedy
        assert ecr.counted() == {"AssumeRole": 1}

    def test_F2_a_role_whose_session_expired_is_assumed_again(self, ecr: StandIn, registry: Ecr) -> None:
        ecr.put(f"{self.OTHER}/team/a", tags=["prod"])
        ecr.fail("DescribeImages", "ExpiredTokenException")
        assert isinstance(registry.look_up(ecr.repository(f"{self.OTHER}/team/a"), ["prod"])["prod"], Image)
        assert len(ecr.roles) == 2


@pytest.mark.usefixtures("no_backoff")
class TestFaults:
    def test_F1_throttling_is_waited_out(self, ecr: StandIn, registry: Ecr) -> None:
        ecr.put(APP, tags=["prod"])
        ecr.fail("DescribeImages", "ThrottlingException", times=5)
        assert isinstance(registry.look_up(ecr.repository(APP), ["prod"])["prod"], Image)
        assert len(ecr.calls) == 6

    @pytest.mark.parametrize(
        ("page", "told"),
        [
            ("\n<!doctype html>\n<html lang=en><title> 503 Service Unavailable </title>", ": 503 Service Unavailable"),
            ("<html><p>Sorry.</p>", ""),
        ],
    )
    def test_F4_of_the_page_of_a_proxy_its_title_is_told(
        self, ecr: StandIn, registry: Ecr, page: str, told: str
    ) -> None:
        ecr.fail("*", "503", message=page, status=503, times=-1)
        answer = failure(registry, ecr.repository(APP))
        assert answer.message.endswith(f"{APP}: an HTML page came back{told}")

    @pytest.mark.parametrize("status", [400, 429])
    def test_F1_throttling_without_end_is_transient(self, ecr: StandIn, registry: Ecr, status: int) -> None:
        ecr.fail("*", "ThrottlingException", status=status, times=-1)
        answer = failure(registry, ecr.repository(APP))
        assert (answer.reason, answer.transient) == ("Throttled", True)
        assert len(ecr.calls) == 8

    def test_F1_a_proxy_that_throttles_in_its_own_words_is_transient(self, ecr: StandIn, registry: Ecr) -> None:
        ecr.fail("*", "SlowDownPlease", status=429, times=-1)
        answer = failure(registry, ecr.repository(APP))
        assert (answer.reason, answer.transient) == ("Throttled", True)

    def test_F2_an_expired_token_is_refreshed_once_and_its_source_named(self, ecr: StandIn, registry: Ecr) -> None:
        ecr.fail("*", "ExpiredTokenException", times=-1)
        answer = failure(registry, ecr.repository(APP))
        assert (answer.reason, answer.transient) == ("ExpiredToken", True)
        assert "the credentials from env have expired" in answer.message
        assert len(ecr.calls) == 2

    def test_F2_no_credentials_end_the_run_before_any_call(
        self, ecr: StandIn, registry: Ecr, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        with pytest.raises(ConfigError, match="no usable AWS credentials") as caught:
            registry.look_up(ecr.repository(APP), ["prod"])
        assert caught.value.exit_code is ExitCode.USAGE
        assert "environment" in caught.value.remedy
        assert not ecr.calls

    def test_F2_an_unknown_profile_is_a_configuration_error(
        self, ecr: StandIn, registry: Ecr, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_PROFILE", "missing")
        with pytest.raises(ConfigError, match="missing"):
            registry.look_up(ecr.repository(APP), ["prod"])

    def test_F2_rejected_credentials_are_permanent(self, ecr: StandIn, registry: Ecr) -> None:
        ecr.fail("*", "UnrecognizedClientException", message="The security token is invalid", times=-1)
        answer = failure(registry, ecr.repository(APP))
        assert (answer.reason, answer.transient) == ("InvalidCredentials", False)

    def test_F3_each_missing_id_is_named_and_the_others_go_on(self, ecr: StandIn, registry: Ecr) -> None:
        ecr.put(APP, tags=["prod"])
        answers = registry.look_up(ecr.repository(APP), ["nope", "prod", DIGEST])
        assert isinstance(answers["prod"], Image)
        assert answers["nope"] == Failure(
            "ImageNotFound",
            f"{ecr.repository(APP)} has no image for the tag nope",
            "push an image under it, or correct the declaration",
        )
        assert DIGEST in answers[DIGEST].message

    @pytest.mark.parametrize(
        ("code", "transient"),
        [
            ("KmsError", False),
            ("ImageInaccessible", False),
            ("UpstreamAccessDenied", True),
            ("UpstreamTooManyRequests", True),
            ("UpstreamUnavailable", True),
        ],
    )
    def test_F4_a_failure_keeps_its_code(self, ecr: StandIn, registry: Ecr, code: str, transient: bool) -> None:
        ecr.put(APP, tags=["prod"])
        ecr.put(APP, tags=["bad"], trouble=code)
        answers = registry.look_up(ecr.repository(APP), ["prod", "bad", "nope"])
        assert isinstance(answers["prod"], Image)
        assert (answers["bad"].reason, answers["bad"].transient) == (code, transient)
        assert answers["bad"].remedy
        assert answers["nope"].reason == "ImageNotFound"

    def test_F5_an_unknown_repository_is_named_with_region_and_account(self, ecr: StandIn, registry: Ecr) -> None:
        answer = failure(registry, ecr.repository("no/such"))
        assert (answer.reason, answer.transient) == ("RepositoryNotFound", False)
        assert "arn:aws:ecr:us-east-1:123456789012:repository/no/such" in answer.message

    def test_F5_a_denied_call_names_action_and_arn(self, ecr: StandIn, registry: Ecr) -> None:
        ecr.fail("*", "AccessDeniedException", message="User: x is not authorized", times=-1)
        answer = failure(registry, ecr.repository(APP))
        assert (answer.reason, answer.transient) == ("AccessDenied", False)
        arn = "arn:aws:ecr:us-east-1:123456789012:repository/team/app"
        assert f"ecr:DescribeImages on {arn}" in answer.message
        assert "ecr:BatchGetImage" in answer.remedy
        assert arn in answer.remedy

    def test_F5_the_partition_of_china_is_in_the_arn(self, ecr: StandIn, registry: Ecr) -> None:
        ecr.fail("*", "AccessDeniedException", times=-1)
        answer = failure(registry, Repository.parse("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/team/app"))
        assert "arn:aws-cn:ecr:cn-north-1:123456789012:repository/team/app" in answer.message

    def test_F7_an_archived_image_is_flagged(self, ecr: StandIn, registry: Ecr) -> None:
        ecr.put(APP, tags=["prod"], status="ARCHIVED")
        answer = registry.look_up(ecr.repository(APP), ["prod"])["prod"]
        assert isinstance(answer, Image)
        assert answer.archived

    def test_F7_images_removed_while_asking_are_transient(self, ecr: StandIn, registry: Ecr) -> None:
        ecr.put(APP, tags=["prod"])
        ecr.fail("DescribeImages", "ImageNotFoundException", times=-1)
        answer = failure(registry, ecr.repository(APP))
        assert (answer.reason, answer.transient) == ("AnswerChanged", True)
        assert registry.calls == 3

    def test_F8_a_multi_platform_tag_is_its_index(self, ecr: StandIn, registry: Ecr) -> None:
        index = ecr.put_index(APP, tags=["prod", "1.2.3"])
        answer = registry.look_up(ecr.repository(APP), ["prod"])["prod"]
        assert (answer.digest, answer.media_type, answer.tags) == (index, OCI_INDEX, ("1.2.3", "prod"))

    @pytest.mark.parametrize(
        "digest", ["", "sha256:abc", "sha512:" + "a" * 128, f"{DIGEST}\n", 5, None, DIGEST.upper()]
    )
    def test_F9_a_wrong_digest_is_refused(self, ecr: StandIn, registry: Ecr, digest: object) -> None:
        detail = {"imageDigest": digest, "imageTags": ["prod"]}
        ecr.fail("DescribeImages", answer=json.dumps({"imageDetails": [detail]}).encode())
        assert failure(registry, ecr.repository(APP)).reason == "InvalidDigest"

    def test_F9_another_digest_than_the_one_asked_for_is_no_answer(self, ecr: StandIn, registry: Ecr) -> None:
        detail = {"imageDigest": "sha256:" + "cd" * 32}
        ecr.fail("DescribeImages", answer=json.dumps({"imageDetails": [detail]}).encode())
        assert failure(registry, ecr.repository(APP), DIGEST).reason == "MalformedAnswer"

    def test_F9_two_images_for_one_tag_are_refused(self, ecr: StandIn, registry: Ecr) -> None:
        details = [{"imageDigest": "sha256:" + pair * 32, "imageTags": ["prod"]} for pair in ("ab", "cd")]
        ecr.fail("DescribeImages", answer=json.dumps({"imageDetails": details}).encode())
        assert failure(registry, ecr.repository(APP)).reason == "MalformedAnswer"

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"[]",
            b"null",
            b"7",
            b"<html>",
            b"\xff\xfe",
            b'{"imageDetails": 7}',
            b'{"imageDetails": [7]}',
            b'{"imageDetails": {"a": 1}}',
            b'{"imageDetails": [{"imagePushedAt": "yesterday"}]}',
            b'{"imageDetails": [{"imagePushedAt": 1e300}]}',
            b'{"imageDetails": [{"imageTags": "prod"}]}',
        ],
    )
    def test_F9_garbage_is_a_failure_never_a_crash(self, ecr: StandIn, registry: Ecr, body: bytes) -> None:
        ecr.put(APP, tags=["prod"])
        ecr.fail("*", answer=body, times=-1)
        assert failure(registry, ecr.repository(APP)).reason == "MalformedAnswer"

    @pytest.mark.parametrize("pushed_at", [None, -1, -1e10])
    def test_F11_an_impossible_time_of_push_is_unknown(
        self, ecr: StandIn, registry: Ecr, pushed_at: float | None
    ) -> None:
        ecr.put(APP, tags=["prod"], pushed_at=pushed_at)
        assert registry.look_up(ecr.repository(APP), ["prod"])["prod"].pushed_at is None

    @pytest.mark.parametrize("connection", ["reset", "truncate"])
    def test_F10_a_broken_connection_is_tried_again(self, ecr: StandIn, registry: Ecr, connection: str) -> None:
        ecr.put(APP, tags=["prod"])
        ecr.fail("DescribeImages", connection=connection)
        assert isinstance(registry.look_up(ecr.repository(APP), ["prod"])["prod"], Image)
        assert len(ecr.calls) == 2

    @pytest.mark.parametrize(
        ("connection", "reason", "tries"), [("reset", "ConnectionFailed", 8), ("truncate", "MalformedAnswer", 2)]
    )
    def test_F10_a_connection_that_stays_broken_is_transient(
        self, ecr: StandIn, registry: Ecr, connection: str, reason: str, tries: int
    ) -> None:
        ecr.put(APP, tags=["prod"])
        ecr.fail("DescribeImages", connection=connection, times=-1)
        answer = failure(registry, ecr.repository(APP))
        assert (answer.reason, answer.transient) == (reason, True)
        assert len(ecr.calls) == tries

    def test_F10_a_silent_server_is_left_after_the_timeout(
        self, ecr: StandIn, registry: Ecr, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(clients, "_READ_SECONDS", 0.1)
        monkeypatch.setattr(clients, "_ATTEMPTS", 2)
        ecr.fail("DescribeImages", delay=1, times=-1)
        started = time.monotonic()
        answer = failure(registry, ecr.repository(APP))
        assert (answer.reason, answer.transient) == ("Timeout", True)
        assert time.monotonic() - started < 1

    def test_F10_a_server_error_is_transient(self, ecr: StandIn, registry: Ecr) -> None:
        ecr.fail("*", "ServerException", status=500, times=-1)
        answer = failure(registry, ecr.repository(APP))
        assert (answer.reason, answer.transient) == ("RegistryUnavailable", True)

    @pytest.mark.parametrize(
        ("code", "message"),
        [
            ("RequestTimeTooSkewed", "The difference between the request time and the current time is too large."),
            ("InvalidSignatureException", "Signature expired: 20260101T000000Z is now earlier than 20260101T001000Z"),
            ("InvalidSignatureException", "Signature not yet current: 20260101T001000Z is still later than 2026"),
        ],
    )
    def test_F11_a_wrong_clock_is_named(self, ecr: StandIn, registry: Ecr, code: str, message: str) -> None:
        ecr.fail("*", code, message=message, status=403, times=-1)
        answer = failure(registry, ecr.repository(APP))
        assert (answer.reason, answer.transient) == ("ClockSkew", True)
        assert "check the clock" in answer.remedy

    def test_F11_a_host_that_does_not_resolve_is_transient(self, ecr: StandIn) -> None:
        answer = failure(Ecr(RegistrySettings(endpoint_url="http://no-such-host.invalid")), ecr.repository(APP))
        assert (answer.reason, answer.transient) == ("ConnectionFailed", True)
        assert "name resolution" in answer.remedy

    def test_F11_a_failing_tls_handshake_hints_at_the_clock(self, ecr: StandIn) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            threading.Thread(target=_speak_no_tls, args=(listener,), daemon=True).start()
            url = f"https://127.0.0.1:{listener.getsockname()[1]}"
            answer = failure(Ecr(RegistrySettings(endpoint_url=url)), ecr.repository(APP))
            listener.shutdown(socket.SHUT_RDWR)
        assert (answer.reason, answer.transient) == ("TlsFailed", True)
        assert "check the clock" in answer.remedy

    def test_foreign_text_is_cleaned_and_cut(self, ecr: StandIn, registry: Ecr) -> None:
        ecr.fail("*", "InvalidParameterException", message="bad \x1b[31m\u202e\n" + "x" * 5000, times=-1)
        answer = failure(registry, ecr.repository(APP))
        assert answer.reason == "RequestRefused"
        assert answer.message.isprintable()
        assert len(answer.message) < 500


def _speak_no_tls(listener: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 400 -\r\n\r\n")


class TestWhoMayBeAsked:
    @pytest.mark.parametrize(
        ("allowed", "name", "passes"),
        [
            ((), "team/app", True),
            (("123456789012",), "team/app", True),
            (("210987654321",), "team/app", False),
            (("123456789012.dkr.ecr.us-east-1.amazonaws.com",), "team/app", True),
            (("123456789012.dkr.ecr.us-east-1.amazonaws.com/team",), "team/app", True),
            (("123456789012.dkr.ecr.us-east-1.amazonaws.com/team/",), "team/app", True),
            (("123456789012.dkr.ecr.us-east-1.amazonaws.com/tea",), "team/app", False),
            (("123456789012.dkr.ecr.us-east-1.amazonaws.com/team/app",), "team/app", True),
            (("123456789012.dkr.ecr.us-east-1.amazonaws.com/team/app",), "team/app2", False),
            (("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "1234"), "team/app", False),
        ],
    )
    def test_T14_only_allowed_repositories_are_asked(
        self, ecr: StandIn, allowed: tuple[str, ...], name: str, passes: bool
    ) -> None:
        ecr.put(name, tags=["prod"])
        registry = Ecr(RegistrySettings(endpoint_url=ecr.url, allowed=allowed))
        answer = registry.look_up(ecr.repository(name), ["prod"])["prod"]
        assert isinstance(answer, Image) is passes
        assert len(ecr.calls) == passes
        assert passes or answer.reason == "RegistryNotAllowed"

    def test_T14_another_account_is_refused_though_the_digest_resolves_there(self, ecr: StandIn) -> None:
        attacker = "666666666666.dkr.ecr.us-east-1.amazonaws.com/team/app"
        digest = ecr.put(attacker, tags=["prod"])
        registry = Ecr(RegistrySettings(endpoint_url=ecr.url, allowed=("123456789012",)))
        assert registry.look_up(ecr.repository(attacker), [digest])[digest].reason == "RegistryNotAllowed"
        assert not ecr.calls

    @pytest.mark.parametrize("name", ["public.ecr.aws/nginx/nginx", "nginx", "ghcr.io/a/b", "localhost:5000/a"])
    def test_other_registries_say_that_they_are_not_read(self, ecr: StandIn, registry: Ecr, name: str) -> None:
        answer = failure(registry, Repository.parse(name))
        assert (answer.reason, answer.transient) == ("RegistryNotSupported", False)
        assert "private" in answer.message
        assert not ecr.calls


class TestEndpoints:
    @pytest.mark.parametrize(
        ("host", "expected"),
        [
            ("123456789012.dkr.ecr.us-east-1.amazonaws.com", "https://api.ecr.us-east-1.amazonaws.com"),
            ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "https://api.ecr.cn-north-1.amazonaws.com.cn"),
            ("123456789012.dkr.ecr-fips.us-east-1.amazonaws.com", "https://ecr-fips.us-east-1.amazonaws.com"),
            ("123456789012.dkr-ecr.eu-west-1.on.aws", "https://ecr.eu-west-1.api.aws"),
            ("123456789012.dkr-ecr-fips.us-west-2.on.aws", "https://ecr-fips.us-west-2.api.aws"),
        ],
    )
    def test_the_host_chooses_the_endpoint(self, host: str, expected: str) -> None:
        from gitcd.registry.route import Target, find_target

        target = find_target(Repository(host, APP), RegistrySettings())
        assert isinstance(target, Target)
        assert clients.Clients().get(target.route).meta.endpoint_url == expected

    @pytest.mark.parametrize(
        "host", ["123456789012.dkr.ecr-fips.us-east-1.amazonaws.com", "123456789012.dkr-ecr.us-east-1.on.aws"]
    )
    def test_an_endpoint_of_ones_own_wins(self, ecr: StandIn, registry: Ecr, host: str) -> None:
        ecr.put(f"{host}/team/app", tags=["prod"])
        assert isinstance(registry.look_up(Repository(host, APP), ["prod"])["prod"], Image)

    def test_the_usual_environment_variable_sets_the_endpoint(
        self, ecr: StandIn, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL_ECR", ecr.url)
        ecr.put(APP, tags=["prod"])
        assert isinstance(Ecr().look_up(ecr.repository(APP), ["prod"])["prod"], Image)

    def test_an_endpoint_for_one_account_only(self, ecr: StandIn) -> None:
        with StandIn() as other:
            other.put("210987654321.dkr.ecr.us-east-1.amazonaws.com/team/app", tags=["prod"])
            ecr.put(APP, tags=["prod"])
            settings = RegistrySettings(ecr.url, access={"210987654321": Access(endpoint_url=other.url)})
            registry = Ecr(settings)
            for name in (APP, "210987654321.dkr.ecr.us-east-1.amazonaws.com/team/app"):
                assert isinstance(registry.look_up(ecr.repository(name), ["prod"])["prod"], Image)
            assert (len(ecr.calls), len(other.calls)) == (1, 1)


def test_T11_the_wire_log_stays_off_at_any_verbosity(
    ecr: StandIn, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    canaries = {
        "AWS_ACCESS_KEY_ID": "AKIACANARY",
        "AWS_SECRET_ACCESS_KEY": "canary-secret",
        "AWS_SESSION_TOKEN": "canary-token",
    }
    for name, value in canaries.items():
        monkeypatch.setenv(name, value)
    caplog.set_level(logging.DEBUG)
    ecr.put(APP, tags=["prod"])
    ecr.fail("*", "ThrottlingException")
    assert isinstance(Ecr(RegistrySettings(endpoint_url=ecr.url)).look_up(ecr.repository(APP), ["prod"])["prod"], Image)
    assert not [record for record in caplog.records if record.name.startswith(("boto", "urllib3"))]
    assert not any(value in caplog.text for value in canaries.values())


def test_T11_keys_of_a_role_are_in_no_repr() -> None:
    assert "canary" not in repr(clients.Keys("canary-key", "canary-secret", "canary-token"))


def test_the_servers_port_is_free_again_afterwards() -> None:
    with StandIn() as server:
        port = int(server.url.rpartition(":")[2])
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), timeout=1):
        pass


def test_the_registry_floor_loads_no_aws_library_before_it_is_used() -> None:
    code = "import sys, gitcd.registry.ecr, gitcd.registry.resolver; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "gitcd.registry.ecr" in loaded
    assert not {"boto3", "botocore", "urllib3", "multiprocessing"} & set(loaded)


def test_an_empty_answer_leaves_the_id_unanswered(ecr: StandIn, registry: Ecr) -> None:
    ecr.put(APP, tags=["prod"])
    ecr.fail("*", answer=b'{"imageDetails": []}', times=-1)
    assert failure(registry, ecr.repository(APP)).reason == "MalformedAnswer"
    assert registry.calls == 1
