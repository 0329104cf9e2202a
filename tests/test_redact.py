import base64
import io
import json
import logging
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitcd import redact
from gitcd.redact import MASK, Redactor, clean, printable

SECRET = "s3cr3t/Canary+Value=42"

secrets = st.text(st.characters(codec="utf-8", exclude_characters="*"), min_size=8, max_size=40).filter(
    lambda text: len(text.strip()) >= 8 and len(text.replace("\n", "").replace("\r", "")) >= 8
)
around = st.text(st.characters(codec="utf-8"), max_size=30)


def spellings(secret: str) -> list[str]:
    data = secret.encode()
    return [
        secret,
        repr(secret),
        json.dumps(secret),
        quote(secret, safe=""),
        base64.b64encode(data).decode(),
        base64.urlsafe_b64encode(data).decode(),
        base64.b64encode(b"user:" + data).decode(),
    ]


@settings(max_examples=200, deadline=None)
@given(secrets, around, around)
def test_no_spelling_of_a_secret_comes_through(secret, before, after):
    redactor = Redactor()
    redactor.register(secret)
    for spelling in spellings(secret):
        shown = redactor.redact(f"{before}{spelling}{after}")
        assert secret not in shown
        assert spelling.strip("\"'=") not in shown


@settings(max_examples=200, deadline=None)
@given(secrets, around, around, st.data())
def test_a_secret_broken_once_by_a_newline_is_found(secret, before, after, data):
    redactor = Redactor()
    redactor.register(secret)
    cut = data.draw(st.integers(1, len(secret) - 1))
    broken = f"{secret[:cut]}\n{secret[cut:]}"
    shown = redactor.redact(f"{before}{broken}{after}")
    assert broken not in shown
    assert secret not in shown.replace("\n", "")


def test_what_surrounds_a_broken_secret_is_kept():
    redactor = Redactor()
    redactor.register(SECRET)
    assert redactor.redact(f"one\r\ntwo {SECRET[:5]}\n{SECRET[5:]}\nthree {SECRET}\r\n") == (
        f"one\r\ntwo {MASK}\nthree {MASK}\r\n"
    )


pieces = st.sampled_from(
    [
        "Authorization: ", "Bearer ", "basic ", "https://", "user:", "@", "/", "host", "ghp_" + "a" * 20, "AKIA" + "B" * 16,
        "-----BEGIN RSA PRIVATE KEY-----", "-----END RSA PRIVATE KEY-----", "MIIabc=", "\n", " ", "'", '"', MASK, "*", ":", "=",
        "X-Amz-Security-Token", "session_token", SECRET, SECRET[:9], SECRET[9:], "token",
    ]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(pieces, around), max_size=12).map("".join))
def test_redacting_twice_is_redacting_once(text):
    redactor = Redactor()
    redactor.register(SECRET)
    once = redactor.redact(text)
    assert redactor.redact(once) == once
    assert SECRET not in once


@settings(max_examples=200, deadline=None)
@given(st.text("abcdefghijklmnop /.-#{}[],\n", max_size=200))
def test_text_without_secrets_is_left_alone(text):
    redactor = Redactor()
    redactor.register(SECRET)
    assert redactor.redact(text) == text


@pytest.mark.parametrize(
    "line",
    [
        "image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/nearmap/tiles:v1.2@sha256:" + "a" * 64,
        "Authorization: enabled",
        "see https://example.com/docs?mail=a@b and ssh://git@example.com/x.git, git@github.com:a/b.git",
        "authorization:\n  mode: rbac-with-long-value-here",
        "sessionToken: short",
    ],
)
def test_ordinary_lines_are_left_alone(line):
    assert Redactor().redact(line) == line


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("Authorization: Bearer abc.def", "abc.def"),
        ("{'Authorization': b'AWS4-HMAC-SHA256 Credential=AKIA/2026, Signature=feed'}", "feed"),
        ("http.extraheader=AUTHORIZATION: basic eC1hY2Nlc3M=", "eC1hY2Nlc3M"),
        ("fatal: unable to access 'https://user:hunter2@git.example.com/x'", "hunter2"),
        ("https://hunter2@git.example.com/x", "hunter2"),
        ("https://user:p@ss@git.example.com/x", "p@ss"),
        ("ssh://git:hunter2@git.example.com/x", "hunter2"),
        ("token ghp_0123456789abcdefghij0123456789abcdef", "ghp_"),
        ("glpat-0123456789abcdefghij", "0123456789"),
        ("AKIAIOSFODNN7EXAMPLE", "IOSFODNN7"),
        ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "wJalr"),
        ('{"SecretAccessKey": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}', "wJalr"),
        ("<SessionToken>FwoGZXIvYXdzEBYaDEXAMPLE</SessionToken>", "FwoG"),
        ("GET /?X-Amz-Security-Token=FwoGZXIv&X-Amz-Date=1", "FwoG"),
        ("{'X-Amz-Security-Token': b'FwoGZXIv'}", "FwoG"),
        (
            "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1r\nZXktdjEAAAAA\n-----END OPENSSH PRIVATE KEY-----\nnext",
            "b3Bl",
        ),
        ("-----BEGIN PRIVATE KEY-----\nb3BlbnNzaC1r", "b3Bl"),
        ('"authorizationToken": "QVdTOmV5SndZWGxzYjJGa0lqb2k="', "QVdT"),
    ],
)
def test_well_known_shapes_are_masked(text, hidden):
    shown = Redactor().redact(text)
    assert hidden not in shown
    assert MASK in shown


