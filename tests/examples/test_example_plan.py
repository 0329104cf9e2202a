"""gitcd's own decision on the example: everything that is declared moves, and nothing else."""

import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gitcd.model.plan import OutcomeKind, Plan
from gitcd.model.reference import Repository
from gitcd.model.registry import Answer, Answers, Failure, Image, Query
from gitcd.model.tree import MemoryTree
from gitcd.usecases.context import Context
from gitcd.usecases.planner import make_plan

ROOT = Path(__file__).parents[2] / "examples" / "config-repo"
FILES = {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in sorted(ROOT.rglob("*")) if path.is_file()}
NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
NEWEST = {"atlas/archive": "build-120", "atlas/reports": "e" * 40}


def digest_of(repository: Repository, version: str) -> str:
    return "sha256:" + hashlib.sha256(f"{repository}:{version}".encode()).hexdigest()


def image(repository: Repository, tag: str) -> Image:
    """Moving tags name the newest version, every other tag an image of its own, pushed a day before."""
    if not tag.startswith("env-"):
        return Image(digest_of(repository, tag), (tag,), datetime(2026, 3, 1, tzinfo=UTC))
    version = NEWEST.get(repository.path, "99.0.0")
    return Image(digest_of(repository, version), (tag, version), datetime(2026, 3, 2, tzinfo=UTC))


def registry(queries: Sequence[Query]) -> Answers:
    answers: dict[tuple[Repository, str], Answer] = {}
    for query in queries:
        newest = image(query.repository, "env-any")
        answers |= {(query.repository, tag): image(query.repository, tag) for tag in query.tags}
        answers |= {(query.repository, digest): Failure("ImageNotFound", "it has expired") for digest in query.digests}
        answers[query.repository, newest.digest] = newest
    return Answers(answers)


def plan_for(files: dict[str, bytes]) -> Plan:
    context = Context(resolve=registry, recall=lambda _: {}, now=NOW)
    return make_plan(MemoryTree(files), context).plan


@pytest.fixture(scope="module")
def plan() -> Plan:
    return plan_for(FILES)


@pytest.fixture(scope="module")
def after(plan: Plan) -> dict[str, bytes]:
    return FILES | {change.path: change.after for change in plan.files if change.after is not None}


def test_every_declaration_is_bumped_without_a_warning(plan: Plan) -> None:
    assert {outcome.kind for outcome in plan.outcomes} == {OutcomeKind.BUMPED}
    assert len(plan.outcomes) == 21
    assert not plan.failures
    assert not plan.warnings
    assert not [warning for outcome in plan.outcomes for warning in outcome.warnings]


def test_each_environment_gets_one_commit(plan: Plan) -> None:
    assert [commit.environments for commit in plan.commits] == [("dev",), ("prod",), ("staging",)]


def test_production_may_be_delivered_by_pull_request(plan: Plan) -> None:
    """The line that stands in a comment, taken out of it."""
    line = b"delivery: {mode: PullRequest, group: env}\n"
    layout = FILES["gitcd.yaml"].replace(b"#   " + line, line)
    assert layout != FILES["gitcd.yaml"]
    proposed = plan_for(FILES | {"gitcd.yaml": layout})
    assert [commit.environments for commit in proposed.commits] == [("dev",), ("staging",)]
    assert [pull.branch for pull in proposed.pulls] == ["gitcd/prod/env"]
    assert proposed.files == plan.files


def test_a_second_run_has_nothing_to_do(after: dict[str, bytes]) -> None:
    again = plan_for(after)
    assert {outcome.kind for outcome in again.outcomes} == {OutcomeKind.CURRENT}
    assert not again.commits


def test_shared_files_and_foreign_images_stay_as_they_are(plan: Plan, after: dict[str, bytes]) -> None:
    changed = {change.path for change in plan.files}
    assert not [path for path in changed if path.startswith(("apps/", ".gitcd/", "envs/prod/platform/"))]
    assert "charts/portal/values.yaml" not in changed
    foreign = re.compile(rb"(?:public\.ecr\.aws|quay\.io|210987654321\.)\S+|redis:\S+|tag: 7\.4\.1")
    assert [foreign.findall(data) for data in after.values()] == [foreign.findall(data) for data in FILES.values()]


def test_only_lines_with_an_image_or_a_version_change(plan: Plan) -> None:
    wanted = re.compile(rb"\s*(- )?(\{name: search.*newTag: |image: |newTag: |digest: |tag: |version: )")
    for change in plan.files:
        before, new = (change.before or b"").splitlines(), (change.after or b"").splitlines()
        assert all(wanted.match(line) for line in {*before} ^ {*new}), change.path


def test_the_live_slot_is_left_alone(plan: Plan) -> None:
    changed = {change.path for change in plan.files if "routing" in change.path}
    assert changed == {"envs/prod/routing/green.yaml"}


def test_the_two_tags_of_one_repository_go_separate_ways(plan: Plan) -> None:
    tags = {str(outcome.identity): outcome.resolved.tag for outcome in plan.outcomes if outcome.resolved}
    assert tags["prod/catalog/catalog"] == "env-prod"
    assert tags["prod/catalog/catalog-canary"] == "env-prod-next"
