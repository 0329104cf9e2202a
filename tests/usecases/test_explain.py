import pytest

from gitcd.errors import ConfigError
from gitcd.model.tree import MemoryTree
from gitcd.usecases.context import Context
from gitcd.usecases.explain import explain, undeterred
from gitcd.usecases.planner import make_plan
from tests.support.scenes import LAYOUT, NOW, Tags, app_files, digest


def explained(files, tags):
    planned = make_plan(MemoryTree(files), Context(tags, lambda _: {}, NOW))
    (explanation,) = explain(planned, NOW)
    return [f"{fact.topic}: {fact.text}" for fact in explanation.facts]


def moving(version="1.1.0"):
    tags = Tags()
    tags.move("team/app", "env-dev", "1.0.0")
    tags.move("team/app", "env-dev", version)
    return tags


def test_a_move_is_explained_from_the_declaration_to_the_decision():
    facts = explained({"gitcd.yaml": LAYOUT} | app_files("app"), moving())
    assert facts[0] == "declared: envs/dev/app/cv.yaml:1"
    assert any(fact.startswith("follows: ") and "team/app:env-dev" in fact for fact in facts)
    assert "scope: environment dev: envs/dev" in facts
    assert any(fact.startswith("owns: envs/dev/app/deployment.yaml:15 Deployment/app container main") for fact in facts)
    assert f"registry: env-dev is {digest('team/app:1.1.0')}" in facts
    assert "registry: tags on that digest: 1.1.0, env-dev" in facts
    assert any(fact.startswith("registry: pushed at ") and fact.endswith("1d ago") for fact in facts)
    assert facts[-1].startswith("decision: Bumped")


def test_near_misses_are_listed_with_their_reasons():
    files = app_files("app")
    path = "envs/dev/app/deployment.yaml"
    files[path] = files[path].replace(b"labels: {app: app}", b"labels: {app: other}")
    facts = explained({"gitcd.yaml": LAYOUT} | files, moving())
    assert any(fact.startswith("near miss: envs/dev/app/deployment.yaml") and "app=other" in fact for fact in facts)
    assert any(fact.startswith("decision: Failed (MatchedNothing)") for fact in facts)


def test_gates_freezes_and_holds_are_named():
    layout = LAYOUT.replace(
        b"path: envs/dev}", b"path: envs/dev, gates: {minAge: 48h}, freeze: [{until: 2026-12-01, reason: audit}]}"
    )
    hold = {".gitcd/holds/dev/team.app.yaml": b"freeze: true\nuntil: 2026-11-30\nreason: slow\n"}
    facts = explained({"gitcd.yaml": layout} | app_files("app") | hold, moving())
    assert "gate: minAge 2d" in facts
    assert "freeze: environment dev: freeze until 2026-12-01: audit" in facts
    assert "hold: freeze until 2026-11-30: slow" in facts


def test_what_is_proposed_is_told_with_its_branch():
    by_pull = LAYOUT.replace(b"envs/dev}", b"envs/dev, delivery: {mode: PullRequest}}")
    facts = explained({"gitcd.yaml": by_pull} | app_files("app"), moving())
    assert facts[-1] == "decision: Proposed (Bumped): it waits in the pull request of the branch gitcd/dev/team.app"


def test_what_is_over_is_marked():
    layout = LAYOUT.replace(b"path: envs/dev}", b"path: envs/dev, freeze: [{until: 2026-11-01}, {from: 2027-01-01}]}")
    hold = {".gitcd/holds/dev/team.app.yaml": b"freeze: true\nuntil: 2026-11-01\nby: ada\n"}
    facts = explained({"gitcd.yaml": layout} | app_files("app") | hold, moving())
    assert "freeze: environment dev: freeze until 2026-11-01 (over)" in facts
    assert "freeze: environment dev: freeze since 2027-01-01 (to come)" in facts
    assert "hold: freeze until 2026-11-01 by ada (over)" in facts


def test_what_the_registry_does_not_know_is_told():
    tags = Tags()
    tags.move("team/app", "other", "1.0.0")
    facts = explained({"gitcd.yaml": LAYOUT} | app_files("app"), tags)
    assert any(fact.startswith("registry: TagNotFound") for fact in facts)


@pytest.mark.parametrize("follows", [b"tag: env-dev", b"follow: {semver: '>=1'}"])
def test_what_needs_no_registry_is_told_without_one(follows):
    def without_credentials(queries):
        raise ConfigError("there are no usable AWS credentials", remedy="Log in.")

    context = undeterred(Context(without_credentials, lambda _: {}, NOW))
    files = {path: data.replace(b"tag: env-dev", follows) for path, data in app_files("app").items()}
    planned = make_plan(MemoryTree({"gitcd.yaml": LAYOUT} | files), context)
    (explanation,) = explain(planned, NOW)
    facts = [f"{fact.topic}: {fact.text}" for fact in explanation.facts]
    assert any(fact.startswith("owns: envs/dev/app/deployment.yaml:15") for fact in facts)
    assert "registry: NotAsked: there are no usable AWS credentials" in facts
    assert facts[-2:] == ["decision: Failed (NotAsked): there are no usable AWS credentials", "remedy: Log in."]


def test_a_rule_is_told_with_the_tag_that_it_chooses():
    files = app_files("app")
    path = "envs/dev/app/cv.yaml"
    files[path] = files[path].replace(b"tag: env-dev", b"follow: {semver: '>=1'}")
    facts = explained({"gitcd.yaml": LAYOUT} | files, moving())
    assert any(
        fact.startswith("follows: ") and "/team/app, the highest version in >=1, pin Version" in fact for fact in facts
    )
    assert any(fact.startswith("registry: the highest version in >=1: 1.1.0 is sha256:") for fact in facts)
