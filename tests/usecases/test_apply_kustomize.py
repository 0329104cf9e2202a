"""Kustomizations that are hostile or unlucky: one that cannot be built is told, and the others are."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from gitcd.manifests import kustomizations
from gitcd.model.live import Manifest
from gitcd.model.site import Refusal
from gitcd.model.tree import MemoryTree
from gitcd.usecases import apply_kustomize, kustomizing
from gitcd.usecases.apply_kustomize import build

CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"


@pytest.fixture
def kustomize(tmp_path, monkeypatch):
    """A program in the place of kustomize; its script is sh, and gets the folder as its second word."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")
    monkeypatch.setattr(kustomizing, "_PROGRAMS", (("kustomize", "build"),))

    def install(script: str) -> None:
        (folder / "kustomize").write_text(f"#!/bin/sh\n{script}\n")
        (folder / "kustomize").chmod(0o755)

    return install


def tree(**files: str) -> MemoryTree:
    return MemoryTree({path: text.encode() for path, text in files.items()})


def reason(found: list[Manifest | Refusal]) -> str:
    (only,) = found
    assert isinstance(only, Refusal)
    return only.reason


TWO = {"a/kustomization.yaml": "resources: []\n", "b/kustomization.yaml": "resources: []\n"}


def test_one_that_hangs_is_ended_with_all_that_it_started(kustomize, monkeypatch, tmp_path):
    monkeypatch.setattr(apply_kustomize, "_SECONDS", 0.5)
    pid = tmp_path / "pid"
    kustomize(f"case $2 in */a) sleep 60 & echo $! > {pid}; wait;; esac; cat <<'X'\n{CONFIG}X")
    began = time.monotonic()
    first, second = build(tree(**TWO), list(TWO))
    assert reason(first[1]) == "it was not built within 0 seconds"
    assert isinstance(second[1][0], Manifest)
    assert time.monotonic() - began < 20
    assert not _lives(int(pid.read_text()))


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def test_one_that_prints_without_end_is_stopped(kustomize, monkeypatch):
    monkeypatch.setattr(apply_kustomize, "_MOST", 1 << 20)
    kustomize(f"case $2 in */a) exec yes;; esac; cat <<'X'\n{CONFIG}X")
    first, second = build(tree(**TWO), list(TWO))
    assert reason(first[1]) == "what it builds has more than 1 MiB"
    assert isinstance(second[1][0], Manifest)


def test_what_it_says_is_told_without_our_folder(kustomize):
    kustomize('echo "Error: $2/cm.yaml: no such file or directory" >&2; exit 1')
    ((_, found),) = build(tree(**{"a/kustomization.yaml": ""}), ["a/kustomization.yaml"])
    assert reason(found).startswith("it cannot be built: a/cm.yaml: no such file or directory (a kustomization reaches")


@pytest.mark.parametrize(
    "written",
    [
        "https://git.example.com/a/b.git//base?ref=v1",
        "git@git.example.com:a/b.git",
        "github.com/a/b/base",
        "/etc",
        "../../../../../../../etc",
        "../nowhere",
    ],
)
def test_nothing_is_looked_for_outside_the_repository(kustomize, tmp_path, written):
    kustomize(f"touch {tmp_path}/run")
    files = {"a/kustomization.yaml": "resources: [../base]\n", "base/kustomization.yaml": f"resources: ['{written}']\n"}
    ((_, found),) = build(tree(**files), ["a/kustomization.yaml"])
    assert reason(found) == f"it names {written}, which is not in the repository, and nothing is fetched for it"
    assert str(found[0].where) == "base/kustomization.yaml"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "field",
    [
        "patches: [{{path: '{0}'}}]",
        "transformers: ['{0}']",
        "openapi: {{path: '{0}'}}",
        "configMapGenerator: [{{name: a, files: ['key={0}']}}]",
    ],
)
def test_no_field_has_anything_fetched_from_this_machine_either(kustomize, tmp_path, field):
    kustomize(f"touch {tmp_path}/run")
    text = field.format("http://127.0.0.1:8001/x")
    ((_, found),) = build(tree(**{"a/kustomization.yaml": text}), ["a/kustomization.yaml"])
    assert "http://127.0.0.1:8001/x, which is not in the repository" in reason(found)
    assert not (tmp_path / "run").exists()


def test_addresses_that_are_text_alone_are_no_obstacle(kustomize):
    kustomize(f"cat <<'X'\n{CONFIG}X")
    text = (
        "commonAnnotations: {docs: 'https://example.com'}\n"
        "configMapGenerator: [{name: a, literals: ['URL=https://example.com']}]\n"
        "patches: [{patch: '- {op: add, path: /data/url, value: https://example.com}'}]\n"
    )
    ((_, (found,)),) = build(tree(**{"a/kustomization.yaml": text}), ["a/kustomization.yaml"])
    assert isinstance(found, Manifest)


def test_only_what_it_reaches_is_copied(kustomize, tmp_path):
    kustomize(f"cd $2/..; find . -type f | sort > {tmp_path}/copied")
    files = {
        "a/kustomization.yaml": "resources: [../base, ../one.yaml]\ncomponents: [../part]\n",
        "a/patches/p.yaml": "",
        "base/kustomization.yml": "resources: [cm.yaml]\n",
        "base/cm.yaml": CONFIG,
        "part/kustomization.yaml": "kind: Component\n",
        "one.yaml": CONFIG,
        "other/kustomization.yaml": "",
        "other/much.yaml": "",
    }
    build(tree(**files), ["a/kustomization.yaml"])
    copied = (tmp_path / "copied").read_text().split()
    assert copied == sorted(f"./{path}" for path in files if not path.startswith("other/"))


def test_folders_that_name_each_other_end():
    known = {
        "": kustomizations.read("kustomization.yaml", b"resources: [a]\n"),
        "a": kustomizations.read("a/kustomization.yaml", b"bases: [..]\nresources: 7\n"),
    }
    assert kustomizations.needed("kustomization.yaml", known, set()) == {"", "a"}
