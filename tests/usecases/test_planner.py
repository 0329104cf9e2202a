"""Whole plans over trees in memory: what the rules say about declarations, places, gates, holds and each other."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitcd.errors import ConfigError
from gitcd.model.declaration import Identity
from gitcd.model.plan import Direction, OutcomeKind
from gitcd.model.registry import Answers, Failure, Image
from gitcd.model.settings import NamespaceScope
from gitcd.model.tree import MemoryTree
from gitcd.planning.holds import NoHistory, PastMove
from gitcd.usecases.context import Context, Selection
from gitcd.usecases.planner import make_plan

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOST = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
APP = f"{HOST}/team/app"
LAYOUT = """
apiVersion: gitcd.io/v1
kind: ConfigRepository
environments:
- {name: dev, path: envs/dev%s}
- {name: prod, path: envs/prod}
"""


def digest(text):
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


class Registry:
    """Answers from a table: repository → images, oldest first, each one day younger than the one before."""

    def __init__(self, **images):
        self.images = images
        self.asked = []

    def __call__(self, queries):
        self.asked += queries
        keys = {(query.repository, name) for query in queries for name in query.tags | query.digests}
        return Answers({key: self.answer(*key) for key in keys})

    def answer(self, repository, name):
        images = self.images.get(repository.path.rpartition("/")[2], [])
        for number, tags in enumerate(images):
            if isinstance(tags, Failure):
                return tags
            made = Image(digest(tags[0]), tuple(tags), NOW - timedelta(days=len(images) - number))
            if name in tags or name == made.digest:
                return made
        return Failure("TagNotFound", f"{name} is not there")


def declaration(name="app", repo=APP, tag="env-dev", **spec):
    lines = "".join(f"  {key}: {value}\n" for key, value in spec.items())
    return f"""
apiVersion: gitcd.io/v1
kind: ContainerVersion
metadata: {{name: {name}, namespace: team}}
spec:
  imageRepo: {repo}
  tag: {tag}
{lines}"""


def deployment(image=f"{APP}:1.0.0", name="app", labels="{app: app}", container="main", extra=""):
    return f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: team, labels: {labels}}}
spec:
  template:
    metadata: {{labels: {labels}}}
    spec:
      containers:
      - name: {container}
        image: {image}  # kept
{extra}"""


SELECTOR = {"selector": "{app: app}"}
TWO = Registry(app=[["1.0.0"], ["1.1.0", "env-dev"]])


def tree(files, layout=LAYOUT % ""):
    given = {"gitcd.yaml": layout, **files} if layout else files
    return MemoryTree({path: text.encode() if isinstance(text, str) else text for path, text in given.items()})


def planned(files, registry=TWO, recall=lambda questions: {}, selection=Selection(), layout=LAYOUT % "", now=NOW):  # noqa: B008
    return make_plan(tree(files, layout), Context(registry, recall, now, selection))


def plan(files, *args, **kwargs):
    return planned(files, *args, **kwargs).plan


def only(plan):
    (outcome,) = plan.outcomes
    return outcome


def app(image=f"{APP}:1.0.0", **spec):
    return {"envs/dev/cv.yaml": declaration(**(SELECTOR | spec)), "envs/dev/app.yaml": deployment(image)}


