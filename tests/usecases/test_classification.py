"""What counts as a move, which places speak for it, and which combinations are refused before anything is written."""

import pytest

from gitcd.model.plan import Direction, OutcomeKind
from gitcd.model.tree import MemoryTree, Mode
from gitcd.usecases.context import Context
from gitcd.usecases.planner import make_plan
from tests.usecases.test_planner import (
    APP,
    HOST,
    LAYOUT,
    NOW,
    SELECTOR,
    Registry,
    TestBlueGreen,
    app,
    declaration,
    deployment,
    digest,
    only,
    plan,
)

NEW = digest("1.1.0")
CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cfg, namespace: team}\n"
THREE = Registry(app=[["1.0.0"], ["1.1.0", "env-dev"], ["1.2.0"]])


def place(form, value, **spec):
    """A declaration whose only place is a scalar of this format."""
    listed = f"[{{file: v.yaml, pointer: /x, format: {form}}}]"
    return {"envs/dev/cv.yaml": declaration(places=listed, **spec), "envs/dev/v.yaml": f"x: {value}\n"}


def configured(image, version="1.0.0", **spec):
    config_map = {"envs/dev/cfg.yaml": CONFIG_MAP + f"data:\n  version: {version}\n"}
    return app(image, config="{name: cfg, key: version}", **spec) | config_map


class TestPlaces:
    @pytest.mark.parametrize(
        ("form", "value"),
        [
            ("reference", f"{APP}:1.0.0"),
            ("reference", f"{APP}@{digest('1.0.0')}"),
            ("reference", f"{HOST}/team/other:1.1.0"),
            ("tag", "1.0.0"),
            ("tag", "gone"),
            ("tag", '""'),
            ("digest", digest("1.0.0")),
            ("digest", "1.1.0"),
            ("version", "1.0.0"),
        ],
    )
    def test_other_content_is_a_bump_and_gated_whatever_adopt_says(self, form, value):
        assert only(plan(place(form, value))).kind is OutcomeKind.BUMPED
        assert only(plan(place(form, value, adopt="OnChange"))).kind is OutcomeKind.BUMPED
        assert only(plan(place(form, value, gates="{minAge: 720h}"))).reason == "TooYoung"

    @pytest.mark.parametrize(
        ("form", "value"),
        [("reference", f"{APP}:1.1.0"), ("reference", f"{APP}:env-dev"), ("tag", "env-dev"), ("version", "env-dev")],
    )
    def test_another_spelling_of_the_content_is_a_pin(self, form, value):
        assert only(plan(place(form, value))).kind is OutcomeKind.PIN_ONLY
        assert only(plan(place(form, value, adopt="OnChange"))).reason == "AdoptOnChange"

    def test_T30_a_place_must_not_go_back(self):
        outcome = only(plan(place("tag", "1.2.0", gates="{allowDowngrade: false}"), THREE))
        assert outcome.reason == "Downgrade"
        assert (outcome.old, outcome.old_digest) == ("1.2.0", digest("1.2.0"))

    def test_the_registry_is_asked_what_places_name(self):
        registry = Registry(app=THREE.images["app"])
        plan(place("digest", digest("1.2.0")), registry)
        (query,) = registry.asked
        assert (query.tags, query.digests) == ({"env-dev"}, {digest("1.2.0")})

    @pytest.mark.parametrize("pin", ["Digest", "TagAndDigest"])
    def test_a_version_that_is_not_known_never_empties_a_place(self, pin):
        outcome = only(plan(place("version", "1.0.0", pin=pin), Registry(app=[["1.0.0"], ["env-dev"]])))
        assert (outcome.kind, outcome.reason) == (OutcomeKind.FAILED, "VersionUnknown")

    def test_places_are_told_apart_by_their_whole_path(self):
        listed = "[{file: v.yaml, pointer: /x, format: tag}, {file: sub/v.yaml, pointer: /x, format: digest}]"
        files = {
            "envs/dev/cv.yaml": declaration(places=listed),
            "envs/dev/v.yaml": "x: 1.0.0\n",
            "envs/dev/sub/v.yaml": "x: none\n",
        }
        after = {change.path: change.after for change in plan(files).files}
        assert after == {"envs/dev/v.yaml": b"x: 1.1.0\n", "envs/dev/sub/v.yaml": f"x: {NEW}\n".encode()}


