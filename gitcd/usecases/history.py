"""Ask git's history whether a move was made before; the answers are what `planning.precedents` needs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence

from gitcd.git.history import History, MissingHistory, PastCommit
from gitcd.model.declaration import Identity
from gitcd.planning.holds import NoHistory, Past, PastMove
from gitcd.planning.precedents import Question


def recall_from(
    history: Callable[[], History | MissingHistory | None],
) -> Callable[[Sequence[Question]], Mapping[Identity, Past]]:
    """Answers to questions from a history that is brought only when there is a question."""

    def recall(questions: Sequence[Question]) -> Mapping[Identity, Past]:
        if not questions:
            return {}
        known = history()
        if known is None:
            return {}
        return _missing(questions, known) if isinstance(known, MissingHistory) else _answer(questions, known)

    return recall


def _answer(questions: Sequence[Question], history: History) -> dict[Identity, Past]:
    """For each question the last move, where it was to the digest in question, or to any where none is named."""
    last = _last_moves(history.past_moves(sorted({path for each in questions for path in each.paths})))
    asked = {each: last[each.identity] for each in questions if each.identity in last}
    relevant = {each: move for each, move in asked.items() if each.digest in {"", move[1]}}
    wanted: defaultdict[str, set[str]] = defaultdict(set)
    for question, (commit, _) in relevant.items():
        wanted[commit].update(question.paths)
    files = _files(history, wanted)
    if isinstance(files, MissingHistory):
        return _missing(relevant, files)
    return {
        question.identity: PastMove(
            commit, digest, {path: files[commit][path] for path in question.paths if path in files[commit]}
        )
        for question, (commit, digest) in relevant.items()
    }


def _last_moves(commits: Sequence[PastCommit]) -> dict[Identity, tuple[str, str]]:
    """The newest commit and digest of every declaration; `commits` stand newest first."""
    last: dict[Identity, tuple[str, str]] = {}
    for commit in commits:
        for move in commit.moves:
            last.setdefault(move.identity, (commit.oid, move.digest))
    return last


def _files(history: History, wanted: Mapping[str, Collection[str]]) -> dict[str, dict[str, bytes]] | MissingHistory:
    return history.files_at(wanted) if wanted else {}


def _missing(questions: Collection[Question], missing: MissingHistory) -> dict[Identity, Past]:
    return {each.identity: NoHistory(missing.reason) for each in questions}
