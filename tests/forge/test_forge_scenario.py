"""The life of a pull request, on a real Gitea and on a stateful fake of every other forge."""

from __future__ import annotations

import time

import pytest

from gitcd.forge.protocol import Forge
from gitcd.model.pull import (
    Capability,
    CommitStatus,
    ForgeFailure,
    Mergeable,
    MergeMethod,
    PullContent,
    PullRequest,
    PullState,
    StatusState,
    Trouble,
    seal,
)
from tests.support.forges import Bench, FakeBench, GiteaBench

BRANCH = "gitcd/prod/env"
PLAN = "0123456789abcdef"


def content(forge: Forge, title: str = "prod: tiles 1.2.0 -> 1.3.0", plan: str = PLAN) -> PullContent:
    return PullContent(title, f"| app | tiles |\n\n{seal(plan, hidden=forge.limits.hides_comments)}")


def opened(bench: Bench, branch: str = BRANCH) -> PullRequest:
    bench.commit(branch)
    pull = bench.forge.create(branch, "main", content(bench.forge))
    assert isinstance(pull, PullRequest), pull
    return pull


def pull_of(answer: PullRequest | ForgeFailure | None) -> PullRequest:
    assert isinstance(answer, PullRequest), answer
    return answer


def trouble_of(answer: object) -> Trouble:
    assert isinstance(answer, ForgeFailure), answer
    return answer.trouble


def able(bench: Bench, capability: Capability, answer: object) -> bool:
    """Whether the forge can do it; if not, that it says so as skipped."""
    if capability in bench.forge.capabilities:
        return True
    assert isinstance(answer, ForgeFailure)
    assert answer.skipped
    assert "skipped" in answer.message
    return False


class TestOpen:
    def test_opens_one_and_finds_it_again(self, bench: Bench) -> None:
        oid = bench.commit(BRANCH)
        assert bench.forge.find_open(BRANCH, "main") is None
        pull = pull_of(bench.forge.create(BRANCH, "main", content(bench.forge)))
        assert (pull.state, pull.branch, pull.base, pull.plan) == (PullState.OPEN, BRANCH, "main", PLAN)
        assert oid.startswith(pull.head)
        assert pull.head
        assert pull.url.startswith("http")
        found = pull_of(bench.forge.find_open(BRANCH, "main"))
        assert (found.id, found.title, found.body) == (pull.id, pull.title, pull.body)

    def test_branches_are_told_apart(self, bench: Bench) -> None:
        pull = opened(bench)
        bench.commit(f"{BRANCH}-2")
        assert bench.forge.find_open(f"{BRANCH}-2", "main") is None
        other = pull_of(bench.forge.create(f"{BRANCH}-2", "main", content(bench.forge)))
        assert other.id != pull.id
        assert pull_of(bench.forge.find_open(BRANCH, "main")).id == pull.id
        listed = bench.forge.all_open("main")
        assert not isinstance(listed, ForgeFailure)
        assert sorted(each.branch for each in listed) == [BRANCH, f"{BRANCH}-2"]
        assert bench.forge.all_open("elsewhere") == ()

    def test_a_second_run_sends_nothing_that_writes(self, bench: Bench) -> None:
        pull = opened(bench)
        again = bench.again()
        found = pull_of(again.find_open(BRANCH, "main"))
        assert again.update(found, content(again)) == found
        assert again.add_labels(found, []) is None
        assert again.request_reviews(found, []) is None
        assert (again.writes, again.requests, found.id) == (0, again.requests, pull.id)
        assert again.requests <= 2

    def test_adopts_the_one_that_is_open(self, bench: Bench) -> None:
        pull = opened(bench)
        wanted = content(bench.forge, "prod: tiles 1.2.0 -> 1.4.0")
        adopted = pull_of(bench.again().create(BRANCH, "main", wanted))
        assert (adopted.id, adopted.title, bench.count()) == (pull.id, wanted.title, 1)

    def test_a_draft_is_one(self, bench: Bench) -> None:
        bench.commit(BRANCH)
        wanted = PullContent("prod: tiles", "body", draft=True)
        pull = pull_of(bench.forge.create(BRANCH, "main", wanted))
        assert pull.title == "prod: tiles"
        assert pull.draft == (Capability.DRAFT in bench.forge.capabilities)
        assert pull_of(bench.forge.update(pull, wanted)) == pull

    def test_no_difference_to_the_base_is_no_pull_request(self, bench: Bench) -> None:
        if bench.kind in {"gitea", "gitlab", "codecommit"}:
            pytest.skip("takes a pull request without a difference")
        bench.same_as_base(BRANCH)
        answer = bench.forge.create(BRANCH, "main", content(bench.forge))
        assert (trouble_of(answer), bench.count()) == (Trouble.NO_DIFFERENCE, 0)

    def test_a_branch_that_is_not_there(self, bench: Bench) -> None:
        answer = bench.forge.create("gitcd/none/env", "main", content(bench.forge))
        assert trouble_of(answer) in {Trouble.REFUSED, Trouble.NOT_FOUND}
        assert bench.count() == 0

    def test_text_of_every_kind_comes_back(self, bench: Bench) -> None:
        bench.commit(BRANCH)
        wanted = PullContent("prod: ü 猫 \"q\" & <b> 'x'", "a\r\nb\n\n```diff\n- ä\n+ 猫\n```\n")
        pull = pull_of(bench.forge.create(BRANCH, "main", wanted))
        writes = bench.forge.writes
        assert pull_of(bench.forge.update(pull_of(bench.forge.get(pull)), wanted)).title == wanted.title
        assert bench.forge.writes == writes


