"""What other people's repositories hold besides the usual: left alone, refused by name, or named by hand."""

from __future__ import annotations

import pytest

from gitcd.model.plan import OutcomeKind
from gitcd.model.tree import MemoryTree
from gitcd.usecases.context import Context
from gitcd.usecases.planner import make_plan
from tests.support.adoption import at, declare, load, pinned
from tests.support.scenes import HOST, NOW, Tags


def tags_of(*moves):
    tags = Tags()
    for move in moves:
        tags.move(*move)
    return tags


def plan_for(files, tags):
    return make_plan(MemoryTree(files), Context(tags, lambda _: {}, NOW)).plan


def only(plan):
    (outcome,) = plan.outcomes
    return outcome


class TestArgoCd:
    def test_a_renaming_kustomize_image_keeps_its_plain_style(self):
        files = {
            "orders.yaml": load("argocd")["apps/production/orders.yaml"],
            "cv.yaml": declare("outbox", "team/outbox", "production").encode(),
        }
        plan = plan_for(files, tags_of(("team/outbox", "production", "1.6.0")))
        (change,) = plan.files
        assert change.after == files["orders.yaml"].replace(
            b"team/outbox:1.5.0 ", f"team/outbox:{pinned('team/outbox', '1.6.0')} ".encode()
        )

    def test_values_in_a_block_of_text_are_changed_where_they_stand(self):
        files = {
            "legacy.yaml": load("argocd")["apps/production/legacy.yaml"],
            "cv.yaml": declare("front", "team/front", "production").encode(),
        }
        plan = plan_for(files, tags_of(("team/front", "production", "5.1.0")))
        (change,) = plan.files
        assert change.after == files["legacy.yaml"].replace(b"4.9.9", pinned("team/front", "5.1.0").encode())

    def test_values_in_a_text_that_is_no_plain_block_are_refused_beside_other_places(self):
        folded = load("argocd")["apps/production/legacy.yaml"].replace(b"values: |", b"values: >")
        files = {
            "legacy.yaml": folded,
            "values.yaml": f"image: {HOST}/team/front:4.9.9\n".encode(),
            "cv.yaml": declare("front", "team/front", "production").encode(),
        }
        outcome = only(plan_for(files, tags_of(("team/front", "production", "5.1.0"))))
        assert outcome.reason == "ManifestRefused"
        assert "legacy.yaml:12" in outcome.message
        assert "valuesObject" in outcome.message


class TestFlux:
    @pytest.mark.parametrize(("name", "line"), [("payments", 10), ("receipts", 18)])
    def test_what_a_setter_comment_claims_is_left_alone_and_said(self, name, line):
        declared = declare(name, f"fleet/{name}", "production", namespace="payments", selector={"app": name})
        plan = plan_for(
            load("flux") | {"cv.yaml": declared.encode()}, tags_of((f"fleet/{name}", "production", "2.0.0"))
        )
        outcome = only(plan)
        assert outcome.kind is OutcomeKind.FAILED
        assert f"apps/production/payments.yaml:{line}" in outcome.message
        assert "$imagepolicy" in outcome.message
        assert plan.files == ()

    @pytest.mark.parametrize(
        ("name", "old", "new"),
        [
            ("payments", "payments:1.2.3 #", "payments:2.0.0@{digest} #"),
            ("receipts", "tag: 0.2.0 #", "tag: 2.0.0@{digest} #"),
            ("resizer", "resizer:0.3.1 #", "resizer:2.0.0@{digest} #"),
        ],
    )
    def test_where_markers_are_honoured_it_moves_with_its_comment(self, name, old, new):
        layout = (
            "apiVersion: gitcd.io/v1\nkind: ConfigRepository\nenvironments: [{name: p, path: apps, markers: true}]\n"
        )
        declared = declare(name, f"fleet/{name}", "production", namespace="payments", environment="p")
        given = load("flux") | {"cv.yaml": declared.encode(), "gitcd.yaml": layout.encode()}
        plan = plan_for(given, tags_of((f"fleet/{name}", "production", "2.0.0")))
        (file,) = plan.files
        digest = only(plan).resolved.digest
        wanted = (
            given[file.path]
            .decode()
            .replace(old, new.format(digest=digest))
            .replace("'0.3.1'", "'2.0.0'", name == "resizer")
        )
        assert file.after.decode() == wanted

    def test_image_automation_objects_are_no_places(self):
        files = {path: data for path, data in load("flux").items() if path.endswith("image-automation.yaml")}
        declared = declare("podinfo", "fleet/podinfo", "production", container={"name": "podinfo"})
        plan = plan_for(files | {"cv.yaml": declared.encode()}, tags_of(("fleet/podinfo", "production", "6.7.0")))
        assert (only(plan).reason, plan.files) == ("MatchedNothing", ())


