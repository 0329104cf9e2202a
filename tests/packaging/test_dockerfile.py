"""What the Dockerfile, the files beside it and the release workflow promise; docs/image.md tells how they are run."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

NOBODY = "65532:65532"
COMMIT = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")


@pytest.fixture(scope="module")
def root(pytestconfig: pytest.Config) -> Path:
    return pytestconfig.rootpath


@pytest.fixture(scope="module")
def lines(root: Path) -> list[list[str]]:
    """The Dockerfile's instructions, by their words."""
    text = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", (root / "Dockerfile").read_text(), flags=re.MULTILINE))
    return [line.split() for line in text.splitlines() if line.strip()]


@pytest.fixture(scope="module")
def stages(lines: list[list[str]]) -> dict[str, list[list[str]]]:
    """The instructions of each stage, with those of the stages that it stands on; the image itself has no name."""
    found: dict[str, list[list[str]]] = {}
    name = None
    for line in lines:
        if line[0] == "FROM":
            name = line[3] if len(line) > 2 else ""
            found[name] = [*found.get(line[1], []), line]
        elif name is not None:
            found[name].append(line)
    return found


@pytest.fixture(scope="module")
def compose(root: Path) -> dict[str, Any]:
    return yaml.safe_load((root / "docker-compose.yml").read_text())["services"]


@pytest.fixture(scope="module")
def release(root: Path) -> dict[str, Any]:
    return yaml.safe_load((root / ".github/workflows/release.yml").read_text())


def _last(stage: list[list[str]], word: str) -> str:
    return [" ".join(line[1:]) for line in stage if line[0] == word][-1]


def test_T27_bases_are_arguments_with_a_digest(lines: list[list[str]]) -> None:
    outside = [line for line in lines if line[0] in {"ARG", "FROM"}]
    assert [line[0] for line in outside[:3]] == ["ARG", "ARG", "FROM"]
    pinned = re.compile(
        r"(BASE|GO)=docker\.io/library/(python:3\.\d+\.\d+-slim|golang:1\.\d+\.\d+)-bookworm@sha256:[0-9a-f]{64}"
    )
    assert [pinned.fullmatch(line[1])[1] for line in outside[:2]] == ["BASE", "GO"], "a digest never moves"
    names = {line[3] for line in outside if line[0] == "FROM" and len(line) > 2}
    assert {line[1] for line in lines if line[0] == "FROM"} <= {"${BASE}", "${GO}", *names}


@pytest.mark.parametrize("name", ["", "demo", "test"])
def test_what_runs_runs_as_nobody_in_particular(stages: dict[str, list[list[str]]], name: str) -> None:
    stage = stages[name]
    assert _last(stage, "FROM") in {"system", f"system AS {name}"}
    assert [line for line in stage if line[0] == "USER"] == [["USER", NOBODY]]
    after = stage[stage.index(["USER", NOBODY]) :]
    assert {line[0] for line in after} <= {"USER", "ENTRYPOINT", "CMD"}, "nothing is done as root after all"


def test_the_image_is_gitcd(stages: dict[str, list[list[str]]]) -> None:
    assert list(stages)[-1] == "", "a build without a target makes it"
    assert _last(stages[""], "ENTRYPOINT") == '["gitcd"]'
    assert not [line for line in stages[""] if line[0] == "CMD"]
    installed = " ".join(_last(stages["system"], "RUN").split())
    assert {"ca-certificates", "git", "openssh-client"} <= set(installed.split())
    assert ["COPY", "--from=kustomize", "/out/kustomize", "/usr/local/bin/kustomize"] in stages[""]
    assert not any("/opt/tools" in line for line in stages[""]), "what tests gitcd is not in the image"


def test_what_it_writes_can_lie_on_a_read_only_root(stages: dict[str, list[list[str]]], root: Path) -> None:
    environment = _last(stages["system"], "ENV")
    assert {"HOME=/tmp", "GITCD_CACHE_DIR=/var/cache/gitcd"} <= set(environment.split())
    assert "mountPath: /var/cache/gitcd" in (root / "templates/install/pod.j2").read_text()


