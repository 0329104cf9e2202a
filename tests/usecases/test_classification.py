"""What counts as a move, which places speak for it, and which combinations are refused before anything is written."""

import pytest

from gitcd.model.plan import Direction, OutcomeKind
from tests.usecases.test_planner import (
    APP,
    HOST,
    SELECTOR,
    Registry,
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
