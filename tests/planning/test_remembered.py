"""Memory makes no difference to a plan, only to what is read for it."""

import dataclasses
from collections import Counter
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitcd import manifests
from gitcd.manifests.reading import read_declarations
from gitcd.model.memory import FORGETFUL
from gitcd.model.registry import Answers, Failure, Image
from gitcd.model.site import Found, Owner, Site, Span
from gitcd.model.tree import MemoryTree
from gitcd.planning.intake import read_inputs
from gitcd.planning.remembered_facts import ODD, pack_declarations, pack_found, unpack_declarations, unpack_found
from gitcd.planning.survey import survey
from gitcd.usecases.context import Context
from gitcd.usecases.planner import make_plan

HOST = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LAYOUT = "apiVersion: gitcd.io/v1\nkind: ConfigRepository\nenvironments: [{name: dev, path: dev}]\n"
DIGEST = "sha256:" + "1" * 64


class Noted(dict):
    """A memory in a dict."""

    def recall(self, subject, key):
        return self.get((subject, key))

    def note(self, subject, key, fact):
        assert fact
        assert fact.isascii()
        assert not {"\n", "\t"} & {*fact, *key}
        self[subject, key] = fact


class Counting(MemoryTree):
    """A tree that tells what was read."""

    def __init__(self, files):
        super().__init__(files)
        self.seen = []

    def read(self, entries):
        for entry, data in super().read(entries):
            self.seen.append(entry.path)
            yield entry, data


def declaration(name, repo=None, more=""):
    repo = repo or f"{HOST}/team/{name}"
    return (
        f"apiVersion: gitcd.io/v1\nkind: ContainerVersion\nmetadata: {{name: {name}, namespace: team}}\n"
        f"spec:\n  imageRepo: {repo}\n  tag: env-dev\n  selector: {{app: {name}}}\n{more}"
    )


def deployment(name, image):
    return (
        f"apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}, namespace: team, labels: {{app: {name}}}}}\n"
        f"spec: {{template: {{spec: {{containers: [{{name: main, image: '{image}'}}]}}}}}}\n"
    )


def files(*names):
    made = {"gitcd.yaml": LAYOUT, "dev/notes.yaml": "a: 1\n"}
    for name in names:
        made[f"dev/{name}/cv.yaml"] = declaration(name)
        made[f"dev/{name}/app.yaml"] = deployment(name, f"{HOST}/team/{name}:1.0.0")
    return {path: text.encode() for path, text in made.items()}


def resolve(queries):
    image = Image(DIGEST, ("1.1.0", "env-dev"), NOW)
    return Answers(
        {
            (query.repository, name): image if name == "env-dev" else Failure("TagNotFound", name)
            for query in queries
            for name in query.tags | query.digests
        }
    )


def planned(tree, memory=FORGETFUL):
    return make_plan(tree, Context(resolve, lambda questions: {}, NOW), memory=memory).plan


def test_what_is_remembered_is_not_read_again():
    memory, data = Noted(), files("a", "b")
    planned(MemoryTree(data), memory)
    data["dev/b/app.yaml"] = deployment("b", f"{HOST}/team/b:1.0.1").encode()
    tree = Counting(data)
    plan = planned(tree, memory)
    assert plan == planned(MemoryTree(data))
    searched_and_edited = {"dev/b/app.yaml": 3, "dev/a/app.yaml": 1}  # for declarations, for images, for writing
    assert Counter(tree.seen) == searched_and_edited | {"gitcd.yaml": 1}


def test_a_new_declaration_has_all_files_searched_but_few_parsed(monkeypatch):
    memory = Noted()
    planned(MemoryTree(files("a", "b")), memory)
    parsed = []
    find = manifests.find
    monkeypatch.setattr(manifests, "find", lambda path, *rest, **more: parsed.append(path) or find(path, *rest, **more))
    data = files("a", "b", "c")
    plan = planned(MemoryTree(data), memory)
    assert parsed == ["dev/c/app.yaml"]
    assert plan == planned(MemoryTree(data))


def test_beside_a_declaration_an_image_is_found_and_in_one_it_is_not():
    memory, data = Noted(), files("a", "b")
    data["dev/a/cv.yaml"] += b"---\n" + data.pop("dev/a/app.yaml")
    data["dev/b/cv.yaml"] = data["dev/b/cv.yaml"].replace(
        b"namespace: team}", f"namespace: team, labels: {{repository: {HOST}/team/b, tag: 1.0.0}}}}".encode()
    )
    for _ in range(2):
        plan = planned(MemoryTree(data), memory)
        assert [change.path for change in plan.files] == ["dev/a/cv.yaml", "dev/b/app.yaml"]
        assert [outcome.places for outcome in plan.outcomes] == [("dev/a/cv.yaml:12",), ("dev/b/app.yaml:4",)]


