from __future__ import annotations

import copy
import json
from datetime import datetime, timedelta, timezone

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitcd.errors import ConfigError
from gitcd.model import document
from gitcd.model.declaration import Identity, Origin
from gitcd.model.evidence import Evidence, Findings, Referrer, Scan, ScanStatus, Signing, SigningStatus
from gitcd.model.plan import (
    Change,
    Direction,
    FileChange,
    Outcome,
    OutcomeKind,
    Plan,
    PlannedCommit,
    Resolved,
)
from gitcd.model.registry import Failure
from gitcd.model.tree import Mode, blob_id

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
MOMENT = st.datetimes(
    timezones=st.sampled_from([timezone.utc, timezone(timedelta(hours=5, minutes=30))]),  # noqa: UP017 - beside another
)
CHANGE = st.builds(Change, TEXT, st.integers(0, 10**6), TEXT, TEXT, TEXT)
COUNT = st.integers(0, 10**6)
SCAN = st.builds(Scan, st.sampled_from(ScanStatus), st.builds(Findings, *[COUNT] * 6), TEXT)
SIGNING = st.builds(
    Signing,
    st.sampled_from(SigningStatus),
    st.lists(TEXT, max_size=2).map(tuple),
    st.lists(st.builds(Referrer, TEXT, TEXT), max_size=2).map(tuple),
    TEXT,
)
EVIDENCE = st.builds(Evidence, st.none() | SCAN, st.none() | SCAN, st.none() | SIGNING)
OUTCOME = st.builds(
    Outcome,
    identity=st.builds(Identity, TEXT, TEXT, TEXT),
    origin=st.builds(Origin, TEXT, st.integers(0, 10**6)),
    kind=st.sampled_from(OutcomeKind),
    image_repo=TEXT,
    reason=TEXT,
    message=TEXT,
    remedy=TEXT,
    transient=st.booleans(),
    resolved=st.none() | st.builds(Resolved, TEXT, TEXT, TEXT, st.none() | MOMENT),
    old=TEXT,
    old_digest=TEXT,
    direction=st.sampled_from(Direction),
    changes=st.lists(CHANGE, max_size=2).map(tuple),
    places=st.lists(TEXT, max_size=2).map(tuple),
    warnings=st.lists(TEXT, max_size=2).map(tuple),
    evidence=st.none() | EVIDENCE,
)
CONTENT = st.none() | st.binary(max_size=20) | TEXT.map(str.encode)
FILE = st.builds(FileChange, TEXT, st.sampled_from(Mode), CONTENT, CONTENT)
COMMIT = st.builds(
    PlannedCommit,
    st.sampled_from([OutcomeKind.BUMPED, OutcomeKind.PIN_ONLY]),
    st.lists(TEXT, max_size=2).map(tuple),
    st.lists(OUTCOME, max_size=2).map(tuple),
    st.lists(FILE, max_size=2).map(tuple),
    TEXT,
)
PLAN = st.builds(
    Plan,
    TEXT,
    st.lists(OUTCOME, max_size=3).map(tuple),
    st.lists(COMMIT, max_size=2).map(tuple),
    st.lists(st.builds(Failure, TEXT, TEXT, TEXT, st.booleans()), max_size=2).map(tuple),
    st.lists(TEXT, max_size=2).map(tuple),
)
PLAN_CHECK = jsonschema.Draft202012Validator(document.plan_schema())
REPORT_CHECK = jsonschema.Draft202012Validator(document.report_schema())

SAMPLE = Plan(
    base="a" * 40,
    outcomes=(
        Outcome(
            Identity("prod", "tiles", "tiles"),
            Origin("envs/prod/tiles.yaml", 3),
            OutcomeKind.BUMPED,
            image_repo="registry.example.com/tiles",
            resolved=Resolved(
                "env-prod", "1.3.0", f"sha256:{'b' * 64}", datetime.fromisoformat("2026-01-02T03:04:05Z")
            ),
            old="1.2.0",
            direction=Direction.FORWARD,
            evidence=Evidence(
                Scan(ScanStatus.DONE, Findings(low=2), "COMPLETE"), Scan(ScanStatus.DONE, Findings(high=1))
            ),
        ),
    ),
    commits=(
        PlannedCommit(
            OutcomeKind.BUMPED,
            ("prod",),
            (Outcome(Identity("prod", "tiles", "tiles"), Origin("x.yaml"), OutcomeKind.BUMPED),),
            (FileChange("x.yaml", Mode.FILE, b"image: a:1\r\n", b"image: \xff:2\r\n"),),
            "prod: tiles\n",
        ),
    ),
)


@given(PLAN)
def test_a_plan_reads_back_as_it_was_written(plan: Plan) -> None:
    text = json.dumps(document.to_document(plan))
    assert document.from_document(json.loads(text)) == plan


@given(PLAN)
def test_plans_and_reports_keep_to_their_schemas(plan: Plan) -> None:
    PLAN_CHECK.validate(document.to_document(plan))
    commits = [f"{number:040x}" for number in range(len(plan.commits))]
    REPORT_CHECK.validate(document.report(plan, commits=commits, exit_code=1))


