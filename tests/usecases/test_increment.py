"""A run with nothing to do is remembered; whatever could have changed its end makes the next one plan again."""

import base64
import zlib
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

import pytest

from gitcd.git.commit import Author
from gitcd.git.mirror import open_mirror
from gitcd.git.remote import Remote
from gitcd.model.declaration import Identity
from gitcd.model.plan import Outcome, OutcomeKind
from gitcd.model.registry import Answers, Failure, Image
from gitcd.model.settings import NamespaceScope
from gitcd.model.tree import MemoryTree
from gitcd.planning.intake import read_inputs
from gitcd.usecases import planner
from gitcd.usecases.context import Context, Selection
from gitcd.usecases.planner import make_plan
from gitcd.usecases.reconcile import reconcile
from tests.support.repos import make_bare

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOST = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
OLD, NEW = ("sha256:" + digit * 64 for digit in "12")
FILES = {
    "gitcd.yaml": "apiVersion: gitcd.io/v1\nkind: ConfigRepository\nenvironments: [{name: dev, path: dev}]\n",
    "dev/cv.yaml": (
        "apiVersion: gitcd.io/v1\nkind: ContainerVersion\nmetadata: {name: app, namespace: team}\n"
        f"spec: {{imageRepo: {HOST}/team/app, tag: env-dev, selector: {{app: app}}}}\n"
    ),
    "dev/app.yaml": (
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: app, labels: {app: app}}\n"
        f"spec: {{template: {{spec: {{containers: [{{name: main, image: '{HOST}/team/app:1.0.0@{OLD}'}}]}}}}}}\n"
    ),
}


class Registry:
    def __init__(self, digest=OLD, version="1.0.0"):
        self.image = Image(digest, ("env-dev", version), NOW - timedelta(days=1))
        self.calls = 0

    def __call__(self, queries):
        self.calls += 1
        names = {(query.repository, name) for query in queries for name in query.tags | query.digests}
        known = {"env-dev", *self.image.tags, self.image.digest}
        return Answers({key: self.image if key[1] in known else Failure("ImageNotFound", key[1]) for key in names})


@pytest.fixture
def plans(monkeypatch):
    """How often a plan was made."""
    made = []

    def counted(*args, **kwargs):
        made.append(1)
        return make_plan(*args, **kwargs)

    monkeypatch.setattr(planner, "make_plan", counted)
    return made


@pytest.fixture
def remote(tmp_path):
    return make_bare(tmp_path / "remote.git", {path: text.encode() for path, text in FILES.items()})


@pytest.fixture
def run(tmp_path, remote):
    def run(registry, **context):
        with open_mirror(Remote.parse(remote.url), "main", cache_dir=tmp_path / "cache") as mirror:
            given = replace(Context(registry, lambda questions: {}, NOW), **context)
            return reconcile(mirror, given, Author("gitcd", "gitcd@example.com")).work.plan

    return run


def test_the_second_run_gives_the_same_plan_without_making_it(run, plans):
    registry = Registry()
    first, second = run(registry), run(registry, now=NOW + timedelta(days=1))
    assert first == second
    assert first.outcomes[0].kind is OutcomeKind.CURRENT
    assert first.outcomes[0].resolved.pushed_at == NOW - timedelta(days=1)
    assert (len(plans), registry.calls) == (1, 2)


def test_a_moved_tag_is_followed(run, plans):
    run(Registry())
    assert run(Registry(NEW, "1.1.0")).outcomes[0].kind is OutcomeKind.BUMPED
    assert run(Registry(NEW, "1.1.0")).outcomes[0].kind is OutcomeKind.CURRENT
    assert len(plans) == 3


def test_after_a_run_with_nothing_to_do_only_those_are_planned_again_who_move(run, remote, monkeypatch):
    for name in ("b", "c"):
        words = (("team/app", f"team/{name}"), ("name: app", f"name: {name}"), ("app: app", f"app: {name}"))
        for path in ("dev/cv.yaml", "dev/app.yaml"):
            text = FILES[path]
            for old, new in words:
                text = text.replace(old, new)
            remote.commit({path.replace("dev/", f"dev/{name}/"): text.encode()})
    for _ in range(2):
        run(Registry())
    planned = []

    def noted(*args, **kwargs):
        planned.append(make_plan(*args, **kwargs))
        return planned[-1]

    monkeypatch.setattr(planner, "make_plan", noted)
    now = run(lambda queries: Answers({**Registry()(queries).by_key, **Registry(NEW, "1.1.0")(queries[:1]).by_key}))
    assert [outcome.kind for outcome in now.outcomes] == [OutcomeKind.BUMPED, OutcomeKind.CURRENT, OutcomeKind.CURRENT]
    assert [[outcome.identity.name for outcome in each.plan.outcomes] for each in planned] == [["app"]]