class TestConfigMapKey:
    RIGHT = f"{APP}:1.1.0@{NEW}"

    @pytest.mark.parametrize("spec", [{}, {"adopt": "OnChange"}, {"gates": "{minAge: 720h, maxSeverity: LOW}"}])
    def test_a_stale_key_beside_the_right_image_is_written_without_a_gate(self, spec):
        result = plan(configured(self.RIGHT, **spec))
        assert only(result).kind is OutcomeKind.PIN_ONLY
        assert [change.path for change in result.files] == ["envs/dev/cfg.yaml"]
        assert only(result).message == "the image is the wanted one; only the ConfigMap key changes"

    def test_adopt_on_change_leaves_the_image_and_writes_the_key(self):
        result = plan(configured(f"{APP}:1.1.0", adopt="OnChange"))
        assert [change.path for change in result.files] == ["envs/dev/cfg.yaml"]

    def test_a_key_beside_other_content_moves_with_it(self):
        result = plan(configured(f"{APP}:1.0.0", gates="{minAge: 1h}"))
        assert only(result).kind is OutcomeKind.BUMPED
        assert len(result.files) == 2

    def test_a_key_that_stands_alone_is_the_content(self):
        files = configured(self.RIGHT)
        del files["envs/dev/app.yaml"]
        assert only(plan(files)).kind is OutcomeKind.BUMPED
        files["envs/dev/cv.yaml"] = declaration(config="{name: cfg, key: version}", gates="{minAge: 720h}", **SELECTOR)
        assert only(plan(files)).reason == "TooYoung"


class TestDirection:
    @pytest.mark.parametrize("first", ["1.0.0", "1.1.0"])
    def test_T30_every_image_that_moves_is_judged(self, first):
        files = {
            "envs/dev/cv.yaml": declaration(gates="{allowDowngrade: false}", **SELECTOR),
            "envs/dev/a.yaml": deployment(f"{APP}:{first}", name="a"),
            "envs/dev/b.yaml": deployment(f"{APP}:1.2.0", name="b"),
        }
        outcome = only(plan(files, THREE))
        assert (outcome.reason, outcome.direction) == ("Downgrade", Direction.BACKWARD)
        assert (outcome.old, outcome.old_digest) == ("1.2.0", digest("1.2.0"))

    def test_an_image_without_tag_is_the_latest(self):
        registry = Registry(app=[["1.0.0"], ["1.1.0", "env-dev", "latest"]])
        assert only(plan(app(APP), registry)).kind is OutcomeKind.PIN_ONLY
        assert only(plan(app(APP), Registry(app=[["1.0.0", "latest"], ["1.1.0", "env-dev"]]))).old == "latest"


class TestHelmTag:
    @pytest.mark.parametrize("tag", ["1.0.0", "env-dev"])
    def test_a_moving_tag_never_stands_alone(self, tag):
        values = {"envs/dev/values.yaml": f"image:\n  repository: {APP}\n  tag: {tag}\n"}
        files = {"envs/dev/cv.yaml": declaration(pin="TagAndDigest")} | values
        outcome = only(plan(files, layout=LAYOUT % ", helmTag: Version"))
        assert (outcome.kind, outcome.reason) == (OutcomeKind.FAILED, "HelmTagMoves")
        assert "envs/dev/values.yaml:" in outcome.message

    def test_other_pins_write_the_bare_version(self):
        values = f"image:\n  repository: {APP}\n  tag: 1.0.0\n"
        files = {"envs/dev/cv.yaml": declaration(), "envs/dev/values.yaml": values}
        (change,) = plan(files, layout=LAYOUT % ", helmTag: Version").files
        assert change.after == values.replace("1.0.0", "1.1.0").encode()