class TestUpdate:
    def test_only_what_differs_is_sent(self, bench: Bench) -> None:
        pull = opened(bench)
        writes = bench.forge.writes
        wanted = PullContent("prod: another title", pull.body)
        changed = pull_of(bench.forge.update(pull, wanted))
        assert (changed.title, changed.body, bench.forge.writes - writes) == (wanted.title, pull.body, 1)

    def test_a_new_commit_and_plan_supersede_the_old_ones(self, bench: Bench) -> None:
        pull = opened(bench)
        oid = bench.commit(BRANCH)
        wanted = content(bench.forge, "prod: tiles 1.2.0 -> 1.5.0", "f" * 16)
        pull_of(bench.forge.update(pull, wanted))
        now = pull_of(bench.forge.get(pull))
        assert (now.plan, now.title, oid.startswith(now.head)) == ("f" * 16, wanted.title, True)
        assert bench.forge.comment(now, "superseded: tiles 1.5.0") is None
        assert bench.comments(pull.id) == ["superseded: tiles 1.5.0"]

    def test_labels_are_added_and_nothing_is_sent_twice(self, bench: Bench) -> None:
        pull = opened(bench)
        answer = bench.forge.add_labels(pull, ["gitcd", "env/prod"])
        if not able(bench, Capability.LABELS, answer):
            return
        assert answer is None
        now = pull_of(bench.forge.get(pull))
        assert set(now.labels) == {"gitcd", "env/prod"}
        writes = bench.forge.writes
        assert bench.forge.add_labels(now, ["gitcd", "env/prod"]) is None
        assert bench.forge.writes == writes
        assert bench.forge.add_labels(now, ["more", "gitcd"]) is None
        assert set(pull_of(bench.forge.get(pull)).labels) == {"gitcd", "env/prod", "more"}

    def test_reviewers_are_asked_even_where_another_is_unknown(self, bench: Bench) -> None:
        pull = opened(bench)
        reviewer = "{reviewer}" if bench.kind == "bitbucket" else "reviewer"
        answer = bench.forge.request_reviews(pull, ["nobody-of-that-name", reviewer])
        if not able(bench, Capability.REVIEWERS, answer):
            return
        assert isinstance(answer, ForgeFailure)
        assert answer.message.startswith("nobody-of-that-name: ")
        now = pull_of(bench.forge.get(pull))
        assert now.reviewers == (reviewer,)
        writes = bench.forge.writes
        assert bench.forge.request_reviews(now, [reviewer]) is None
        assert bench.forge.writes == writes

    def test_who_was_asked_before_can_be_asked_again(self, bench: Bench) -> None:
        if Capability.REVIEWERS not in bench.forge.capabilities:
            pytest.skip("has no reviewers")
        pull = opened(bench)
        reviewer = "{reviewer}" if bench.kind == "bitbucket" else "reviewer"
        assert bench.forge.request_reviews(pull, [reviewer]) is None
        if isinstance(bench, GiteaBench):
            bench.review(pull.id, "APPROVED")
            assert bench.reviews(pull.id) == ["APPROVED"]
        now, writes = pull_of(bench.forge.get(pull)), bench.forge.writes
        assert bench.forge.request_reviews(now, [reviewer]) is None
        assert bench.forge.writes == writes
        assert bench.forge.request_reviews(now, [reviewer], again=True) is None
        assert pull_of(bench.forge.get(pull)).reviewers == (reviewer,)
        if isinstance(bench, GiteaBench):
            assert bench.reviews(pull.id) == ["APPROVED", "REQUEST_REVIEW"]
        if bench.kind == "gitlab":
            assert bench.comments(pull.id) == ["/request_review @reviewer"]

    def test_nobody_reviews_what_is_their_own(self, bench: Bench) -> None:
        pull = opened(bench)
        writes = bench.forge.writes
        assert bench.forge.request_reviews(pull, [pull.author]) is None
        assert bench.forge.writes == writes


