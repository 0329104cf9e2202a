"""What holds for every plan, whatever the repository: over random ones, and over every file of the example."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitcd.model.plan import BROKEN, CHANGING, OutcomeKind
from gitcd.model.registry import Answers
from gitcd.model.tree import MemoryTree
from gitcd.planning.scopes import Scopes
from gitcd.usecases.context import Context
from gitcd.usecases.planner import make_plan
from gitcd.usecases.reconcile import preview
from tests.support.adoption import declare, differing, snapshot
from tests.support.repos import make_bare
from tests.support.scenes import HOST, NOW, Tags, context, mirror_of, run
from tests.support.worlds import configs

KEYS = {"image", "newTag", "digest", "tag"}


class ShuffledTree(MemoryTree):
    """The same files, listed and read in another order."""

    def __init__(self, files, dice):
        super().__init__(files)
        self.dice = dice

    def _shuffled(self, items):
        items = list(items)
        self.dice.shuffle(items)
        return items

    def entries(self):
        return self._shuffled(super().entries())

    def read(self, entries):
        return super().read(self._shuffled(entries))


def planned(files, tags, tree=None):
    return make_plan(tree or MemoryTree(files), Context(tags, lambda _: {}, NOW))


def applied(files, plan):
    return dict(files) | {change.path: change.after for change in plan.files}


def decisions(plan):
    """All that was decided, without the lines on which declarations happen to stand."""
    return {
        outcome.identity: (outcome.kind, outcome.reason, outcome.resolved, outcome.changes, outcome.direction)
        for outcome in plan.outcomes
    }


def written(plan):
    return [(commit.kind, commit.environments, commit.files) for commit in plan.commits]


@given(configs(), st.randoms(use_true_random=False))
def test_the_order_of_files_and_answers_never_matters(config, dice):
    def resolve(queries):
        shuffled = list(config.tags(queries).by_key.items())
        dice.shuffle(shuffled)
        return Answers(dict(shuffled))

    straight = planned(config.files, config.tags).plan
    assert planned(config.files, resolve, ShuffledTree(config.files, dice)).plan == straight


@given(configs(), st.data())
def test_the_order_of_declarations_never_matters(config, data):
    other = config.shuffled(tuple(data.draw(st.permutations(config.apps))))
    one, two = planned(config.files, config.tags).plan, planned(other.files, other.tags).plan
    assert decisions(one) == decisions(two)
    assert written(one) == written(two)


@given(configs())
def test_a_second_plan_is_empty(config):
    plan = planned(config.files, config.tags).plan
    again = planned(applied(config.files, plan), config.tags).plan
    assert again.commits == ()
    kinds = {outcome.identity: outcome.kind for outcome in plan.outcomes}
    for outcome in again.outcomes:
        before = kinds[outcome.identity]
        assert outcome.kind is (OutcomeKind.CURRENT if before in CHANGING else before), (outcome, before)


@given(configs())
def test_nothing_changes_outside_the_environment_of_a_declaration(config):
    result = planned(config.files, config.tags)
    scopes = Scopes(result.inputs.layout)
    for outcome in result.plan.outcomes:
        for change in outcome.changes:
            assert scopes.environment_of(change.path) == outcome.identity.environment
    for commit in result.plan.commits:
        told = {change.path for outcome in commit.outcomes for change in outcome.changes}
        assert {change.path for change in commit.files} <= told
        assert {outcome.identity.environment for outcome in commit.outcomes} == set(commit.environments)


@given(configs())
def test_commits_are_no_finer_than_asked_and_build_on_each_other(config):
    plan = planned(config.files, config.tags).plan
    units = Counter()
    state = dict(config.files)
    for commit in plan.commits:
        assert commit.files
        for change in commit.files:
            assert state[change.path] == change.before != change.after
            state[change.path] = change.after
        first = commit.outcomes[0].identity
        unit = {"run": "", "environment": first.environment, "app": str(first)}[config.granularity]
        units[commit.kind, unit] += 1
    assert set(units.values()) <= {1}
    assert state == applied(config.files, plan)


@given(configs())
def test_only_intended_scalars_change_for_both_yaml_versions(config):
    plan = planned(config.files, config.tags).plan
    for change in plan.files:
        for version in ("1.1", "1.2"):
            leaves = differing(change.before, change.after, version)
            assert leaves, change
            assert {path[-1] for path in leaves} <= KEYS
            assert all(value is None or isinstance(value, str) for value in leaves.values())


@given(configs())
def test_what_is_broken_or_stays_moves_nowhere(config):
    """All or nothing: no place of a declaration changes unless it is told as changing, itself or by its sharer."""
    plan = planned(config.files, config.tags).plan
    moved = {(change.path, change.pointer) for each in plan.outcomes if each.changed for change in each.changes}
    for outcome in plan.outcomes:
        if outcome.changed:
            assert outcome.changes
        else:
            assert outcome.changes == ()
        if outcome.kind in BROKEN:
            assert outcome.message
    after = applied(config.files, plan)
    assert {path for path in after if after[path] != config.files[path]} <= {path for path, _ in moved}


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(configs())
def test_what_the_preview_shows_is_what_lands(tmp_path_factory, config):
    remote = make_bare(tmp_path_factory.mktemp("remote") / "config.git", config.files)
    with mirror_of(remote.url) as mirror:
        shown = preview(mirror, context(mirror, config.tags)).plan
    published = run(remote.url, config.tags)
    assert snapshot(remote) == applied(config.files, shown)
    assert len(published.commits) == len(shown.commits)
    for commit, oid in zip(shown.commits, published.commits, strict=True):
        assert remote.git("log", "-1", "--format=%B", oid).rstrip("\n") == commit.message.rstrip("\n")
        changed = remote.git("diff-tree", "-r", "--no-commit-id", "--name-only", oid).split()
        assert changed == [change.path for change in commit.files]
        assert all(remote.show(change.path, oid) == change.after for change in commit.files)
    assert run(remote.url, config.tags).commits == ()


@pytest.mark.parametrize("present", [("1.0.0", "2.0.0"), ("2.0.0", "1.0.0"), ("1.1.0", "2.0.0")])
def test_a_downgrade_of_any_place_is_a_downgrade(present):
    """Of two places one goes forward (or stays) and one goes back: their order decides nothing."""
    files = {"cv.yaml": declare("one", "team/one", "blue", gates={"allowDowngrade": False}).encode()} | {
        f"values-{number}.yaml": f"image:\n  repository: {HOST}/team/one\n  tag: {version}\n".encode()
        for number, version in enumerate(present)
    }
    tags = Tags({"team/one": ["1.0.0", "1.1.0", "2.0.0"]})
    tags.move("team/one", "blue", "1.1.0")
    (outcome,) = planned(files, tags).plan.outcomes
    assert (outcome.kind, outcome.reason, outcome.old) == (OutcomeKind.BLOCKED, "Downgrade", "2.0.0")
