"""The demo, played for real: what it prints, what it commits, and that it leaves nothing behind."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from gitcd.cli.demo import _environment, _Play
from gitcd.cli.terminal import Console
from gitcd.usecases.demo import stage
from tests.support.repos import git

TILES = "envs/prod/tiles/deployment.yaml"


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """The exit code, and a copy of the remote as the demo left it."""
    kept = tmp_path_factory.mktemp("kept") / "config.git"
    with stage(lambda _: None) as scene, _environment(scene) as remote:
        code = _Play(Console(), scene, remote).run()
        git(kept.parent, "clone", "--quiet", "--mirror", str(scene.folder), str(kept))
    return code, kept


def show(repository, revision, path):
    return git(repository, "show", f"{revision}:{path}")


def test_every_step_ends_as_the_demo_says(played):
    assert played[0] == 0


def test_the_commits_that_it_makes(played):
    subjects = git(played[1], "log", "--reverse", "--format=%s", "main").splitlines()
    assert subjects == [
        "The example",
        "dev: pin 3 images, content unchanged",
        "prod: pin tiles 1.4.2, content unchanged",
        "staging: pin thumbnails 1.1.0, content unchanged",
        "dev: 4 images",
        "prod: 8 images",
        "staging: 3 images",
        "prod: tiles 1.4.2 -> 1.5.0",
        "Revert: prod: tiles 1.4.2 -> 1.5.0",
    ]


def test_only_images_change(played):
    changed = git(played[1], "diff", "--unified=0", "main~8", "main~2").splitlines()
    added = [line[1:] for line in changed if re.match(r"\+(?!\+\+)", line)]
    assert added
    assert all(re.search(r"\b(image|newTag|digest|tag|version):", line) for line in added)
    assert all("atlas/" in line or not line.strip().startswith("image:") for line in added)


def test_the_human_s_revert_stays(played):
    assert show(played[1], "main", TILES) == show(played[1], "main~2", TILES)
    assert "tiles:1.5.0@sha256:" in show(played[1], "main~1", TILES)


def test_what_it_prints_and_that_nothing_is_left_behind(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    command = [str(Path(sys.executable).with_name("gitcd")), "demo"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    steps = re.findall(r"^(\d)\. ", done.stdout, re.MULTILINE)
    assert steps == list("1234567")
    assert "15 bumped, 5 pin-only, 1 current" in done.stderr
    assert "nothing to do" in done.stderr
    assert "decision  Held (Reverted)" in done.stdout
    assert "Gitcd-App: tiles/tiles" in done.stdout
    assert list(tmp_path.iterdir()) == []
    assert not (Path.home() / ".cache").exists()
