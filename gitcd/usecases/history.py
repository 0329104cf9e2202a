"""Ask git's history whether a move was made before; the answers are what `planning.precedents` needs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from gitcd.git.history import History, MissingHistory, PastCommit
from gitcd.model.declaration import Identity
from gitcd.model.trailers import runs
from gitcd.planning.holds import NoHistory, Past, PastMove

if TYPE_CHECKING:
    from gitcd.planning.precedents import Question

Told = tuple[str, str]  # a commit, and the digest that it says it moved to
Trail = list[tuple[PastCommit, list[str]]]


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


def trails(commits: Sequence[PastCommit]) -> dict[Identity, list[Told]]:
    """Every declaration's commits with their digests; `commits` and each trail stand newest first."""
    found: defaultdict[Identity, list[Told]] = defaultdict(list)
    for commit in commits:
        for move in commit.moves:
            found[move.identity].append((commit.oid, move.digest))
    return dict(found)


def _answer(questions: Sequence[Question], history: History) -> dict[Identity, Past]:
    """For each question the newest commit that bears it out, of those after which no other move came.

    Where no commit that touched its files tells of a declaration they were renamed since: then all commits are asked.
    """
    near = _trails_of(history.past_moves(sorted({path for each in questions for path in each.paths})))
    answers = _search([(each, near[each.identity]) for each in questions if each.identity in near], history)
    if lost := [each for each in questions if each.identity not in near]:
        far = _trails_of(history.all_moves())
        found = [(each, far[each.identity]) for each in lost if each.identity in far]
        answers |= _search(found, history, renamed=True)
    return answers


def _trails_of(commits: Sequence[PastCommit]) -> dict[Identity, Trail]:
    """Every declaration's commits with all digests that each of them tells of."""
    found: defaultdict[Identity, Trail] = defaultdict(list)
    for commit in commits:
        digests: defaultdict[Identity, list[str]] = defaultdict(list)
        for move in commit.moves:
            digests[move.identity].append(move.digest)
        for identity, moved in digests.items():
            found[identity].append((commit, moved))
    return dict(found)


def _search(
    asked: Sequence[tuple[Question, Trail]], history: History, *, renamed: bool = False
) -> dict[Identity, Past]:
    """Look at the candidates of all questions at once: first each newest, then the next where that told otherwise."""
    answers: dict[Identity, Past] = {}
    searches = [(question, _candidates(question, trail)) for question, trail in asked]
    while heads := [(question, rest, told) for question, rest in searches if (told := next(rest, None))]:
        files = _files(history, [(question, told[0].oid) for question, _, told in heads], renamed=renamed)
        if isinstance(files, MissingHistory):
            return answers | _missing([question for question, _, _ in heads], files)
        searches = []
        for question, rest, (commit, digest) in heads:
            if question.is_answered_by(digest, files[commit.oid]):
                answers[question.identity] = PastMove(commit.oid, digest, files[commit.oid], commit.when)
            else:  # it repeats our trailers only, or squashed a move and its revert: look further back
                searches.append((question, rest))
    return answers


def _candidates(question: Question, trail: Trail) -> Iterator[tuple[PastCommit, str]]:
    """The commits that tell of the move that is asked for, newest first, until another move came before them."""
    sought = {question.digest} - {""}
    for number, (commit, digests) in enumerate(trail):
        copied = _is_copy(commit, trail[number + 1 :])
        sought = sought or set([] if copied else digests)
        if not sought.isdisjoint(digests):
            yield from ((commit, digest) for digest in reversed(digests) if digest in sought)
        elif not copied:
            return


def _is_copy(commit: PastCommit, older: Trail) -> bool:
    """Whether a person committed an older commit of ours again, say to go back to what it wrote: that moves nothing."""
    return any(
        (commit.moves, runs(commit.message)) == (each.moves, runs(each.message)) and commit.committer != each.committer
        for each, _ in older
    )


def _files(
    history: History, wanted: Sequence[tuple[Question, str]], *, renamed: bool
) -> dict[str, dict[str, bytes]] | MissingHistory:
    paths: defaultdict[str, set[str]] = defaultdict(set)
    for question, commit in wanted:
        paths[commit].update(question.paths)
    for commit, changed in history.changed_in(paths).items() if renamed and paths else ():
        paths[commit].update(changed)
    return history.files_at(paths)


def _missing(questions: Collection[Question], missing: MissingHistory) -> dict[Identity, Past]:
    return {each.identity: NoHistory(missing.reason, missing.remedy, missing.lasting) for each in questions}