class TestArgoParameters:
    HEAD = "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: a}\nspec: {source: {helm: {parameters: [\n"

    def application(self, other=APP):
        pairs = {
            "web.image.repository": APP,
            "web.image.tag": "1.0.0",
            "job.image.repository": other,
            "job.image.tag": "0.9.0",
        }
        return self.HEAD + "".join(f"  {{name: {key}, value: {pairs[key]}}},\n" for key in pairs) + "]}}}\n"

    def test_each_prefix_is_a_place_of_its_own(self):
        files = {"envs/dev/cv.yaml": declaration(), "envs/dev/a.yaml": self.application()}
        (change,) = plan(files).files
        assert change.after.count(f"value: 1.1.0@{NEW}".encode()) == 2
        assert only(plan(files | {"envs/dev/a.yaml": change.after})).kind is OutcomeKind.CURRENT

    def test_two_declarations_share_the_list(self):
        other = f"{HOST}/team/other"
        registry = Registry(app=[["1.0.0"], ["1.1.0", "env-dev"]], other=[["0.9.0"], ["2.1.0", "env-dev"]])
        files = {
            "envs/dev/cv.yaml": declaration(),
            "envs/dev/cv2.yaml": declaration("b", repo=other),
            "envs/dev/a.yaml": self.application(other),
        }
        result = plan(files, registry)
        assert [each.kind for each in result.outcomes] == [OutcomeKind.BUMPED] * 2
        after = result.files[0].after
        assert f"web.image.tag, value: 1.1.0@{NEW}".encode() in after
        assert f"job.image.tag, value: 2.1.0@{digest('2.1.0')}".encode() in after


class TestSlots:
    GREEN = TestBlueGreen()

    def test_a_live_slot_on_the_moving_tag_does_not_hold_it(self):
        assert [change.path for change in plan(self.GREEN.files(blue=f"{APP}:env-dev")).files] == [
            "envs/dev/green.yaml"
        ]

    def test_a_followed_version_is_held_without_a_digest(self):
        files = self.GREEN.files(blue=f"{APP}:1.1.0")
        files["envs/dev/cv.yaml"] = declaration(tag="1.1.0", pin="Version", strategy=self.GREEN.STRATEGY, **SELECTOR)
        assert only(plan(files)).reason == "Live"

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("kustomization.yaml", f"kind: Kustomization\nimages:\n- name: {APP}\n  newTag: 1.0.0\n"),
            ("values.yaml", f"image:\n  repository: {APP}\n  tag: 1.0.0\n"),
        ],
    )
    def test_what_sets_the_image_of_both_slots_is_refused(self, name, text):
        outcome = only(plan(self.GREEN.files() | {f"envs/dev/{name}": text}))
        assert (outcome.kind, outcome.reason) == (OutcomeKind.FAILED, "BlueGreenOverridden")
        assert f"envs/dev/{name}:" in outcome.message

    def test_a_key_that_the_live_pods_read_is_refused(self):
        files = self.GREEN.files() | {"envs/dev/cfg.yaml": CONFIG_MAP + "data: {version: 1.0.0}\n"}
        config = "{name: cfg, key: version}"
        files["envs/dev/cv.yaml"] = declaration(strategy=self.GREEN.STRATEGY, config=config, **SELECTOR)
        outcome = only(plan(files))
        assert (outcome.kind, outcome.reason) == (OutcomeKind.FAILED, "BlueGreenConfig")


def test_what_says_how_to_move_is_no_mistake_where_nothing_moves():
    more = "gates: {minSoak: 24h}"
    assert only(plan(app(), layout=LAYOUT % f", promoteFrom: prod, {more}")).kind is OutcomeKind.PROMOTED
    assert only(plan(app(), layout=LAYOUT % f", {more}")).reason == "NotSupportedYet"


