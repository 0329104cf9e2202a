"""Whether what a pull request brought was taken back by a person, where the message of its merge does not tell of it.

A squash may drop the trailers of our commit, and then history alone does not say that the content ever came from us.
The merged pull request does.
"""

from __future__ import annotations

from itertools import takewhile

from gitcd.git.history import MissingHistory, ensure_history
from gitcd.git.mirror import Mirror
from gitcd.model.plan import PlannedPull
from gitcd.model.pull import PullRequest, PullState
from gitcd.model.trailers import Move


def taken_back(mirror: Mirror, pull: PlannedPull, newest: PullRequest) -> bool:
    """Whether the last pull request that was closed brought this very content, and nothing of ours came since.

    Where a commit tells of the content, the plan has judged by that already.
    """
    if newest.state is not PullState.MERGED or newest.plan != pull.id or not newest.merge_commit:
        return False
    history = ensure_history(mirror, mirror.tip)
    if isinstance(history, MissingHistory):
        return False
    paths = [file.path for file in pull.commit.files]
    outcomes = pull.commit.outcomes
    brought = {Move(each.identity, each.resolved.digest) for each in outcomes if each.resolved}
    if any(not brought.isdisjoint(commit.moves) for commit in history.past_moves(paths)):
        return False
    line = [landed.commit for landed in history.line(paths)]
    since = list(takewhile(lambda commit: commit.oid != newest.merge_commit, line))
    movers = {each.identity for each in outcomes}
    return 0 < len(since) < len(line) and not any(move.identity in movers for commit in since for move in commit.moves)