class TestEnd:
    def test_closes_with_a_comment_and_is_found_by_its_plan(self, bench: Bench) -> None:
        pull = opened(bench)
        assert bench.forge.comment(pull, "no longer wanted") is None
        assert bench.forge.close(pull) is None
        assert bench.forge.find_open(BRANCH, "main") is None
        found = pull_of(bench.forge.find_closed(BRANCH, "main", PLAN))
        assert (found.id, found.state) == (pull.id, PullState.CLOSED)
        assert found.closed_at is not None
        assert bench.forge.find_closed(BRANCH, "main", "f" * 16) is None
        assert bench.comments(pull.id) == ["no longer wanted"]
        writes = bench.forge.writes
        assert bench.forge.close(pull) is None
        assert bench.forge.writes == writes

    def test_F33_closed_by_a_human_meanwhile(self, bench: Bench) -> None:
        pull = opened(bench)
        bench.close(pull.id)
        assert bench.forge.find_open(BRANCH, "main") is None
        assert pull_of(bench.forge.find_closed(BRANCH, "main", PLAN)).state is PullState.CLOSED
        assert trouble_of(bench.forge.merge(pull, head=bench.tip(BRANCH))) is not Trouble.TRANSIENT
        assert pull_of(bench.forge.get(pull)).state is PullState.CLOSED

    def test_F33_reopens_or_opens_a_new_one(self, bench: Bench) -> None:
        pull = opened(bench)
        bench.close(pull.id)
        answer = bench.forge.reopen(pull)
        if able(bench, Capability.REOPEN, answer):
            assert (pull_of(answer).id, pull_of(answer).state) == (pull.id, PullState.OPEN)
            bench.close(pull.id)
        bench.commit(BRANCH)
        new = pull_of(bench.forge.create(BRANCH, "main", content(bench.forge)))
        assert (new.state, new.id != pull.id, bench.count()) == (PullState.OPEN, True, 2)
        assert pull_of(bench.forge.find_open(BRANCH, "main")).id == new.id

    def test_F33_merged_by_a_human_meanwhile(self, bench: Bench) -> None:
        pull = opened(bench)
        bench.merge(pull.id)
        assert bench.forge.find_open(BRANCH, "main") is None
        found = pull_of(bench.forge.find_closed(BRANCH, "main", PLAN))
        assert (found.id, found.state) == (pull.id, PullState.MERGED)
        assert bench.tip("main").startswith(found.merge_commit)
        assert found.merge_commit
        writes = bench.forge.writes
        assert bench.forge.close(pull) is None
        assert bench.forge.writes == writes
        assert pull_of(bench.forge.merge(pull, head=bench.tip(BRANCH))).state is PullState.MERGED

    def test_F33_the_branch_is_gone(self, bench: Bench) -> None:
        pull = opened(bench)
        assert bench.forge.close(pull) is None
        assert bench.forge.delete_branch(BRANCH, head=bench.tip(BRANCH)) is None
        assert bench.forge.find_open(BRANCH, "main") is None
        assert pull_of(bench.forge.find_closed(BRANCH, "main", PLAN)).id == pull.id
        bench.commit(BRANCH)
        assert pull_of(bench.forge.create(BRANCH, "main", content(bench.forge))).id != pull.id

    def test_F33_the_branch_went_while_it_was_open(self, bench: Bench) -> None:
        """Some forges close it then, some at once and some a little later, and some leave it open."""
        pull = opened(bench)
        assert bench.forge.delete_branch(BRANCH, head=bench.tip(BRANCH)) is None
        for _ in range(40):
            if bench.kind != "gitea" or pull_of(bench.forge.get(pull)).state is PullState.CLOSED:
                break
            time.sleep(0.1)
        bench.commit(BRANCH)
        new = pull_of(bench.forge.create(BRANCH, "main", content(bench.forge)))
        assert new.state is PullState.OPEN
        assert pull_of(bench.forge.find_open(BRANCH, "main")).id == new.id

    def test_deletes_a_branch_only_where_it_still_points(self, bench: Bench) -> None:
        first = bench.commit(BRANCH)
        second = bench.commit(BRANCH)
        assert trouble_of(bench.forge.delete_branch(BRANCH, head=first)) is Trouble.HEAD_MOVED
        assert bench.tip(BRANCH) == second
        assert bench.forge.delete_branch(BRANCH, head=second) is None
        assert bench.tip(BRANCH) == ""
        assert bench.forge.delete_branch(BRANCH, head=second) is None