def test_a_file_that_starts_to_be_of_interest_is_found():
    memory, data = Noted(), files("a")
    data["dev/c.yaml"] = deployment("c", f"{HOST}/team/c:1.0.0").encode()
    planned(MemoryTree(data), memory)
    data["dev/cv.yaml"] = declaration("c").encode()
    assert [change.path for change in planned(MemoryTree(data), memory).files] == ["dev/a/app.yaml", "dev/c.yaml"]


def test_refusals_are_never_remembered_and_always_told():
    memory, data = Noted(), files("a")
    data["dev/a/app.yaml"] += b"@bad\n"
    first, second = planned(MemoryTree(data), memory), planned(MemoryTree(data), memory)
    assert first == second
    assert first.outcomes[0].reason == "ManifestRefused"


def test_a_file_known_by_its_name_is_another_file_under_another_name():
    memory = Noted()
    images = f"images:\n- {{name: {HOST}/team/a, newTag: 1.0.0}}\n".encode()
    data = files("a") | {"dev/a/app.yaml": b"{}\n", "dev/a/other.yaml": images}
    assert planned(MemoryTree(data), memory).outcomes[0].reason == "MatchedNothing"
    data["dev/a/kustomization.yaml"] = data.pop("dev/a/other.yaml")
    assert [change.path for change in planned(MemoryTree(data), memory).files] == ["dev/a/kustomization.yaml"]


@pytest.mark.parametrize("fact", ["a b", "x", "[]", "[[1]]", '[[1, {"metadata": {}, "spec": {"tag": 1}}]]', "null"])
def test_an_odd_fact_is_looked_up_in_the_bytes(fact):
    memory, data = Noted(), files("a", "b")
    plan = planned(MemoryTree(data), memory)
    for subject, key in list(memory):
        mark = memory[subject, key][:16] if subject.startswith("manifests") else ""
        memory[subject, key] = mark + (fact if mark or fact != "[]" else "x")
    assert planned(MemoryTree(data), memory) == plan


@given(st.permutations(["a", "b", "c", "d"]), st.sets(st.sampled_from("abcd")))
def test_whatever_is_remembered_the_plan_is_the_same(order, known):
    memory = Noted()
    planned(MemoryTree(files(*sorted(known))), memory)
    data = files(*order)
    assert planned(MemoryTree(data), memory) == planned(MemoryTree(data))


class TestFacts:
    def test_all_that_a_site_holds_comes_back(self):
        data = deployment("a", f"{HOST}/team/a:1.0.0@{DIGEST}") + "---\n" + "kind: ConfigMap\nmetadata: {name: x}\n"
        data += "data: {version: '1', file: |\n  many lines\n}\n".replace("|\n  many lines\n", "many") + "---\n"
        data += "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {selector: {slot: blue}}\n"
        found = manifests.find("one/x.yaml", data.encode())
        assert {str(site.form) for site in found.sites} == {"image", "config"}
        assert found.services
        assert unpack_found("one/x.yaml", pack_found(found)) == found
        assert unpack_found("two/x.yaml", pack_found(found)) == manifests.find("two/x.yaml", data.encode())

    def test_no_field_is_forgotten(self):
        """Who adds a field to one of these adds it to the facts as well."""
        counts = {cls: len(dataclasses.fields(cls)) for cls in (Site, Span, Owner, Found)}
        assert counts == {Site: 16, Span: 4, Owner: 6, Found: 3}

    def test_a_declaration_comes_back_as_it_was_read(self):
        more = "  interval: 90s\n  gates: {minAge: 1h, allowDowngrade: false}\n  places: [{file: a.yaml, pointer: /a, format: tag}]\n"
        more += (
            "  strategy: {kind: ServiceBlueGreen, blueGreen: {serviceName: s, labelNames: [slot]}}\n  suspend: true\n"
        )
        result = read_declarations("dev/cv.yaml", declaration("a", more=more).encode())
        assert result.declarations
        assert not result.problems
        assert unpack_declarations("dev/cv.yaml", pack_declarations(result)) == result

    @given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40))
    def test_damage_raises_what_is_expected(self, fact):
        for unpack in (unpack_declarations, unpack_found):
            try:
                unpack("x.yaml", fact)
            except ODD:
                continue


def test_nothing_found_is_explained_by_one_pass_over_the_files():
    data = files("a")
    for name in "bcd":
        data[f"dev/{name}.yaml"] = declaration(name).encode()
    tree = Counting(data)
    inputs = read_inputs(tree)
    tree.seen.clear()
    surveyed = survey(inputs.declared, tree, inputs.scopes)
    assert [bool(each.failures) for each in surveyed] == [False, True, True, True]
    assert tree.seen.count("dev/a/app.yaml") == 2


def test_a_repository_spelled_by_escapes_is_refused_by_name():
    data = files("a")
    data["dev/a/app.yaml"] = deployment("a", "IMAGE").replace("'IMAGE'", f'"{HOST}/te\\u0061m/a:1.0.0"').encode()
    (outcome,) = planned(MemoryTree(data)).outcomes
    assert outcome.reason == "ManifestRefused"
    assert outcome.message.startswith("dev/a/app.yaml:")