def test_what_is_delivered_by_pull_request_is_proposed_where_it_moves():
    more = "delivery: {mode: PullRequest, group: env}"
    assert only(plan(app(), layout=LAYOUT % f", promoteFrom: prod, {more}")).kind is OutcomeKind.PROMOTED
    outcome = only(plan(app(), layout=LAYOUT % f", {more}"))
    assert (outcome.kind, outcome.proposal) == (OutcomeKind.PROPOSED, "gitcd/dev/env")


@pytest.mark.parametrize("data", ["", "data:\n", "binaryData: {}\n"])
def test_a_config_map_without_data_is_named_with_the_remedy(data):
    files = app(config="{name: cfg, key: version}") | {"envs/dev/cfg.yaml": CONFIG_MAP + data}
    outcome = only(plan(files))
    assert (outcome.reason, outcome.remedy) == ("ConfigMapWithoutData", "Add `data: {}` to it.")
    assert "envs/dev/cfg.yaml:" in outcome.message
    files["envs/dev/cfg.yaml"] = CONFIG_MAP + "data: {}\n"
    assert b"version: 1.1.0" in plan(files).files[1].after


class TestPlacesOfATagAlone:
    PLACE = "{file: values.yaml, pointer: /tag, format: tag}"

    def plan(self, pin: str, places: str):
        files = {"envs/dev/values.yaml": "tag: env-dev\ndigest: ''\n"}
        return plan(files | {"envs/dev/cv.yaml": declaration(pin=pin, places=f"[{places}]")})

    @pytest.mark.parametrize("pin", ["Digest", "TagAndDigest"])
    def test_a_moving_tag_may_not_stand_alone(self, pin):
        outcome = only(self.plan(pin, self.PLACE))
        assert (outcome.kind, outcome.reason) == (OutcomeKind.FAILED, "PlaceTagMoves")
        assert "values.yaml /tag: env-dev would stand there" in outcome.message

    @pytest.mark.parametrize("pin", ["Digest", "TagAndDigest"])
    def test_it_may_stand_beside_the_digest(self, pin):
        result = self.plan(pin, f"{self.PLACE}, {self.PLACE.replace('tag', 'digest')}")
        assert only(result).kind is OutcomeKind.BUMPED
        assert result.files[0].after.startswith(b"tag: env-dev\ndigest: 'sha256:")


class TestWhatOwnsNothing:
    def test_a_wrong_container_is_named_with_those_that_are_there(self):
        outcome = only(plan(app(container="{name: wrong}")))
        assert (outcome.kind, outcome.reason) == (OutcomeKind.FAILED, "ContainerNotFound")
        assert outcome.message.startswith("no container is called wrong; ")
        assert "runs in main (Deployment/app, envs/dev/" in outcome.message
        assert outcome.warnings == ()

    def test_a_workload_that_nothing_selects_is_named_with_the_remedy(self):
        files = app()
        files["envs/dev/cv.yaml"] = declaration()
        outcome = only(plan(files))
        assert outcome.reason == "NothingSelected"
        assert outcome.remedy.startswith("Say which of them with spec.selector or spec.workload. Near misses:\n")

    def test_paths_that_leave_nothing_are_named(self):
        outcome = only(plan(app(paths="[dev/app]")))
        assert outcome.reason == "MatchedNothing"
        told = "spec.paths names dev/app: paths count from the root of the repository, and narrow %s, never widen it."
        assert outcome.remedy == told % "environment dev"
        alone = "There is no gitcd.yaml, so a declaration reaches its own folder and those below. "
        assert only(plan(app(paths="[dev/app]"), layout="")).remedy == alone + told % "envs/dev"

    def test_all_that_is_not_supported_yet_is_named(self):
        outcome = only(plan(app(), layout=LAYOUT % ", markers: true, gates: {minSoak: 1h}"))
        assert outcome.message == "environments[dev].gates.minSoak is not supported by this version of gitcd"

    @pytest.mark.parametrize("name", ["app.YAML", "app.json", "app.yaml.tmpl", ".github/app.yaml"])
    def test_a_file_with_another_ending_is_named(self, name):
        files = {"envs/dev/cv.yaml": declaration(**SELECTOR), f"envs/dev/{name}": f"image: {APP}:1.0.0\n"}
        outcome = only(plan(files))
        assert outcome.reason == "MatchedNothing"
        assert f"envs/dev/{name} mentions the repository: only .yaml and .yml files and Kustomization" in outcome.remedy

    def test_a_submodule_is_named(self):
        files = {"envs/dev/cv.yaml": declaration(**SELECTOR), "envs/dev/charts": "", "gitcd.yaml": LAYOUT % ""}
        tree = MemoryTree({path: text.encode() for path, text in files.items()}, {"envs/dev/charts": Mode.SUBMODULE})
        outcome = only(make_plan(tree, Context(Registry(app=[["1.0.0", "env-dev"]]), lambda _: {}, NOW)).plan)
        assert "envs/dev/charts is not read: submodules are not entered" in outcome.remedy


