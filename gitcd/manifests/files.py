"""Files that hold one document each, as plain values, with every fault placed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from gitcd.manifests import documents
from gitcd.manifests.documents import Map, Mark, UnreadableError
from gitcd.model.problem import Problem

_MAX_SUBJECT = 320


def read_plain(path: str, data: bytes) -> tuple[Any, tuple[Problem, ...]]:
    """The plain value of the one document of a file (an empty file is an empty map), and what is wrong with its YAML.

    The value is None where it could not be read.
    """
    file = File(path)
    try:
        found = [value for value in documents.compose(documents.decode(data)) if value is not None]
    except UnreadableError as error:
        return None, (file.unreadable(error),)
    if len(found) > 1:
        return None, (Problem(f"holds {len(found)} documents, one is wanted", path=path),)
    return (found[0], file.faults(found[0])) if found else (Map(), ())


def placed(path: str, value: Any, problem: Problem) -> Problem:
    """A problem of a value that `read_plain` gave, with its file, line and column."""
    return File(path).placed(value, problem)


@dataclass(slots=True)
class File:
    """A file; `first_line` (from 0) is that of the part now being read."""

    path: str
    first_line: int = 0

    def faults(self, value: Any) -> tuple[Problem, ...]:
        if not isinstance(value, Map):
            return ()
        return tuple(replace(self.at(mark, message), subject=subject_of(value)) for message, mark in value.faults)

    def placed(self, value: Any, problem: Problem) -> Problem:
        """The problem with its file, line, column and declaration."""
        spot = self.at(documents.locate(value, problem.steps), problem.message, problem.remedy)
        return replace(spot, steps=problem.steps, subject=subject_of(value))

    def unreadable(self, error: UnreadableError) -> Problem:
        return self.at(error.mark, error.message, error.remedy)

    def at(self, mark: Mark, message: str, remedy: str = "") -> Problem:
        line, column = mark
        return Problem(message, remedy, path=self.path, line=self.first_line + line + 1, column=column + 1)


def subject_of(value: Any) -> str:
    """`namespace/name` of an object, as far as they can be read."""
    metadata = value.get("metadata") if isinstance(value, Map) else None
    if not isinstance(metadata, Map) or not isinstance(name := metadata.get("name"), str):
        return ""
    namespace = metadata.get("namespace")
    return f"{namespace if isinstance(namespace, str) and namespace else 'default'}/{name}"[:_MAX_SUBJECT]