@pytest.mark.parametrize(
    "change",
    [
        {"limits": {"other": NamespaceScope("other", ("dev",))}},
        {"selection": Selection(environments=frozenset({"dev"}))},
        {"selection": Selection(apps=frozenset({"app"}))},
    ],
)
def test_what_the_plan_was_made_with_must_be_the_same(run, plans, change):
    run(Registry())
    run(Registry(), **change)
    assert len(plans) == 2


@pytest.mark.parametrize(
    "image",
    [
        {"pushed_at": NOW},
        {"archived": True},
        {"tags": ("env-dev", "1.0.0", "another")},
    ],
)
def test_every_answer_counts(run, plans, image):
    registry = Registry()
    run(registry)
    registry.image = replace(registry.image, **image)
    run(registry)
    assert len(plans) == 2


def test_a_new_commit_is_looked_at(run, plans, remote):
    run(Registry())
    remote.commit({"dev/cv.yaml": FILES["dev/cv.yaml"].replace("}}", "}, suspend: true}").encode()})
    assert run(Registry()).outcomes[0].kind is OutcomeKind.SUSPENDED
    assert len(plans) == 2


def test_a_plan_that_time_has_a_part_in_is_not_remembered(run, plans, remote):
    gates = FILES["dev/cv.yaml"].replace("}}", "}, gates: {minAge: 720h}}")
    remote.commit({"dev/cv.yaml": gates.encode()})
    kind = run(Registry(NEW, "1.1.0")).outcomes[0].kind
    assert kind is OutcomeKind.BLOCKED
    assert run(Registry(NEW, "1.1.0"), now=NOW + timedelta(days=60)).outcomes[0].kind is OutcomeKind.BUMPED
    assert len(plans) == 2


@pytest.mark.parametrize("fact", ["odd", "b2Rk", base64.b64encode(zlib.compress(b"[[[]],1,[[]]]")).decode()])
def test_odd_facts_are_passed_over(run, plans, monkeypatch, fact):
    run(Registry())
    monkeypatch.setattr("gitcd.git.memory.FileMemory.recall", lambda *_: fact)
    run(Registry())
    assert len(plans) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"selection": Selection(apps=frozenset({"app"}))},
        {"selection": Selection(among=frozenset({"team/app"}))},
        {"selection": Selection(only=frozenset({Identity("dev", "team", "app")}))},
        {"share": lambda _: None},
        {"failures": (Failure("Odd", "nobody knows"),)},
        {"aims": {Identity("dev", "team", "app"): Failure("Odd", "nobody knows")}},
    ],
)
def test_a_run_for_some_or_out_of_the_usual_is_neither_remembered_nor_taken_from_memory(run, plans, change):
    for context in (change, {}, change, {}):
        run(Registry(), **context)
    assert len(plans) == 3


def test_with_declarations_beside_the_commit_nothing_is_remembered(run, plans):
    given = read_inputs(MemoryTree({path: text.encode() for path, text in FILES.items()})).declared
    other = replace(given[0], identity=replace(given[0].identity, name="other"))
    for context in ({"given": (other,)}, {}, {"given": (other,)}, {}):
        run(Registry(), **context)
    assert len(plans) == 3


def test_nothing_that_a_plan_follows_from_is_forgotten():
    """Who adds a field to one of these decides what it means for a remembered plan."""
    named = {cls: [field.name for field in fields(cls)] for cls in (Context, Image, Outcome)}
    assert named[Context] == [
        "resolve", "recall", "now", "selection", "limits", "inspect", "given", "source", "failures", "aims", "soak", "share",
        "line",
    ]  # fmt: skip
    assert named[Image] == ["digest", "tags", "pushed_at", "size", "media_type", "archived", "partial", "label"]
    assert len(named[Outcome]) == 18
