"""Holds: none is passed over in silence, each part ends by itself, and each release ends what it says."""

from datetime import timedelta

import pytest

from gitcd.errors import ConfigError
from gitcd.model.plan import OutcomeKind
from gitcd.model.tree import MemoryTree, Mode
from gitcd.usecases.holding import HoldRequest, hold
from gitcd.usecases.planner import Context, make_plan
from tests.usecases.test_planner import LAYOUT, NOW, TWO, app, declaration, digest, only, plan, tree

HOLD = ".gitcd/holds/dev/team.app.yaml"
LATER = NOW + timedelta(days=2)


def planned(tree, now=NOW):
    return make_plan(tree, Context(TWO, lambda _: {}, now)).plan


def held(tree, **request):
    change = hold(tree, HoldRequest("app", **request), NOW).change
    tree.files[change.path] = change.after


class TestEnds:
    def test_a_freeze_that_ends_leaves_a_rejection_in_force(self):
        files = tree(app())
        held(files, reject=digest("1.1.0"))
        held(files, until="2026-11-23")
        assert only(planned(files, LATER)).reason == "Rejected"

    def test_a_rejection_leaves_the_end_and_the_reason_of_a_freeze(self):
        files = tree(app())
        held(files, until="2026-11-23", reason="holidays", by="ann")
        held(files, reject=digest("9.9"), reason="crashes", by="bob")
        assert only(planned(files)).message == "frozen until 2026-11-23 by ann: holidays"
        assert only(planned(files, LATER)).kind is OutcomeKind.BUMPED

    def test_a_rejection_has_an_end_of_its_own(self):
        files = tree(app())
        held(files, reject=digest("1.1.0"), until="2026-11-23")
        assert only(planned(files)).reason == "Rejected"
        assert only(planned(files, LATER)).kind is OutcomeKind.BUMPED


class TestNeverInSilence:
    @pytest.mark.parametrize("path", [HOLD, HOLD.replace(".yaml", ".yml")])
    @pytest.mark.parametrize("mode", [Mode.FILE, Mode.SYMLINK])
    def test_a_hold_that_is_not_read_fails_its_declaration(self, path, mode):
        data = b"# " + b"x" * (1 << 20) if (path, mode) == (HOLD, Mode.FILE) else b"freeze: true\n"
        files = MemoryTree(tree(app()).files | {path: data}, {path: mode})
        outcome = only(planned(files))
        assert (outcome.kind, outcome.reason) == (OutcomeKind.FAILED, "HoldUnreadable")
        assert path in outcome.message

    @pytest.mark.parametrize("path", ["gitcd.yaml", "gitcd.yml"])
    def test_a_layout_that_is_not_read_stops_all(self, path):
        modes = {path: Mode.SYMLINK} if path == "gitcd.yaml" else {}
        files = MemoryTree(tree(app(), layout="").files | {path: (LAYOUT % "").encode()}, modes)
        with pytest.raises(ConfigError, match=path):
            planned(files)

    def test_a_layout_that_is_too_large_stops_all(self):
        with pytest.raises(ConfigError, match=r"gitcd\.yaml is no regular file of fit size"):
            plan(app(), layout=LAYOUT % "" + "# " + "x" * (1 << 20))

    @pytest.mark.parametrize("name", ["dev/team.ap.yaml", "team.app.yaml", "prod/team.app.yaml", "dev/team.app.json"])
    def test_a_hold_for_nobody_is_warned_of(self, name):
        result = plan(app() | {f".gitcd/holds/{name}": "freeze: true\n"})
        assert only(result).kind is OutcomeKind.BUMPED
        assert f".gitcd/holds/{name}" in result.warnings[0]

    def test_a_namespace_with_a_dot_is_refused_for_hold_paths_could_not_tell_it(self):
        files = app() | {"envs/dev/cv.yaml": declaration().replace("namespace: team", "namespace: te.am")}
        assert only(plan(files)).reason == "InvalidDeclaration"