class TestHelm:
    def test_templates_in_scope_do_not_break_a_declaration_they_do_not_mention(self):
        files = load("helm") | {"charts/shop/cv.yaml": declare("cart", "shop/cart", "prod").encode()}
        plan = plan_for(files, tags_of(("shop/cart", "prod", "1.10.0")))
        assert only(plan).kind is OutcomeKind.BUMPED
        assert [change.path for change in plan.files] == [
            "charts/shop/charts/cart/values.yaml",
            "charts/shop/values-production.yaml",
        ]

    def test_a_template_that_mentions_the_image_in_a_comment_is_no_obstacle(self):
        files = load("helm") | {"charts/shop/cv.yaml": declare("front", "shop/front", "prod").encode()}
        plan = plan_for(files, tags_of(("shop/front", "prod", "3.2.0")))
        assert only(plan).kind is OutcomeKind.BUMPED

    def test_a_template_that_holds_the_image_is_refused_by_name(self):
        files = load("helm") | {"charts/shop/cv.yaml": declare("front", "shop/front", "prod").encode()}
        files["charts/shop/templates/deployment.yaml"] += f"image: {HOST}/shop/front:3.1.0\n".encode()
        plan = plan_for(files, tags_of(("shop/front", "prod", "3.2.0")))
        outcome = only(plan)
        assert (outcome.reason, plan.files) == ("ManifestRefused", ())
        assert "charts/shop/templates/deployment.yaml:1" in outcome.message
        assert "template" in outcome.message
        assert "spec.paths" in outcome.remedy


UNKNOWN_FORMS = {
    "flat": f"imageRepository: {HOST}/a/b\nimageTag: 1.0.0\n",
    "name": f"image:\n  name: {HOST}/a/b\n  tag: 1.0.0\n",
    "list": f"images:\n- {HOST}/a/b:1.0.0\n",
    "text": f"values: |\n  image: {HOST}/a/b:1.0.0\n",
    "no tag": f"image:\n  repository: {HOST}/a/b\n",
}


@pytest.mark.parametrize("text", UNKNOWN_FORMS.values(), ids=UNKNOWN_FORMS)
def test_a_mention_in_an_unknown_form_is_a_near_miss(text):
    """Who adopts gitcd has to learn that the file was seen, and that spec.places can name the spot."""
    files = {"app/values.yaml": text.encode(), "app/cv.yaml": declare("b", "a/b", "prod").encode()}
    outcome = only(plan_for(files, tags_of(("a/b", "prod", "2.0.0"))))
    assert outcome.reason == "MatchedNothing"
    assert "app/values.yaml" in outcome.remedy


def test_a_flat_form_is_reached_by_its_pointer():
    files = {
        "app/values.yaml": UNKNOWN_FORMS["flat"].encode(),
        "app/cv.yaml": declare(
            "b",
            "a/b",
            "prod",
            places=[
                {"file": "values.yaml", "pointer": "/imageTag", "format": "version"},
            ],
        ).encode(),
    }
    tags = tags_of(("a/b", "prod", "2.0.0"))
    plan = plan_for(files, tags)
    assert plan.files[0].after == UNKNOWN_FORMS["flat"].replace("1.0.0", "2.0.0").encode()
    assert plan_for(files | {"app/values.yaml": plan.files[0].after}, tags).commits == ()


@pytest.mark.parametrize(
    ("empty", "filled"),
    [
        ("tag:", "tag: 2.0.0"),
        ('tag: ""', 'tag: "2.0.0"'),
        ("tag: ~ # the chart's own", "tag: 2.0.0 # the chart's own"),
        ("tag: null", "tag: 2.0.0"),
    ],
)
def test_an_empty_tag_is_filled(empty, filled):
    before = f"image:\n  repository: {HOST}/a/b\n  {empty}\n  digest: ''\n"
    files = {"app/values.yaml": before.encode(), "app/cv.yaml": declare("b", "a/b", "prod").encode()}
    plan = plan_for(files, tags_of(("a/b", "prod", "2.0.0")))
    after = before.replace(empty, filled).replace("''", f"'{at('a/b', '2.0.0')}'")
    assert plan.files[0].after == after.encode()
