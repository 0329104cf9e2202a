"""The machine-readable end of every commit that gitcd makes.

Trailers are written by code, never by a template, and read back from history, where a squash or a merge may have moved
them into the middle of a message, or (`git merge --squash`) indented them. So they are read line by line, in order: an
environment, then its apps, each followed by the digest that it was moved to.

    Gitcd-Environment: prod
    Gitcd-App: tiles/tiles
    Gitcd-Digest: sha256:…
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from gitcd.model.declaration import Identity

ENVIRONMENT = "Gitcd-Environment"
APP = "Gitcd-App"
DIGEST = "Gitcd-Digest"
RUN = "Gitcd-Run"
VERB = "Gitcd-Verb"
BY = "Gitcd-By"
_LINE = re.compile(rf"^[ \t]*({ENVIRONMENT}|{APP}|{DIGEST}): (\S+)\s*$", re.MULTILINE)

_RUN = re.compile(rf"^[ \t]*{RUN}: (\S+)\s*$", re.MULTILINE)
_VERB = re.compile(rf"^[ \t]*{VERB}: (\S+)\s*$", re.MULTILINE)
_BY = re.compile(rf"^[ \t]*{BY}: (.*\S)\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Move:
    """One declaration was moved to one digest."""

    identity: Identity
    digest: str


def render(moves: Iterable[Move], *, run: str = "", verb: str = "", by: str = "") -> str:
    """The trailer block of a commit that makes these moves, one trailer a line, without a final newline.

    `verb` names the command that asked for them, where it was not the tags, and `by` the person, on one line.
    """
    lines = []
    for environment, group in groupby(sorted(moves, key=_order), key=lambda move: move.identity.environment):
        lines.append(f"{ENVIRONMENT}: {environment}")
        for move in group:
            lines += [f"{APP}: {move.identity.app}", f"{DIGEST}: {move.digest}"]
    if verb:
        lines.append(f"{VERB}: {verb}")
    if by:
        lines.append(f"{BY}: {by}")
    if run:
        lines.append(f"{RUN}: {run}")
    return "\n".join(lines)


def parse(message: str) -> Iterator[Move]:
    """The moves that a commit message tells of; what does not fit the order above is passed over."""
    environment = app = ""
    for key, value in _LINE.findall(message):
        if key == ENVIRONMENT:
            environment, app = value, ""
        elif key == APP:
            app = value
        elif environment and app:
            namespace, _, name = app.partition("/")
            yield Move(Identity(environment, namespace, name), value)
            app = ""


def runs(message: str) -> list[str]:
    """The runs that a commit message names."""
    return _RUN.findall(message)


def verbs(message: str) -> list[str]:
    """The commands that a commit message names."""
    return _VERB.findall(message)


def persons(message: str) -> list[str]:
    """The people that a commit message says asked for it."""
    return _BY.findall(message)


def _order(move: Move) -> tuple[Identity, str]:
    return move.identity, move.digest
