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
    """For each question the last commit that made the move it asks about, unless another move came after."""
    moves = trails(history.past_moves(sorted({path for each in questions for path in each.paths})))
    open_questions = [each for each in questions if each.identity in moves]
    answers: dict[Identity, Past] = {}
    while open_questions:
        asked = [each for each in open_questions if moves[each.identity] and _concerns(each, moves[each.identity][0])]
        files = _files(history, asked, moves)
        if isinstance(files, MissingHistory):
            return answers | _missing(asked, files)
        open_questions = []
        for question in asked:
            commit, digest = moves[question.identity].pop(0)
            held = {path: files[commit][path] for path in question.paths if path in files[commit]}
            if question.is_answered_by(digest, held.values()):
                answers[question.identity] = PastMove(commit, digest, held)
            else:  # a revert that repeats our trailers, or a squash of a move and its revert: look further back
                open_questions.append(question)
    return answers


def trails(commits: Sequence[PastCommit]) -> dict[Identity, list[tuple[str, str]]]:
    """Every declaration's commits with their digests; `commits` and each trail stand newest first."""
    found: defaultdict[Identity, list[tuple[str, str]]] = defaultdict(list)
    for commit in commits:
        for move in commit.moves:
            found[move.identity].append((commit.oid, move.digest))
    return dict(found)


def _concerns(question: Question, move: tuple[str, str]) -> bool:
    return question.digest in {"", move[1]}


def _files(
    history: History, questions: Sequence[Question], moves: Mapping[Identity, Sequence[tuple[str, str]]]
) -> dict[str, dict[str, bytes]] | MissingHistory:
    wanted: defaultdict[str, set[str]] = defaultdict(set)
    for question in questions:
        commit, _ = moves[question.identity][0]
        wanted[commit].update(question.paths)
    return history.files_at(wanted) if wanted else {}


def _missing(questions: Collection[Question], missing: MissingHistory) -> dict[Identity, Past]:
    return {each.identity: NoHistory(missing.reason) for each in questions}