@pytest.mark.parametrize("schema", [document.plan_schema, document.report_schema])
def test_the_schemas_are_schemas(schema) -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


def test_keys_are_camel_case_and_content_is_readable() -> None:
    written = document.to_document(SAMPLE)
    assert (written["apiVersion"], written["kind"]) == ("gitcd.io/v1", "Plan")
    outcome = written["outcomes"][0]
    assert outcome["imageRepo"] == "registry.example.com/tiles"
    assert outcome["oldDigest"] == ""
    assert outcome["resolved"]["pushedAt"] == "2026-01-02T03:04:05+00:00"
    numbers = {"undefined": 0, "informational": 0, "low": 2, "medium": 0, "high": 0, "critical": 0}
    assert outcome["evidence"]["scan"] == {"status": "Done", "findings": numbers, "note": "COMPLETE"}
    assert outcome["evidence"]["oldScan"]["findings"]["high"] == 1
    assert outcome["evidence"]["signing"] is None
    (change,) = written["commits"][0]["files"]
    assert change["before"] == {"oid": blob_id(b"image: a:1\r\n"), "text": "image: a:1\r\n"}
    assert change["after"]["base64"] == "aW1hZ2U6IP86Mg0K"


def _set(path: list[str | int], value: object):
    def change(written: dict) -> None:
        at = written
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = value

    return change


def _drop(path: list[str | int]):
    def change(written: dict) -> None:
        at = written
        for step in path[:-1]:
            at = at[step]
        del at[path[-1]]

    return change


FILE_AT = ["commits", 0, "files", 0]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (_set(["kind"], "Report"), "kind: Plan is wanted"),
        (_set(["apiVersion"], "gitcd.io/v2"), "apiVersion: gitcd.io/v1 is wanted"),
        (_drop(["base"]), "base: is missing"),
        (_set(["extra"], 1), "'extra' is not known"),
        (_set(["outcomes"], {}), "outcomes: a list is wanted"),
        (_set(["outcomes", 0], []), "outcomes[0]: an object is wanted"),
        (_set(["outcomes", 0, "kind"], "Bumpy"), "outcomes[0].kind: 'Bumpy' is not a valid OutcomeKind"),
        (_set(["outcomes", 0, "transient"], 1), "outcomes[0].transient: true or false is wanted"),
        (_set(["outcomes", 0, "origin", "line"], True), "outcomes[0].origin.line: a whole number is wanted"),
        (_set(["outcomes", 0, "message"], None), "outcomes[0].message: text is wanted"),
        (_set(["outcomes", 0, "evidence", "scan", "findings", "low"], "2"), "findings.low: a whole number is wanted"),
        (_set(["outcomes", 0, "evidence", "scan", "status"], "Fine"), "scan.status: 'Fine' is not a valid ScanStatus"),
        (_set(["outcomes", 0, "resolved", "pushedAt"], "soon"), "outcomes[0].resolved.pushedAt: Invalid isoformat"),
        (_set([*FILE_AT, "after", "base64"], "???"), "commits[0].files[0].after: is no content"),
        (_set([*FILE_AT, "after", "text"], "x"), "commits[0].files[0].after: the content is not that of its oid"),
        (_set([*FILE_AT, "before", "text"], "image: evil"), "the content is not that of its oid"),
        (_set([*FILE_AT, "before", "text"], "\ud800"), "commits[0].files[0].before: is no content"),
        (_drop([*FILE_AT, "before", "oid"]), "the content is not that of its oid"),
        (_set([*FILE_AT, "mode"], "100000"), "commits[0].files[0].mode: '100000' is not a valid Mode"),
    ],
)
def test_what_is_no_plan_is_refused_with_the_place(change, where: str) -> None:
    written = copy.deepcopy(document.to_document(SAMPLE))
    change(written)
    with pytest.raises(ConfigError) as caught:
        document.from_document(written)
    assert where in caught.value.message
    assert "--out" in caught.value.remedy


@pytest.mark.parametrize("value", [None, [], "Plan", 3])
def test_what_is_no_object_is_no_plan(value: object) -> None:
    with pytest.raises(ConfigError, match="an object is wanted"):
        document.from_document(value)


def test_a_report_counts_every_kind_and_names_what_landed() -> None:
    told = document.report(SAMPLE, commits=["c" * 40], exit_code=0)
    assert told["kind"] == "Report"
    assert told["counts"]["bumped"] == 1
    assert told["counts"]["pinOnly"] == 0
    assert told["commits"] == [
        {
            "id": "c" * 40,
            "kind": "Bumped",
            "environments": ["prod"],
            "apps": ["prod/tiles/tiles"],
            "files": ["x.yaml"],
            "message": "prod: tiles\n",
        }
    ]


def test_a_report_of_a_plan_that_was_not_carried_out_has_no_commit_ids() -> None:
    assert [commit["id"] for commit in document.report(SAMPLE)["commits"]] == [""]
