"""Screening: which files may concern which declarations, decided on raw bytes before any YAML is parsed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from gitcd.model.declaration import ContainerVersion
from gitcd.model.reference import DOCKER_HUB, Repository
from gitcd.model.tree import Entry, Mode

MAX_FILE = 1 << 20  # bytes; no manifest is larger, and a larger file is not read at all
REGULAR = frozenset({Mode.FILE, Mode.EXECUTABLE})

_SPLIT_REPOSITORY = re.compile(rb"repository[\"']?\s*:\s*[\"']?([a-z0-9][a-z0-9._/-]*)")
_NAME = re.compile(rb"name[\"']?\s*:\s*[\"']?([a-z0-9][a-z0-9.-]*)")

MARK_LENGTH = 16


def is_readable(entry: Entry) -> bool:
    return entry.mode in REGULAR and entry.size <= MAX_FILE


def needle(repository: Repository) -> bytes:
    """The bytes that occur in every spelling of the repository."""
    return (repository.familiar if repository.registry == DOCKER_HUB else repository.path).encode()


class Screen:
    """Looks for the image repositories, ConfigMaps and Services that the declarations name.

    A file on a registry other than Docker Hub has to hold the registry's host, so a search for the few hosts comes
    first and settles nearly every file.
    """

    def __init__(self, declarations: Iterable[ContainerVersion]) -> None:
        repositories, names = set(), set()
        for declaration in declarations:
            repositories.add(declaration.spec.repository)
            names.update(named_objects(declaration))
        self._hub = frozenset(needle(each) for each in repositories if each.registry == DOCKER_HUB)
        self._paths = frozenset(needle(each) for each in repositories if each.registry != DOCKER_HUB)
        self._names = frozenset(name.encode() for name in names)
        self._hosts = [each.encode() for each in sorted({each.registry for each in repositories} - {DOCKER_HUB})]
        hosts = b"|".join(re.escape(host) for host in self._hosts)
        self._full = re.compile(b"(?:" + hosts + rb")/([a-z0-9][a-z0-9._/-]*)")

    @property
    def fingerprint(self) -> str:
        """Tells what is looked for: equal for screens that let the same through."""
        parts = (sorted(each) for each in (self._hub, self._paths, self._names, self._hosts))
        text = b"\0\0".join(b"\0".join(part) for part in parts)
        return hashlib.sha256(text).hexdigest()[:MARK_LENGTH]

    def needles(self, data: bytes) -> frozenset[bytes]:
        """What of the declarations' interest occurs in these bytes; nearly always nothing."""
        found = {name for name in self._hub if name in data}
        if any(host in data for host in self._hosts):
            found.update(self._paths.intersection(_trimmed(self._full.findall(data))))
            if b"registry" in data:
                found.update(self._paths.intersection(_trimmed(_SPLIT_REPOSITORY.findall(data))))
        if self._names and (b"ConfigMap" in data or b"Service" in data):
            found.update(self._names.intersection(_NAME.findall(data)))
        return frozenset(found)


def named_objects(declaration: ContainerVersion) -> set[str]:
    """Names of the objects that the declaration looks for besides its workloads."""
    spec = declaration.spec
    names = {spec.config.name} if spec.config else set()
    if spec.strategy.blue_green:
        names.add(spec.strategy.blue_green.service_name)
    return names


def _trimmed(tokens: Iterable[bytes]) -> set[bytes]:
    """A reference at the end of a sentence or path may drag a separator along."""
    return {token.rstrip(b"._/-") for token in tokens}
