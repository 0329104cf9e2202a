"""The API server judges as the validator and the JSON Schema do: objects that are changed in one place, by dry run."""

from __future__ import annotations

import copy
import json
from concurrent.futures import ThreadPoolExecutor
from random import Random
from urllib.error import HTTPError

import pytest

from gitcd.manifests.dump import to_yaml
from gitcd.model import schema
from gitcd.model.crd import NAME, custom_resource_definition
from gitcd.model.declaration import API_VERSION, KIND, Document
from tests.support.containerversions import definition
from tests.support.jsonschemas import Validator

__all__ = ["definition"]

PATH = f"/apis/{API_VERSION}/namespaces/default/containerversions"
FULL = {
    "imageRepo": "registry.example.com/team/app",
    "tag": "env-prod",
    "versionSyntax": "[0-9a-f]{40}",
    "pin": "Digest",
    "adopt": "OnChange",
    "selector": {"app.kubernetes.io/name": "tiles", "cvapp": "x"},
    "container": {"name": "main"},
    "places": [{"file": "envs/a.yaml", "pointer": "/spec/0/x~1y", "format": "tag", "document": 1}],
    "environment": "prod",
    "paths": ["envs/prod", "a..b/c"],
    "interval": "1h30m",
    "delivery": {"mode": "PullRequest", "group": "g"},
    "gates": {"minAge": "24h", "maxSeverity": "HIGH", "requireSigned": True, "allowDowngrade": False},
    "strategy": {
        "kind": "ServiceBlueGreen",
        "group": "g",
        "blueGreen": {"serviceName": "tiles", "labelNames": ["slot"], "scaleDownDelay": "30s"},
        "verify": [
            {"kind": "Image", "name": "smoke", "image": "registry.example.com/t/smoke", "tag": "v1", "annotations": {"a/b": "c"}},
            {"kind": "HTTP", "service": "tiles", "path": "/ready", "expect": 204, "count": 3},
            {"kind": "Prometheus", "query": "up", "min": "0.5", "onEmpty": "Pass", "failureLimit": 2},
        ],
    },
    "apply": {"ownership": "Image", "takeOver": True},
    "rollback": {"enabled": False},
    "history": {"enabled": True, "limit": 5},
    "config": {"name": "tiles-config", "key": "version"},
    "timeouts": {"rollout": "15m", "verify": "10m"},
    "suspend": False,
}  # fmt: skip
CANARY = {
    "imageRepo": "123456789012.dkr.ecr.us-east-1.amazonaws.com/atlas/tiles",
    "follow": {"newest": {"match": "main-.*"}},
    "workload": {"kind": "Deployment", "name": "tiles"},
    "strategy": {
        "kind": "Canary",
        "canary": {
            "steps": [{"weight": 10, "pause": "2m"}, {"weight": 50, "pause": "Approval", "verify": []}],
            "httpRoute": {"name": "r", "stableService": "s", "canaryService": "c"},
        },
    },
}
SEMVER = {"imageRepo": "localhost:5000/a", "follow": {"semver": ">=1.2 <2"}}
# Between them these values break every kind of constraint, and each fits somewhere.
NOISE = [
    "", " ", "x", "X", "-x", "a b", "é", "a\n", "a" * 64, "a" * 254, "a" * 513, "a" * 5000, "on", "5m", "9999999s", "0s", "Approval",
    "registry.example.com/team/app:v1", "team/app", "../x", "a/../b", "/etc", "/a~2", "a~1b", "Deployment", "PullRequest",
    True, False, 0, -1, 1, 101, 1001, 1.5, 3.0, [], ["x"], ["x"] * 65, [{}], {}, {"name": "x"}, {"a b": "c"}, {"k": "v v"},
]  # fmt: skip


JUDGE = Validator(schema.json_schema(Document))


def spots(value, at=()):
    yield at
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from spots(item, (*at, key))


