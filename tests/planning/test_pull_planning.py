"""Which branch a declaration's move is proposed on, and what may become of a branch that is there."""

from hypothesis import given
from hypothesis import strategies as st

from gitcd.git.remote import check_branch
from gitcd.model.declaration import Identity, Origin
from gitcd.model.plan import BROKEN, Outcome, OutcomeKind, Plan, Resolved
from gitcd.planning.pulls import (
    Fate,
    branch_name,
    fate,
    is_branch,
    is_merged,
    is_rollback_branch,
    on_line,
    plan_id,
    propose,
    rollback_branch,
)

A, B = Identity("prod", "team", "a"), Identity("prod", "team", "b")
NAMES = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?(\.(lock|[a-z0-9]{1,5}))?", fullmatch=True)


def outcome(identity=A, kind=OutcomeKind.CURRENT, digest="sha256:1", **more):
    resolved = Resolved("env-prod", "1.0.0", digest)
    return Outcome(identity, Origin("cv.yaml"), kind, "r.example/team/a", resolved=resolved, **more)


def judged(*outcomes, carried=(A, B), gone=True):
    found = {each.identity: each for each in outcomes}
    proposed = [each.identity for each in outcomes if each.kind is OutcomeKind.PROPOSED]
    merged = is_merged(dict.fromkeys(carried, "sha256:0"), found)
    return fate(carried, proposed, found, lambda _: gone, merged=merged)


@given(NAMES, NAMES)
def test_every_branch_is_one_that_git_takes(environment, group):
    environment = environment.replace(".", "-")
    name = branch_name(environment, f"team.{group}")
    assert check_branch(name) == name
    assert is_branch(name)


def test_branches_of_rollbacks_are_no_proposals():
    assert not is_branch("gitcd/rollback/prod/team.app")
    assert not is_branch("gitcd/prod")
    assert not is_branch("main/prod/env")


def test_the_id_stands_for_the_images_alone():
    one, other = outcome(kind=OutcomeKind.BUMPED, message="x"), outcome(B)
    assert plan_id([one, other]) == plan_id([other, outcome(old="0.9.0")])
    assert plan_id([one]) != plan_id([one, other])
    assert plan_id([one]) != plan_id([outcome(digest="sha256:2")])


def test_nothing_is_closed_or_dropped_while_something_is_undecided():
    frozen = outcome(B, OutcomeKind.FROZEN, message="holidays")
    for undecided in (
        frozen,
        outcome(B, OutcomeKind.FAILED, transient=True),
        outcome(B, OutcomeKind.PROMOTED),
        outcome(B, OutcomeKind.BLOCKED, reason="NotSelected"),
        outcome(B, OutcomeKind.BLOCKED, reason="GroupNotSelected"),
    ):
        for first in (outcome(), outcome(kind=OutcomeKind.PROPOSED)):
            assert judged(first, undecided).leave, undecided
    assert judged(outcome(), gone=False).leave
    assert "holidays" in judged(frozen).reason


def test_what_is_merged_is_cleared_whatever_else_is_said_of_it():
    """Where an environment moves by promotion, nothing else tells a reconcile so."""
    for kind in (OutcomeKind.PROMOTED, OutcomeKind.HELD, OutcomeKind.FROZEN, OutcomeKind.FAILED):
        there = [outcome(each, kind, old_digest="sha256:0") for each in (A, B)]
        assert judged(*there) == Fate(close=True, reason="prod/team/a and prod/team/b are current")
        assert not judged(there[0], outcome(B, kind, old_digest="sha256:2")).reason.endswith("are current")
    assert judged(outcome(digest="sha256:0"), outcome(B, digest="sha256:0")).close


def test_a_way_back_is_for_one_base():
    assert rollback_branch(A) == "gitcd/rollback/prod/team.a"
    assert rollback_branch(A, "live/eu") == "gitcd/rollback/prod/team.a@live/eu"
    assert check_branch(rollback_branch(Identity("prod", "team", "a.lock")))
    assert is_rollback_branch(rollback_branch(A))
    assert is_rollback_branch(rollback_branch(A, "live/eu"), "live/eu")
    assert not is_rollback_branch(rollback_branch(A), "live")
    assert not is_rollback_branch(rollback_branch(A, "live"))
    assert not is_rollback_branch("gitcd/prod/env")


def test_what_failed_is_dropped_and_closes_nothing():
    failed = outcome(B, OutcomeKind.FAILED)
    dropped = judged(outcome(kind=OutcomeKind.PROPOSED), failed)
    assert (dropped.leave, dropped.close) == (False, False)
    assert judged(outcome(), failed).leave


@given(st.lists(st.sampled_from(OutcomeKind), min_size=2, max_size=2), st.booleans(), st.booleans())
def test_only_what_nobody_wants_any_more_is_closed(kinds, transient, gone):
    outcomes = [outcome(each, kind, transient=transient) for each, kind in zip((A, B), kinds, strict=True)]
    found = judged(*outcomes, gone=gone)
    assert not (found.leave and found.close)
    if found.close:
        assert not transient
        assert OutcomeKind.PROPOSED not in kinds
        assert not {*BROKEN, OutcomeKind.BLOCKED, OutcomeKind.FROZEN, OutcomeKind.PROMOTED} & set(kinds)
        assert found.reason


def test_two_bases_never_share_a_branch():
    plan = Plan("", (propose(outcome("app"), "gitcd/prod/env"),), ())
    (moved,) = on_line(plan, "release/1").outcomes
    assert moved.proposal == "gitcd/prod/env@release/1"
    assert is_branch(moved.proposal, "release/1")
    assert not is_branch(moved.proposal)
    assert not is_branch(moved.proposal, "release")
    assert not is_branch("gitcd/prod/env", "release/1")
    assert on_line(plan, "") is plan


def test_a_reason_names_few_of_many():
    many = [Identity("prod", "team", f"app{number}") for number in range(200)]
    closed = judged(*(outcome(each) for each in many), carried=many)
    assert closed.reason == "prod/team/app0, prod/team/app1 and 198 more are current"
    assert judged(outcome(), outcome(B)).reason == "prod/team/a and prod/team/b are current"
    assert judged(outcome()).reason == "prod/team/a is current; prod/team/b is no longer declared"