@pytest.mark.parametrize(("link", "target"), [("prod/cv.yaml", "../dev/cv.yaml"), ("staging", "dev")])
def test_a_link_to_a_declaration_is_warned_of(link, target):
    files = app() | {f"envs/{link}": target, "envs/prod/other": "../elsewhere", "gitcd.yaml": LAYOUT % ""}
    modes = {f"envs/{link}": Mode.SYMLINK, "envs/prod/other": Mode.SYMLINK}
    tree = MemoryTree({path: text.encode() for path, text in files.items()}, modes)
    result = make_plan(tree, Context(Registry(app=[["1.0.0", "env-dev"]]), lambda _: {}, NOW)).plan
    resolved = target.replace("..", "envs") if ".." in target else f"envs/{target}"
    (warning,) = result.warnings
    assert warning.startswith(f"envs/{link} is a symbolic link to {resolved}, which is not followed")


def test_the_key_of_a_config_map_in_a_list_is_found():
    item = "- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: cfg, namespace: team}\n  data: {version: 1.0.0}\n"
    files = app(config="{name: cfg, key: version}") | {"envs/dev/list.yaml": f"kind: List\nitems:\n{item}"}
    after = {change.path: change.after for change in plan(files).files}
    assert after["envs/dev/list.yaml"].endswith(b"data: {version: 1.1.0}\n")


TEMPLATE = """\
{{- /* runs %s */ -}}
kind: Deployment
spec:
  # %s, unless the values say otherwise
  image: {{ .Values.image }}  # %s
"""


class TestTemplates:
    def plan(self, template: str):
        return only(plan(app() | {"envs/dev/chart/templates/app.yaml": template}))

    def test_a_template_that_names_the_image_in_comments_alone_is_no_obstacle(self):
        assert self.plan(TEMPLATE.replace("%s", APP)).kind is OutcomeKind.BUMPED

    @pytest.mark.parametrize("line", [f"  image: {APP}:1.0.0", f'  image: "{APP}#x"', f"  args: [a#b, {APP}:1.0.0]"])
    def test_one_that_holds_it_is_refused(self, line):
        outcome = self.plan(f"{TEMPLATE.replace('%s', APP)}{line}\n")
        assert (outcome.kind, outcome.reason) == (OutcomeKind.FAILED, "ManifestRefused")


def test_two_places_of_one_declaration_on_one_scalar_are_named():
    both = ", ".join(f"{{file: v.yaml, pointer: /x, format: {form}}}" for form in ("reference", "version"))
    outcome = only(plan({"envs/dev/cv.yaml": declaration(places=f"[{both}]"), "envs/dev/v.yaml": "x: '1'\n"}))
    assert outcome.kind is OutcomeKind.CONFLICT
    assert "but another place of the same declaration (envs/dev/cv.yaml:2) wants" in outcome.message
