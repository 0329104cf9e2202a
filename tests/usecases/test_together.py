"""Declarations that share a place or a group move as one or not at all, whoever was selected and whatever broke."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitcd.cli import session
from gitcd.model.plan import OutcomeKind
from gitcd.model.registry import Failure
from gitcd.model.settings import NamespaceScope
from gitcd.model.tree import MemoryTree
from gitcd.planning.settling import group_of
from gitcd.usecases.context import Context, Selection
from gitcd.usecases.planner import make_plan
from tests.support import scenes
from tests.support.worlds import configs
from tests.usecases.test_planner import (
    APP,
    HOST,
    LAYOUT,
    NOW,
    SELECTOR,
    TWO,
    Registry,
    app,
    declaration,
    deployment,
    digest,
    hold,
    only,
    plan,
    tree,
)
from tests.usecases.test_planner import TestBlueGreen as BlueGreenCase

GROUP = {"strategy": "{group: release}"}
BY_APP = "commits: app\n" + LAYOUT % ""


def told(result):
    return {outcome.identity.name: (outcome.kind.value, outcome.reason) for outcome in result.outcomes}


def chosen(*apps):
    return Selection(apps=frozenset(apps))


def grouped(image=f"{APP}:1.0.0", **spec):
    return app(**GROUP) | {
        "envs/dev/b/cv.yaml": declaration("b", selector="{app: b}", **GROUP, **spec),
        "envs/dev/b/b.yaml": deployment(image, name="b", labels="{app: b}"),
    }


def shared(**second):
    return app() | {"envs/dev/cv2.yaml": declaration("second", **(SELECTOR | second))}


class TestGroups:
    def test_a_group_does_not_move_for_one_selected_member(self):
        outcome = only(plan(grouped(), selection=chosen("app")))
        assert (outcome.kind, outcome.reason) == (OutcomeKind.BLOCKED, "GroupNotSelected")
        assert outcome.remedy.endswith("--app dev/team/b")
        assert len(plan(grouped(), selection=chosen("app", "b")).files) == 2

    def test_who_asks_about_one_member_is_told_what_a_run_for_all_would_do(self):
        looking = session.selection({"app": "app", "environment": ()})
        assert only(plan(grouped(), selection=looking)).kind is OutcomeKind.BUMPED

    def test_members_with_nothing_to_do_need_not_be_selected(self):
        files = grouped(f"{APP}:1.1.0@{digest('1.1.0')}")
        assert only(plan(files, selection=chosen("app"))).kind is OutcomeKind.BUMPED

    def test_a_hold_that_cannot_be_read_holds_the_group(self):
        result = plan(grouped() | hold("frieze: true\n", "b"))
        assert told(result) == {"app": ("Blocked", "GroupIncomplete"), "b": ("Failed", "HoldUnreadable")}
        assert result.commits == ()

    def test_a_member_that_is_declared_twice_stops_the_group(self):
        again = {"envs/dev/b/cv2.yaml": declaration("b", selector="{app: b}", **GROUP)}
        result = plan(grouped() | again)
        assert told(result)["app"] == ("Blocked", "GroupIncomplete")
        assert result.commits == ()

    def test_a_member_that_may_not_reach_here_stops_the_group(self):
        files = {
            path: text.replace("namespace: team", "namespace: other") if path.startswith("envs/dev/b/") else text
            for path, text in grouped().items()
        }
        limits = {"team": NamespaceScope("team", ("dev",))}
        result = make_plan(tree(files), Context(TWO, lambda questions: {}, NOW, limits=limits)).plan
        assert told(result) == {"app": ("Blocked", "GroupIncomplete"), "b": ("Failed", "NamespaceNotAllowed")}
        assert result.commits == ()

    @pytest.mark.parametrize("selection", [Selection(), chosen("app")])
    def test_a_member_with_a_mistake_stops_the_group(self, selection):
        result = plan(grouped(oops="1"), selection=selection)
        assert told(result)["app"] == ("Blocked", "GroupIncomplete")
        assert result.commits == ()

    def test_a_member_in_a_list_with_a_mistake_stops_the_group(self):
        item = json.dumps(
            {
                "apiVersion": "gitcd.io/v1",
                "kind": "ContainerVersion",
                "metadata": {"name": "c"},
                "spec": {"imageRepo": APP, "oops": 1, "strategy": {"group": "release"}},
            }
        )
        files = grouped() | {"envs/dev/c.yaml": f"kind: List\napiVersion: v1\nitems:\n- {item}\n"}
        assert told(plan(files))["app"] == ("Blocked", "GroupIncomplete")

    def test_a_broken_member_stops_the_group_of_its_own_environment_only(self):
        files = grouped() | {"envs/prod/cv.yaml": declaration("c", oops="1", **GROUP)}
        assert len(plan(files).files) == 2
        files["notes.yaml"] = declaration("c", oops="1", environment="dev", **GROUP)
        assert plan(files).commits == ()

    def test_a_group_is_one_commit_however_finely_commits_are_cut(self):
        (commit,) = plan(grouped(), layout=BY_APP).commits
        assert [outcome.identity.name for outcome in commit.outcomes] == ["app", "b"]
        assert len(commit.files) == 2

    @pytest.mark.parametrize("layout", [LAYOUT % "", BY_APP])
    def test_a_group_is_one_commit_although_one_member_only_changes_its_spelling(self, layout):
        (commit,) = plan(grouped(f"{APP}:1.1.0"), layout=layout).commits
        assert commit.kind is OutcomeKind.BUMPED
        assert {outcome.kind for outcome in commit.outcomes} == {OutcomeKind.BUMPED, OutcomeKind.PIN_ONLY}


class TestSharedPlaces:
    def wide(self):
        """`second` owns the place of `app`, and one more."""
        return shared(selector="{tier: x}") | {
            "envs/dev/app.yaml": deployment(labels="{app: app, tier: x}"),
            "envs/dev/more.yaml": deployment(name="more", labels="{tier: x}"),
        }

    def test_half_of_what_is_not_selected_does_not_move(self):
        outcome = only(plan(self.wide(), selection=chosen("app")))
        assert (outcome.kind, outcome.reason) == (OutcomeKind.BLOCKED, "SharedPlaceNotSelected")
        assert "dev/team/second" in outcome.message
        assert outcome.remedy.endswith("--app dev/team/second")
        assert len(plan(self.wide(), selection=chosen("app", "second")).files) == 2

    def test_nothing_moves_that_is_not_selected(self):
        outcome = only(plan(shared(), selection=chosen("app")))
        assert (outcome.kind, outcome.reason) == (OutcomeKind.BLOCKED, "SharedPlaceNotSelected")

    def test_a_suspended_owner_keeps_the_place(self):
        result = plan(shared(suspend="true"))
        assert told(result) == {"app": ("Blocked", "SharedPlaceHeld"), "second": ("Suspended", "Suspended")}
        assert result.commits == ()

    @pytest.mark.parametrize("other", [{"tag": "gone"}, {"tag": "canary", "suspend": "true"}])
    def test_an_owner_that_follows_another_tag_is_a_conflict_although_it_does_not_move(self, other):
        result = plan(shared(**other))
        assert told(result)["app"] == ("Conflict", "Conflict")
        assert f"dev/team/second (envs/dev/cv2.yaml:2) wants {APP}:{other['tag']}" in result.outcomes[0].message
        assert result.commits == ()

    def test_an_owner_with_another_pin_is_a_conflict_although_it_does_not_move(self):
        assert told(plan(shared(suspend="true", pin="Digest")))["app"] == ("Conflict", "Conflict")

    def test_an_owner_that_the_registry_tells_nothing_of_just_now_is_no_conflict(self):
        registry = Registry(
            app=[["1.0.0"], ["1.1.0", "env-dev"], Failure("Throttled", "not now", transient=True)],
        )
        result = plan(shared(tag="canary"), registry)
        assert told(result) == {"app": ("Blocked", "SharedPlaceHeld"), "second": ("Failed", "Throttled")}

    def test_an_owner_content_with_the_spelling_keeps_it_for_all(self):
        files = shared(adopt="OnChange") | {"envs/dev/app.yaml": deployment(f"{APP}:1.1.0")}
        result = plan(files)
        assert told(result) == {"app": ("Blocked", "SharedPlaceHeld"), "second": ("Current", "AdoptOnChange")}
        assert "leaves it as it is" in result.outcomes[0].message

    def test_a_place_that_is_right_already_binds_nobody(self):
        files = self.wide() | hold("freeze: true\n", "second")
        files["envs/dev/app.yaml"] = deployment(f"{APP}:1.1.0@{digest('1.1.0')}", labels="{app: app, tier: x}")
        files["envs/dev/also.yaml"] = deployment(name="also")
        assert [change.path for change in plan(files).files] == ["envs/dev/also.yaml"]

    def test_places_named_by_pointer_meet_although_only_one_is_selected(self):
        registry = Registry(app=[["1.0.0"], ["1.1.0", "env-dev"]], other=[["2.0.0"], ["2.1.0", "env-dev"]])
        places = "[{file: v.yaml, pointer: /x, format: tag}]"
        files = {
            "envs/dev/cv.yaml": declaration(places=places),
            "envs/dev/cv2.yaml": declaration("b", repo=f"{HOST}/team/other", places=places),
            "envs/dev/v.yaml": "x: 1.0.0\n",
        }
        result = plan(files, registry, selection=chosen("app"))
        assert only(result).kind is OutcomeKind.CONFLICT

    def test_what_cannot_be_written_keeps_its_other_places_for_all(self):
        files = {
            "envs/dev/cv.yaml": declaration("x", **SELECTOR),
            "envs/dev/cv2.yaml": declaration("y", paths="[envs/dev/f1.yaml]", **SELECTOR),
            "envs/dev/f1.yaml": deployment(name="f1"),
            "envs/dev/f2.yaml": f"image:\n  repository: {APP}\n  digest: {digest('1.0.0')}\n",
        }
        result = plan(files)
        assert told(result) == {"x": ("Failed", "EditRefused"), "y": ("Blocked", "SharedPlaceHeld")}
        assert result.commits == ()

    def test_a_gate_stops_all_that_hang_together(self):
        group = {"strategy": "{group: g}"}
        files = {
            "envs/dev/z.yaml": declaration("z", selector="{app: z}", gates="{requireSigned: true}", **group),
            "envs/dev/x.yaml": declaration("x", selector="{tier: x}", **group),
            "envs/dev/y.yaml": declaration("y", selector="{only: y}"),
            "envs/dev/wz.yaml": deployment(name="wz", labels="{app: z}"),
            "envs/dev/w1.yaml": deployment(name="w1", labels="{tier: x, only: y}"),
            "envs/dev/w2.yaml": deployment(name="w2", labels="{tier: x}"),
        }
        result = plan(files)
        reasons = {name: reason for name, (_, reason) in told(result).items()}
        assert (reasons["x"], reasons["y"]) == ("GroupIncomplete", "SharedPlaceHeld")
        assert result.commits == ()

    @pytest.mark.parametrize("length", [1, 2, 3, 5])
    @pytest.mark.parametrize("selection", [Selection(), chosen("b1")])
    def test_a_chain_of_groups_and_places_stops_as_one(self, length, selection):
        """a0 cannot move; each a(n+1) is in a group with the one before, and shares a place with b(n+1)."""
        documents = [declaration("a0", selector="{app: a0}", tag="gone", strategy="{group: g0}")]
        files = {"envs/dev/a0.yaml": deployment(name="a0", labels="{app: a0}")}
        for n in range(1, length + 1):
            documents.append(declaration(f"a{n}", selector=f"{{l{n}: x}}", strategy=f"{{group: g{n - 1}}}"))
            documents.append(declaration(f"b{n}", selector=f"{{r{n}: x}}", strategy=f"{{group: g{n}}}"))
            files[f"envs/dev/s{n}.yaml"] = deployment(name=f"s{n}", labels=f"{{l{n}: x, r{n}: x}}")
            files[f"envs/dev/own{n}.yaml"] = deployment(name=f"own{n}", labels=f"{{r{n}: x}}")
        files["envs/dev/cv.yaml"] = "---".join(documents)
        assert plan(files, selection=selection).commits == ()

    def test_nobody_else_moves_the_live_slot(self):
        plain = declaration("plain", workload="{kind: Deployment, name: app-blue}")
        result = plan(BlueGreenCase().files() | {"envs/dev/cv2.yaml": plain})
        assert told(result)["plain"] == ("Blocked", "SharedPlaceHeld")
        assert "envs/dev/blue.yaml" not in [change.path for change in result.files]
        assert len(result.files) == 1


@given(configs(), st.data())
def test_no_selection_parts_what_belongs_together(config, data):
    """Whoever owns a place that a commit changes, and whoever is in a group that it moves, is told of in a commit."""
    names = [each.name for each in config.apps]
    some = frozenset(data.draw(st.sets(st.sampled_from(names), min_size=1)))
    files = MemoryTree(config.files)
    whole = make_plan(files, Context(config.tags, lambda _: {}, scenes.NOW))
    part = make_plan(files, Context(config.tags, lambda _: {}, scenes.NOW, Selection(apps=some)))
    moved = {outcome.identity for outcome in part.plan.outcomes if outcome.changed}
    touched = {(edit.site.path, edit.site.pointer) for each in part.decisions for edit in each.edits}
    groups = {group for each in part.decisions if each.edits and (group := group_of(each))}
    for each in whole.decisions:
        owned = {(goal.site.path, goal.site.pointer) for goal in each.wanted if not goal.met}
        owned |= {(site.path, site.pointer) for site in each.surveyed.sites if not each.wanted}
        if not owned.isdisjoint(touched) or (group_of(each) in groups and owned):
            assert each.outcome.identity in moved
    assert {outcome.identity.name for outcome in part.plan.outcomes} <= some
