"""What GitHub alone is asked, held against its published description."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gitcd.model.plan import FileChange
from gitcd.model.pull import CommitStatus, ForgeFailure, MergeMethod, PullContent, PullRequest, StatusState
from gitcd.model.tree import Mode
from tests.support import openapi
from tests.support.fakes_hub import Request
from tests.support.forges import FakeBench, fake_bench

BRANCH = "gitcd/prod/env"
PREFIX = "/api/v3"


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeBench]:
    with fake_bench("github", monkeypatch) as bench:
        yield bench


FILES = (
    FileChange("envs/prod/a.yaml", Mode.FILE, b"a: 1\n", "image: ü\r\n".encode()),
    FileChange("envs/prod/run.sh", Mode.EXECUTABLE, b"x", b"\xff\xfe"),
    FileChange("envs/prod/gone.yaml", Mode.FILE, b"x", None),
)


def everything(bench: FakeBench) -> list[Request]:
    """Every request that gitcd sends to GitHub's REST API, at least once."""
    forge = bench.forge
    oid = bench.commit(BRANCH)
    pull = forge.create(BRANCH, "main", PullContent("prod: tiles", "body", draft=True))
    assert isinstance(pull, PullRequest)
    forge.find_open(BRANCH, "main")
    forge.update(pull, PullContent("prod: tiles 2", "another body"))
    forge.comment(pull, "hello")
    forge.add_labels(pull, ["gitcd"])
    forge.request_reviews(pull, ["reviewer", "atlas/platform"])
    forge.set_status(oid, CommitStatus(StatusState.PENDING, "gitcd", "text", "https://example.com/1"))
    forge.set_status(oid, CommitStatus(StatusState.ERROR, "gitcd"))
    forge.auto_merge(pull, head=oid)
    forge.close(pull)
    forge.reopen(pull)
    forge.find_closed(BRANCH, "main", "f" * 16)
    forge.merge(pull, head="0" * 40)
    forge.merge(pull, head=oid, method=MergeMethod.SQUASH)
    forge.delete_branch(BRANCH, head=oid)
    forge.make_commit(oid, "prod: tiles", FILES)
    return [request for request in bench.server.requests if request.path != "/api/graphql"]


def test_every_request_is_as_github_describes_it(github: FakeBench) -> None:
    requests = everything(github)
    assert {(request.method, request.path.rpartition("/")[2]) for request in requests} >= {
        ("POST", "pulls"),
        ("PATCH", "1"),
        ("PUT", "merge"),
        ("POST", "labels"),
        ("POST", "requested_reviewers"),
        ("DELETE", "env"),
    }
    assert [fault for request in requests for fault in openapi.faults(request, PREFIX)] == []


def test_the_description_tells_right_from_wrong() -> None:
    def faults(method: str, path: str, body: object = None, **query: str) -> list[str]:
        return list(openapi.faults(Request(method, f"{PREFIX}{path}", [*query.items()], body, {}), PREFIX))

    assert faults("GET", "/repos/a/b/pulls", state="open") == []
    assert faults("GET", "/repos/a/b/pulls", state="opened")
    assert faults("GET", "/repos/a/b/pulls", branch="x")
    assert faults("POST", "/repos/a/b/pulls", {"title": "x"})
    assert faults("POST", "/repos/a/b/pulls", {"title": "x", "head": "y", "base": "z", "colour": 1})
    assert faults("PUT", "/repos/a/b/pulls/1/merge", {"merge_method": "octopus"})
    assert faults("DELETE", "/repos/a/b/pulls/1")
    assert faults("GET", "/repos/a/b/no-such-thing")


def test_version_and_accept_headers_are_sent(github: FakeBench) -> None:
    github.forge.find_open(BRANCH, "main")
    (request,) = github.server.requests
    assert request.headers["accept"] == "application/vnd.github+json"
    assert request.headers["x-github-api-version"] == "2022-11-28"
    assert request.headers["user-agent"].startswith("gitcd/")


def test_teams_and_users_are_asked_apart(github: FakeBench) -> None:
    github.commit(BRANCH)
    pull = github.forge.create(BRANCH, "main", PullContent("a", "b"))
    assert isinstance(pull, PullRequest)
    assert github.forge.request_reviews(pull, ["reviewer", "atlas/platform"]) is None
    assert github.server.writes()[-1].body == {"reviewers": ["reviewer"], "team_reviewers": ["platform"]}


def test_the_head_is_named_with_its_owner(github: FakeBench) -> None:
    github.forge.find_open(BRANCH, "main")
    assert github.server.requests[0].asked["head"] == f"atlas:{BRANCH}"


def test_a_commit_that_github_makes_names_no_author(github: FakeBench) -> None:
    parent = github.commit(BRANCH)
    oid = github.forge.make_commit(parent, "prod: tiles\n\nGitcd-App: a/b\n", FILES)
    assert isinstance(oid, str)
    objects = github.server.objects  # type: ignore[attr-defined]
    assert objects[oid][1].keys() == {"message", "tree", "parents"}
    assert (objects[oid][1]["message"], objects[oid][1]["parents"]) == ("prod: tiles\n\nGitcd-App: a/b\n", [parent])
    kind, tree = objects[objects[oid][1]["tree"]]
    text, binary, gone = tree["tree"]
    assert (kind, tree["base_tree"], text["content"], text["mode"]) == ("trees", "b" * 40, "image: ü\r\n", "100644")
    assert (binary["mode"], objects[binary["sha"]][1]["content"]) == ("100755", "//4=")
    assert (gone["path"], gone["sha"]) == ("envs/prod/gone.yaml", None)
    assert github.forge.requests == 4


def test_other_forges_make_no_commits(fake: FakeBench) -> None:
    answer = fake.forge.make_commit("a" * 40, "message", FILES)
    if fake.kind != "github":
        assert isinstance(answer, ForgeFailure)
        assert answer.skipped
