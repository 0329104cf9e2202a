"""The definition for clusters comes from the same tables; a real API server judges it in tests/cluster."""

import re

import pytest

from gitcd.model import crd
from gitcd.model.declaration import Spec
from gitcd.model.schema import table

DEFINITION = crd.custom_resource_definition()
VERSION = DEFINITION["spec"]["versions"][0]
SCHEMA = VERSION["schema"]["openAPIV3Schema"]


def nodes(schema, at=""):
    yield at, schema
    for key, inner in schema.get("properties", {}).items():
        yield from nodes(inner, f"{at}.{key}")
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from nodes(schema[key], f"{at}[]")


def test_it_is_named_as_the_group_and_the_plural_say():
    assert DEFINITION["metadata"]["name"] == "containerversions.gitcd.io"
    assert DEFINITION["spec"]["names"]["shortNames"] == ["cv"]
    assert VERSION["subresources"] == {"status": {}}
    assert [each["name"] for each in VERSION["additionalPrinterColumns"]] == [
        "Tag", "Version", "Digest", "Ready", "Reason", "Age",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("at", "schema"), list(nodes(SCHEMA)), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_part_is_structural_and_bounded(at, schema):
    assert schema["type"] in {"object", "array", "string", "integer", "boolean"}
    assert not schema.keys() & {"allOf", "oneOf", "anyOf", "not", "if", "propertyNames", "format", "$ref", "const"}
    if schema["type"] == "string":
        assert "enum" in schema or "maxLength" in schema or at in {".apiVersion", ".kind"}
    if schema["type"] == "array":
        assert schema["maxItems"]
        assert schema["x-kubernetes-list-type"] in {"atomic", "map"}


def test_every_field_of_the_spec_is_there():
    assert SCHEMA["properties"]["spec"]["properties"].keys() == table(Spec).fields.keys()


def test_rules_point_at_fields_that_are_there():
    for at, schema in nodes(SCHEMA):
        for rule in schema.get("x-kubernetes-validations", ()):
            if "fieldPath" in rule:
                assert rule["fieldPath"].removeprefix(".") in schema["properties"], at
            assert set(re.findall(r"self\.(\w+)", rule["rule"])) - {"all"} <= schema.get("properties", {}).keys()


def test_conditions_are_a_map_by_type():
    conditions = SCHEMA["properties"]["status"]["properties"]["conditions"]
    assert conditions["x-kubernetes-list-type"] == "map"
    assert conditions["x-kubernetes-list-map-keys"] == ["type"]
    assert "type" in conditions["items"]["required"]


def test_defaults_are_those_of_the_validator():
    spec = SCHEMA["properties"]["spec"]["properties"]
    assert spec["interval"]["default"] == "5m"
    assert spec["strategy"]["default"]["kind"] == "RollingUpdate"
    assert spec["strategy"]["properties"]["kind"]["default"] == "RollingUpdate"
    assert "default" not in spec["tag"]


@pytest.mark.parametrize("at", [at for at, _ in nodes(SCHEMA) if at and not at.endswith("[]") and at != ".metadata"])
def test_kubectl_explain_has_something_to_say(at):
    assert dict(nodes(SCHEMA))[at]["description"].endswith(".")
