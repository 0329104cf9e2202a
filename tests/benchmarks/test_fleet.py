"""The benchmarks compare like with like: one seed, one fleet; gitcd and the baseline make the same bumps."""

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.fleet import Fleet, files
from benchmarks.generate import generate
from gitcd.git.runner import Git
from gitcd.git.tree import CommitTree

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments):
    subprocess.run([sys.executable, "-m", *arguments], cwd=ROOT, check=True, capture_output=True)


def content(remote):
    tree = CommitTree(Git(remote), "main")
    return {entry.path: entry.oid for entry in tree.entries()}


def test_a_seed_makes_one_fleet_of_the_size_that_was_asked_for(tmp_path):
    fleet = Fleet(60, 6)
    assert [app.behind for app in fleet].count(True) == 6
    assert {app.environment for app in fleet if app.behind} == {"dev", "staging", "prod"}
    assert {app.flavour for app in fleet} == {"plain", "kustomize", "helm"}
    one, two = generate(tmp_path / "one", fleet), generate(tmp_path / "two", fleet)
    assert content(one) == content(two)
    assert len(content(one)) == 60 * 7 + 1
    lines = [files(app)[f"{app.folder}/deployment.yaml"].count("\n") for app in fleet if app.flavour != "helm"]
    assert min(lines) >= 80
    assert max(lines) <= 305


def test_gitcd_and_the_baseline_change_the_same_bytes(tmp_path):
    fleet = ["--apps", "60", "--behind", "6"]
    ours, theirs = (generate(tmp_path / name, Fleet(60, 6)) for name in ("ours", "theirs"))
    before = content(ours)
    run("benchmarks.cycle", *fleet, "--", str(ours), "--cache-dir", str(tmp_path / "cache"))
    run("benchmarks.plumbing", str(theirs), "--mirror", str(tmp_path / "mirror"), *fleet)
    assert content(ours) == content(theirs)
    assert len(content(ours).items() - before.items()) == 6


def test_the_rows_are_named_in_the_help():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--help"], cwd=ROOT, env=os.environ, capture_output=True, check=True
    )
    assert all(row in done.stdout for row in (b"idle", b"warm", b"cold", b"growth", b"resolving", b"memory"))
