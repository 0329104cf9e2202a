"""What `-o json` prints is a promise: every document keeps to the schema written down here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from gitcd.cli.main import run
from gitcd.model import document
from tests.support.ecr import StandIn
from tests.support.repos import make_bare
from tests.support.scenes import LAYOUT, app_files

TEXT = {"type": "string"}
TEXTS = {"type": "array", "items": TEXT}
COUNT = {"type": "integer", "minimum": 0}


def closed(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def listed(**properties: Any) -> dict[str, Any]:
    return {"type": "array", "items": closed(**properties)}


def kind(name: str, **properties: Any) -> dict[str, Any]:
    return closed(apiVersion={"const": "gitcd.io/v1"}, kind={"const": name}, **properties)


IDENTITY = closed(environment=TEXT, namespace=TEXT, name=TEXT)
PROBLEMS = listed(path=TEXT, line=COUNT, column=COUNT, subject=TEXT, field=TEXT, message=TEXT, remedy=TEXT)
SCHEMAS = {
    "version": kind("Version", gitcd=TEXT, python=TEXT, git=TEXT),
    "diff": document.report_schema(),
    "reconcile": document.report_schema(),
    "reconcile --dry-run": document.report_schema(),
    "explain app": kind(
        "Explanation", items=listed(identity=IDENTITY, outcome=TEXT, facts=listed(topic=TEXT, text=TEXT))
    ),
    "validate": kind(
        "Validation",
        declarations=COUNT,
        environments=COUNT,
        holds=COUNT,
        problems=PROBLEMS,
        warnings=PROBLEMS,
    ),
    "config show": kind("SettingsInForce", settings=listed(key=TEXT, value={})),
    "config show --origin": kind("SettingsInForce", settings=listed(key=TEXT, value={}, origin=TEXT)),
    "doctor": kind(
        "Examination",
        checks=listed(
            name=TEXT,
            verdict={"enum": ["ok", "warning", "failed"]},
            message=TEXT,
            remedy=TEXT,
            transient={"type": "boolean"},
        ),
    ),
    "hold app": kind("HoldChange", app=TEXT, message=TEXT, files=TEXTS, commits=TEXTS),
    "hold --list": kind(
        "HoldList",
        items=listed(
            subject=TEXT,
            file=TEXT,
            note=TEXT,
            what=TEXT,
            state={"enum": ["in force", "to come", "over"]},
            digest=TEXT,
            since=TEXT,
            until=TEXT,
            by=TEXT,
            reason=TEXT,
        ),
    ),
    "release app": kind("HoldChange", app=TEXT, message=TEXT, files=TEXTS, commits=TEXTS),
}


@pytest.fixture
def scene(tmp_path, monkeypatch) -> Iterator[None]:
    broken = app_files("broken")["envs/dev/broken/cv.yaml"].replace(b"tag:", b"tga:")
    files = {"gitcd.yaml": LAYOUT, "envs/dev/broken/cv.yaml": broken} | app_files("app")
    with StandIn() as ecr:
        ecr.put("team/app", tags=["1.1.0", "env-dev"])
        monkeypatch.setenv("GITCD_ECR_ENDPOINT_URL", ecr.url)
        monkeypatch.setenv("GITCD_REPO", make_bare(tmp_path / "remote.git", files).url)
        yield


@pytest.mark.parametrize("line", SCHEMAS)
def test_one_document_by_its_schema(scene, capfd, line: str) -> None:
    code = run([*line.split(), "-o", "json"])
    out, err = capfd.readouterr()
    assert code != 70, err
    jsonschema.validate(json.loads(out), SCHEMAS[line])


@pytest.mark.parametrize("line", SCHEMAS)
def test_yaml_holds_the_same_document(scene, capfd, line: str) -> None:
    from gitcd.manifests import documents

    code = run([*line.split(), "-o", "yaml"])
    out, err = capfd.readouterr()
    assert code != 70, err
    (value,) = documents.compose(out)
    jsonschema.validate(json.loads(json.dumps(value)), SCHEMAS[line])


ERROR = kind("Error", message=TEXT, remedy=TEXT, exitCode={"const": 2})


@pytest.mark.parametrize(
    "line",
    [
        "diff -o json /nowhere",
        "diff -ojson --nope",
        "validate --output json --output=json /nowhere",
        "hold app /nowhere -o json",
        "nope -o json",
    ],
)
def test_an_error_is_one_document_too(capfd, line: str) -> None:
    assert run(line.split()) == 2
    out, err = capfd.readouterr()
    jsonschema.validate(json.loads(out), ERROR)
    assert err.startswith("error: ")


def test_an_error_is_a_document_where_a_variable_asks_for_it(capfd, monkeypatch) -> None:
    monkeypatch.setenv("GITCD_OUTPUT", "json")
    run(["diff", "/nowhere"])
    jsonschema.validate(json.loads(capfd.readouterr().out), ERROR)


@pytest.mark.parametrize("line", ["diff /nowhere", "diff -o name /nowhere", "diff -- -ojson"])
def test_an_error_is_no_data_for_people(capfd, line: str) -> None:
    assert run(line.split()) == 2
    assert capfd.readouterr().out == ""
