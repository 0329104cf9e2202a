"""Whatever a repository holds and however it is delivered: proposals and commits divide the moves among them."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from gitcd.model.plan import OutcomeKind
from gitcd.model.tree import MemoryTree
from gitcd.usecases.context import Context
from gitcd.usecases.planner import make_plan
from tests.support.scenes import NOW
from tests.support.worlds import ENVIRONMENTS, configs

DELIVERIES = st.sampled_from(
    ["", "{mode: PullRequest, group: env}", "{mode: PullRequest}", "{mode: PullRequest, group: x}"]
)


@st.composite
def worlds(draw):
    """A repository with its registry; environments and some declarations are delivered by pull request."""
    config = draw(configs())
    files = dict(config.files)
    layout = files["gitcd.yaml"].decode()
    for name in ENVIRONMENTS:
        if delivery := draw(DELIVERIES):
            layout = layout.replace(f"path: envs/{name}}}", f"path: envs/{name}, delivery: {delivery}}}")
    files["gitcd.yaml"] = layout.encode()
    if draw(st.booleans()):
        own = b'"delivery": {"mode": "PullRequest", "group": "own"}, "imageRepo"'
        files = {path: data.replace(b'"imageRepo"', own, 1) for path, data in files.items()}
    return files, config.tags


def planned(files, tags):
    return make_plan(MemoryTree(files), Context(tags, lambda questions: {}, NOW)).plan


def applied(files, changes):
    done = files | {change.path: change.after for change in changes}
    return {path: data for path, data in done.items() if data is not None}


@settings(max_examples=60)
@given(worlds())
def test_proposals_and_commits_divide_the_moves(world):
    files, tags = world
    plan = planned(files, tags)
    proposed = [outcome.identity for pull in plan.pulls for outcome in pull.commit.outcomes]
    committed = [outcome.identity for commit in plan.commits for outcome in commit.outcomes]
    assert len({*proposed, *committed}) == len(proposed) + len(committed)
    told = {outcome.identity for outcome in plan.outcomes if outcome.kind is OutcomeKind.PROPOSED}
    assert told == set(proposed)
    for pull in plan.pulls:
        assert {each.identity.environment for each in pull.commit.outcomes} == {pull.environment}
        for change in pull.commit.files:
            assert change.before == files[change.path]
            assert change.after != change.before
        left = planned(applied(files, pull.commit.files), tags)
        moved = {outcome.identity for outcome in pull.commit.outcomes}
        assert {each.kind for each in left.outcomes if each.identity in moved} == {OutcomeKind.CURRENT}
        assert [other.id for other in left.pulls] == [other.id for other in plan.pulls if other is not pull]


@settings(max_examples=60)
@given(worlds())
def test_all_parts_together_are_what_is_shown_and_leave_nothing_to_do(world):
    files, tags = world
    plan = planned(files, tags)
    rest = planned(applied(files, plan.files), tags)
    assert (rest.commits, rest.pulls) == ((), ())
    step = files
    for commit in plan.commits:
        step = applied(step, commit.files)
    landed = planned(step, tags)
    assert landed.commits == ()
    assert [(pull.branch, pull.id) for pull in landed.pulls] == [(pull.branch, pull.id) for pull in plan.pulls]
    for pull in landed.pulls:
        step = applied(step, planned(step, tags).pulls[0].commit.files)
        assert pull.branch not in {other.branch for other in planned(step, tags).pulls}
    assert step == applied(files, plan.files)