def test_what_follows_a_private_key_is_kept():
    text = "-----BEGIN PRIVATE KEY-----\nb3Bl\n-----END PRIVATE KEY-----\nnext: line"
    assert Redactor().redact(text).endswith("\nnext: line")


def test_short_values_are_not_registered():
    redactor = Redactor()
    redactor.register("main")
    assert redactor.redact("branch main") == "branch main"


def test_every_line_of_a_registered_key_is_masked():
    redactor = Redactor()
    redactor.register("-----BEGIN X-----\nline-one-of-key\nline-two-of-key\n-----END X-----\n")
    assert redactor.redact("> line-two-of-key") == f"> {MASK}"


def test_T22_nothing_that_steers_a_terminal_is_printable():
    steering = [chr(code) for code in [*range(0x20), *range(0x7F, 0xA0), 0x202E, 0x2066, 0x200F, 0x061C]]
    shown = printable("a" + "b".join(steering) + "c")
    assert not {*steering} - {"\n", "\t"} & {*shown}
    assert "\n" in shown
    assert "\t" in shown
    assert printable("\x1b[31mred\x9b0m \u202etxt") == "[31mred0m txt"
    assert printable("bad \udc9b byte").encode() == "bad \ufffd byte".encode()


def test_T22_a_carriage_return_stays_only_at_the_end_of_a_line():
    assert printable("a\r\nb\rc\r\r\nd\r") == "a\r\nbc\r\nd"


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_T22_printable_text_stays_as_it_is(text):
    assert printable(printable(text)) == printable(text)


@pytest.fixture
def canaries():
    environ = {
        "AWS_SECRET_ACCESS_KEY": "aws-canary-secret-1",
        "AWS_SESSION_TOKEN": "aws-canary-session-2",
        "GITCD_GIT_TOKEN": "forge-canary-3",
        "GITCD_REPO": "https://bot:url-canary-4@git.example.com/x",
        "DB_PASSWORD": "db-canary-5",
        "AWS_WEB_IDENTITY_TOKEN_FILE": "/var/run/secrets/some-path",
        "GITCD_GIT_TOKEN_ENV": "FORGE_TOKEN_NAME",
        "HOME": "/home/canary-owner",
    }
    redact.register_environment(environ)
    return environ


def test_T10_secrets_of_the_environment_are_masked(canaries):
    shown = clean(" ".join(canaries.values()))
    assert "canary-" not in shown.replace("canary-owner", "")
    assert "/var/run/secrets/some-path" in shown
    assert "FORGE_TOKEN_NAME" in shown


def test_T10_what_stands_before_the_host_in_an_address_is_masked_alone_too():
    redact.register_environment(
        {"https_proxy": "http://ann:of-the-proxy-7@proxy:3128", "ADDRESS": "ssh://tok-of-ours-8@h/x"}
    )
    assert clean("of-the-proxy-7 and tok-of-ours-8, ann, proxy:3128") == f"{MASK} and {MASK}, ann, proxy:3128"


def test_T10_controls_cannot_split_a_secret(canaries):
    assert clean("forge-\x1bcanary\u202e-3") == MASK


def test_T11_log_records_are_clean_with_arguments_and_tracebacks(canaries):
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    redact.guard(handler)
    logger = logging.Logger("test")  # noqa: LOG001 - one of its own, out of reach of other tests
    logger.addHandler(handler)
    try:
        raise RuntimeError("aws-canary-session-2 in an exception")
    except RuntimeError:
        logger.exception("failed with %s", "aws-canary-secret-1", stack_info=True)
    shown = stream.getvalue()
    assert "canary-s" not in shown
    assert "RuntimeError" in shown


def test_T11_wire_logs_of_libraries_stay_off(canaries):
    redact.guard(logging.NullHandler())
    assert not logging.getLogger("botocore.auth").isEnabledFor(logging.DEBUG)
    assert not logging.getLogger("urllib3.connectionpool").isEnabledFor(logging.DEBUG)
