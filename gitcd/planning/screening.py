"""Screening: which files may concern which declarations, decided on raw bytes before any YAML is parsed."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from gitcd.model.declaration import ContainerVersion
from gitcd.model.escapes import spelled_out
from gitcd.model.reference import DOCKER_HUB, Repository
from gitcd.model.tree import Entry, Mode

MAX_FILE = 1 << 20  # bytes; no manifest is larger, and a larger file is not parsed at all
REGULAR = frozenset({Mode.FILE, Mode.EXECUTABLE})

_WORD = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._/-]*")
_COMMENT = re.compile(rb"\{\{-?\s*/\*.*?\*/\s*-?\}\}|(?:^|(?<=[ \t]))#[^\r\n]*", re.DOTALL | re.MULTILINE)
_NAME = re.compile(rb"name[\"']?\s*:\s*[\"']?([a-z0-9][a-z0-9.-]*)")

MARK_LENGTH = 16


def is_readable(entry: Entry) -> bool:
    return entry.mode in REGULAR and entry.size <= MAX_FILE


def needle(repository: Repository) -> bytes:
    """The bytes that occur in every spelling of the repository, but for one that cuts its path in two."""
    return (repository.familiar if repository.registry == DOCKER_HUB else repository.path).encode()


def stem(repository: Repository) -> bytes:
    """The bytes that occur in every spelling of the repository, even as `registry: host/team`, `repository: app`."""
    return repository.path.rpartition("/")[2].encode()


def is_only_in_comments(data: bytes, names: Iterable[bytes]) -> bool:
    """Whether the names occur, and nowhere but in comments of YAML or of a template: no image stands there."""
    present = [name for name in names if name in data]
    bare = _COMMENT.sub(b"", data) if present else b""
    return bool(present) and not any(name in bare for name in present)


@dataclass(frozen=True, slots=True)
class Clue:
    """What a declaration is recognised by in raw bytes.

    `names` are those of the objects that it looks for besides its workloads; `word` is one of every workload in which
    it names a `container`. Both are empty if it names none. The container's own name would do as the word, but half of
    all containers are called alike.
    """

    repository: Repository
    names: frozenset[str] = frozenset()
    word: str = ""
    container: str = ""

    @classmethod
    def of(cls, declaration: ContainerVersion) -> Clue:
        spec = declaration.spec
        names = {spec.config.name} if spec.config else set()
        if spec.strategy.blue_green:
            names.add(spec.strategy.blue_green.service_name)
        if spec.container is None:
            return cls(spec.repository, frozenset(names))
        word = spec.workload.name if spec.workload else max(spec.selector.values(), key=len, default="")
        return cls(spec.repository, frozenset(names), word, spec.container.name)

    @property
    def needles(self) -> frozenset[bytes]:
        """What of it `Screen.needles` may find."""
        words = {name.encode() for name in (*self.names, self.word) if name}
        return frozenset({needle(self.repository), *words})


class Screen:
    """Looks for the image repositories, ConfigMaps and Services that the declarations name, and for their workloads.

    A file on a registry other than Docker Hub has to hold the registry's host, so a search for the few hosts comes
    first and settles nearly every file.
    """

    def __init__(self, clues: Iterable[Clue], hosts: Iterable[str] = ()) -> None:
        """`hosts` are registries that count beside those of the clues: names may hide in one another."""
        repositories: set[Repository] = set()
        names: set[str] = set()
        containers: defaultdict[bytes, set[bytes]] = defaultdict(set)
        for clue in clues:
            repositories.add(clue.repository)
            names.update(clue.names)
            if clue.word:
                containers[clue.word.encode()].add(clue.container.encode())
        self._hub = frozenset(needle(each) for each in repositories if each.registry == DOCKER_HUB)
        self._paths = frozenset(needle(each) for each in repositories if each.registry != DOCKER_HUB)
        self._names = frozenset(name.encode() for name in names)
        self._containers = dict(containers)
        registries = {*hosts, *(each.registry for each in repositories)} - {DOCKER_HUB}
        self._hosts = [each.encode() for each in sorted(registries)]
        choice = b"|".join(re.escape(host) for host in self._hosts)
        self._full = re.compile(b"(?:" + choice + rb")/([a-z0-9][a-z0-9._/-]*)")
        self._rests = _cut(self._paths)

    @property
    def fingerprint(self) -> str:
        """Tells what is looked for: equal for screens that let the same through."""
        sought = (self._hub, self._paths, self._names, self._hosts)
        parts = [*map(sorted, sought), *(sorted({word, *names}) for word, names in sorted(self._containers.items()))]
        text = b"\0\0".join(b"\0".join(part) for part in parts)
        return hashlib.sha256(text).hexdigest()[:MARK_LENGTH]

    def needles(self, data: bytes) -> frozenset[bytes]:
        """What of the declarations' interest occurs in these bytes, however spelled; nearly always nothing."""
        resolved = spelled_out(data)
        return self._search(data) if resolved == data else self._search(data) | self._search(resolved)

    def _search(self, data: bytes) -> frozenset[bytes]:
        found = {name for name in self._hub if name in data}
        if self._hosts:
            found |= self._on_hosts(data)
        if self._names and (b"ConfigMap" in data or b"Service" in data):
            found.update(self._names.intersection(_NAME.findall(data)))
        if self._containers and b"ontainers" in data:
            words = set(_WORD.findall(data))
            found |= {word for word in self._containers.keys() & words if self._containers[word] & words}
        return frozenset(found)

    def _on_hosts(self, data: bytes) -> set[bytes]:
        lowered = data.lower()  # hosts may be written in capitals
        if not any(host in lowered for host in self._hosts):
            return set()
        paths = _trimmed(self._full.findall(lowered))
        found = set(self._paths & paths)
        if b"registry" in data:  # apart from its repository, which may stand behind an anchor, a tag or a comment
            words = _trimmed(_WORD.findall(data))
            found |= self._paths & words
            for start in self._rests.keys() & paths:
                for rest in self._rests[start] & words:
                    found |= {b"%s/%s" % (start, rest), rest}
        return found


def _cut(paths: Iterable[bytes]) -> dict[bytes, set[bytes]]:
    """Every path cut at each of its slashes: what may stand after the host, and what is then left over."""
    rests: defaultdict[bytes, set[bytes]] = defaultdict(set)
    for path in paths:
        for at in (at for at, char in enumerate(path) if char == ord("/")):
            rests[path[:at]].add(path[at + 1 :])
    return dict(rests)


def _trimmed(tokens: Iterable[bytes]) -> set[bytes]:
    """A reference at the end of a sentence or path may drag a separator along."""
    return {token.rstrip(b"._/-") for token in tokens}
