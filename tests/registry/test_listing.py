"""Repositories that are listed for those who follow a rule: in pages, each once, bounded, and at a price that is known."""

from datetime import UTC, datetime, timedelta

import pytest

from gitcd.model.declaration import Follow, Newest
from gitcd.model.reference import Repository
from gitcd.model.registry import Candidate, Failure, Image, Query
from gitcd.registry import listing
from gitcd.registry.listing import Listings, Page
from gitcd.registry.registries import Registries
from gitcd.registry.resolver import resolve
from gitcd.registry.settings import RegistrySettings
from gitcd.registry.standin import local_ecr
from tests.support.ecr import ACCOUNT, OCI_MANIFEST, StandIn, StoredImage, sha256
from tests.support.oddregistry import OddRegistry, Said

APP = "team/app"
RANGE = Follow(semver=">=1.2 <2")
NEWEST = Follow(newest=Newest("main-.*"))
MANY = 10_000
START = datetime(2026, 1, 1, tzinfo=UTC)


def fill(ecr: StandIn, tags: list[str]) -> None:
    """Images with one tag each, pushed one minute after the other."""
    repository = ecr.create(APP)
    for number, tag in enumerate(tags):
        digest = sha256(tag.encode())
        repository.images[digest] = StoredImage(
            digest, "{}", OCI_MANIFEST, START + timedelta(minutes=number), tags={tag}
        )
        repository.tags[tag] = digest


