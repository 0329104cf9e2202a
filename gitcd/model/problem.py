"""What is wrong with something a person wrote: where it stands, what was expected, and how to put it right."""

from __future__ import annotations

from dataclasses import dataclass

from gitcd.errors import as_sentence

Steps = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault in one document.

    `steps` lead from the document's root to the field at fault; `path`, `line` and `column` (both from 1, 0 where not
    known) say where that stands; `subject` names the declaration (`namespace/name`) where it could be read.
    """

    message: str
    remedy: str = ""
    steps: Steps = ()
    path: str = ""
    line: int = 0
    column: int = 0
    subject: str = ""

    def __str__(self) -> str:
        parts = [part for part in (self.where, self.subject, self.pointer, self.message) if part]
        return ": ".join(parts) + (f"\n  {as_sentence(self.remedy)}" if self.remedy else "")

    @property
    def where(self) -> str:
        return ":".join([self.path, *(str(number) for number in (self.line, self.column) if number)])

    @property
    def pointer(self) -> str:
        """The field as people write it: `spec.places[0].file`."""
        return pointer(self.steps)


def pointer(steps: Steps) -> str:
    text = ""
    for step in steps:
        if isinstance(step, int):
            text += f"[{step}]"
        elif "." in step or "/" in step:
            text += f"[{step!r}]"
        else:
            text += f".{step}" if text else step
    return text
