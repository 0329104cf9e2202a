"""The CustomResourceDefinition of ContainerVersion, from the same tables as the validator and the JSON Schema.

An API server wants a structural schema: no `propertyNames`, no conditions, no closed objects. What those say is said
here by rules in the Common Expression Language; an API server refuses or prunes unknown fields by itself.

Source: "Extend the Kubernetes API with CustomResourceDefinitions" and "Common Expression Language in Kubernetes".
"""

from __future__ import annotations

from typing import Any

from gitcd.model.declaration import API_VERSION, GROUP, KIND, PLURAL, VERSION, Spec
from gitcd.model.fields import JsonSchema, Rule
from gitcd.model.object_shape import Field, ObjectShape
from gitcd.model.schema import table
from gitcd.model.shapes import ListShape, MapShape, Shape
from gitcd.model.status import Status

NAME = f"{PLURAL}.{GROUP}"

_KIND_TEXT = (
    "A ContainerVersion says which image repository an application runs, which tag to follow, and where that image "
    "stands in the config repository. gitcd commits what the tag names, and changes nothing else."
)
_SPEC_TEXT = "What to follow, where it stands, when it may move, and how it is rolled out."
_STATUS_TEXT = "What gitcd found out last. Output only: nothing that stands here is ever read."
_COLUMNS = (
    ("Tag", ".spec.tag", "The tag that is followed."),
    ("Version", ".status.resolved.version", "The version that the tag names."),
    ("Digest", ".status.resolved.digest", "The digest that the tag names."),
    ("Ready", '.status.conditions[?(@.type=="Ready")].status', "Whether git says what is wanted."),
    ("Reason", '.status.conditions[?(@.type=="Ready")].reason', "Why, or why not."),
)


def custom_resource_definition() -> dict[str, Any]:
    """The definition, as `kubectl apply` takes it."""
    names = {
        "kind": KIND,
        "listKind": f"{KIND}List",
        "plural": PLURAL,
        "singular": PLURAL.removesuffix("s"),
        "shortNames": ["cv"],
        "categories": ["gitcd"],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": NAME},
        "spec": {"group": GROUP, "names": names, "scope": "Namespaced", "versions": [_version()]},
    }


def structural(shape: Shape) -> JsonSchema:
    """The structural schema of a value, with the rules that a JSON Schema says by other means."""
    match shape:
        case ObjectShape():
            return _object(shape)
        case ListShape(item=item):
            return {"x-kubernetes-list-type": "atomic", **shape.json_schema(), "items": structural(item)}
        case MapShape():
            return _map(shape)
        case _:
            schema = shape.json_schema()
            schema.pop("format", None)
            return schema


def _version() -> dict[str, Any]:
    columns = [{"name": name, "type": "string", "jsonPath": path, "description": text} for name, path, text in _COLUMNS]
    age = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [*columns, age],
        "schema": {"openAPIV3Schema": _root()},
    }


def _root() -> JsonSchema:
    properties = {
        "apiVersion": {"type": "string", "description": f"Always {API_VERSION}."},
        "kind": {"type": "string", "description": f"Always {KIND}."},
        "metadata": {"type": "object"},
        "spec": {"description": _SPEC_TEXT, **structural(table(Spec))},
        "status": {"description": _STATUS_TEXT, **structural(table(Status))},
    }
    return {"type": "object", "description": _KIND_TEXT, "required": ["spec"], "properties": properties}


def _object(shape: ObjectShape) -> JsonSchema:
    schema: JsonSchema = {
        "type": "object",
        "properties": {key: _property(field) for key, field in shape.fields.items()},
    }
    if shape.required:
        schema["required"] = sorted(shape.required)
    if shape.rules:
        schema["x-kubernetes-validations"] = [_rule(rule) for rule in shape.rules]
    return schema


def _property(field: Field) -> JsonSchema:
    schema = structural(field.shape)
    if field.doc:
        schema = {"description": field.doc, **schema}
    default = _default(field)
    return schema if default is None else {**schema, "default": default}


def _default(field: Field) -> object:
    """What stands for an absent field, written out in full, as rules see it before nested defaults are filled in.

    None for an empty text, list or map: that is what an absent one means, so objects can do without.
    """
    if field.default is None:
        return None
    plain = field.shape.plain(field.default)
    if isinstance(field.shape, ObjectShape) and isinstance(plain, dict):
        inner = {key: _default(each) for key, each in field.shape.fields.items()}
        return {key: value for key, value in inner.items() if value is not None} | plain
    return None if plain in ("", [], {}) else plain


def _rule(rule: Rule) -> dict[str, str]:
    written = {"rule": rule.cel, "message": rule.message}
    return written | ({"fieldPath": f".{rule.path}"} if rule.path else {})


def _map(shape: MapShape) -> JsonSchema:
    schema = shape.json_schema() | {"additionalProperties": structural(shape.value), "x-kubernetes-map-type": "atomic"}
    keys = schema.pop("propertyNames")
    low, high = keys.get("minLength", 0), keys["maxLength"]
    rule = f"self.all(key, size(key) >= {low} && size(key) <= {high} && key.matches(r'{keys['pattern']}'))"
    return schema | {
        "x-kubernetes-validations": [{"rule": rule, "message": "a key is not of the form that labels have"}]
    }