class TestMoves:
    def test_a_bump_changes_only_the_scalar(self):
        result = plan(app())
        assert only(result).kind is OutcomeKind.BUMPED
        assert only(result).direction is Direction.FORWARD
        (change,) = result.files
        assert change.after == change.before.replace(b":1.0.0", f":1.1.0@{digest('1.1.0')}".encode())
        assert only(result).old == "1.0.0"

    def test_F32_a_second_run_changes_nothing(self):
        files = app()
        files["envs/dev/app.yaml"] = plan(files).files[0].after
        again = plan(files)
        assert only(again).kind is OutcomeKind.CURRENT
        assert again.commits == ()

    @pytest.mark.parametrize(
        ("pin", "suffix"),
        [
            ("VersionAndDigest", f":1.1.0@{digest('1.1.0')}"),
            ("Digest", f"@{digest('1.1.0')}"),
            ("Version", ":1.1.0"),
            ("TagAndDigest", f":env-dev@{digest('1.1.0')}"),
        ],
    )
    def test_the_pin_says_how_it_is_written(self, pin, suffix):
        (change,) = plan(app(pin=pin)).files
        assert f"image: {APP}{suffix}  # kept".encode() in change.after

    @pytest.mark.parametrize("pin", ["VersionAndDigest", "Digest", "Version", "TagAndDigest"])
    @pytest.mark.parametrize("digest_key", ["", f"  digest: {digest('1.0.0')}\n", '  digest: ""\n'])
    def test_a_helm_map_comes_to_rest_with_every_pin(self, pin, digest_key):
        values = f"image:\n  repository: {APP}\n  tag: 1.0.0\n{digest_key}"
        files = {"envs/dev/cv.yaml": declaration(pin=pin), "envs/dev/values.yaml": values}
        outcome = only(plan(files))
        if pin == "Digest" and not digest_key:
            assert outcome.reason == "DigestKeyMissing"
            return
        assert outcome.kind is OutcomeKind.BUMPED
        files["envs/dev/values.yaml"] = plan(files).files[0].after
        assert only(plan(files)).kind is OutcomeKind.CURRENT

    @pytest.mark.parametrize("pin", ["VersionAndDigest", "Digest", "Version", "TagAndDigest"])
    @pytest.mark.parametrize(
        "entry", ["{name: app, newName: %s}", "{name: %s, newTag: 1.0.0}", f"{{name: %s, digest: '{digest('1.0.0')}'}}"]
    )
    def test_a_kustomize_entry_comes_to_rest_with_every_pin(self, pin, entry):
        kustomization = f"kind: Kustomization\nimages:\n- {entry % APP}\n"
        files = {"envs/dev/cv.yaml": declaration(pin=pin), "envs/dev/kustomization.yaml": kustomization}
        files["envs/dev/kustomization.yaml"] = plan(files).files[0].after
        assert only(plan(files)).kind is OutcomeKind.CURRENT

    @pytest.mark.parametrize("head", ["kind: Kustomization\n", ""])
    def test_a_kustomization_without_an_ending_counts(self, head):
        entry = f"{head}images:\n- name: {APP}\n  newTag: 1.0.0\n"
        files = {"envs/dev/cv.yaml": declaration(pin="Version"), "envs/dev/Kustomization": entry}
        (change,) = plan(files).files
        assert (change.path, change.after) == ("envs/dev/Kustomization", entry.replace("1.0.0", "1.1.0").encode())

    def test_outside_private_ecr_the_default_pin_keeps_the_tag(self):
        files = {
            "envs/dev/cv.yaml": declaration(repo="docker.io/library/nginx", tag="stable", **SELECTOR),
            "envs/dev/app.yaml": deployment("nginx:1.0"),
        }
        (change,) = plan(files, Registry(nginx=[["1.0"], ["stable"]])).files
        assert f"image: nginx:stable@{digest('stable')}".encode() in change.after

    def test_pin_only_is_told_apart_and_committed_apart(self):
        files = app(f"{APP}:1.1.0") | {
            "envs/dev/b/cv.yaml": declaration("other", selector="{app: b}"),
            "envs/dev/b/b.yaml": deployment(name="b", labels="{app: b}"),
        }
        result = plan(files)
        assert [commit.kind for commit in result.commits] == [OutcomeKind.PIN_ONLY, OutcomeKind.BUMPED]
        assert [len(commit.files) for commit in result.commits] == [1, 1]

    def test_adopt_on_change_waits_for_the_content(self):
        assert only(plan(app(f"{APP}:1.1.0", adopt="OnChange"))).reason == "AdoptOnChange"
        assert only(plan(app(f"{APP}:1.0.0", adopt="OnChange"))).kind is OutcomeKind.BUMPED

    def test_two_moving_tags_of_one_repository_in_one_file(self):
        files = {
            "envs/dev/cv.yaml": declaration(**SELECTOR)
            + "---"
            + declaration("job", tag="canary", selector="{app: job}"),
            "envs/dev/app.yaml": deployment() + "---" + deployment(name="job", labels="{app: job}"),
        }
        registry = Registry(app=[["1.0.0"], ["1.1.0", "env-dev"], ["1.2.0-rc.1", "canary"]])
        (change,) = plan(files, registry).files
        assert change.after.count(f":1.1.0@{digest('1.1.0')}".encode()) == 1
        assert change.after.count(f":1.2.0-rc.1@{digest('1.2.0-rc.1')}".encode()) == 1

    def test_one_query_for_each_repository(self):
        registry = Registry(app=TWO.images["app"])
        plan(app(), registry)
        (query,) = registry.asked
        assert (query.tags, query.digests) == ({"env-dev", "1.0.0"}, set())