def test_T27_nothing_is_fetched_without_a_checksum(lines: list[list[str]]) -> None:
    words = [word for line in lines for word in line]
    assert not {"ADD", "curl", "wget", "sudo"} & set(words)
    installs = [line for line in lines if "pip" in " ".join(line) and "install" in line]
    for line in installs:
        for command in " ".join(line).split("&&"):
            assert "pip install" not in command or "--require-hashes" in command or "--no-index" in command, command


def test_every_file_that_is_copied_reaches_the_builder(lines: list[list[str]], root: Path) -> None:
    let_in = [line[1:] for line in (root / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = {word for line in lines if line[0] == "COPY" and not line[1].startswith("--") for word in line[1:-1]}
    assert copied
    for name in sorted(copied):
        assert any(Path(name).match(pattern) for pattern in let_in), f"{name} is left out by .dockerignore"
    assert all(list(root.glob(pattern)) for pattern in let_in)


def test_the_test_target_gets_what_tests_look_at(root: Path) -> None:
    let_in = [line[1:] for line in (root / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    sdist = re.search(r"^include = \[(.*)\]$", (root / "pyproject.toml").read_text(), re.MULTILINE)
    assert sdist
    for name in re.findall(r'"/([^"]+)"', sdist[1]):
        for path in root.glob(name):
            assert any(Path(path.name).match(pattern) for pattern in let_in), path.name


def test_compose_runs_the_tests_unless_the_demo_is_asked_for(compose: dict[str, Any], stages: dict[str, Any]) -> None:
    assert [name for name, service in compose.items() if not service.get("profiles")] == ["test"]
    assert compose["demo"]["profiles"] == ["demo"]
    assert {service["build"]["target"] for service in compose.values()} <= set(stages)
    assert all(service["network_mode"] == "none" for service in compose.values())
    assert compose["demo"]["read_only"] is True
    assert compose["demo"]["tmpfs"] == ["/tmp", "/var/cache/gitcd"]
    assert _last(stages["test"], "CMD").startswith('["python", "-m", "pytest"')


def test_T27_actions_are_pinned_by_commit(root: Path) -> None:
    used = [
        line.split("uses: ")[1]
        for path in (root / ".github").rglob("*.yml")
        for line in path.read_text().splitlines()
        if "uses: " in line
    ]
    assert used
    assert [each for each in used if not COMMIT.fullmatch(each)] == []


def test_the_release_may_do_no_more_than_it_does(release: dict[str, Any]) -> None:
    assert release["permissions"] == {}
    granted = {name: job["permissions"] for name, job in release["jobs"].items()}
    assert granted == {
        "bases": {"contents": "read"},
        "image": {"contents": "read", "packages": "write"},
        "index": {"packages": "write"},
    }
    assert all(job["timeout-minutes"] for job in release["jobs"].values())


def test_the_release_pastes_nothing_into_a_shell(release: dict[str, Any]) -> None:
    scripts = [step["run"] for job in release["jobs"].values() for step in job["steps"] if "run" in step]
    assert scripts
    assert [script for script in scripts if "${{" in script] == []
    for script in scripts:
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_T27_the_release_pushes_what_was_tested_on_the_bases_that_were_pinned(release: dict[str, Any]) -> None:
    steps = release["jobs"]["image"]["steps"]
    scripts = [step.get("run", "") for step in steps]
    tested = next(number for number, script in enumerate(scripts) if "--exit-code-from test" in script)
    pushed = next(number for number, script in enumerate(scripts) if "--push" in script)
    assert tested < pushed
    for script in (scripts[tested], scripts[pushed]):
        assert '--build-arg "BASE=$BASE" --build-arg "GO=$GO"' in script
    assert "--sbom=true --provenance=mode=max" in scripts[pushed]


def test_the_way_without_an_engine_is_a_script_that_can_be_read(root: Path) -> None:
    script = root / "tools/build-image-without-engine"
    assert script.stat().st_mode & 0o111
    subprocess.run(["bash", "-n", script], check=True)