def changed(value, at, deed, noise):
    """A copy with one field set, dropped, or joined by one that nobody knows."""
    result = copy.deepcopy(value)
    parent = result
    for step in at[:-1]:
        parent = parent[step]
    if deed == "set":
        parent[at[-1]] = noise
    elif deed == "drop":
        del parent[at[-1]]
    elif isinstance(parent[at[-1]], dict):
        parent[at[-1]]["stranger"] = noise
    return result


def documents():
    """Every field of three documents changed in some ways, the same ones in every run."""
    random = Random(20)
    for spec in (FULL, CANARY, SEMVER):
        head = {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": "app", "namespace": "default"}}
        whole = {**head, "spec": spec}
        yield whole
        for at in spots(spec):
            deeds = ["drop", "add", *["set"] * 4] if at else ["add"]
            for deed in deeds:
                yield changed(whole, ("spec", *at), deed, random.choice(NOISE))


def accepted(control_plane, document):
    """Whether the API server would take it, and what it says; unknown fields are refused, as kubectl asks it to."""
    try:
        control_plane.request("POST", f"{PATH}?dryRun=All&fieldValidation=Strict", document)
    except HTTPError as error:
        status = json.loads(error.read())
        if error.code not in {400, 422}:
            raise
        return False, status["message"]
    return True, ""


def test_the_definition_is_taken_without_a_warning(definition):
    done = definition.kubectl(
        "apply", "--server-side", "--field-manager=test", "-f", "-", stdin=to_yaml(custom_resource_definition())
    )
    assert done.stderr == ""
    conditions = definition.get(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{NAME}")["status"][
        "conditions"
    ]
    states = {each["type"]: each["status"] for each in conditions}
    assert states == {"NamesAccepted": "True", "Established": "True"}


def test_validator_json_schema_and_api_server_agree(definition):
    asked = list(documents())
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda each: accepted(definition, each), asked))
    assert {taken for taken, _ in answers} == {True, False}
    assert len(asked) > 300
    for document, (taken, message) in zip(asked, answers, strict=True):
        problems = schema.validate(Document, document)
        assert bool(problems) == bool(list(JUDGE.iter_errors(document))), (document, problems)
        assert taken is not bool(problems), (document["spec"], message, list(map(str, problems)))


def test_rules_name_their_field_and_say_what_is_wrong(definition):
    head = {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": "app", "namespace": "default"}}
    _, message = accepted(definition, {**head, "spec": {**SEMVER, "tag": "v1"}})
    assert "spec.tag: Invalid value: give either tag or follow" in message


@pytest.mark.parametrize(
    ("field", "value"),
    [("versionSyntax", "("), ("versionSyntax", "(?=x)"), ("imageRepo", f"registry.example.com/{'a' * 256}")],
)
def test_what_no_api_server_can_be_told_is_refused_by_the_reader(definition, field, value):
    document = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": "app", "namespace": "default"},
        "spec": {**FULL, field: value},
    }
    assert accepted(definition, document)[0]
    assert schema.validate(Document, document)


@pytest.mark.parametrize("field", ["command", "args", "script", "env", "headers", "url"])
def test_T26_a_verification_that_looks_like_a_command_is_refused(definition, field):
    verify = {"kind": "HTTP", "service": "tiles", field: ["sh", "-c", "id"]}
    for entry in (verify, {**verify, "service": "http://169.254.169.254/"}, {"kind": "Exec", "service": "tiles"}):
        document = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"name": "app", "namespace": "default"},
            "spec": {**SEMVER, "strategy": {"verify": [entry]}},
        }
        assert not accepted(definition, document)[0]
        assert schema.validate(Document, document)


def test_nulls_and_defaults_are_what_absent_fields_are(definition, namespace):
    value = {**SEMVER, "tag": None, "gates": None, "selector": None}
    path = PATH.replace("/default/", f"/{namespace}/")
    made = definition.request(
        "POST", path, {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": "app"}, "spec": value}
    )
    head = {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": "app", "namespace": namespace}}
    assert schema.build(Document, {**head, "spec": made["spec"]}) == schema.build(Document, {**head, "spec": SEMVER})
    assert made["spec"]["strategy"]["kind"] == "RollingUpdate"
    assert "tag" not in made["spec"]