@pytest.fixture
def many(ecr):
    fill(ecr, [f"1.{number}.0" for number in range(MANY // 2)] + [f"2.{number}.0" for number in range(MANY // 2)])
    return ecr


@pytest.fixture
def odd():
    with OddRegistry() as running:
        yield running


def follow(server, *follows, registries=None, known=None, **more):
    """What a run gets to know of a repository."""
    if isinstance(server, StandIn):
        repository, settings = server.repository(APP), RegistrySettings(endpoint_url=server.url)
    else:
        repository, settings = Repository(server.host, APP), RegistrySettings()
    registries = registries or Registries(settings)
    query = Query(repository, follows=frozenset(follows), **more)
    answers = resolve([query], registries, known=known)
    return answers, repository, registries


class TestEcr:
    def test_ten_thousand_tags_cost_ten_requests(self, many):
        held = frozenset({"1.7.0"})
        answers, repository, registries = follow(many, RANGE, tags=held, digests=frozenset({sha256(b"1.8.0")}))
        assert answers.followed(repository, RANGE) == "1.4999.0"
        assert [answers.get(repository, name).digest for name in ("1.4999.0", "1.7.0", sha256(b"1.8.0"))] == [
            sha256(b"1.4999.0"), sha256(b"1.7.0"), sha256(b"1.8.0")
        ]  # fmt: skip
        assert many.counted() == {"DescribeImages": 10}
        assert registries.calls == 10
        assert {call.body["filter"]["tagStatus"] for call in many.calls} == {"TAGGED"}

    def test_many_rules_share_the_pages(self, many):
        rules = [RANGE, Follow(semver="^2.3"), Follow(semver="*", deny="2[.].*"), Follow(newest=Newest("1[.].*"))]
        answers, repository, _ = follow(many, *rules)
        assert [answers.followed(repository, each) for each in rules] == [
            "1.4999.0",
            "2.4999.0",
            "1.4999.0",
            "1.4999.0",
        ]
        assert len(many.calls) == 10

    def test_a_second_question_of_the_run_lists_nothing_again(self, many):
        answers, repository, registries = follow(many, RANGE)
        again, _, _ = follow(many, RANGE, Follow(semver="~2.5"), registries=registries, known=answers)
        assert (again.followed(repository, RANGE), again.followed(repository, Follow(semver="~2.5"))) == (
            "1.4999.0",
            "2.5.0",
        )
        assert len(many.calls) == 10

    def test_F6_what_was_answered_first_stays_for_the_run(self, ecr):
        fill(ecr, ["1.2.0"])
        answers, repository, registries = follow(ecr, RANGE)
        fill(ecr, ["1.2.0", "1.3.0"])
        again, _, _ = follow(ecr, RANGE, registries=registries, known=answers)
        assert again.followed(repository, RANGE) == "1.2.0"

    def test_only_what_has_a_tag_is_listed_and_the_newest_is_the_one_pushed_last(self, ecr):
        fill(ecr, ["main-2", "main-1", "other", "main-3"])
        untagged = sha256(b"untagged")
        ecr.create(APP).images[untagged] = StoredImage(untagged, "{}", OCI_MANIFEST, START + timedelta(days=9))
        answers, repository, _ = follow(ecr, NEWEST)
        assert answers.followed(repository, NEWEST) == "main-3"
        assert answers.get(repository, "main-3").pushed_at == START + timedelta(minutes=3)

    def test_what_the_list_does_not_tell_is_asked_for(self, ecr):
        fill(ecr, ["1.2.0"])
        untagged = ecr.put(APP)
        answers, repository, _ = follow(ecr, RANGE, digests=frozenset({untagged}))
        assert answers.get(repository, untagged).digest == untagged
        assert len(ecr.calls) == 2

    def test_F1_a_page_that_fails_is_asked_for_again_and_the_pages_before_are_not(self, ecr, no_backoff):
        fill(ecr, [f"1.{number}.0" for number in range(2500)])
        ecr.fail("DescribeImages", "ThrottlingException", times=-1, after=2)
        answers, repository, registries = follow(ecr, RANGE)
        found = answers.followed(repository, RANGE)
        assert (found.reason, found.transient) == ("Throttled", True)
        ecr.faults.clear()
        before = len(ecr.calls)
        assert len(registries.candidates(repository)) == 2500
        assert len(ecr.calls) == before + 1

    def test_F5_a_repository_that_is_not_there_is_told(self, ecr):
        answers, repository, _ = follow(ecr, RANGE)
        assert answers.followed(repository, RANGE).reason == "RepositoryNotFound"

    def test_a_repository_without_tags_follows_nothing(self, ecr):
        ecr.create(APP)
        answers, repository, _ = follow(ecr, RANGE)
        found = answers.followed(repository, RANGE)
        assert (found.reason, found.message.endswith("; it has no tags")) == ("NoTagFollowed", True)

    def test_a_tag_that_moves_while_it_is_listed_is_asked_for(self, ecr):
        fill(ecr, ["1.2.0"])
        repository = ecr.repository(APP)
        old = Image(sha256(b"old"), ("1.2.0",))
        new = Image(sha256(b"1.2.0"), ("1.2.0",))

        class Moving(Registries):
            def candidates(self, _):
                return [Candidate("1.2.0", old), Candidate("1.2.0", new)]

        registries = Moving(RegistrySettings(endpoint_url=ecr.url))
        answers = resolve([Query(repository, follows=frozenset({RANGE}))], registries)
        assert answers.get(repository, "1.2.0").digest == sha256(b"1.2.0")
        assert len(ecr.calls) == 1

    def test_F10_the_deadline_answers_for_what_is_followed_too(self, ecr):
        fill(ecr, ["1.2.0"])
        repository = ecr.repository(APP)
        registries = Registries(RegistrySettings(endpoint_url=ecr.url))
        ecr.fail("DescribeImages", delay=1.0)
        answers = resolve([Query(repository, follows=frozenset({RANGE}))], registries, deadline=0.0)
        assert answers.followed(repository, RANGE).reason == "DeadlineExceeded"


def test_moto_tells_the_same(monkeypatch):
    """The second opinion on ECR, which knows no pages; what it holds outlives its server, so the name is its own."""
    app = "team/listed"
    with local_ecr() as moto:
        for tag in ("1.2.0", "1.10.0", "2.0.0", "latest"):
            moto.push("us-east-1", app, [tag])
        repository = Repository(f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com", app)
        registries = Registries(RegistrySettings(endpoint_url=moto.url))
        answers = resolve([Query(repository, follows=frozenset({RANGE, Follow(newest=Newest("1.*"))}))], registries)
    assert answers.followed(repository, RANGE) == "1.10.0"
    assert answers.get(repository, "1.10.0").tags == ("1.10.0",)
    assert answers.followed(repository, Follow(newest=Newest("1.*"))) in {"1.2.0", "1.10.0"}
    assert registries.calls == 1


class TestOthers:
    def test_ten_thousand_tags_cost_ten_requests_and_one_for_the_image(self, odd):
        for number in range(MANY):
            odd.names.setdefault(APP, []).append(f"1.{number}.0")
        digest = odd.put(APP, "1.10000.0", annotations={})
        odd.names[APP].remove("1.0.0")
        answers, repository, _ = follow(odd, RANGE)
        assert answers.followed(repository, RANGE) == "1.10000.0"
        assert answers.get(repository, "1.10000.0").digest == digest
        assert (odd.counted("/tags/list"), odd.counted("HEAD")) == (10, 1)

    def test_two_spellings_of_a_version_have_to_name_one_image(self, odd):
        odd.put(APP, "1.2.0", "v1.2.0", "1.2.0_b1")
        answers, repository, _ = follow(odd, RANGE)
        assert answers.followed(repository, RANGE) == "1.2.0"
        assert odd.counted("HEAD") == 3
        odd.put(APP, "v1.2.0", seed="another image")
        answers, repository, _ = follow(odd, RANGE)
        found = answers.followed(repository, RANGE)
        assert (found.reason, found.transient) == ("AmbiguousVersion", False)
        assert "1.2.0 (" in found.message
        assert "v1.2.0 (" in found.message

    def test_a_registry_with_smaller_pages_is_followed_through(self, odd):
        odd.page = 3
        odd.put(APP, *(f"1.{number}.0" for number in range(10)))
        answers, repository, _ = follow(odd, RANGE)
        assert answers.followed(repository, RANGE) == "1.9.0"
        assert odd.counted("/tags/list") == 4

    @pytest.mark.parametrize(
        "link", ["https://evil.example.com/v2/x/tags/list", "http://127.0.0.1:1/next", "http://[/"]
    )
    def test_T17_a_next_page_elsewhere_is_not_asked_for(self, odd, link):
        odd.put(APP, "1.2.0")
        odd.answers[f"GET /v2/{APP}/tags/list?n=1000"] = [Said(200, {"Link": f'<{link}>; rel="next"'}, b'{"tags": []}')]
        answers, repository, _ = follow(odd, RANGE)
        assert answers.followed(repository, RANGE).reason == "PageRefused"
        assert len(odd.asked) == 1

    def test_T18_a_long_link_takes_no_longer_than_its_length_asks(self, odd):
        odd.put(APP, "1.2.0")
        for link in ("<>;" * 20_000, "<" * 60_000, "<>" + "; " * 30_000):  # a minute, if it were squared
            odd.answers[f"GET /v2/{APP}/tags/list?n=1000"] = [Said(200, {"Link": link}, b'{"tags": ["1.2.0"]}')]
            answers, repository, _ = follow(odd, RANGE)
            assert answers.followed(repository, RANGE) == "1.2.0"

    def test_the_next_page_is_found_among_other_links(self, odd):
        odd.put(APP, "1.2.0")
        link = f'</v2/first>; rel="first", </v2/{APP}/tags/list?n=1000&last=1.0.0>; title="a"; rel=next'
        odd.answers[f"GET /v2/{APP}/tags/list?n=1000"] = [Said(200, {"Link": link}, b'{"tags": []}')]
        answers, repository, _ = follow(odd, RANGE)
        assert answers.followed(repository, RANGE) == "1.2.0"

    def test_pages_in_a_circle_end(self, odd):
        odd.put(APP, "1.2.0")
        again = {"Link": f'</v2/{APP}/tags/list?n=1000&last=x>; rel="next"'}
        odd.answers[f"GET /v2/{APP}/tags/list?n=1000"] = [Said(200, again, b'{"tags": ["1.2.0"]}')]
        odd.answers[f"GET /v2/{APP}/tags/list?n=1000&last=x"] = [Said(200, again, b'{"tags": []}')] * 9
        answers, repository, _ = follow(odd, RANGE)
        assert answers.followed(repository, RANGE).reason == "MalformedAnswer"

    @pytest.mark.parametrize("body", [b"[]", b"nonsense", b'{"tags": 7}'])
    def test_what_is_no_list_is_told(self, odd, body):
        odd.put(APP, "1.2.0")
        odd.answers[f"GET /v2/{APP}/tags/list?n=1000"] = [Said(200, {}, body)]
        answers, repository, _ = follow(odd, RANGE)
        assert answers.followed(repository, RANGE).reason == "MalformedAnswer"

    @pytest.mark.parametrize(("status", "reason"), [(404, "RepositoryNotFound"), (403, "AccessDenied")])
    def test_F5_a_list_that_is_refused_is_told_without_a_tag(self, odd, status, reason):
        odd.put(APP, "1.2.0")
        odd.answers[f"GET /v2/{APP}/tags/list?n=1000"] = [Said(status, {}, b"<html>")]
        answers, repository, _ = follow(odd, RANGE)
        found = answers.followed(repository, RANGE)
        assert (found.reason, "the tag" in found.message, "these credentials" in found.message) == (
            reason,
            False,
            False,
        )

    def test_what_is_no_tag_is_passed_over(self, odd):
        odd.put(APP, "1.2.0")
        odd.answers[f"GET /v2/{APP}/tags/list?n=1000"] = [Said(200, {}, b'{"tags": ["1.9.0/..", 7, null, "1.2.0"]}')]
        answers, repository, _ = follow(odd, RANGE)
        assert answers.followed(repository, RANGE) == "1.2.0"

    def test_the_newest_is_not_known(self, odd):
        odd.put(APP, "main-1")
        answers, repository, _ = follow(odd, NEWEST)
        assert answers.followed(repository, NEWEST).reason == "PushTimeUnknown"


class TestBounds:
    def test_T18_a_repository_without_end_is_given_up(self, monkeypatch):
        monkeypatch.setattr(listing, "MAX_TAGS", 10)

        class Endless:
            calls = 0

            def page(self, _, token):
                self.calls += 1
                return Page((Candidate(f"1.{self.calls}.0"),), f"{token}x")

        endless = Endless()
        found = Listings(endless).candidates(Repository("r.example.com", APP))
        assert (found.reason, endless.calls) == ("TooManyTags", 11)

    def test_an_image_that_cannot_be_read_spoils_its_page(self):
        page = Page.of([Image(sha256(b"1"), ("1.0.0",)), Failure("InvalidDigest", "x")], "")
        assert isinstance(page, Failure)