class TestScope:
    def test_without_layout_a_declaration_sees_its_own_folder(self):
        files = {"a/cv.yaml": declaration(**SELECTOR), "a/app.yaml": deployment(), "b/app.yaml": deployment()}
        assert [change.path for change in plan(files, layout="").files] == ["a/app.yaml"]

    def test_other_environments_are_never_touched(self):
        files = app() | {"envs/prod/app.yaml": deployment()}
        assert [change.path for change in plan(files).files] == ["envs/dev/app.yaml"]

    def test_T6_paths_cannot_widen_the_scope(self):
        files = app(paths="[envs/prod]") | {"envs/prod/app.yaml": deployment()}
        outcome = only(plan(files))
        assert (outcome.kind, outcome.reason) == (OutcomeKind.FAILED, "MatchedNothing")

    def test_namespaces_must_agree(self):
        files = app() | {"envs/dev/app.yaml": deployment().replace("namespace: team", "namespace: other")}
        outcome = only(plan(files))
        assert outcome.reason == "MatchedNothing"
        assert "its namespace is other" in outcome.remedy

    def test_F31_nothing_matched_is_an_error_with_near_misses(self):
        outcome = only(plan(app(selector="{app: nothing}")))
        assert (outcome.kind, outcome.reason) == (OutcomeKind.FAILED, "MatchedNothing")
        assert "envs/dev/app.yaml:11" in outcome.remedy
        assert "app=nothing" in outcome.remedy

    def test_a_named_container_of_another_repository_is_an_error_naming_both(self):
        outcome = only(plan(app(f"{HOST}/team/wrong:1", container="{name: main}")))
        assert outcome.reason == "RepositoryMismatch"
        assert "team/wrong" in outcome.message
        assert "team/app" in outcome.message

    def test_a_container_that_the_name_leaves_out_is_a_warning(self):
        extra = f"      - name: side\n        image: {APP}:1.0.0\n"
        files = app(container="{name: main}") | {"envs/dev/app.yaml": deployment(extra=extra)}
        outcome = only(plan(files))
        assert outcome.kind is OutcomeKind.BUMPED
        assert "side" in outcome.warnings[0]
        assert len(outcome.changes) == 1

    def test_T5_a_symlink_is_named_and_not_followed(self):
        from gitcd.model.tree import Mode

        memory = tree(app(selector="{app: nothing}") | {"envs/dev/link.yaml": "/etc/passwd"})
        memory._modes["envs/dev/link.yaml"] = Mode.SYMLINK
        outcome = only(make_plan(memory, Context(TWO, lambda questions: {}, NOW)).plan)
        assert "envs/dev/link.yaml" in outcome.remedy
        assert "symbolic links are not followed" in outcome.remedy


class TestLimits:
    def outcome(self, *scopes):
        limits = {scope.name: scope for scope in scopes}
        return only(make_plan(tree(app()), Context(TWO, lambda questions: {}, NOW, limits=limits)).plan)

    def test_T13_a_namespace_reaches_only_what_the_operator_says(self):
        assert self.outcome(NamespaceScope("team", ("dev",))).kind is OutcomeKind.BUMPED
        assert self.outcome(NamespaceScope("team", ("prod",))).reason == "NamespaceNotAllowed"
        assert self.outcome(NamespaceScope("other", ("dev",))).reason == "NamespaceNotAllowed"

    def test_T13_and_only_the_folders_that_the_operator_names(self):
        assert self.outcome(NamespaceScope("team", ("dev",), ("envs/dev/elsewhere",))).reason == "MatchedNothing"
        assert self.outcome(NamespaceScope("team", ("dev",), ("envs/dev",))).kind is OutcomeKind.BUMPED

    def test_T14_and_only_the_registries_that_the_operator_names(self):
        assert self.outcome(NamespaceScope("team", ("dev",), (), (HOST,))).kind is OutcomeKind.BUMPED
        stranger = HOST.replace("123456789012", "210987654321")
        assert self.outcome(NamespaceScope("team", ("dev",), (), (stranger,))).reason == "RegistryNotAllowed"


