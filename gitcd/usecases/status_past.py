"""What declarations of today deployed at the commits of the branch's own line, read from git alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from gitcd.git.history import History, Landed, MissingHistory, Recollect
from gitcd.model.declaration import Identity
from gitcd.planning.holds import NoHistory
from gitcd.planning.matching import Declared, Surveyed
from gitcd.planning.overview import LiveImages, live_images, surveyed_in, telling_files
from gitcd.planning.scopes import Scopes
from gitcd.planning.soak import Soaked, SoakQuestion


@dataclass(frozen=True, slots=True)
class Subject:
    """A declaration with the files that say today what it deploys."""

    declared: Declared
    paths: tuple[str, ...]

    @classmethod
    def of(cls, surveyed: Surveyed) -> Subject:
        return cls(surveyed.declared, telling_files(surveyed))

    @property
    def identity(self) -> Identity:
        return self.declared.identity


class Past:
    """The commits of the line that touched the files of some declarations."""

    def __init__(self, history: History, scopes: Scopes, subjects: Sequence[Subject]) -> None:
        self._history = history
        self._scopes = scopes
        line = history.line({path for each in subjects for path in each.paths})
        by_path: dict[str, list[int]] = {}
        for number, landed in enumerate(line):
            for path in landed.paths:
                by_path.setdefault(path, []).append(number)
        self._trails = {
            each.identity: [line[number] for number in sorted({n for p in each.paths for n in by_path.get(p, ())})]
            for each in subjects
        }

    def trail(self, subject: Subject) -> list[Landed]:
        """The commits that touched a declaration's files, newest first."""
        return self.trail_of(subject.identity)

    def trail_of(self, identity: Identity) -> list[Landed]:
        """The same for a declaration's name."""
        return self._trails[identity]

    def standings(
        self, wanted: Iterable[tuple[Subject, Landed]]
    ) -> dict[tuple[Identity, str], LiveImages] | MissingHistory:
        """What the declarations deployed at the commits: all is read at once."""
        found = self.surveyed((subject, landed.commit.oid) for subject, landed in wanted)
        return found if isinstance(found, MissingHistory) else {key: live_images(each) for key, each in found.items()}

    def surveyed(self, wanted: Iterable[tuple[Subject, str]]) -> dict[tuple[Identity, str], Surveyed] | MissingHistory:
        """What stood in the files of the declarations at commits, by their ids: all is read at once."""
        asked = list(wanted)
        paths: dict[str, set[str]] = {}
        for subject, oid in asked:
            paths.setdefault(oid, set()).update(subject.paths)
        files = self._history.files_at(paths)
        if isinstance(files, MissingHistory):
            return files
        return {
            (subject.identity, oid): surveyed_in(subject.declared, self._scopes, _only(files[oid], subject.paths))
            for subject, oid in asked
        }


@dataclass(frozen=True, slots=True)
class Tenure:
    """Ask since which commit a declaration holds this value; one that landed by `enough` will do as an answer.

    `committed`: whether the value is that of the tip, and not of files that nobody has committed yet.
    """

    subject: Subject
    value: frozenset[str]
    enough: datetime | None = None
    committed: bool = True


def tenures(past: Past, asked: Iterable[Tenure]) -> dict[Identity, Landed | NoHistory]:
    """The commit since which each declaration holds its value without a break, as far as files of today tell.

    A file that had another name counts as a beginning, so the answer is never too early.
    """
    found: dict[Identity, Landed | NoHistory] = {}
    going = [(each, 0 if each.committed else -1) for each in asked]
    while going:
        looked = []
        for each, number in going:
            if answer := _settled(each, past.trail(each.subject), number):
                found[each.subject.identity] = answer
            else:
                looked.append((each, number + 1))
        standings = past.standings((each.subject, past.trail(each.subject)[number]) for each, number in looked)
        if isinstance(standings, MissingHistory):
            return found | {each.subject.identity: NoHistory(standings.reason) for each, _ in looked}
        going = []
        for each, number in looked:
            trail = past.trail(each.subject)
            if standings[each.subject.identity, trail[number].commit.oid].value == each.value:
                going.append((each, number))
            else:
                found[each.subject.identity] = trail[number - 1] if number else NoHistory("it is not committed")
    return found


def _settled(asked: Tenure, trail: Sequence[Landed], number: int) -> Landed | NoHistory | None:
    """The answer, where the commit of that number, at which the value stood, needs no look further back."""
    if not trail:
        return NoHistory("no commit of the branch tells where its files come from")
    if number < 0:
        return None
    is_first = number + 1 == len(trail)
    return trail[number] if is_first or (asked.enough and trail[number].when <= asked.enough) else None


def soak_from(recollect: Recollect, scopes: Scopes, sources: Mapping[Identity, Subject]) -> Callable[..., Soaked]:
    """Answers to questions about soak time, from a history that is brought only when there is one."""

    def answer(questions: Sequence[SoakQuestion]) -> Soaked:
        history = recollect()
        if not isinstance(history, History):
            reason = history.reason if history else "there is no git history"
            return {each.source: NoHistory(reason) for each in questions}
        past = Past(history, scopes, [sources[each.source] for each in questions])
        asked = [Tenure(sources[each.source], frozenset({each.digest}), each.enough) for each in questions]
        since = tenures(past, asked)
        return {identity: at.when if isinstance(at, Landed) else at for identity, at in since.items()}

    return answer


def _only(files: Mapping[str, bytes], paths: Sequence[str]) -> dict[str, bytes]:
    return {path: files[path] for path in paths if path in files}
