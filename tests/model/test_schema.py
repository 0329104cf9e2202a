"""The validator, the reader and the JSON Schema come from one table; here they are held against each other."""

import copy
import re
import timeit
from collections.abc import Iterator
from dataclasses import MISSING, fields
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from gitcd.errors import RefusedError
from gitcd.model import schema
from gitcd.model.declaration import Document, Spec
from gitcd.model.duration import format_duration, parse_duration
from gitcd.model.hold import Hold
from gitcd.model.layout import ConfigRepository
from gitcd.model.object_shape import ObjectShape
from gitcd.model.problem import Problem
from gitcd.model.settings import Settings
from gitcd.model.shapes import ChoiceShape, FlagShape, ListShape, MapShape, NumberShape, TextShape
from gitcd.model.strategy import Verify
from tests.support.jsonschemas import Validator

CLASSES = [Document, ConfigRepository, Hold, Settings]


def values(shape):
    """Documents of a shape that are valid but for its rules."""
    match shape:
        case ObjectShape():
            required = {key: values(field.shape) for key, field in shape.fields.items() if field.required}
            optional = {key: values(field.shape) for key, field in shape.fields.items() if not field.required}
            return st.fixed_dictionaries(required, optional=optional)
        case ListShape():
            low, high = shape.limits.min, max(shape.limits.min, 2)
            unique = shape.limits.unique
            return st.lists(
                values(shape.item),
                min_size=low,
                max_size=high,
                unique_by=(lambda item: item[unique]) if unique else None,
            )
        case MapShape():
            return st.dictionaries(values(shape.key), values(shape.value), max_size=2)
        case ChoiceShape():
            return st.sampled_from(shape.choices)
        case FlagShape():
            return st.booleans()
        case NumberShape():
            return st.integers(shape.limits.min, shape.limits.max)
        case TextShape():
            return texts(shape)


# Between them these texts fit every pattern of the schema, and none fits all.
CORPUS = [
    "", " ", "x", "X", "app", "my-app.v2", "-x", "x-", "a b", "é", "a\nb", "a\n", "app\n", "x " * 2500, "a" * 64, "a" * 254,
    "on", "5", "-1.5", "5m", "0s", "1h30m", "250ms", "1.5h", "5 m", "9999999s", "Approval", "2026-12-20", "2026-13-01",
    "2026-12-20T18:00:00Z", "2024-02-29t00:00:00.5+01:00", "registry.example.com/team/app", "localhost:5000/a", "team/app",
    "registry.example.com/team/app:v1", "registry.example.com", "sha256:" + "a" * 64, "sha256:" + "A" * 64, "v1.2.3", "_t",
    "/spec/values/0/a~1b", "spec/x", "a~2", "/a~2", "envs/prod", "envs/*/tiles", "../x", "a/../b", "a/..b/.c", "./a/", ".", "/etc",
    "app.kubernetes.io/name", "Deployment", "some.key-1_x", "/ready?x=1", "GITCD_TOKEN", "1X", "us-east-1", "mars",
    "123456789012", "12345", "arn:aws:iam::123456789012:role/gitcd", "https://ecr.example.com:4566/x", "https://a@b/", "ftp://x",
    "01234567-89ab-cdef-0123-456789abcdef", "ann@example.com", "Canary", "Image", "HTTP", "Commit",
]  # fmt: skip


def texts(shape):
    described = shape.json_schema()
    if described.get("format") == "regex":
        return st.sampled_from(["", "main-.*", "[0-9a-f]{40}", r"v\d+"])
    fitting = [
        text
        for text in CORPUS
        if described.get("minLength", 0) <= len(text) <= described["maxLength"]
        and re.search(described.get("pattern", "").removesuffix("$") + r"\Z", text)
    ]
    assert fitting, described
    return st.sampled_from(fitting)


NOISE = [*CORPUS, None, True, False, 0, -1, 101, 1.5, 3.0, [], ["x"], [{}], {}, {"name": "x"}, {"a b": "c"}]