class TestConfig:
    CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cfg, namespace: team}\ndata:\n  other: x\n"

    def test_the_key_moves_with_the_image(self):
        files = app(config="{name: cfg, key: version}") | {"envs/dev/cfg.yaml": self.CONFIG + "  version: 1.0.0\n"}
        result = plan(files)
        assert [change.path for change in result.files] == ["envs/dev/app.yaml", "envs/dev/cfg.yaml"]
        assert result.files[1].after.endswith(b"  version: 1.1.0\n")

    def test_an_absent_key_is_inserted(self):
        files = app(config="{name: cfg, key: version}") | {"envs/dev/cfg.yaml": self.CONFIG}
        assert b"version: 1.1.0\n" in plan(files).files[1].after

    def test_an_absent_config_map_is_an_error_with_the_manifest_to_add(self):
        outcome = only(plan(app(config="{name: cfg, key: version}")))
        assert outcome.reason == "ConfigMapNotFound"
        assert "kind: ConfigMap" in outcome.remedy


class TestFailures:
    def test_F3_a_missing_tag_is_never_up_to_date(self):
        result = plan(app(tag="gone"))
        assert (only(result).kind, only(result).reason) == (OutcomeKind.FAILED, "TagNotFound")
        assert result.commits == ()

    def test_F26_the_rest_goes_on(self):
        files = app() | {
            "envs/dev/bad/cv.yaml": declaration("bad", f"{HOST}/team/bad", selector="{app: bad}"),
            "envs/dev/bad/b.yaml": f"a: [\n{HOST}/team/bad",
        }
        result = plan(files)
        assert {outcome.identity.name: outcome.kind for outcome in result.outcomes} == {
            "app": OutcomeKind.BUMPED,
            "bad": OutcomeKind.FAILED,
        }

    def test_F26_never_half_of_a_declaration_s_files(self):
        files = app() | {
            "envs/dev/second.yaml": deployment().replace(f"{APP}:1.0.0  # kept", f">-\n          {APP}:1.0.0")
        }
        result = plan(files)
        assert only(result).kind is OutcomeKind.FAILED
        assert "envs/dev/second.yaml" in only(result).message
        assert result.commits == ()

    def test_F27_a_file_that_cannot_be_parsed_is_named_with_its_line(self):
        files = app() | {"envs/dev/broken.yaml": f"kind: Deployment\n\timage: {APP}:1\n"}
        outcome = only(plan(files))
        assert outcome.reason == "ManifestRefused"
        assert "envs/dev/broken.yaml:2" in outcome.message

    def test_an_invalid_declaration_is_reported_beside_the_others(self):
        files = app() | {"envs/dev/bad.yaml": declaration("bad").replace("tag: env-dev", "tagg: env-dev")}
        result = plan(files)
        kinds = {outcome.identity.name: outcome for outcome in result.outcomes}
        assert kinds["app"].kind is OutcomeKind.BUMPED
        assert kinds["bad"].reason == "InvalidDeclaration"
        assert kinds["bad"].origin.path == "envs/dev/bad.yaml"

    def test_F51_all_mistakes_of_a_declaration_are_one_failure(self):
        files = app() | {"envs/dev/bad.yaml": declaration("bad", pin="Sometimes").replace("tag:", "tagg:")}
        result = plan(files)
        bad = next(outcome for outcome in result.outcomes if outcome.identity.name == "bad")
        assert bad.message.startswith("3 mistakes\n    envs/dev/bad.yaml:")
        assert "did you mean tag?" in bad.message

    def test_one_identity_twice_is_wrong_for_both(self):
        files = app() | {"envs/dev/cv2.yaml": declaration(**SELECTOR)}
        result = plan(files)
        assert [outcome.reason for outcome in result.outcomes] == ["DuplicateDeclaration"] * 2

    def test_what_has_no_effect_yet_is_refused_by_name(self):
        outcome = only(plan(app(), layout=LAYOUT % ", gates: {minSoak: 1h}"))
        assert outcome.reason == "NotSupportedYet"
        assert "minSoak" in outcome.message

    def test_no_version_on_the_digest_names_the_tags_and_the_way_out(self):
        outcome = only(plan(app(), Registry(app=[["1.0.0"], ["env-dev", "nightly"]])))
        assert outcome.reason == "VersionUnknown"
        assert "nightly" in outcome.message
        assert "pin: TagAndDigest" in outcome.remedy


