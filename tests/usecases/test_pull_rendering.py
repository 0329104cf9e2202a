"""Overlays built by a real kustomize (kubectl's) where there is one, and what is said where there is none."""

from __future__ import annotations

import shutil
import socket

import pytest

from gitcd.git.tree import CommitTree
from gitcd.model.plan import FileChange, OutcomeKind, PlannedCommit, PlannedPull
from gitcd.model.tree import Mode
from gitcd.usecases.deliver_render import render
from tests.support.repos import make_bare
from tests.support.scenes import mirror_of

DEPLOYMENT = b"""\
apiVersion: apps/v1
kind: Deployment
metadata: {name: app}
spec:
  template:
    spec:
      containers:
        - {name: main, image: r.example/team/app}
"""
OVERLAY = """\
namespace: prod
resources: [../../base%s]
images:
  - {name: r.example/team/app, newTag: 1.0.0}
"""
PATH = "envs/prod/kustomization.yaml"
needs_kustomize = pytest.mark.skipif(
    not (shutil.which("kustomize") or shutil.which("kubectl")), reason="neither kustomize nor kubectl is installed"
)


def built(tmp_path, overlay=OVERLAY % "", path=PATH, more=None):
    files = {"base/kustomization.yaml": b"resources: [app.yaml, other.yaml]\n", "base/app.yaml": DEPLOYMENT}
    other = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}\n"
    files |= {"base/other.yaml": other, path: overlay.encode()} | (more or {})
    remote = make_bare(tmp_path / "remote.git", files)
    change = FileChange(path, Mode.FILE, overlay.encode(), overlay.replace("1.0.0", "1.1.0").encode())
    pull = PlannedPull("prod", "gitcd/prod/env", "", PlannedCommit(OutcomeKind.BUMPED, ("prod",), (), (change,)))
    with mirror_of(remote.url) as mirror:
        return render(CommitTree(mirror.git, mirror.fetch()), pull)


@needs_kustomize
def test_only_what_changes_is_shown_object_by_object(tmp_path):
    found = built(tmp_path)
    (deployment,) = found.objects
    assert deployment.name == "Deployment/app in prod of envs/prod"
    changed = [line for line in deployment.lines if line.startswith(("-", "+"))]
    assert changed == ["-      - image: r.example/team/app:1.0.0", "+      - image: r.example/team/app:1.1.0"]
    assert (found.restarts, found.note) == ({"envs/prod": ("Deployment/app",)}, "")


@needs_kustomize
def test_what_does_not_build_is_said_in_code(tmp_path):
    found = built(tmp_path, OVERLAY % ", '@team`x'")
    assert found.objects == ()
    assert found.note.startswith("kustomize did not build `envs/prod`: `")
    assert found.note.count("`") == 4


@needs_kustomize
@pytest.mark.parametrize("base", ["https://forge.invalid/team/base.git", "git@forge.invalid:team/base", "/etc"])
def test_nothing_is_fetched_and_nothing_outside_is_read(tmp_path, base, monkeypatch):
    """The secrets of this process are not in the reach of what is built either."""
    found = built(tmp_path, OVERLAY % f", '{base}'")
    assert found.objects == ()
    assert "did not build" in found.note


@needs_kustomize
@pytest.mark.parametrize(
    "overlay",
    [OVERLAY % ", '%s'", OVERLAY % "" + "patches: [{path: '%s'}]\n", OVERLAY % "" + "openapi: {path: '%s'}\n"],
)
def test_this_machine_is_not_asked_either(tmp_path, overlay):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/x.yaml"
        assert "did not build" in built(tmp_path, overlay.replace("%s", address)).note
        with pytest.raises(TimeoutError):
            server.accept()


@needs_kustomize
def test_a_link_out_of_the_repository_is_not_there(tmp_path):
    found = built(tmp_path, OVERLAY % ", link.yaml")
    assert "did not build" in found.note


def test_where_there_is_no_kustomize_it_is_said(tmp_path, monkeypatch):
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name in {"kustomize", "kubectl"} else which(name))
    found = built(tmp_path)
    assert (found.objects, found.note) == (
        (), "kustomize renders these files, and is not installed where gitcd runs.",
    )  # fmt: skip


def test_plain_manifests_need_no_build(tmp_path):
    found = built(tmp_path, path="envs/prod/app.yaml")
    assert (found.objects, found.note, found.restarts) == ((), "", None)


@needs_kustomize
def test_what_takes_too_long_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("gitcd.usecases.deliver_render._TIMEOUT", 0.0)
    assert built(tmp_path).note == "kustomize did not build `envs/prod`: `it takes too long`"
