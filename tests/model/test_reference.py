from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitcd.model import reference
from gitcd.model.reference import EcrRegistry, Reference, Repository, split_reference

DIGEST = "sha256:" + "0123456789abcdef" * 4

# What the distribution project's own parser says: text, then registry, path, tag and digest, or None where it refuses.
RECORDED: list[tuple[str, tuple[str, str, str, str] | None]] = [
    ("nginx", ("docker.io", "library/nginx", "", "")),
    ("nginx:1.27", ("docker.io", "library/nginx", "1.27", "")),
    ("library/nginx", ("docker.io", "library/nginx", "", "")),
    ("docker.io/nginx", ("docker.io", "library/nginx", "", "")),
    ("index.docker.io/nginx", ("docker.io", "library/nginx", "", "")),
    ("docker.io/library/nginx:latest", ("docker.io", "library/nginx", "latest", "")),
    ("bitnami/redis:7", ("docker.io", "bitnami/redis", "7", "")),
    ("a/b/c", ("docker.io", "a/b/c", "", "")),
    ("localhost/app", ("localhost", "app", "", "")),
    ("localhost:5000/app", ("localhost:5000", "app", "", "")),
    ("localhost:5000", ("docker.io", "library/localhost", "5000", "")),
    ("test.com:tag", ("docker.io", "library/test.com", "tag", "")),
    ("test.com:5000", ("docker.io", "library/test.com", "5000", "")),
    ("test.com/repo:tag", ("test.com", "repo", "tag", "")),
    ("test:5000/repo", ("test:5000", "repo", "", "")),
    ("test:5000/repo:tag", ("test:5000", "repo", "tag", "")),
    (f"test:5000/repo@{DIGEST}", ("test:5000", "repo", "", DIGEST)),
    (f"test:5000/repo:tag@{DIGEST}", ("test:5000", "repo", "tag", DIGEST)),
    ("192.168.1.1:5000/a/b:1", ("192.168.1.1:5000", "a/b", "1", "")),
    ("[2001:db8::1]/repo", ("[2001:db8::1]", "repo", "", "")),
    ("[2001:db8::1]:5000/repo:tag", ("[2001:db8::1]:5000", "repo", "tag", "")),
    ("ghcr.io/owner/app-name__x.y:v1.2.3-rc.1_b", ("ghcr.io", "owner/app-name__x.y", "v1.2.3-rc.1_b", "")),
    ("xn--n3h.com/myimage:xn--n3h.com", ("xn--n3h.com", "myimage", "xn--n3h.com", "")),
    ("foo/foo_bar.com:8080", ("docker.io", "foo/foo_bar.com", "8080", "")),
    ("a.b/c---d", ("a.b", "c---d", "", "")),
    ("Foo/bar", ("Foo", "bar", "", "")),
    ("x:" + "t" * 128, ("docker.io", "library/x", "t" * 128, "")),
    ("x:_1", ("docker.io", "library/x", "_1", "")),
    ("", None),
    (":tag", None),
    ("@" + DIGEST, None),
    ("repo@sha256:ffff", None),
    (f"repo@{DIGEST}0", None),
    (f"repo@{DIGEST.upper()}", None),
    ("Uppercase:tag", None),
    ("test:5000/Uppercase/lowercase:tag", None),
    ("aa/asdf$$^/aa", None),
    ("a//b", None),
    ("a/b/", None),
    ("/a", None),
    ("-a/b", None),
    ("a-/b", None),
    ("a___b", None),
    ("a..b", None),
    ("a._b", None),
    (".a", None),
    ("a:", None),
    ("a:.tag", None),
    ("a:-tag", None),
    ("x:" + "t" * 129, None),
    ("a b", None),
    ("a\n", None),
    ("a:tag\n", None),
    (" a", None),
    ("https://example.com/a", None),
    ("[fe80::1%eth0]:5000/repo", None),
    ("[2001:db8::1", None),
    ("example.com/", None),
    ("example.com/" + "a" * 255, ("example.com", "a" * 255, "", "")),
    ("example.com/" + "a" * 256, None),
    ("0123456789abcdef" * 4, None),
    ("${REPO}/app", None),
    ("{{ .Values.image }}", None),
]

HOSTS = st.sampled_from(
    ["docker.io", "localhost", "localhost:5000", "example.com", "a.b-c.d:443", "[::1]:5000", "127.0.0.1:1", "Host"]
)
PATHS = st.lists(
    st.from_regex(r"[a-z0-9]{1,4}(([._]|__|-{1,3})[a-z0-9]{1,3}){0,2}", fullmatch=True), min_size=1, max_size=4
)
TAGS = st.one_of(st.just(""), st.from_regex(reference.TAG_PATTERN, fullmatch=True))
DIGESTS = st.one_of(st.just(""), st.from_regex(reference.DIGEST_PATTERN, fullmatch=True))


@st.composite
def texts(draw: st.DrawFn) -> str:
    name = "/".join([draw(HOSTS), *draw(PATHS)])
    return name + reference.suffix(draw(TAGS), draw(DIGESTS))