class TestGates:
    def test_T15_too_young(self):
        outcome = only(plan(app(gates="{minAge: 48h}")))
        assert (outcome.kind, outcome.reason) == (OutcomeKind.BLOCKED, "TooYoung")
        assert only(plan(app(gates="{minAge: 24h}"))).kind is OutcomeKind.BUMPED

    def test_the_stricter_of_declaration_and_environment_holds(self):
        layout = LAYOUT % ", gates: {minAge: 48h}"
        assert only(plan(app(gates="{minAge: 1h}"), layout=layout)).reason == "TooYoung"

    def test_F11_pushed_in_the_future_is_no_age(self):
        outcome = only(plan(app(gates="{minAge: 1s}"), now=NOW - timedelta(days=9)))
        assert (outcome.kind, outcome.reason) == (OutcomeKind.BLOCKED, "AgeUnknown")

    def test_T30_an_older_image_is_refused_or_reported(self):
        back = Registry(app=[["1.0.0", "env-dev"], ["1.1.0"]])
        outcome = only(plan(app(f"{APP}:1.1.0", gates="{allowDowngrade: false}"), back))
        assert (outcome.kind, outcome.reason) == (OutcomeKind.BLOCKED, "Downgrade")
        outcome = only(plan(app(f"{APP}:1.1.0"), back))
        assert (outcome.kind, outcome.direction) == (OutcomeKind.BUMPED, Direction.BACKWARD)

    def test_T30_an_unknown_direction_does_not_pass(self):
        outcome = only(plan(app(f"{APP}:gone", gates="{allowDowngrade: false}")))
        assert (outcome.kind, outcome.reason) == (OutcomeKind.BLOCKED, "DirectionUnknown")

    def test_freeze(self):
        layout = LAYOUT % ", freeze: [{from: 2026-11-20, until: 2026-11-30, reason: holidays}]"
        outcome = only(plan(app(), layout=layout))
        assert outcome.kind is OutcomeKind.FROZEN
        assert "holidays" in outcome.message
        assert only(plan(app(), layout=layout, now=NOW + timedelta(days=30))).kind is OutcomeKind.BUMPED

    def test_suspended(self):
        assert only(plan(app(suspend="true"))).kind is OutcomeKind.SUSPENDED

    def test_an_environment_that_moves_by_promotion_reports_drift(self):
        layout = LAYOUT % ", promoteFrom: prod"
        outcome = only(plan(app(), layout=layout))
        assert outcome.kind is OutcomeKind.PROMOTED
        assert "1.1.0" in outcome.message

    def test_T31_status_never_changes_a_plan(self):
        poisoned = app()
        poisoned["envs/dev/cv.yaml"] += "status: {resolved: {digest: 'sha256:bad'}, conditions: [1, two]}\n"
        assert plan(poisoned) == plan(app())


def hold(text, name="app"):
    return {f".gitcd/holds/dev/team.{name}.yaml": text}


class TestHolds:
    def test_a_rejected_digest_stays_out(self):
        held = app() | hold(f"reject: [{{digest: '{digest('1.1.0')}', version: 1.1.0, reason: crashes, by: ann}}]\n")
        outcome = only(plan(held))
        assert outcome.kind is OutcomeKind.HELD
        assert "crashes" in outcome.message
        assert "gitcd release" in outcome.remedy

    def test_a_rejection_ends_when_the_tag_moves_on(self):
        held = app() | hold(f"reject: [{{digest: '{digest('1.0.9')}'}}]\n")
        assert only(plan(held)).kind is OutcomeKind.BUMPED

    def test_a_frozen_declaration_moves_nowhere_until(self):
        held = app() | hold("freeze: true\nuntil: 2026-11-23\nby: ann\n")
        assert only(plan(held)).kind is OutcomeKind.HELD
        assert only(plan(held, now=NOW + timedelta(days=2))).kind is OutcomeKind.BUMPED

    def test_a_hold_file_that_cannot_be_read_holds(self):
        outcome = only(plan(app() | hold("frieze: true\n")))
        assert (outcome.kind, outcome.reason) == (OutcomeKind.FAILED, "HoldUnreadable")

    def past(self, image):
        move = PastMove("c0ffee" * 6, digest("1.1.0"), {"envs/dev/app.yaml": deployment(image).encode()})
        return lambda questions: {each.identity: move for each in questions}

    def test_a_human_s_revert_is_respected(self):
        recall = self.past(f"{APP}:1.1.0@{digest('1.1.0')}")
        outcome = only(plan(app(), recall=recall))
        assert (outcome.kind, outcome.reason) == (OutcomeKind.HELD, "Reverted")
        assert "c0ffee" in outcome.message

    def test_a_human_s_revert_can_be_released(self):
        recall = self.past(f"{APP}:1.1.0@{digest('1.1.0')}")
        files = app() | hold(f"allow: [{{digest: '{digest('1.1.0')}'}}]\n")
        assert only(plan(files, recall=recall)).kind is OutcomeKind.BUMPED

    def test_a_place_that_never_held_the_digest_was_not_reverted(self):
        assert only(plan(app(), recall=self.past(f"{APP}:1.0.0"))).kind is OutcomeKind.BUMPED

    def test_missing_history_blocks(self):
        recall = lambda questions: {each.identity: NoHistory("server said no") for each in questions}  # noqa: E731
        outcome = only(plan(app(), recall=recall))
        assert (outcome.kind, outcome.reason) == (OutcomeKind.BLOCKED, "HistoryMissing")

    def test_history_is_asked_only_about_moves(self):
        asked = []
        plan(app(suspend="true"), recall=lambda questions: asked.extend(questions) or {})
        assert asked == []


