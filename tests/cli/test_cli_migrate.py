"""`gitcd migrate` as a person types it: what is printed, what is written, and what is said."""

import io
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from gitcd.cli.main import run
from gitcd.git.worktree import WorkTree
from gitcd.usecases.context import Context
from gitcd.usecases.planner import make_plan
from gitcd.usecases.validate import validate
from tests.support.ecr import PUSHED_AT, StandIn
from tests.support.fluxtree import FILES as FLUX
from tests.support.fluxtree import JOBS, WEB, automation, by_setters
from tests.support.legacy import APP, FIRST, KCD, SECOND, registry
from tests.support.repos import git, make_bare
from tests.support.scenes import NOW

NOTHING = "there is nothing of cvmanager to migrate; for Argo CD Image Updater or Flux give --tool\n"
DOCUMENTS = {"first": FIRST, "second": SECOND, "kcd": KCD}


def gitcd(capfd, *arguments: object, code: int = 0) -> tuple[str, str]:
    assert run([str(each) for each in arguments]) == code
    said = capfd.readouterr()
    return said.out, said.err


def files_of(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in DOCUMENTS.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "cv.yaml").write_text(f"# of {name}\n{text}")
        (tmp_path / name / "app.yaml").write_text(APP)
    return tmp_path


def plan(folder: Path):
    return make_plan(WorkTree(folder), Context(registry, lambda questions: {}, NOW)).plan


def test_a_file_is_printed_as_it_would_be(capfd, folder):
    path = folder / "first" / "cv.yaml"
    before = files_of(folder)
    out, err = gitcd(capfd, "migrate", path)
    assert out.startswith("# of first\napiVersion: gitcd.io/v1\nkind: ContainerVersion\n")
    assert "  interval: 5m\n  workload:\n    name: tilesapp\n    kind: Deployment\n" in out
    assert err == "migrated 1 document in 1 file\n"
    assert files_of(folder) == before


def test_a_folder_is_printed_file_by_file(capfd, folder):
    out, err = gitcd(capfd, "migrate", folder)
    assert [line for line in out.splitlines() if line.endswith(".yaml")] == [
        "# first/cv.yaml", "# kcd/cv.yaml", "# second/cv.yaml",
    ]  # fmt: skip
    assert out.count("---\n") == 3
    assert "custom.k8s.io" not in out
    assert "kcd/cv.yaml:9:3: atlas/tiles: spec.livenessSeconds: has no successor" in err


def test_in_place_the_plan_stays_the_same(capfd, folder):
    for name in DOCUMENTS:
        before = plan(folder / name)
        assert len(before.files) == 1
        gitcd(capfd, "migrate", "--in-place", folder / name)
        assert "gitcd.io/v1" in (folder / name / "cv.yaml").read_text()
        assert plan(folder / name).files == before.files
        assert validate(WorkTree(folder / name)).ok


def test_a_second_time_there_is_nothing_to_do(capfd, folder):
    _, err = gitcd(capfd, "migrate", "--in-place", folder)
    assert err.endswith("wrote 3 documents in 3 files\n")
    after = files_of(folder)
    assert gitcd(capfd, "migrate", "--in-place", folder) == ("", NOTHING)
    assert files_of(folder) == after
    assert gitcd(capfd, "migrate", folder / "kcd" / "cv.yaml") == (
        after["kcd/cv.yaml"],
        NOTHING,
    )


def test_standard_input_is_read_and_not_written(capfd, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(SECOND.encode())))
    assert "apiVersion: gitcd.io/v1\n" in gitcd(capfd, "migrate", "-")[0]
    assert "standard input is no file" in gitcd(capfd, "migrate", "--in-place", "-", code=2)[1]


def test_a_file_with_a_mistake_is_left_alone_and_the_rest_is_done(capfd, folder):
    wrong = folder / "kcd" / "cv.yaml"
    text = wrong.read_text().replace("tag: env-prod", "tga: env-prod")
    wrong.write_text(text)
    _, err = gitcd(capfd, "migrate", "--in-place", folder, code=5)
    assert "error: kcd/cv.yaml:7:3: atlas/tiles: spec.tga: is not a known field" in err
    assert err.endswith("wrote 2 documents in 2 files, left 1 file alone\n")
    assert wrong.read_text() == text


def test_nothing_is_written_through_a_link(capfd, folder, tmp_path):
    link = tmp_path / "link.yaml"
    link.symlink_to(folder / "kcd" / "cv.yaml")
    _, err = gitcd(capfd, "migrate", "--in-place", link, code=5)
    assert "link.yaml" in err
    assert (folder / "kcd" / "cv.yaml").read_text() == f"# of kcd\n{KCD}"


