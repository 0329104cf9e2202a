"""Documents of cvmanager and kcd in a config repository: they are planned, checked and held like those of today."""

from pathlib import Path

import pytest

from gitcd.git.memory import FileMemory
from gitcd.manifests.migrated import modernise
from gitcd.manifests.objects import read_objects
from gitcd.model.live import Manifest
from gitcd.model.plan import OutcomeKind
from gitcd.model.tree import MemoryTree
from gitcd.planning.applying_scope import Source
from gitcd.planning.intake import read_inputs
from gitcd.usecases.apply_reading import with_declarations
from gitcd.usecases.context import Context
from gitcd.usecases.planner import make_plan
from gitcd.usecases.reconcile import reconcile
from gitcd.usecases.validate import validate
from tests.support.legacy import APP, FIRST, KCD, MODERN, SECOND, TIP, registry
from tests.support.repos import make_bare
from tests.support.scenes import AUTHOR, NOW, digest, mirror_of


def tree(**files):
    return MemoryTree({f"{name}.yaml": text.encode() for name, text in files.items()})


def plan(memory=None, **files):
    known = {"memory": memory} if memory else {}
    return make_plan(tree(**files), Context(registry, lambda questions: {}, NOW), **known).plan


@pytest.mark.parametrize("document", [FIRST, SECOND, KCD], ids=["first", "second", "kcd"])
def test_an_old_document_moves_its_image(document):
    result = plan(cv=document, app=APP)
    (outcome,) = result.outcomes
    assert (outcome.kind, outcome.message) == (OutcomeKind.BUMPED, "")
    (change,) = result.files
    assert change.after == change.before.replace(b":old", f":{TIP}@{digest('new')}".encode())


@pytest.mark.parametrize("document", [FIRST, SECOND, KCD], ids=["first", "second", "kcd"])
def test_over_real_git_it_is_committed_once_and_stays_so_when_written_anew(document, tmp_path):
    remote = make_bare(tmp_path / "remote.git", {"app.yaml": APP.encode(), "cv.yaml": document.encode()})

    def reconciled():
        with mirror_of(remote.url) as mirror:
            made_with = Context(registry, lambda questions: {}, NOW)
            return reconcile(mirror, made_with, AUTHOR)

    assert len(reconciled().commits) == 1
    assert f"atlas/tiles:{TIP}@{digest('new')}".encode() in remote.show("app.yaml")
    assert reconciled().commits == ()
    remote.commit({"cv.yaml": modernise("cv.yaml", document.encode())})
    assert reconciled().commits == ()


def test_it_is_remembered_as_what_it_means(tmp_path: Path):
    first = FileMemory(tmp_path)
    fresh = plan(first, cv=KCD, app=APP)
    first.save()
    assert plan(FileMemory(tmp_path), cv=KCD, app=APP) == fresh


def test_the_same_name_in_both_forms_is_an_error_that_names_both():
    outcomes = plan(old=SECOND, new=MODERN, app=APP).outcomes
    assert {(each.reason, each.message) for each in outcomes} == {
        ("DuplicateDeclaration", "declared again in new.yaml:1"),
        ("DuplicateDeclaration", "declared again in old.yaml:1"),
    }


def test_a_mistake_is_reported_with_its_line():
    (outcome,) = plan(cv=SECOND.replace("  tag: env-prod\n", "  tga: env-prod\n"), app=APP).outcomes
    assert outcome.reason == "InvalidDeclaration"
    assert "cv.yaml:6:3: spec.tga: is not a known field" in outcome.message


@pytest.mark.parametrize("kind", ["Widget", "ContainerVersions"])
def test_other_kinds_of_that_group_are_no_concern(kind):
    assert plan(cv=SECOND.replace("kind: ContainerVersion", f"kind: {kind}"), app=APP).outcomes == ()


def test_validate_says_what_became_of_them():
    report = validate(tree(cv=SECOND, app=APP))
    assert report.ok
    about = {(each.line, each.pointer): each for each in report.warnings if "effect" not in each.message}
    assert about[8, "spec.livenessSeconds"].message.startswith("has no successor")
    assert about[1, ""].remedy == "gitcd migrate cv.yaml prints it in the form of today"


@pytest.mark.parametrize("document", [FIRST, SECOND, KCD], ids=["first", "second", "kcd"])
def test_apply_takes_it_to_the_cluster_in_the_form_of_today_only(document):
    inputs = read_inputs(tree(cv=document, app=APP))
    manifests = tuple(each for each in read_objects("cv.yaml", document.encode()) if isinstance(each, Manifest))
    sources = with_declarations([Source("cv.yaml", manifests)], inputs.declared)
    (found,) = (each for source in sources for each in source.manifests)
    assert (found.api_version, found.ref.kind, found.ref.name) == ("gitcd.io/v1", "ContainerVersion", "tiles")
    assert found.value["spec"]["container"] == {"name": "main"}