class TestTogether:
    def shared(self, **second):
        return app() | {"envs/dev/cv2.yaml": declaration("second", **(SELECTOR | second))}

    def test_equal_wishes_are_shared(self):
        result = plan(self.shared())
        assert [outcome.kind for outcome in result.outcomes] == [OutcomeKind.BUMPED] * 2
        assert len(result.commits) == 1

    def test_different_wishes_are_a_conflict_for_both(self):
        registry = Registry(app=[["1.0.0"], ["1.1.0", "env-dev"], ["1.2.0", "canary"]])
        result = plan(self.shared(tag="canary"), registry)
        assert [outcome.kind for outcome in result.outcomes] == [OutcomeKind.CONFLICT] * 2
        assert "dev/team/second" in result.outcomes[0].message
        assert "dev/team/app" in result.outcomes[1].message
        assert result.commits == ()

    def test_a_conflict_is_seen_although_only_one_is_selected(self):
        registry = Registry(app=[["1.0.0"], ["1.1.0", "env-dev"], ["1.2.0", "canary"]])
        result = plan(self.shared(tag="canary"), registry, selection=Selection(apps=frozenset({"app"})))
        assert only(result).kind is OutcomeKind.CONFLICT

    def test_a_held_owner_keeps_the_place_for_all(self):
        result = plan(self.shared() | hold("freeze: true\n", "second"))
        assert {outcome.kind for outcome in result.outcomes} == {OutcomeKind.BLOCKED, OutcomeKind.HELD}
        assert result.commits == ()

    def test_a_group_moves_as_one(self):
        grouped = {"strategy": "{group: release}"}
        files = app(**grouped) | {
            "envs/dev/b/cv.yaml": declaration("b", selector="{app: b}", tag="gone", **grouped),
            "envs/dev/b/b.yaml": deployment(name="b", labels="{app: b}"),
        }
        kinds = {outcome.identity.name: outcome.reason for outcome in plan(files).outcomes}
        assert kinds == {"app": "GroupIncomplete", "b": "TagNotFound"}

    @pytest.mark.parametrize(("granularity", "commits"), [("run", 1), ("environment", 2), ("app", 3)])
    def test_granularity_of_commits(self, granularity, commits):
        files = app() | {
            "envs/dev/b/cv.yaml": declaration("b", selector="{app: b}"),
            "envs/dev/b/b.yaml": deployment(name="b", labels="{app: b}"),
            "envs/prod/cv.yaml": declaration(**SELECTOR),
            "envs/prod/app.yaml": deployment(),
        }
        result = plan(files, layout=f"commits: {granularity}\n" + LAYOUT % "")
        assert len(result.commits) == commits
        assert sum(len(commit.files) for commit in result.commits) == 3

    def test_commits_of_one_file_build_on_each_other(self):
        both = deployment() + "---" + deployment(name="b", labels="{app: b}")
        files = {
            "envs/dev/cv.yaml": declaration(**SELECTOR) + "---" + declaration("b", selector="{app: b}"),
            "envs/dev/app.yaml": both,
        }
        result = plan(files, layout="commits: app\n" + LAYOUT % "")
        first, second = (commit.files[0] for commit in result.commits)
        assert first.after == second.before
        assert second.after.count(b"1.1.0") == 2

    @given(st.permutations(["a", "b", "c", "d"]))
    def test_order_of_declarations_never_matters(self, names):
        def files(order):
            return {
                "envs/dev/cv.yaml": "---".join(declaration(name, selector=f"{{app: {name}}}") for name in order),
                "envs/dev/all.yaml": "---".join(deployment(name=name, labels=f"{{app: {name}}}") for name in "abcd"),
            }

        result, reference = plan(files(names)), plan(files("abcd"))
        assert result.files[0].after == reference.files[0].after
        assert [each.identity for each in result.outcomes] == [each.identity for each in reference.outcomes]

    def test_an_unselected_app_is_left_alone(self):
        files = app() | {
            "envs/dev/b/cv.yaml": declaration("b", selector="{app: b}"),
            "envs/dev/b/b.yaml": deployment(name="b", labels="{app: b}"),
        }
        result = plan(files, selection=Selection(apps=frozenset({"b"})))
        assert only(result).identity == Identity("dev", "team", "b")
        assert [change.path for change in result.files] == ["envs/dev/b/b.yaml"]

    @pytest.mark.parametrize(
        ("selection", "remedy"),
        [
            (Selection(apps=frozenset({"app", "tpyo"})), "There are: dev/team/app."),
            (Selection(apps=frozenset({"team/aap"})), "Did you mean team/app? There are: dev/team/app."),
            (Selection(frozenset({"pord"})), "There are: dev."),
            (Selection(frozenset({"pord"}), frozenset({"app"})), "There are: dev/team/app."),
        ],
    )
    def test_a_selection_that_meets_nothing_is_refused_before_anything_is_asked(self, selection, remedy):
        registry = Registry(app=TWO.images["app"])
        with pytest.raises(ConfigError, match=r"(?m)nothing is selected by --(app|environment) \S+$") as caught:
            plan(app(), registry, selection=selection)
        assert caught.value.remedy == remedy
        assert registry.asked == []


