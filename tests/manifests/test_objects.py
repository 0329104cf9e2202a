"""Manifests as objects: read as the API server's own tools read them, or refused with the line."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitcd.manifests.documents import UnreadableError
from gitcd.manifests.objects import is_encrypted, plain, read_objects
from gitcd.model.live import Manifest, Ref
from gitcd.model.site import Refusal

CONFIG = b"""\
apiVersion: v1
kind: ConfigMap
metadata: {name: a, namespace: team}
data: {k: v}
"""


def objects(text):
    return read_objects("a.yaml", text if isinstance(text, bytes) else text.encode())


def one(text):
    (found,) = objects(text)
    return found


def refusal(text):
    found = one(text)
    assert isinstance(found, Refusal)
    return found.line, found.reason


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", True), ("Off", False), ("y", True), ("n", False), ("yes", True), ("true", True), ("oN", "oN"),
        ("", None), ("~", None), ("null", None), ("nUll", "nUll"),
        ("1", 1), ("-7", -7), ("+7", 7), ("1_000", 1000), ("0777", 511), ("0o17", 15), ("0x1F", 31), ("0b101", 5), ("0", 0),
        ("089", 89), ("1.5", 1.5), ("1.0", 1), ("1e3", 1000), (".5", 0.5), ("1.10", 1.1), ("12e4567x", "12e4567x"),
        ("2026-11-21", "2026-11-21"), ("12:30:45", "12:30:45"), ("1.2.3", "1.2.3"), ("-", "-"), ("10m", "10m"), ("0x", "0x"),
        ("18446744073709551615", 18446744073709551615), ("18446744073709551616", 18446744073709551616.0),
    ],
)  # fmt: skip
def test_plain_scalars_are_those_of_kubernetes_tools(text, value):
    assert plain(text) == value
    assert type(plain(text)) is type(value)


@pytest.mark.parametrize("text", [".inf", "-.Inf", ".nan", "1e400"])
def test_numbers_that_json_has_not_are_refused(text):
    with pytest.raises(UnreadableError):
        plain(text)
    assert "in quotes" in refusal(f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata: {{k: {text}}}\n")[1]


def test_an_object_has_its_name_its_version_and_its_place():
    found = one(b"# first\n---\n" + CONFIG)
    assert found.ref == Ref("ConfigMap", "team", "a")
    assert (found.version, found.api_version, str(found.origin)) == ("v1", "v1", "a.yaml:3")
    assert found.value == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a", "namespace": "team"},
        "data": {"k": "v"},
    }


def test_groups_are_told_from_versions():
    found = one("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n")
    assert (found.ref.group, found.version, found.api_version) == ("apps", "v1", "apps/v1")


def test_keys_are_texts_as_the_tools_write_them():
    assert one("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {on: a, 1: b, 'y': c}\n").value["data"] == {
        "true": "a",
        "1": "b",
        "y": "c",
    }


def test_merge_keys_and_aliases_are_resolved():
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: &m {name: a}\ndata: {<<: *m, k: v}\n"
    assert json.loads(json.dumps(one(text).value))["data"] == {"name": "a", "k": "v"}


def test_a_list_counts_as_what_it_lists():
    found = objects(
        "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n- 1\n"
        "- apiVersion: v1\n  kind: List\n  items: [{apiVersion: v1, kind: Secret, metadata: {name: b}}]\n"
    )
    assert [each.ref.name for each in found if isinstance(each, Manifest)] == ["a", "b"]
    assert [each.reason for each in found if isinstance(each, Refusal)] == ["an item of this List is no object"]


def test_what_claims_to_be_no_object_is_passed_over():
    assert objects("image: {repository: a, tag: b}\n---\n# nothing\n---\nreplicas: 3\n") == []


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("kind: ConfigMap\nmetadata: {name: a}\n", 1, "apiVersion is missing"),
        ("apiVersion: v1\nkind: 1\nmetadata: {name: a}\n", 1, "kind is no text"),
        ("apiVersion: v1\nkind: ConfigMap\n", 1, "ConfigMap: metadata is missing"),
        ("apiVersion: v1\nkind: Job\nmetadata: {generateName: a-}\n", 1,
         "Job: metadata.name is missing, and generateName makes a new object at every run"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ../../secrets/a}\n", 1,
         "ConfigMap: metadata.name: '../../secrets/a' is no name"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: ../b}\n", 1,
         "ConfigMap: metadata.namespace: '../b' is no name of a namespace"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  k: 1\n  k: 2\n", 6,
         "the key 'k' stands here a second time"),
        ("---\n- 1\n", 1, "the document is no map"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a\n---\n", 4,
         "not YAML: did not find expected ',' or '}'"),
    ],
)  # fmt: skip
def test_what_is_no_object_is_refused_with_its_line(text, line, reason):
    found = objects(text)
    assert isinstance(found[0], Refusal)
    assert (found[0].line, found[0].reason) == (line, reason)


def test_an_item_of_a_list_that_names_no_kind_is_not_passed_over():
    items = "items: [{metadata: {name: a}}, {apiVersion: v1, kind: ConfigMap, metadata: {name: b}}]"
    found = objects(f"apiVersion: v1\nkind: ConfigMapList\n{items}\n".encode())
    assert [each.reason for each in found if isinstance(each, Refusal)] == [
        "an item of this ConfigMapList is no object"
    ]
    assert len(found) == 2


@pytest.mark.parametrize("key", ["labels", "annotations"])
def test_labels_and_annotations_are_maps(key):
    for written in ("[a]", "text", "7"):
        text = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a, {key}: {written}}}\n"
        assert refusal(text.encode())[1] == f"ConfigMap: metadata.{key} is no map"
    assert one(f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a, {key}: }}\n")


@pytest.mark.parametrize(
    ("kind", "spec", "reason"),
    [
        ("Deployment", "7", "spec is no map"),
        ("Service", "{selector: [a]}", "spec.selector is no map"),
        ("Deployment", "{selector: {matchLabels: a}}", "spec.selector.matchLabels is no map"),
        ("StatefulSet", "{template: [a]}", "spec.template is no map"),
        ("DaemonSet", "{template: {metadata: {labels: [a]}}}", "spec.template.metadata.labels is no map"),
        ("Job", "{template: {spec: 1}}", "spec.template.spec is no map"),
        ("Deployment", "{template: {spec: {containers: 7}}}", "spec.template.spec.containers is no list of containers"),
        ("Pod", "{initContainers: [3, {name: a}]}", "spec.initContainers is no list of containers"),
        ("CronJob", "{jobTemplate: {spec: []}}", ""),
        ("CronJob", "{jobTemplate: {spec: [a]}}", "spec.jobTemplate.spec is no map"),
        ("Widget", "{selector: text, template: text}", ""),
        ("Deployment", "{selector: , template: {spec: {containers: }}}", ""),
    ],
)
def test_what_rollouts_go_by_has_the_shape_of_its_kind(kind, spec, reason):
    text = f"apiVersion: v1\nkind: {kind}\nmetadata: {{name: a}}\nspec: {spec}\n"
    found = one(text)
    assert (found.reason if isinstance(found, Refusal) else "") == (f"{kind}: {reason}" if reason else "")


def test_one_bad_document_leaves_the_others():
    found = objects(b"apiVersion: v1\nkind: ConfigMap\nmetadata: {}\n---\n" + CONFIG)
    assert [type(each) for each in found] == [Refusal, Manifest]


def test_what_sops_has_encrypted_is_told_apart():
    assert is_encrypted(one("apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nsops: {version: 3}\n"))
    assert not is_encrypted(one(CONFIG))


def test_bytes_that_are_no_text_are_refused():
    assert refusal(b"\xff\xfe")[1] == "the file is not UTF-8; save it as UTF-8"


def aliases(levels, width):
    """Every level stands for the one before it so many times."""
    rows = [f"k{level}: &k{level} [{', '.join([f'*k{level - 1}'] * width)}]\n" for level in range(1, levels)]
    return "k0: &k0 [x]\n" + "".join(rows) + CONFIG.decode()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (aliases(12, 10), "more than 150000 values stand here; split the file"),
        (aliases(5000, 1), "nested more than 64 levels deep"),
        (f"a: &a {'x' * 100_000}\nb: [{', '.join(['*a'] * 200)}]\n{CONFIG.decode()}", "more than 16777216 characters stand here; split the file"),
        (f"a: &a {{? {'x' * 1000} : 1}}\nb: [{', '.join(['*a'] * 20_000)}]\n{CONFIG.decode()}", "more than 16777216 characters stand here; split the file"),
    ],
    ids=["many", "deep", "long", "long-keys"],
)  # fmt: skip
def test_aliases_count_as_what_they_stand_for(text, reason):
    assert refusal(text.encode())[1] == reason


def test_some_aliases_are_fine():
    found = one(aliases(4, 3))
    assert json.dumps(found.value["k3"]).count('"x"') == 27


TEXTS = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=8)


@settings(max_examples=60)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63) | TEXTS,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
        max_leaves=12,
    )
)
def test_json_is_read_as_what_it_says(value):
    document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": value}
    found = one(json.dumps(document))
    assert isinstance(found, Manifest)
    assert json.dumps(found.value) == json.dumps(document)
