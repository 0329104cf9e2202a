"""GitHub's published description of its REST API, and what of a request it does not allow."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from tests.support.fakes_hub import Request
from tools.parts import GITHUB_API

_FILE = GITHUB_API.bin() / "api.github.com.json"
# Read here, because every test runs in an environment that is cleared of such names.
_REQUIRED = bool(os.environ.get("GITCD_REQUIRE_FORGE"))
_URI = "urn:github"
_SENT_BY_ALL = {"page"}  # known to every list, described or not


@cache
def description() -> Any:
    """The description; skips the test where it was not fetched."""
    if not _FILE.is_file():
        message = f"NO DESCRIPTION OF GITHUB'S API: {_FILE} is not there; run `make forge` once (it needs npm)"
        if _REQUIRED:
            pytest.fail(f"{message}. GITCD_REQUIRE_FORGE is set, so this is no reason to skip.", pytrace=False)
        pytest.skip(message)
    return json.loads(_FILE.read_text())


def faults(request: Request, prefix: str) -> Iterator[str]:
    """What the description says against this request; `prefix` is what stands before its paths."""
    path = request.path.removeprefix(prefix)
    found = [
        (template, item) for template, item in description()["paths"].items() if _pattern(template).fullmatch(path)
    ]
    if not found:
        yield f"there is no {path}"
        return
    template, item = min(found, key=lambda each: each[0].count("{"))
    operation = item.get(request.method.lower())
    if operation is None:
        yield f"{template} knows no {request.method}"
        return
    yield from _query_faults(request, operation, template)
    yield from _body_faults(request, operation, template)


def _query_faults(request: Request, operation: Any, template: str) -> Iterator[str]:
    described = {
        each["name"]: each for each in map(_resolved, operation.get("parameters", [])) if each["in"] == "query"
    }
    for name, value in request.query:
        if name not in described:
            if name not in _SENT_BY_ALL:
                yield f"{template} knows no parameter {name}"
            continue
        schema = described[name]["schema"]
        typed = int(value) if schema.get("type") == "integer" else value
        yield from (f"{template}?{name}: {error.message}" for error in _validator(schema).iter_errors(typed))


def _body_faults(request: Request, operation: Any, template: str) -> Iterator[str]:
    wanted = operation.get("requestBody")
    if wanted is None:
        if request.body is not None:
            yield f"{request.method} {template} takes no body"
        return
    schema = wanted["content"]["application/json"]["schema"]
    yield from (f"{template}: {error.message}" for error in _validator(schema).iter_errors(request.body))
    known = {
        name
        for each in (schema, *schema.get("oneOf", []), *schema.get("anyOf", []))
        for name in each.get("properties", {})
    }
    yield from (f"{template} knows no field {name}" for name in request.body or {} if name not in known)


def _resolved(parameter: Any) -> Any:
    if "$ref" not in parameter:
        return parameter
    found = description()
    for step in parameter["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    return found


def _validator(schema: Any) -> Draft202012Validator:
    text = json.dumps(_nullable(schema)).replace('"$ref": "#/', f'"$ref": "{_URI}#/')
    return Draft202012Validator(json.loads(text), registry=_registry())


def _nullable(schema: Any) -> Any:
    """OpenAPI 3.0 has a word of its own for what may be null."""
    if isinstance(schema, list):
        return [_nullable(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _nullable(value) for key, value in schema.items()}
    return {"anyOf": [made, {"type": "null"}]} if made.get("nullable") is True else made


@cache
def _registry() -> Registry[Any]:
    return Registry().with_resource(_URI, Resource(description(), DRAFT202012))


@cache
def _pattern(template: str) -> re.Pattern[str]:
    """A reference may hold slashes, every other part may not."""
    parts = re.split(r"(\{[^}]*\})", template)
    return re.compile(
        "".join(".+" if part == "{ref}" else "[^/]+" if part.startswith("{") else re.escape(part) for part in parts)
    )