class TestCanary:
    STRATEGY = "{kind: Canary, canary: {steps: [{weight: 10}]}}"

    def files(self, **more):
        return {
            "envs/dev/cv.yaml": declaration(strategy=self.STRATEGY, **SELECTOR),
            "envs/dev/app.yaml": deployment(),
            **more,
        }

    def test_one_deployment_is_bumped_as_ever(self):
        assert [change.path for change in plan(self.files()).files] == ["envs/dev/app.yaml"]

    def test_more_than_one_workload_is_refused_before_anything_is_committed(self):
        result = plan(self.files() | {"envs/dev/other.yaml": deployment(name="other")})
        assert (only(result).reason, result.files) == ("CanaryNeedsOne", ())
        assert "found Deployment/app, Deployment/other" in only(result).message

    def test_another_kind_of_workload_is_refused(self):
        files = self.files() | {"envs/dev/app.yaml": deployment().replace("kind: Deployment", "kind: StatefulSet")}
        assert only(plan(files)).reason == "CanaryNeedsOne"

    def test_somebody_else_who_applies_is_refused(self):
        assert only(plan(self.files(), layout=LAYOUT % ", applier: external")).reason == "CanaryRefused"


class TestBlueGreen:
    STRATEGY = "{kind: ServiceBlueGreen, blueGreen: {serviceName: live, labelNames: [slot]}}"
    SERVICE = "kind: Service\napiVersion: v1\nmetadata: {name: live, namespace: team}\nspec: {selector: {app: app, slot: %s}}\n"

    def files(self, live="blue", blue=f"{APP}:1.0.0", green=f"{APP}:0.9.0"):
        return {
            "envs/dev/cv.yaml": declaration(strategy=self.STRATEGY, **SELECTOR),
            "envs/dev/blue.yaml": deployment(blue, "app-blue", "{app: app, slot: blue}"),
            "envs/dev/green.yaml": deployment(green, "app-green", "{app: app, slot: green}"),
            "envs/dev/service.yaml": self.SERVICE % live,
        }

    def test_only_the_idle_slot_is_bumped(self):
        assert [change.path for change in plan(self.files()).files] == ["envs/dev/green.yaml"]
        assert [change.path for change in plan(self.files("green")).files] == ["envs/dev/blue.yaml"]

    def test_after_the_switch_further_runs_change_nothing(self):
        wanted = f"{APP}:1.1.0@{digest('1.1.0')}"
        before = plan(self.files("blue", green=wanted))
        assert (only(before).kind, only(before).reason) == (OutcomeKind.CURRENT, "AwaitsSwitch")
        after = plan(self.files("green", green=wanted))
        assert (only(after).kind, only(after).reason) == (OutcomeKind.CURRENT, "Live")
        assert before.commits == after.commits == ()

    def test_one_workload_is_not_enough(self):
        files = self.files()
        del files["envs/dev/green.yaml"]
        assert only(plan(files)).reason == "BlueGreenNeedsTwo"

    def test_slots_of_one_name_are_told_with_their_places(self):
        files = self.files()
        files["envs/dev/green.yaml"] = deployment(f"{APP}:0.9.0", "app-blue", "{app: app, slot: green}")
        outcome = only(plan(files))
        assert outcome.reason == "BlueGreenNeedsTwo"
        assert "found Deployment/app-blue in envs/dev/blue.yaml:" in outcome.message
        assert " and envs/dev/green.yaml:" in outcome.message

    def test_the_live_service_is_not_verified_by(self):
        files = self.files()
        strategy = self.STRATEGY.replace("serviceName: live,", "serviceName: live, verificationServiceName: live,")
        files["envs/dev/cv.yaml"] = declaration(strategy=strategy, **SELECTOR)
        outcome = only(plan(files))
        assert outcome.reason == "VerificationServiceUnclear"
        assert outcome.message == "Service live carries live traffic, and cannot be the one for verification, too"

    def test_a_missing_service_is_an_error(self):
        files = self.files()
        del files["envs/dev/service.yaml"]
        assert only(plan(files)).reason == "ServiceNotFound"

    def test_a_service_that_two_declarations_switch_is_an_error_of_both(self):
        files = self.files()
        files["envs/dev/other.yaml"] = declaration(name="other", strategy=self.STRATEGY, **SELECTOR)
        outcomes = plan(files).outcomes
        assert [(each.kind, each.reason) for each in outcomes] == [(OutcomeKind.FAILED, "ServiceShared")] * 2
        assert "Service live is switched by dev/team/other, too" in outcomes[0].message
        assert plan(files).commits == ()

    def test_so_it_is_where_one_verifies_by_the_service_that_another_switches(self):
        strategy = self.STRATEGY.replace("serviceName: live,", "serviceName: its, verificationServiceName: live,")
        other = declaration(name="other", strategy=strategy, **SELECTOR)
        result = plan(self.files() | {"envs/dev/other.yaml": other})
        assert [each.reason for each in result.outcomes] == ["ServiceShared"] * 2
        assert result.commits == ()

    def test_services_of_one_name_in_two_namespaces_are_two(self):
        here, there = self.files(), self.files("green")
        moved = {path.replace(".yaml", "2.yaml"): text.replace("team", "side", 1) for path, text in there.items()}
        assert [change.path for change in plan(here | moved).files] == ["envs/dev/blue2.yaml", "envs/dev/green.yaml"]

    def test_a_service_that_selects_neither_is_an_error(self):
        assert only(plan(self.files("red"))).reason == "LiveSlotUnclear"

    def test_a_service_that_selects_both_is_an_error(self):
        files = self.files()
        files["envs/dev/green.yaml"] = deployment(f"{APP}:0.9.0", "app-green", "{app: app, slot: blue}")
        outcome = only(plan(files))
        assert (outcome.kind, outcome.reason) == (OutcomeKind.FAILED, "LiveSlotUnclear")
        assert "selects both workloads by slot" in outcome.message

    def test_every_label_that_tells_the_slots_apart_has_to_match(self):
        files = self.files()
        strategy = self.STRATEGY.replace("[slot]", "[app, slot]")  # the app label is the same in both
        files["envs/dev/cv.yaml"] = declaration(strategy=strategy, **SELECTOR)
        assert [change.path for change in plan(files).files] == ["envs/dev/green.yaml"]

    def test_a_service_that_stands_twice_in_git_is_an_error(self):
        files = self.files() | {"envs/dev/again.yaml": self.SERVICE % "green"}
        assert only(plan(files)).reason == "ServiceAmbiguous"


def test_history_that_will_never_be_there_is_a_failure_with_its_remedy():
    recall = lambda questions: {each.identity: NoHistory("shallow", "Complete it.", lasting=True) for each in questions}  # noqa: E731
    outcome = only(plan(app(), recall=recall))
    assert (outcome.kind, outcome.reason, outcome.remedy) == (OutcomeKind.FAILED, "HistoryMissing", "Complete it.")
    assert not outcome.transient