def spots(value, at=()):
    """The paths of everything in a plain value."""
    yield at
    if isinstance(value, dict):
        for key, item in value.items():
            yield from spots(item, (*at, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from spots(item, (*at, index))


@st.composite
def mutated(draw, cls):
    """A document with one thing changed, taken away or added, or none."""
    value = draw(values(schema.table(cls)))
    at = draw(st.sampled_from(sorted(spots(value), key=str)))
    deed = draw(st.sampled_from(["keep", "set", "drop", "add"]))
    if deed == "keep" or not at:
        return value
    value = copy.deepcopy(value)
    parent = value
    for step in at[:-1]:
        parent = parent[step]
    if deed == "set":
        parent[at[-1]] = draw(st.sampled_from(NOISE))
    elif deed == "drop":
        del parent[at[-1]]
    elif isinstance(parent, dict):
        parent["stranger"] = 1
    return value


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_the_json_schema_is_one(cls):
    Draft202012Validator.check_schema(schema.json_schema(cls))


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_validator_and_json_schema_agree(cls):
    judge = Validator(schema.json_schema(cls))
    seen = set()

    @settings(max_examples=300, deadline=None)
    @given(mutated(cls))
    def agree(value):
        problems = schema.validate(cls, value)
        faults = list(judge.iter_errors(value))
        assert bool(problems) == bool(faults), (problems, faults)
        seen.add(bool(problems))

    agree()
    assert seen == {True, False}


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_what_is_read_can_be_written_and_read_again(cls):
    @settings(max_examples=100, deadline=None)
    @given(values(schema.table(cls)))
    def agree(value):
        instance, problems = schema.read(cls, value)
        if instance is not None:
            assert schema.build(cls, schema.plain(instance)) == instance
            assert not problems

    agree()


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_patterns_are_read_alike_by_other_engines(cls):
    def patterns(value):
        if isinstance(value, dict):
            found = value.get("pattern")
            yield from [found] if isinstance(found, str) else []
        for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            yield from patterns(item)

    found = set(patterns(schema.json_schema(cls)))
    assert found
    for each in found:
        assert not re.search(r"\(\?[^:]|\\[AZzdDwWbB1-9]|[*+?}]\+", each), each


def spec(**more):
    return {"imageRepo": "registry.example.com/team/app", "tag": "env-prod", **more}


def faults(value, cls=Spec):
    return {(problem.pointer, problem.message) for problem in schema.validate(cls, value)}


def test_F51_all_errors_come_at_once_with_their_paths_and_suggestions():
    value = spec(
        imageRep="x",
        pin="digest",
        suspend="yes",
        gates={"minAge": 5, "minAgee": "1h"},
        strategy={"kind": "Canary"},
        places=[{"file": "../../etc/passwd", "pointer": "x", "format": "ref"}],
        workload={"kind": "deployment"},
    )
    del value["imageRepo"]
    problems = {problem.pointer: problem for problem in schema.validate(Spec, value)}
    assert problems.keys() == {
        "imageRep", "imageRepo", "pin", "suspend", "gates.minAge", "gates.minAgee", "strategy.canary", "places[0].file",
        "places[0].pointer", "places[0].format", "workload.kind", "workload.name",
    }  # fmt: skip
    assert problems["imageRep"].remedy == "did you mean imageRepo?"
    assert problems["gates.minAgee"].remedy == "did you mean minAge?"
    assert problems["pin"].remedy == "did you mean Digest?"
    assert problems["imageRepo"].message == "is missing"
    assert problems["gates.minAge"].remedy == "put quotes around the value"


def test_a_rule_speaks_although_another_field_is_faulty():
    value = spec(follow={"semver": ">=1"}, pin="nonsense")
    assert ("tag", "give either tag or follow") in faults(value)
    assert len(faults(value)) == 2


@pytest.mark.parametrize(
    ("written", "remedy"),
    [
        ("registry.example.com/team/app:1.4.2", "leave out :1.4.2"),
        (f"registry.example.com/team/app@sha256:{'a' * 64}", f"leave out @sha256:{'a' * 64}"),
        ("tiles", "write docker.io/library/tiles if Docker Hub is meant, else the registry's host before it"),
        ("team/tiles", "write docker.io/team/tiles if Docker Hub is meant, else the registry's host before it"),
        ("registry.example.com/Team/App", ""),
    ],
)
def test_what_is_no_repository_is_answered_with_what_may_be_meant(written, remedy):
    (problem,) = schema.validate(Spec, spec(imageRepo=written))
    assert (problem.pointer, problem.remedy) == ("imageRepo", remedy)


def test_a_rule_is_silent_about_a_field_that_could_not_be_read():
    assert [pointer for pointer, _ in faults(spec(tag=1.1))] == ["tag"]


@pytest.mark.parametrize(
    ("value", "pointer"),
    [
        (spec(tag=""), "tag"),
        (spec(tag="a b"), "tag"),
        (spec(imageRepo="tiles"), "imageRepo"),
        (spec(imageRepo="team/tiles"), "imageRepo"),
        (spec(imageRepo="registry.example.com/team/app:v1"), "imageRepo"),
        (spec(imageRepo=f"registry.example.com/{'a' * 256}"), "imageRepo"),
        (spec(imageRepo=f"registry.example.com/app@sha256:{'a' * 64}"), "imageRepo"),
        (spec(paths=["envs/prod", "envs/../.."]), "paths[1]"),
        (spec(paths=["/etc"]), "paths[0]"),
        (spec(selector={"cvapp": True}), "selector.cvapp"),
        (spec(selector={"app.kubernetes.io/name": "no spaces"}), "selector['app.kubernetes.io/name']"),
        (spec(selector={"a": "b"}, workload={"kind": "Job", "name": "x"}), "workload"),
        (spec(follow={}), "follow"),
        (spec(gates={"minAge": "99999999h"}), "gates.minAge"),
        (spec(history={"limit": 0}), "history.limit"),
        (spec(history={"limit": True}), "history.limit"),
        (spec(strategy={"kind": "Canary", "canary": {"steps": []}}), "strategy.canary.steps"),
        (spec(strategy={"kind": "RollingUpdate", "canary": {"steps": [{"weight": 10}]}}), "strategy.canary"),
        (spec(strategy={"verify": [{"kind": "Image"}]}), "strategy.verify[0].image"),
        (spec(tag=None), "tag"),
        ([], ""),
    ],
)
def test_what_is_refused(value, pointer):
    assert pointer in {found for found, _ in faults(value)}


@pytest.mark.parametrize(
    "repo", ["localhost/a", "reg:5000/a/b", "docker.io/library/nginx", "[::1]:5000/a", "a.b/c__d/e-f"]
)
def test_registry_hosts_that_are_taken(repo):
    assert not faults(spec(imageRepo=repo))


def test_T32_a_hostile_expression_is_refused_or_harmless_in_good_time():
    started = timeit.default_timer()
    schema.validate(Spec, spec(versionSyntax="(a+)+" * 40, follow={"newest": {"match": "(((a*)*)*)*b"}}))
    assert tuple(found for found, _ in faults(spec(versionSyntax="("))) == ("versionSyntax",)
    assert tuple(found for found, _ in faults(spec(versionSyntax=r"(a)\1"))) == ("versionSyntax",)
    assert timeit.default_timer() - started < 1


def test_T32_how_much_is_reported_does_not_grow_with_the_input():
    started = timeit.default_timer()
    value = spec(
        **{f"key{number}": 1 for number in range(50_000)},
        places=[{}] * 100_000,
        selector=dict.fromkeys(map(str, range(50_000)), "x"),
    )
    assert len(schema.validate(Spec, value)) < 20
    assert timeit.default_timer() - started < 1


def test_long_values_are_cut_in_messages_and_secrets_are_left_out():
    (problem,) = schema.validate(Spec, spec(pin="x" * 10_000))
    assert len(str(problem)) < 300
    (problem,) = schema.validate(Settings, {"git": {"token": "canary token"}})
    assert "canary" not in str(problem)


def test_lists_of_named_things_name_each_once():
    value = {"environments": [{"name": "dev", "path": "a"}, {"name": "dev", "path": "b"}]}
    assert faults(value, ConfigRepository) == {("environments[1].name", "'dev' stands here a second time")}


def test_names_are_camel_case_and_keywords_lose_their_underscore():
    table = schema.table(ConfigRepository).json_schema()
    environment = table["properties"]["environments"]["items"]["properties"]
    assert {"from", "until", "reason"} == environment["freeze"]["items"]["properties"].keys()
    assert "helmTag" in environment
    assert environment["promoteFrom"]["description"]


def test_the_json_schema_carries_defaults():
    properties = schema.json_schema(Spec)["properties"]
    assert properties["interval"]["default"] == "5m"
    assert properties["rollback"]["default"] == {}
    assert properties["adopt"]["default"] == "Now"
    assert properties["paths"]["default"] == []


def test_building_an_invalid_value_is_refused_with_every_problem():
    with pytest.raises(RefusedError) as error:
        schema.build(Spec, {"tag": 5, "x": 1})
    assert {"tag", "x", "imageRepo"} <= {line.partition(":")[0] for line in str(error.value).splitlines()}


def test_defaults_of_the_table_are_those_of_the_class():
    for row, item in zip(schema.table(Verify).fields.values(), fields(Verify), strict=True):
        assert row.required == (item.default is MISSING and item.default_factory is MISSING)


def test_a_typical_declaration_is_built_in_microseconds():
    value = spec(
        versionSyntax="[0-9a-f]{40}", selector={"cvapp": "tiles"}, container={"name": "tiles"}, gates={"minAge": "1h"}
    )
    schema.build(Spec, value)
    best = min(timeit.repeat(lambda: schema.build(Spec, value), number=200, repeat=7)) / 200
    assert best < 200e-6  # about 20 µs on a quiet machine


@given(
    st.timedeltas(timedelta(0), timedelta(days=4000)).map(
        lambda span: span - timedelta(microseconds=span.microseconds % 1000)
    )
)
def test_durations_are_written_as_they_are_read(span):
    assert parse_duration(format_duration(span)) == span


def test_a_problem_says_where_and_who():
    problem = Problem("is wrong", "mend it", ("spec", "places", 0, "a.b/c"), "x.yaml", 3, 5, "team/app")
    assert str(problem) == "x.yaml:3:5: team/app: spec.places[0]['a.b/c']: is wrong\n  Mend it"


def described(cls: type) -> Iterator[tuple[str, str]]:
    """Every field of a class and of those below it, with what is said of it."""
    for row in schema.table(cls).fields.values():
        yield f"{cls.__name__}.{row.key}", row.doc
        shape = row.shape
        while isinstance(shape, ListShape):
            shape = shape.item
        if isinstance(shape, ObjectShape):
            yield from described(shape.cls)


@pytest.mark.parametrize("cls", CLASSES)
def test_every_field_is_described_in_a_short_sentence(cls):
    for name, text in described(cls):
        assert text, name
        assert text.endswith("."), name
        assert len(text) <= 160, name
        assert "\n" not in text, name
