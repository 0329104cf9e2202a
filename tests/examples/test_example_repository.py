"""The example repository is what newcomers copy: it must be whole, and agree with itself and with its README."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ruamel.yaml import YAML

from gitcd.cli.main import run

ROOT = Path(__file__).parents[2] / "examples" / "config-repo"
FILES = sorted(path for path in ROOT.rglob("*.yaml") if "templates" not in path.relative_to(ROOT).parts)
REFERENCE = re.compile(r"[a-z0-9.-]+\.[a-z]+/[a-z0-9/._-]+")
ENVIRONMENTS = ("dev", "staging", "prod")


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def documents(path: Path) -> list[Any]:
    return [document for document in yaml.safe_load_all(path.read_bytes()) if document]


def declarations() -> list[tuple[str, dict[str, Any]]]:
    every = [(relative(path), document) for path in FILES for document in documents(path)]
    return [(path, document) for path, document in every if document.get("kind") == "ContainerVersion"]


def environment_of(path: str, document: dict[str, Any]) -> str:
    return document["spec"].get("environment") or path.split("/")[1]


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_every_file_parses_under_both_versions_of_yaml(path: Path) -> None:
    assert documents(path)
    assert [document for document in YAML(typ="safe", pure=True).load_all(path.read_bytes()) if document]


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_every_file_is_tidy(path: Path) -> None:
    text = path.read_text()
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    assert not [line for line in text.splitlines() if line != line.rstrip() or "\t" in line]
    assert not [line for line in text.splitlines() if len(line) > 120 and "amazonaws.com" not in line]


def test_every_environment_has_declarations_and_names_are_unique() -> None:
    names = [
        (environment_of(path, document), document["metadata"]["namespace"], document["metadata"]["name"])
        for path, document in declarations()
    ]
    assert {environment for environment, _, _ in names} == set(ENVIRONMENTS)
    assert len(set(names)) == len(names)


def test_every_declared_repository_is_followed_in_its_environment() -> None:
    for path, document in declarations():
        environment = environment_of(path, document)
        assert document["spec"]["tag"].startswith(f"env-{environment}"), path
        spelled = document["spec"]["imageRepo"]
        own = [
            other
            for other in FILES
            if f"envs/{environment}/" in relative(other) or f"values-{environment}" in other.name
        ]
        texts = [other.read_text() for other in own if "containerversion" not in other.name]
        assert any(spelled in text or f"repository: {spelled.partition('/')[2]}" in text for text in texts), path


def test_one_application_follows_two_tags_of_one_repository() -> None:
    tags: dict[tuple[str, str], set[str]] = {}
    for path, document in declarations():
        key = (environment_of(path, document), document["spec"]["imageRepo"])
        tags.setdefault(key, set()).add(document["spec"]["tag"])
    assert max(len(each) for each in tags.values()) == 2


def test_images_that_nobody_declared_are_there_to_be_left_alone() -> None:
    declared = {document["spec"]["imageRepo"] for _, document in declarations()}
    mentioned = {
        match for path in FILES for line in path.read_text().splitlines()
        if re.match(r"\s*(- )?image: ", line) for match in REFERENCE.findall(line)
    }  # fmt: skip
    assert len(mentioned - declared) >= 5


def test_the_readme_names_every_application_and_only_those() -> None:
    readme = (ROOT / "README.md").read_text()
    rows = set(re.findall(r"^\| ([a-z]+) \|", readme, re.MULTILINE)) - {"application"}
    folders = {path.name for path in ROOT.glob("envs/*/*")}
    assert rows == folders


def test_gitcd_validate_is_content(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", str(ROOT)]) == 0
    assert "21 declarations, 3 environments" in capsys.readouterr().err
