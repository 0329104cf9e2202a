"""What other tools fill in, and what is spelled by escapes: never overwritten, never overlooked."""

from __future__ import annotations

import json

import pytest

from gitcd import manifests
from gitcd.model.plan import OutcomeKind
from gitcd.model.tree import MemoryTree
from gitcd.usecases.context import Context
from gitcd.usecases.planner import make_plan
from tests.support.adoption import declare, pinned
from tests.support.scenes import HOST, NOW, Tags

TAGS = Tags()
TAGS.move("a/b", "prod", "2.0.0")
IMAGE = f"{HOST}/a/b:1.0.0"
NEW = f"{HOST}/a/b:{pinned('a/b', '2.0.0')}"

RELEASE = "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: b}\n"
APPLICATION = "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: b}\n"
SET = "apiVersion: argoproj.io/v1alpha1\nkind: ApplicationSet\nmetadata: {name: b}\n"


def values(tag):
    return f"{{image: {{repository: {HOST}/a/b, tag: {tag}}}}}"


def parameters(tag):
    return f"[{{name: image.repository, value: {HOST}/a/b}}, {{name: image.tag, value: {tag}}}]"


def plan_for(**spec):
    files = {name: text.encode() for name, text in spec.pop("files").items()}
    files["app/cv.yaml"] = declare("b", "a/b", "prod", **spec).encode()
    return make_plan(MemoryTree(files), Context(TAGS, lambda _: {}, NOW)).plan


def only(plan):
    (outcome,) = plan.outcomes
    return outcome


@pytest.mark.parametrize(
    ("path", "text", "line"),
    [
        ("release.yaml", RELEASE + "spec:\n  values: " + values('"${TAG:=1.0.0}"') + "\n", 5),
        ("kustomization.yaml", f"images:\n- name: {HOST}/a/b\n  newTag: $(TAG)\n", 2),
        (
            "app.yaml",
            f"{APPLICATION}spec: {{source: {{helm: {{parameters: {parameters('$ARGOCD_APP_REVISION')}}}}}}}\n",
            4,
        ),
        ("values.yaml", values("'{{ .Values.tag }}'") + "\n", 1),
    ],
)
def test_a_tag_that_another_tool_fills_in_is_not_overwritten(path, text, line):
    plan = plan_for(files={f"app/{path}": text})
    assert (only(plan).reason, plan.files) == ("ManifestRefused", ())
    assert f"app/{path}:{line}: " in only(plan).message
    assert "is a template" in only(plan).message


class TestApplicationSet:
    def test_the_template_of_its_applications_is_looked_into(self):
        source = f"{{kustomize: {{images: ['b={IMAGE}']}}, helm: {{parameters: {parameters('1.0.0')}}}}}"
        text = f"{SET}spec: {{template: {{spec: {{source: {source}}}}}}}\n"
        plan = plan_for(files={"app/set.yaml": text})
        after = text.replace(IMAGE, NEW).replace("value: 1.0.0", f"value: {pinned('a/b', '2.0.0')}")
        assert plan.files[0].after.decode() == after
        assert plan_for(files={"app/set.yaml": after}).commits == ()

    def test_what_its_generators_fill_in_is_named_by_hand(self):
        elements = f"[{{env: dev, image: '{IMAGE}'}}, {{env: prod, image: '{IMAGE}'}}]"
        tag = values("'{{tag}}'")
        source = f"{{kustomize: {{images: ['b={HOST}/a/b:{{{{tag}}}}']}}, helm: {{valuesObject: {tag}}}}}"
        text = (
            f"{SET}spec:\n  generators: [list: {{elements: {elements}}}]\n  template: {{spec: {{source: {source}}}}}\n"
        )
        assert only(plan_for(files={"app/set.yaml": text})).reason == "MatchedNothing"
        place = {"file": "set.yaml", "pointer": "/spec/generators/0/list/elements/1/image", "format": "reference"}
        plan = plan_for(files={"app/set.yaml": text}, places=[place])
        assert plan.files[0].after.decode() == text.replace(f"prod, image: '{IMAGE}'", f"prod, image: '{NEW}'")


POD = '{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "%s", "labels": {"app": "b"}}, "spec": {"containers": [{"name": "c", "image": %s}]}}\n'
SPELLINGS = {
    "slash": json.dumps(IMAGE).replace("/", "\\/"),
    "hex": json.dumps(IMAGE).replace("a/b", "\\x61/b"),
    "unicode": json.dumps(IMAGE).replace("a/b", "a\\u002Fb"),
    "long unicode": json.dumps(IMAGE).replace("a/b", "a/\\U00000062"),
    "line": json.dumps(IMAGE).replace("a/b", "a\\\n   /b"),
}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside a plain one"])
def test_an_image_spelled_by_escapes_is_refused_and_not_overlooked(spelling, beside):
    files = {"app/odd.yaml": POD % ("odd", spelling)}
    if beside:
        files["app/plain.yaml"] = POD % ("plain", json.dumps(IMAGE))
    plan = plan_for(files=files, selector={"app": "b"})
    assert (only(plan).kind, only(plan).reason, plan.files) == (OutcomeKind.FAILED, "ManifestRefused", ())
    assert "app/odd.yaml:1: " in only(plan).message


def test_only_the_document_that_holds_the_escapes_is_refused():
    data = "---\n".join([POD % ("plain", json.dumps(IMAGE)), POD % ("odd", SPELLINGS["slash"])]).encode()
    found = manifests.find("x.yaml", data, [b"a/b"])
    assert [site.document for site in found.sites] == [0]
    assert [refusal.line for refusal in found.refusals] == [3]


@pytest.mark.parametrize("text", ["a: 'C:\\x61\\b'\n", 'a: "\\\\/a\\\\/b"\n', "a: \\\n"])
def test_backslashes_that_spell_nothing_are_no_obstacle(text):
    files = {"app/plain.yaml": POD % ("plain", json.dumps(IMAGE)), "app/other.yaml": text}
    assert only(plan_for(files=files, selector={"app": "b"})).kind is OutcomeKind.BUMPED