def test_a_path_that_is_not_there_is_a_mistake_of_usage(capfd, tmp_path):
    assert "does not exist" in gitcd(capfd, "migrate", tmp_path / "nothing", code=2)[1]


class TestOtherTools:
    @pytest.fixture
    def flux(self, tmp_path: Path) -> Path:
        for path, text in FLUX.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text)
        return tmp_path

    def test_what_is_printed_can_be_put_in_place_and_planned(self, capfd, flux):
        out, err = gitcd(capfd, "migrate", "--tool", "flux", flux)
        layout, *declarations = out.split("---\n")
        assert layout.startswith("# gitcd.yaml\napiVersion: gitcd.io/v1\nkind: ConfigRepository\n")
        assert declarations[1].startswith("# ImagePolicy flux-system/web, clusters/main/images.yaml:16\n")
        assert "warning: clusters/main/images.yaml:11: ImageRepository flux-system/jobs: secretRef: " in err
        assert err.endswith(f"{len(declarations)} declarations, {err.count('warning:')} remarks\n")
        (flux / "gitcd.yaml").write_text(layout)
        (flux / "declarations.yaml").write_text("---\n".join(declarations))
        assert gitcd(capfd, "validate", flux)[1].startswith("2 declarations, 2 environments, 0 holds: no problems")
        again, said = gitcd(capfd, "migrate", "--tool", "flux", flux)
        assert again == out
        assert "gitcd.yaml: ConfigRepository: is there already" in said

    def test_a_run_commits_what_the_setters_of_flux_would(self, capfd, monkeypatch, tmp_path):
        automations = "---\n".join((automation("prod", "./apps/prod"), automation("dev", "./apps/dev")))
        files = {**FLUX, "clusters/main/automation.yaml": automations}
        remote = make_bare(tmp_path / "remote.git", {path: text.encode() for path, text in files.items()})
        clone = tmp_path / "clone"
        git(tmp_path, "clone", "--quiet", remote.url, str(clone))
        head, *drafts = gitcd(capfd, "migrate", "--tool", "flux", clone)[0].split("---\n")
        saved = {f".gitcd/declarations/{number}.yaml": text.encode() for number, text in enumerate(drafts)}
        remote.commit({"gitcd.yaml": head.encode(), **saved})
        with StandIn() as ecr:
            monkeypatch.setenv("GITCD_ECR_ENDPOINT_URL", ecr.url)
            for version in ("1.0.0", "1.9.0", "1.10.0", "1.11.0-rc.1", "2.0.0"):
                ecr.put("shop/web", tags=[version])
            for minutes, tag in enumerate(("main-abc-1", "main-def-2", "wip-abc-3")):
                ecr.put("shop/jobs", tags=[tag], pushed_at=PUSHED_AT + timedelta(minutes=minutes))
            gitcd(capfd, "reconcile", remote.url)
            tip = remote.tip
            gitcd(capfd, "reconcile", remote.url)
        assert remote.tip == tip
        chosen = {"web": (WEB, "1.10.0"), "jobs": (JOBS, "main-def-2")}
        wanted = {path: by_setters(text, chosen) if path.startswith("apps/") else text for path, text in files.items()}
        assert {path: remote.show(path).decode() for path in files} == wanted
        assert sum(wanted[path] != text for path, text in files.items()) == 5

    def test_it_writes_nothing(self, capfd, flux):
        before = files_of(flux)
        gitcd(capfd, "migrate", "--tool", "flux", flux)
        assert files_of(flux) == before
        assert "--in-place" in gitcd(capfd, "migrate", "--tool", "flux", "--in-place", flux, code=2)[1]

    def test_of_a_file_or_an_unknown_tool_it_says_so(self, capfd, flux):
        path = flux / "clusters" / "main" / "images.yaml"
        assert "is no folder" in gitcd(capfd, "migrate", "--tool", "flux", path, code=2)[1]
        assert "'keel' is not one of" in gitcd(capfd, "migrate", "--tool", "keel", flux, code=2)[1]

    def test_where_there_is_nothing_of_a_tool_it_says_so(self, capfd, tmp_path):
        out, err = gitcd(capfd, "migrate", "--tool", "argocd-image-updater", tmp_path)
        assert (out, err) == ("", f"there is nothing of argocd-image-updater below {tmp_path} to follow\n")
