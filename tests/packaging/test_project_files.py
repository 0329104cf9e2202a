"""What stands in the files that set the project up."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

LOCKS = ("requirements.lock", "requirements-run.lock")


@pytest.fixture(scope="module")
def root(pytestconfig: pytest.Config) -> Path:
    return pytestconfig.rootpath


def _normal(requirement: str) -> str:
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def _wanted(pyproject: dict) -> set[str]:
    project, groups = pyproject["project"], pyproject["dependency-groups"]
    lists = [project["dependencies"], *project["optional-dependencies"].values(), *groups.values()]
    return {_normal(entry) for entries in lists for entry in entries if isinstance(entry, str)}


def _pinned(lock: Path) -> dict[str, str]:
    """Every entry of a lock file, by name and version."""
    entries = re.split(r"\n(?=\S)", lock.read_text().strip())
    return {entry.split()[0]: entry for entry in entries}


def test_T27_the_lock_pins_every_dependency_by_hash(root: Path) -> None:
    pinned = _pinned(root / "requirements.lock")
    assert _wanted(tomllib.loads((root / "pyproject.toml").read_text())) <= {_normal(name) for name in pinned}
    assert all("==" in name and "--hash=sha256:" in entry for name, entry in pinned.items())


def test_the_oldest_python_is_the_same_wherever_one_is_named(root: Path) -> None:
    pyproject = tomllib.loads((root / "pyproject.toml").read_text())
    oldest = pyproject["project"]["requires-python"].removeprefix(">=")
    said = re.findall(r"Python :: (3\.\d+)", "\n".join(pyproject["project"]["classifiers"]))
    assert said[0] == pyproject["tool"]["mypy"]["python_version"] == oldest
    assert pyproject["tool"]["ruff"]["target-version"] == f"py{oldest.replace('.', '')}"
    assert f"Python {oldest} or newer" in (root / "README.md").read_text()


def test_the_image_runs_what_was_tested(root: Path) -> None:
    tested, run = (_pinned(root / name) for name in LOCKS)
    assert run.items() <= tested.items()
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    dependencies = [*project["dependencies"], *project["optional-dependencies"]["github-app"]]
    assert {_normal(entry) for entry in dependencies} <= {_normal(name) for name in run}
    assert not {_normal(name) for name in run} & {"pytest", "moto", "mypy", "hatchling"}


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_names_no_index_and_not_the_other_gitcd(root: Path, name: str) -> None:
    lock = (root / name).read_text()
    assert "://" not in lock
    assert not re.search(r"^\s*-(-index|-extra|-find|i\b)", lock, re.MULTILINE)
    assert not re.search(r"^gitcd\b", lock, re.MULTILINE)


def test_nothing_tells_anybody_to_install_gitcd_by_name(root: Path) -> None:
    texts = [
        root / "Makefile",
        root / "Dockerfile",
        root / "README.md",
        root / "CONTRIBUTING.md",
        *root.glob("docs/**/*.md"),
    ]
    by_name = re.compile(r"(pip|pipx|uv|uvx|poetry)\b[^\n`]*\b(install|add|run|uvx|tool install)\s+['\"]?gitcd\b(?!-)")
    assert [path.name for path in texts if by_name.search(path.read_text())] == []


def _fake_make(folder: Path, failing: str) -> dict[str, str]:
    """An environment in which `make` only says its target, and fails for one."""
    make = folder / "make"
    make.write_text(f'#!/bin/sh\nfor target; do :; done\necho "made $target"\n[ "$target" != "{failing}" ] || exit 1\n')
    make.chmod(0o755)
    return os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}


PARTS = ["control-plane", "forge", "helm"]
PROGRAMS = {
    "GPG": ["gpg"],
    "PROMETHEUS": ["prometheus"],
    "REGISTRY": ["docker-registry", "skopeo"],
    "SSHD": ["ssh", "sshd"],
}


@pytest.mark.parametrize(
    ("failing", "passes"),
    [("nothing", True), ("check", False), ("test", False), ("helm", True), ("packages", True)],
)
def test_ci_runs_all_and_fails_if_anything_fails(root: Path, tmp_path: Path, failing: str, passes: bool) -> None:
    environment = _fake_make(tmp_path, failing)
    result = subprocess.run([root / ".ci/run"], env=environment, capture_output=True, text=True, check=False)
    again = ["test"] if failing == "test" else []
    made = [f"made {target}" for target in ("check", *PARTS, "packages", "test", *again)]
    assert result.stdout.split("\n") == [*made, ""], "the test runner has the last word"
    assert (result.returncode == 0) is passes


def test_ci_requires_what_it_could_build(root: Path, tmp_path: Path) -> None:
    environment = _fake_make(tmp_path, "forge")
    make = tmp_path / "make"
    make.write_text(make.read_text() + '[ "$target" != test ] || env | grep ^GITCD_REQUIRE_\n')
    result = subprocess.run([root / ".ci/run"], env=environment, capture_output=True, text=True, check=False)
    required = [line for line in result.stdout.splitlines() if line.startswith("GITCD_")]
    path = f"{environment['PATH']}:/usr/sbin"
    found = [name for name, programs in PROGRAMS.items() if all(shutil.which(each, path=path) for each in programs)]
    assert sorted(required) == [f"GITCD_REQUIRE_{name}=1" for name in sorted(["CONTROL_PLANE", "HELM", *found])]


def test_a_suite_that_collects_nothing_fails(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-n", "1", "-p", "no:cacheprovider", "--rootdir", tmp_path, tmp_path]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 5


def test_make_help_lists_every_target(root: Path) -> None:
    makefile = (root / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony
    shown = subprocess.run(["make", "help"], cwd=root, capture_output=True, text=True, check=True).stdout
    assert re.findall(r"^  make ([\w-]+)", shown, re.MULTILINE) == phony[1].split()


def test_make_says_clearly_that_python_is_missing(root: Path, tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text((root / "Makefile").read_text())
    for name in ("requirements.lock", "pyproject.toml"):
        (tmp_path / name).touch()
    result = subprocess.run(
        ["make", "test", "PYTHON=no-such-python"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode != 0
    assert "no Python 3.11 or newer" in result.stderr
    assert not list(tmp_path.glob(".venv*"))


@pytest.mark.parametrize(
    ("python", "folder"),
    [("", ".venv"), ("python3.13", ".venv-python3.13"), ("/opt/a/python3", ".venv-opt-a-python3")],
)
def test_every_python_that_is_named_has_an_environment_of_its_own(root: Path, python: str, folder: str) -> None:
    told = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "PYTHON"}}
    for words, more in (([f"PYTHON={python}"], {}), ([], {"PYTHON": python})):
        command = ["make", "--dry-run", "--always-make", "test", *words]
        said = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True, env=told | more).stdout
        assert f"\n{folder}/bin/python -m pytest" in said
