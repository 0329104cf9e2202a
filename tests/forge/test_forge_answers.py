"""Answers that are longer than a page, other than described, or of somebody else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitcd.model.pull import ForgeFailure, PullContent, PullRequest, PullState, Trouble, seal
from tests.support.forges import KINDS, FakeBench, fake_bench

BRANCH = "gitcd/prod/env"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 9) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["number", "state", "title", "head", "base", "ref", "values", "id"]), inner)
    ),
    max_leaves=8,
)


def test_the_newest_with_the_plan_is_found_beyond_the_first_page(fake: FakeBench) -> None:
    fake.server.page_size = 2
    wanted = ""
    for number in range(7):
        fake.commit(BRANCH)
        plan = f"{number % 3:016x}"
        body = seal(plan, hidden=fake.forge.limits.hides_comments)
        pull = fake.forge.create(BRANCH, "main", PullContent(f"number {number}", body))
        assert isinstance(pull, PullRequest)
        if number == 3:
            wanted = pull.id
        if number % 2:
            fake.merge(pull.id)
        else:
            fake.close(pull.id)
    found = fake.forge.find_closed(BRANCH, "main", f"{0:016x}")
    assert isinstance(found, PullRequest)
    assert found.title == "number 6"
    found = fake.forge.find_closed(BRANCH, "main", f"{2:016x}")
    assert isinstance(found, PullRequest)
    assert found.title == "number 5"
    assert fake.forge.find_closed(BRANCH, "main", "f" * 16) is None
    assert wanted


def test_T17_a_page_elsewhere_is_a_failure(fake: FakeBench) -> None:
    if fake.kind == "codecommit":
        pytest.skip("pages by a token, not by an address")
    there = "https://elsewhere.example/page2"
    body: Any = {"values": [], "next": there} if fake.kind == "bitbucket" else []
    fake.server.fail(
        "GET", "pulls|pullrequests|merge_requests", 200, body=body, headers={"Link": f'<{there}>; rel="next"'}
    )
    answer = fake.forge.find_open(BRANCH, "main")
    assert isinstance(answer, ForgeFailure)
    assert (answer.trouble, len(fake.server.requests)) == (Trouble.REFUSED, 1)
    assert "elsewhere.example" in answer.message


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in {"gitea", "codecommit"}])
def test_no_answer_upsets_it(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_bench(kind, monkeypatch) as bench:
        forge = bench.forge
        oid = bench.commit(BRANCH)
        pull = forge.create(BRANCH, "main", PullContent("a", "b"))
        assert isinstance(pull, PullRequest)

        @settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
        @given(JSON, st.sampled_from([200, 201, 404, 409, 422]))
        def check(body: Any, status: int) -> None:
            bench.server.faults.clear()
            bench.server.fail("*", "", status, times=1000, body=body)
            asked = (
                forge.find_open(BRANCH, "main"),
                forge.find_closed(BRANCH, "main"),
                forge.get(pull),
                forge.create(BRANCH, "main", PullContent("a", "b")),
                forge.update(pull, PullContent("c", "d")),
                forge.merge(pull, head=oid),
                forge.delete_branch(BRANCH, head=oid),
                forge.add_labels(pull, ["x"]),
                forge.request_reviews(pull, ["reviewer"]),
            )
            assert all(answer is None or isinstance(answer, ForgeFailure | PullRequest) for answer in asked)

        check()


def test_a_branch_of_the_same_name_elsewhere_is_not_ours(fake: FakeBench, monkeypatch: pytest.MonkeyPatch) -> None:
    if fake.kind == "codecommit":
        pytest.skip("knows no forks")
    fake.commit(BRANCH)
    assert isinstance(fake.forge.create(BRANCH, "main", PullContent("a", "b")), PullRequest)
    original = fake.server.shown  # type: ignore[attr-defined]

    def shown(pull: Any, **how: Any) -> Any:
        said = original(pull, **how)
        if fake.kind == "gitlab":
            return said | {"source_project_id": 8}
        if fake.kind == "github":
            return said | {"head": said["head"] | {"repo": {"id": 2}}}
        return said | {"source": said["source"] | {"repository": {"full_name": "mallory/config"}}}

    monkeypatch.setattr(fake.server, "shown", shown)
    assert fake.forge.find_open(BRANCH, "main") is None
    assert fake.forge.all_open("main") == ()


def test_a_moment_of_merging_is_told_from_a_refusal(fake: FakeBench) -> None:
    """Somebody merges it between our attempt and our look."""
    fake.commit(BRANCH)
    pull = fake.forge.create(BRANCH, "main", PullContent("a", "b"))
    assert isinstance(pull, PullRequest)
    head = fake.tip(BRANCH)
    fake.server.fail("*", "/merge$|^MergePull", 409 if fake.kind != "codecommit" else 400, after=True)
    merged = fake.forge.merge(pull, head=head)
    assert isinstance(merged, PullRequest), merged
    assert merged.state is PullState.MERGED


def test_a_search_among_closed_ones_ends(fake: FakeBench) -> None:
    """A branch that was merged for years costs no more requests than one of last week."""
    if fake.kind == "codecommit":
        pytest.skip("describes each by a request of its own, and a hundred at most")
    fake.commit(BRANCH)
    for _ in range(130):
        hub = fake.hub
        hub.merge(hub.open(BRANCH, "main", "title", seal("a" * 16, hidden=True)))
    fake.server.page_size = 50
    assert fake.forge.find_closed(BRANCH, "main", "b" * 16) is None
    assert fake.forge.requests == 2