class TestMerge:
    def test_merges_exactly_the_head_that_is_named(self, bench: Bench) -> None:
        pull = opened(bench)
        old, base = bench.tip(BRANCH), bench.tip("main")
        new = bench.commit(BRANCH)
        assert trouble_of(bench.forge.merge(pull, head=old)) is Trouble.HEAD_MOVED
        assert bench.tip("main") == base
        merged = pull_of(bench.forge.merge(pull, head=new))
        assert merged.state is PullState.MERGED
        assert bench.tip("main") != base
        assert bench.tip("main").startswith(merged.merge_commit)
        writes = bench.forge.writes
        assert pull_of(bench.forge.find_closed(BRANCH, "main")).state is PullState.MERGED
        assert bench.forge.writes == writes

    @pytest.mark.parametrize("method", [MergeMethod.SQUASH, MergeMethod.REBASE])
    def test_every_method_merges(self, bench: Bench, method: MergeMethod) -> None:
        pull = opened(bench)
        assert pull_of(bench.forge.merge(pull, head=bench.tip(BRANCH), method=method)).state is PullState.MERGED

    def test_a_rule_of_the_base_blocks(self, bench: Bench) -> None:
        bench.block()
        pull = opened(bench)
        answer = bench.forge.merge(pull, head=bench.tip(BRANCH))
        assert trouble_of(answer) is Trouble.BLOCKED
        assert pull_of(bench.forge.get(pull)).state is PullState.OPEN

    def test_waits_while_the_forge_computes(self, bench: Bench) -> None:
        pull = opened(bench)
        if bench.kind != "gitea":  # which computes for real
            bench.server.hub.checking = 2
        assert pull_of(bench.forge.merge(pull, head=bench.tip(BRANCH))).state is PullState.MERGED

    def test_a_conflict_is_final(self, bench: Bench) -> None:
        if bench.kind == "gitea":
            pytest.skip("says of a conflict the same as while it computes")
        pull = opened(bench)
        bench.server.hub.conflict = True
        assert trouble_of(bench.forge.merge(pull, head=bench.tip(BRANCH))) is Trouble.CONFLICT
        assert pull_of(bench.forge.get(pull)).mergeable in {Mergeable.CONFLICT, Mergeable.UNKNOWN}

    def test_auto_merge_waits_for_the_rules(self, bench: Bench) -> None:
        bench.block()
        pull = opened(bench)
        if bench.kind in {"gitlab", "github"}:
            bench.server.hub.protected.clear()
        answer = bench.forge.auto_merge(pull, head=bench.tip(BRANCH))
        if able(bench, Capability.AUTO_MERGE, answer):
            assert answer is None
            assert pull_of(bench.forge.get(pull)).state is PullState.OPEN


