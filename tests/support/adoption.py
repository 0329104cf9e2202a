"""Repositories that were not made for gitcd, what is declared in them, and an oracle for what a run may change."""

from __future__ import annotations

import json
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from tests.support.repos import Bare
from tests.support.scenes import HOST, Tags, digest

TREES = Path(__file__).parents[1] / "adoption" / "trees"
Lines = Mapping[int, str]


def load(name: str) -> dict[str, bytes]:
    """The files of one repository, as its users wrote them."""
    root = TREES / name
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def declare(name: str, repository: str, tag: str, *, namespace: str = "default", **spec: Any) -> str:
    """One ContainerVersion document; a repository without a host stands in the private registry."""
    image = repository if "." in repository.partition("/")[0] else f"{HOST}/{repository}"
    body = json.dumps({"imageRepo": image, "tag": tag, **spec})
    head = f"apiVersion: gitcd.io/v1\nkind: ContainerVersion\nmetadata: {{name: {name}, namespace: {namespace}}}\n"
    return f"---\n{head}spec: {body}\n"


def layout(**environments: list[str]) -> bytes:
    """A gitcd.yaml with these environments."""
    entries = "".join(f"  - {{name: {name}, paths: {json.dumps(paths)}}}\n" for name, paths in environments.items())
    return f"apiVersion: gitcd.io/v1\nkind: ConfigRepository\nenvironments:\n{entries}".encode()


def at(repository: str, version: str) -> str:
    """The digest that the registry table gives to a version of a repository."""
    return digest(f"{repository}:{version}")


def pinned(repository: str, version: str) -> str:
    """`version@digest`."""
    return f"{version}@{at(repository, version)}"


def snapshot(bare: Bare, commit: str = "") -> dict[str, bytes]:
    """Every regular file of a commit, or of the branch's tip."""
    archive = ["git", "-c", "core.attributesFile=/dev/null", "archive", "--format=tar", commit or bare.branch]
    packed = subprocess.run(archive, cwd=bare.path, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=BytesIO(packed)) as tar:
        return {each.name: file.read() for each in tar if each.isfile() and (file := tar.extractfile(each))}


def rewritten(data: bytes, lines: Lines) -> bytes:
    """The same bytes with some lines (numbered from 1) replaced; each keeps its own ending."""
    before = data.splitlines(keepends=True)
    for number, text in lines.items():
        old = before[number - 1]
        ending = old[len(old.rstrip(b"\r\n")) :]
        before[number - 1] = text.encode().replace(b"\n", ending) + ending
    return b"".join(before)


def leaves(data: bytes, version: str) -> dict[tuple[Any, ...], Any] | None:
    """Every scalar of every document by its path, as YAML 1.1 or 1.2 reads it; None where that reader refuses."""
    try:
        if version == "1.1":
            documents = list(yaml.load_all(data, Loader=yaml.CSafeLoader))
        else:
            reader = YAML(typ="safe", pure=True)
            reader.version = (1, 2)  # type: ignore[assignment]
            documents = list(reader.load_all(BytesIO(data)))
    except (yaml.YAMLError, YAMLError):
        return None
    return {(number, *path): value for number, root in enumerate(documents) for path, value in _walk(root)}


def differing(before: bytes, after: bytes, version: str) -> dict[tuple[Any, ...], Any] | None:
    """The scalars that differ, with what they are now (None where one is gone)."""
    old, new = leaves(before, version), leaves(after, version)
    if old is None or new is None:
        return None if old is new else {("readable",): new is not None}
    return {path: new.get(path) for path in old.keys() | new.keys() if old.get(path) != new.get(path)}


def _new_lines(value: str, before: str) -> list[str]:
    """A value itself; of one that is a text of several lines those that were not there."""
    return [line for line in value.splitlines() if line not in before] if "\n" in value else [value]


def _walk(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    if isinstance(value, dict):
        for key, child in value.items():
            yield from _walk(child, (*path, key))
    elif isinstance(value, list):
        for number, child in enumerate(value):
            yield from _walk(child, (*path, number))
    else:
        yield path, value


@dataclass(frozen=True)
class Case:
    """A repository, what is declared in it, the registry, and every line that a run shall change.

    `removed` counts the keys that go. `astray` is a declaration that matches nothing, with what came near.
    """

    tree: str
    declarations: Mapping[str, str]
    environments: Mapping[str, list[str]]
    moves: tuple[tuple[str, str, str], ...]
    expected: Mapping[str, Lines]
    removed: int = 0
    astray: tuple[str, str, tuple[str, ...]] = ("", "", ())

    @property
    def tags(self) -> Tags:
        tags = Tags()
        for move in self.moves:
            tags.move(*move)
        return tags

    def files(self, *, with_layout: bool) -> dict[str, bytes]:
        declared = {path: text.encode() for path, text in self.declarations.items()}
        config = {"gitcd.yaml": layout(**self.environments)} if with_layout else {}
        return load(self.tree) | declared | config

    def after(self, before: Mapping[str, bytes]) -> dict[str, bytes]:
        return {path: rewritten(data, self.expected.get(path, {})) for path, data in before.items()}

    def check_meaning(self, before: Mapping[str, bytes], after: Mapping[str, bytes]) -> None:
        """Both YAML readers see the wanted strings in the wanted lines, and no other difference."""
        for version in ("1.1", "1.2"):
            gone = 0
            for path, lines in self.expected.items():
                changes = differing(before[path], after[path], version)
                assert changes, (path, version)
                gone += sum(value is None for value in changes.values())
                written = [value for value in changes.values() if value is not None]
                assert all(isinstance(value, str) for value in written), (path, changes)
                text = "\n".join(lines.values())
                new = (each for value in written for each in _new_lines(value, before[path].decode()))
                assert all(each in text for each in new), (path, changes)
                assert len(written) >= len(lines), (path, changes)
            assert gone == self.removed