class TestGrammar:
    @pytest.mark.parametrize(("text", "expected"), RECORDED)
    def test_property_10_it_agrees_with_the_recorded_table(
        self, text: str, expected: tuple[str, str, str, str] | None
    ) -> None:
        try:
            parsed = Reference.parse(text)
        except reference.ReferenceError:
            assert expected is None
        else:
            assert (parsed.repository.registry, parsed.repository.path, parsed.tag, parsed.digest) == expected

    @given(texts())
    def test_property_10_round_trip(self, text: str) -> None:
        parsed = Reference.parse(text)
        assert Reference.parse(str(parsed)) == parsed
        assert str(Reference.parse(str(parsed))) == str(parsed)
        assert Repository.parse(parsed.repository.familiar) == parsed.repository

    @given(texts())
    def test_a_split_reference_keeps_the_spelling(self, text: str) -> None:
        name, tag, digest = split_reference(text)
        assert name + reference.suffix(tag, digest) == text

    @given(st.text(max_size=30))
    def test_any_text_parses_or_is_refused(self, text: str) -> None:
        try:
            parsed = Reference.parse(text)
        except reference.ReferenceError:
            return
        assert Reference.parse(str(parsed)) == parsed

    @pytest.mark.parametrize(
        ("text", "familiar"),
        [
            ("docker.io/library/nginx", "nginx"),
            ("docker.io/bitnami/redis", "bitnami/redis"),
            ("docker.io/library/a/b", "docker.io/library/a/b"),
            ("docker.io/localhost/a", "docker.io/localhost/a"),
            ("quay.io/library/a", "quay.io/library/a"),
        ],
    )
    def test_the_familiar_name_leads_back(self, text: str, familiar: str) -> None:
        assert Repository.parse(text).familiar == familiar
        assert Repository.parse(familiar) == Repository.parse(text)

    def test_hosts_are_compared_without_case(self) -> None:
        assert Repository.parse("GHCR.io/a/b") == Repository.parse("ghcr.io/a/b")
        assert Repository.parse("Docker.io/nginx") == Repository.parse("nginx")

    @pytest.mark.parametrize("text", ["a:tag", f"a@{DIGEST}", f"example.com/a:1@{DIGEST}"])
    def test_a_repository_has_no_tag_and_no_digest(self, text: str) -> None:
        with pytest.raises(reference.ReferenceError):
            Repository.parse(text)


class TestEcrHosts:
    @pytest.mark.parametrize(
        ("host", "expected"),
        [
            ("123456789012.dkr.ecr.us-east-1.amazonaws.com", EcrRegistry("123456789012", "us-east-1")),
            ("123456789012.dkr.ecr.us-gov-west-1.amazonaws.com", EcrRegistry("123456789012", "us-gov-west-1")),
            ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", EcrRegistry("123456789012", "cn-north-1")),
            ("123456789012.dkr.ecr-fips.us-east-2.amazonaws.com", EcrRegistry("123456789012", "us-east-2", fips=True)),
            ("123456789012.dkr-ecr.eu-west-1.on.aws", EcrRegistry("123456789012", "eu-west-1", dual_stack=True)),
            (
                "123456789012.dkr-ecr-fips.us-west-2.on.aws",
                EcrRegistry("123456789012", "us-west-2", fips=True, dual_stack=True),
            ),
            (
                "123456789012.dkr-ecr.cn-northwest-1.on.amazonwebservices.com.cn",
                EcrRegistry("123456789012", "cn-northwest-1", dual_stack=True),
            ),
            ("123456789012.dkr.ecr.us-iso-east-1.c2s.ic.gov", EcrRegistry("123456789012", "us-iso-east-1")),
            ("123456789012.dkr.ecr.us-isob-east-1.sc2s.sgov.gov", EcrRegistry("123456789012", "us-isob-east-1")),
        ],
    )
    def test_every_form(self, host: str, expected: EcrRegistry) -> None:
        assert EcrRegistry.parse(host) == expected

    @pytest.mark.parametrize(
        "host",
        [
            "public.ecr.aws",
            "12345678901.dkr.ecr.us-east-1.amazonaws.com",
            "123456789012.dkr.ecr.us-east-1.amazonaws.com.evil.example",
            "evil.123456789012.dkr.ecr.us-east-1.amazonaws.com",
            "123456789012.dkr.ecr.us-east-1.amazonaws.com:443",
            "123456789012.dkr.ecr.us-east-1xamazonaws.com",
            "123456789012.dkr.ecr.a/b-1.amazonaws.com",
            "123456789012.dkr.ecr.us-east-1.amazonaws.com\n",
            "docker.io",
        ],
    )
    def test_what_is_not_private_ecr(self, host: str) -> None:
        assert EcrRegistry.parse(host) is None


def test_short_is_for_people() -> None:
    assert reference.short(DIGEST) == "0123456789ab"


@pytest.mark.parametrize(
    ("text", "tag"), [("v1", True), ("", False), ("a" * 129, False), (".a", False), ("a\n", False)]
)
def test_is_tag(text: str, tag: bool) -> None:
    assert reference.is_tag(text) is tag


@pytest.mark.parametrize(
    ("text", "digest"), [(DIGEST, True), (DIGEST[:-1], False), (f"{DIGEST}\n", False), ("", False)]
)
def test_is_digest(text: str, digest: bool) -> None:
    assert reference.is_digest(text) is digest