class TestStatus:
    def test_says_something_at_a_commit(self, bench: Bench) -> None:
        oid = bench.commit(BRANCH)
        answer = bench.forge.set_status(oid, CommitStatus(StatusState.SUCCESS, "gitcd/prod", "1 image moves"))
        if able(bench, Capability.STATUS, answer):
            assert answer is None
            ((context, state),) = bench.statuses(oid)
            assert (context, state.lower()[:7]) == ("gitcd/prod", "success")


class TestFaults:
    def test_F37_an_error_after_it_was_created_makes_no_second_one(self, bench: Bench) -> None:
        bench.commit(BRANCH)
        bench.server.fail("POST", _creating(bench), 502, after=True, body={"message": "Bad Gateway"})
        pull = pull_of(bench.forge.create(BRANCH, "main", content(bench.forge)))
        assert (pull.plan, bench.count()) == (PLAN, 1)

    def test_F37_a_merge_that_was_made_but_answered_with_an_error(self, bench: Bench) -> None:
        pull = opened(bench)
        bench.server.fail("*", "/merge$|^Merge", 500, after=True, body={"message": "Internal Server Error"})
        assert pull_of(bench.forge.merge(pull, head=bench.tip(BRANCH))).state is PullState.MERGED


class TestFaultsOfFakes:
    def test_F37_an_error_before_it_was_created_is_tried_again(self, fake: FakeBench) -> None:
        fake.commit(BRANCH)
        fake.server.fail("POST", _creating(fake), 503, body={"message": "Service Unavailable"})
        pull_of(fake.forge.create(BRANCH, "main", content(fake.forge)))
        assert fake.count() == 1

    def test_F37_an_answer_to_come_again_later_may_have_been_too_late(self, fake: FakeBench) -> None:
        fake.commit(BRANCH)
        fake.server.fail("POST", _creating(fake), 503, after=True, headers={"Retry-After": "1"})
        pull_of(fake.forge.create(BRANCH, "main", content(fake.forge)))
        assert fake.count() == 1

    def test_F37_an_error_that_stays_ends_as_transient(self, fake: FakeBench) -> None:
        fake.commit(BRANCH)
        fake.server.fail("*", "", 500, times=1000)
        answer = fake.forge.create(BRANCH, "main", content(fake.forge))
        assert trouble_of(answer) is Trouble.TRANSIENT
        assert len(fake.server.requests) <= 30

    def test_F36_waits_as_long_as_it_is_asked_to(self, fake: FakeBench) -> None:
        if fake.kind == "codecommit":
            pytest.skip("boto3 waits by itself")
        fake.commit(BRANCH)
        fake.server.fail("POST", _creating(fake), 429, headers={"Retry-After": "7"}, body={"message": "slow down"})
        pull_of(fake.forge.create(BRANCH, "main", content(fake.forge)))
        assert (fake.waits.slept, fake.count()) == ([7.0], 1)

    def test_F36_does_not_wait_beyond_the_deadline(self, fake: FakeBench) -> None:
        fake.commit(BRANCH)
        fake.server.fail("*", "", 429, times=1000, headers={"Retry-After": "30"}, body={"__type": "Throttling"})
        forge = fake.again(deadline=fake.waits.clock.now() + 20)
        before = len(fake.server.requests)
        answer = forge.find_open(BRANCH, "main")
        assert isinstance(answer, ForgeFailure)
        assert (answer.trouble, answer.transient, fake.waits.slept) == (Trouble.RATE_LIMITED, True, [])
        sent = len(fake.server.requests) - before
        assert sent == 1 or (fake.kind == "codecommit" and sent <= 5)

    def test_a_token_that_is_not_accepted_is_final(self, fake: FakeBench) -> None:
        if fake.kind == "codecommit":
            fake.server.fail("*", "", 400, body={"__type": "UnrecognizedClientException", "message": "invalid"})
        answer = fake.again(token="another-token").find_open(BRANCH, "main")
        assert isinstance(answer, ForgeFailure)
        assert (answer.trouble, answer.transient, len(fake.server.requests)) == (Trouble.FORBIDDEN, False, 1)
        assert "another-token" not in str(answer)


def _creating(bench: Bench) -> str:
    return {"gitlab": "/merge_requests$", "bitbucket": "/pullrequests$", "codecommit": "^CreatePull"}.get(
        bench.kind, "/pulls$"
    )
