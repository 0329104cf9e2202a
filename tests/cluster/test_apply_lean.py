"""What a run of `gitcd apply` never loads: it is most of what a run costs that finds everything as it was."""

from __future__ import annotations

from tests.support.applying import config_map, documents, scene
from tests.support.audit import writes
from tests.support.containerversions import definition

__all__ = ["definition", "scene"]

FILE = "envs/prod/web/app.yaml"
# Packages and modules: what asks registries and forges, plans, commits, renders and takes releases live.
NEVER_WITHOUT_RELEASES = (
    "boto3",
    "botocore",
    "jinja2",
    "ruamel",
    "gitcd.forge",
    "gitcd.registry",
    "gitcd.usecases.deliver_desk",
    "gitcd.usecases.planner",
    "gitcd.usecases.promote",
    "gitcd.usecases.rollback",
    "gitcd.usecases.rollout",
    "gitcd.usecases.rollout_git",
    "gitcd.usecases.rollout_takeback",
    "gitcd.usecases.rollout_measure",
    "gitcd.usecases.pending_follow",
)
NEVER_WITHOUT_WORK = (
    *NEVER_WITHOUT_RELEASES,
    "gitcd.cluster.lease",
    "gitcd.manifests.reading",
    "gitcd.manifests.sites",
    "gitcd.manifests.splice",
    "gitcd.model.status",
    "gitcd.planning.intake",
    "gitcd.planning.overview",
    "gitcd.rendering",
    "gitcd.rollout",
    "gitcd.usecases.apply",
    "gitcd.usecases.apply_want",
    "gitcd.usecases.apply_work",
    "gitcd.usecases.controller",
    "gitcd.usecases.pending_declined",
)
MOST_OF_GITCD = 95  # modules


def of(names, loaded):
    return [each for each in loaded if any(each == name or each.startswith(f"{name}.") for name in names)]


def test_a_run_loads_what_it_has_work_for(scene):
    cache = ("--all", "--cache-dir", str(scene.folder / "cache"))
    scene.commit({FILE: documents(*(config_map(scene.namespace, f"c{number}", k="v") for number in range(9)))})
    assert of(NEVER_WITHOUT_RELEASES, scene.loaded(*cache)) == []
    mark = scene.plane.audit.mark()
    lean = scene.loaded(*cache)
    assert of(NEVER_WITHOUT_WORK, lean) == []
    assert len(of(["gitcd"], lean)) <= MOST_OF_GITCD
    assert not [each for each in lean if each.startswith(("kubernetes.client.api.", "kubernetes.client.models."))]
    asked = scene.plane.audit.since(mark, user=scene.plane.admin.name, agent="gitcd/")
    assert [each.verb for each in asked if each.resource == "configmaps"] == ["get", "list"]  # the record, all of them
    assert writes(asked) == []


def test_what_was_written_before_is_looked_at_once(scene):
    cache = ("--all", "--cache-dir", str(scene.folder / "cache"))
    for value in ("old", "new"):
        maps = (config_map(scene.namespace, f"c{number}", k=value) for number in range(9))
        scene.commit({FILE: documents(*maps)})
        mark = scene.plane.audit.mark()
        scene.apply(*cache)
    asked = scene.plane.audit.since(mark, user=scene.plane.admin.name, agent="gitcd/")
    assert [each.verb for each in asked if each.resource == "configmaps"].count("list") == 1
    assert len([each for each in writes(asked) if each.resource == "configmaps" and each.verb == "patch"]) == 9
