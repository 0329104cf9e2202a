"""Pushing: what is reported is what became of the branch, whatever git said."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gitcd.errors import ConfigError, TransientError
from gitcd.git.commit import Author, NewCommit, write_commits
from gitcd.git.mirror import Mirror, open_mirror
from gitcd.git.push import Pushed, declines, push
from gitcd.git.remote import Remote
from gitcd.git.runner import Result
from gitcd.model.plan import FileChange
from gitcd.model.tree import Mode
from tests.support.githttp import serve
from tests.support.repos import Bare, make_bare

WHEN = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def mirror(remote: Bare) -> Iterator[Mirror]:
    with open_mirror(Remote.parse(remote.url), "main") as mirror:
        yield mirror


def bump(mirror: Mirror, tip: str, content: bytes = b"image: a:9\n") -> str:
    change = FileChange("prod/app.yaml", Mode.FILE, None, content)
    author = Author("gitcd", "gitcd@example.com")
    return write_commits(mirror.git, tip, [NewCommit("Bump", [change])], author=author, when=WHEN)[0]


def pauses() -> tuple[list[float], Callable[[float], None]]:
    taken: list[float] = []
    return taken, taken.append


def test_a_push_lands(mirror: Mirror, remote: Bare) -> None:
    tip = mirror.fetch()
    oid = bump(mirror, tip)
    result = push(mirror.origin, oid, "main", expected=tip)
    assert (result.kind, result.tip) == (Pushed.LANDED, oid)
    assert remote.tip == oid
    assert remote.show("prod/app.yaml") == b"image: a:9\n"


def test_a_new_branch_is_made_where_none_is_expected(mirror: Mirror, remote: Bare) -> None:
    oid = bump(mirror, mirror.fetch())
    assert push(mirror.origin, oid, "gitcd/bump", expected="").kind is Pushed.LANDED
    assert remote.git("rev-parse", "refs/heads/gitcd/bump") == oid


def test_F13_a_second_writer_wins_and_nothing_of_his_is_lost(mirror: Mirror, remote: Bare) -> None:
    tip = mirror.fetch()
    oid = bump(mirror, tip)
    theirs = remote.commit({"human.txt": b"mine"})
    result = push(mirror.origin, oid, "main", expected=tip)
    assert (result.kind, result.tip) == (Pushed.MOVED, theirs)
    assert remote.tip == theirs
    again = mirror.fetch()
    assert again == theirs
    assert push(mirror.origin, bump(mirror, again), "main", expected=again).kind is Pushed.LANDED
    assert remote.show("human.txt") == b"mine"


def test_F13_a_writer_between_the_question_and_the_push(
    mirror: Mirror, remote: Bare, monkeypatch: pytest.MonkeyPatch
) -> None:
    tip = mirror.fetch()
    oid = bump(mirror, tip)
    original, raced = mirror.origin.push, []

    def race(*args: str) -> object:
        raced.append(remote.commit({"human.txt": b"mine"}))
        return original(*args)

    monkeypatch.setattr(mirror.origin, "push", race)
    result = push(mirror.origin, oid, "main", expected=tip)
    assert (result.kind, result.tip) == (Pushed.MOVED, raced[0])
    assert len(raced) == 1
    assert remote.tip == raced[0]


def test_F14_the_same_commit_by_another_run_has_landed(mirror: Mirror, remote: Bare) -> None:
    tip = mirror.fetch()
    oid = bump(mirror, tip)
    with open_mirror(Remote.parse(remote.url), "main") as other:
        assert bump(other, other.fetch()) == oid
        push(other.origin, oid, "main", expected=tip)
    assert push(mirror.origin, oid, "main", expected=tip).kind is Pushed.LANDED
    assert remote.count() == 2


@pytest.mark.parametrize("how", ["rewound", "rewritten"])
def test_F15_dropped_history_is_not_pushed_back(mirror: Mirror, remote: Bare, how: str) -> None:
    start = remote.tip
    remote.commit({"secret.txt": b"leaked"}, "To be dropped")
    tip = mirror.fetch()
    oid = bump(mirror, tip)
    if how == "rewound":
        remote.git("update-ref", "refs/heads/main", start)
    else:
        remote.commit({"clean.txt": b""}, "Instead", parent=start)
    now = remote.tip
    assert (now == start) is (how == "rewound")
    assert push(mirror.origin, oid, "main", expected=tip).kind is Pushed.MOVED
    assert remote.tip == now
    assert mirror.fetch() == now
    assert push(mirror.origin, bump(mirror, now), "main", expected=now).kind is Pushed.LANDED
    assert "secret.txt" not in remote.git("ls-tree", "-r", "--name-only", "main")


def test_F15_a_commit_of_ours_that_was_dropped_is_not_pushed_back(mirror: Mirror, remote: Bare) -> None:
    start = mirror.fetch()
    first = bump(mirror, start, b"image: a:8\n")
    assert push(mirror.origin, first, "main", expected=start).kind is Pushed.LANDED
    mirror.landed(first)
    second = bump(mirror, first, b"image: a:9\n")
    remote.git("update-ref", "refs/heads/main", start)
    result = push(mirror.origin, second, "main", expected=first)
    assert (result.kind, result.tip) == (Pushed.MOVED, start)
    assert remote.tip == start


def test_F16_the_link_drops_before_the_ref_moved(mirror: Mirror, remote: Bare) -> None:
    tip = mirror.fetch()
    oid = bump(mirror, tip)
    taken, sleep = pauses()
    remote.hook("pre-receive", "test -e seen || { touch seen; kill -9 $PPID; sleep 0.1; }")
    assert push(mirror.origin, oid, "main", expected=tip, sleep=sleep).kind is Pushed.LANDED
    assert remote.tip == oid
    assert len(taken) == 1


def test_F16_the_link_always_drops(mirror: Mirror, remote: Bare) -> None:
    tip = mirror.fetch()
    taken, sleep = pauses()
    remote.hook("pre-receive", "kill -9 $PPID; sleep 0.1")
    result = push(mirror.origin, bump(mirror, tip), "main", expected=tip, sleep=sleep)
    assert (result.kind, result.tip) == (Pushed.UNCHANGED, tip)
    assert result.text
    assert remote.tip == tip
    assert len(taken) == 3
    assert taken[0] < taken[2] <= 3


def test_F17_the_link_drops_after_the_ref_moved(mirror: Mirror, remote: Bare) -> None:
    tip = mirror.fetch()
    oid = bump(mirror, tip)
    taken, sleep = pauses()
    remote.hook("post-receive", "kill -9 $PPID; sleep 0.1")
    assert push(mirror.origin, oid, "main", expected=tip, sleep=sleep).kind is Pushed.LANDED
    assert remote.count() == 2
    assert taken == []


@pytest.mark.parametrize(
    ("hook", "script", "words"),
    [
        (
            "pre-receive",
            "echo 'error: GH006: Protected branch update failed for refs/heads/main.' >&2; exit 1",
            "GH006",
        ),
        ("pre-receive", "echo 'error: GH013: Repository rule violations found' >&2; exit 1", "GH013"),
        ("pre-receive", "echo 'GitLab: You are not allowed to push code to protected branches' >&2; exit 1", "GitLab"),
        ("update", "echo 'ask the release team' >&2; exit 1", "release team"),
    ],
)
def test_F18_a_protected_branch_is_not_tried_again(
    mirror: Mirror, remote: Bare, hook: str, script: str, words: str
) -> None:
    tip = mirror.fetch()
    taken, sleep = pauses()
    remote.hook(hook, script)
    result = push(mirror.origin, bump(mirror, tip), "main", expected=tip, sleep=sleep)
    assert (result.kind, result.tip) == (Pushed.DECLINED, tip)
    assert "hook declined" in result.text
    assert words in result.text
    assert taken == []


def test_F18_escape_sequences_of_a_hook_are_not_passed_on(mirror: Mirror, remote: Bare) -> None:
    tip = mirror.fetch()
    remote.hook("pre-receive", "printf 'no\\033]0;evil\\007\\033[2Jway\\n' >&2; exit 1")
    text = push(mirror.origin, bump(mirror, tip), "main", expected=tip).text
    assert "\x1b" not in text
    assert "\x07" not in text


def test_F19_a_lock_left_at_the_server_is_waited_for(mirror: Mirror, remote: Bare) -> None:
    tip = mirror.fetch()
    oid = bump(mirror, tip)
    lock = remote.path / "refs" / "heads" / "main.lock"
    lock.touch()
    assert push(mirror.origin, oid, "main", expected=tip, sleep=lambda _: None).kind is Pushed.UNCHANGED
    assert lock.exists()
    assert push(mirror.origin, oid, "main", expected=tip, sleep=lambda _: lock.unlink()).kind is Pushed.LANDED


@pytest.mark.parametrize(
    "reason",
    [
        "failed to update ref",
        "failed to update refs",
        "reference already exists",
        "reference does not exist",
        "incorrect old value provided",
        "unpacker error",
    ],
)
def test_F19_a_server_that_is_in_use_does_not_decline(reason: str) -> None:
    """In the words of git up to 2.50, and of later ones, which call a locked branch one that exists already."""
    assert not declines(f"[remote rejected] ({reason})")


def test_F20_a_push_that_hangs_is_ended_and_its_late_landing_is_the_same_commit(tmp_path: Path) -> None:
    remote = make_bare(tmp_path / "served" / "config.git", {"prod/app.yaml": b"image: a:1\n"})
    with serve(tmp_path / "served") as server:
        with open_mirror(Remote.parse(server.url(remote.path)), "main", timeout=1) as mirror:
            tip = mirror.fetch()
            oid = bump(mirror, tip)
            remote.hook("pre-receive", "test -e seen || { touch seen; sleep 3; }")
            started = time.monotonic()
            first = push(mirror.origin, oid, "main", expected=tip, attempts=1)
            assert first.kind is Pushed.UNCHANGED
            assert "ended after 1 seconds" in first.text
            assert time.monotonic() - started < 2.9
            assert remote.tip == tip
            assert push(mirror.origin, oid, "main", expected=tip).kind is Pushed.LANDED
            time.sleep(max(0.0, started + 4 - time.monotonic()))
        assert remote.tip == oid
        assert remote.count() == 2


def test_F20_no_process_is_left_after_the_deadline(mirror: Mirror, remote: Bare, tmp_path: Path) -> None:
    tip = mirror.fetch()
    remote.hook("pre-receive", f"echo $$ > {tmp_path}/pid; sleep 60")
    with open_mirror(Remote.parse(remote.url), "main", timeout=1) as hurried:
        result = push(hurried.origin, bump(hurried, hurried.fetch()), "main", expected=tip, attempts=1)
    assert result.kind is Pushed.UNCHANGED
    pid = (tmp_path / "pid").read_text().strip()
    deadline = time.monotonic() + 5
    while _alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _alive(pid)


def test_F20_what_does_not_listen_is_ended_by_force(mirror: Mirror, remote: Bare, tmp_path: Path) -> None:
    tip = mirror.fetch()
    remote.hook("pre-receive", f"trap '' TERM; echo $$ > {tmp_path}/pid; sleep 20 & wait; sleep 20")
    with open_mirror(Remote.parse(remote.url), "main", timeout=1) as hurried:
        push(hurried.origin, bump(hurried, hurried.fetch()), "main", expected=tip, attempts=1)
    pid = (tmp_path / "pid").read_text().strip()
    deadline = time.monotonic() + 5
    while _alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _alive(pid)


def test_a_remote_that_is_gone_leaves_no_false_report(mirror: Mirror, remote: Bare) -> None:
    tip = mirror.fetch()
    oid = bump(mirror, tip)
    remote.hook("pre-receive", f"mv {remote.path} {remote.path}.away; kill -9 $PPID")
    with pytest.raises(ConfigError, match="cannot read"):
        push(mirror.origin, oid, "main", expected=tip, attempts=1)


def test_an_unknown_end_is_said_to_be_unknown(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    tip = mirror.fetch()
    oid = bump(mirror, tip)

    def unreachable(branch: str) -> str:
        raise TransientError("cannot read it: connection refused")

    monkeypatch.setattr(mirror.origin, "tip", unreachable)
    with pytest.raises(TransientError, match="may or may not have landed"):
        push(mirror.origin, oid, "main", expected=tip, sleep=lambda _: None)


class Scripted:
    """A remote that names these tips, one after the other, and gives every push the same answer."""

    def __init__(self, answer: Result, *tips: str) -> None:
        self._answer, self._tips = answer, iter(tips)

    def tip(self, _branch: str) -> str:
        return next(self._tips)

    def push(self, _oid: str, _branch: str) -> Result:
        return self._answer

    def failure(self, what: str, result: Result) -> TransientError:
        return TransientError(f"{what}: {result.last_words}")


@pytest.mark.parametrize(
    ("said", "unclear"), [(b"", True), (b"!\tHEAD:refs/heads/main\t[remote rejected] (failed to lock)\n", False)]
)
def test_F17_a_push_that_got_no_answer_may_have_landed_whatever_is_heard_later(said: bytes, unclear: bool) -> None:
    origin = Scripted(Result(128, said, "the connection was reset"), "old", "old", "theirs")
    result = push(origin, "ours", "main", expected="old", sleep=lambda _: None)
    assert (result.kind, result.tip, result.unclear) == (Pushed.MOVED, "theirs", unclear)


def test_what_no_further_attempt_can_mend_is_not_attempted_again() -> None:
    class Closed(Scripted):
        def failure(self, what: str, result: Result) -> ConfigError:
            return ConfigError(f"{what}: {result.last_words}")

    taken, sleep = pauses()
    with pytest.raises(ConfigError, match="push to: who are you"):
        push(Closed(Result(128, b"", "who are you"), *["old"] * 9), "ours", "main", expected="old", sleep=sleep)
    assert taken == []


def test_a_git_that_is_content_and_tells_nothing_has_pushed_nothing() -> None:
    origin = Scripted(Result(0, b"", ""), *["old"] * 9)
    assert push(origin, "ours", "main", expected="old", sleep=lambda _: None).kind is Pushed.UNCHANGED


def test_T29_no_push_is_ever_forced(mirror: Mirror, remote: Bare, processes: list[list[str]]) -> None:
    remote.hook("pre-receive", "test -e seen || { touch seen; exit 1; }")
    for attempt in range(3):
        tip = mirror.fetch()
        oid = bump(mirror, tip, b"%d" % attempt)
        if attempt == 1:
            remote.commit({"human.txt": b"x"})
        push(mirror.origin, oid, "main", expected=tip, sleep=lambda _: None)
    pushes = [words for words in processes if "push" in words]
    assert len(pushes) >= 2
    for words in pushes:
        operands = words[words.index("--") + 1 :]
        assert not [word for word in words if word.startswith(("--force", "-f", "--mirror", "--delete", "--prune"))]
        assert len(operands) == 2
        assert operands[1].endswith(":refs/heads/main")
        assert not operands[1].startswith(("+", ":"))


def test_T2_operands_of_the_remote_stand_behind_two_dashes(
    mirror: Mirror, remote: Bare, processes: list[list[str]]
) -> None:
    tip = mirror.fetch()
    oid = bump(mirror, tip)
    push(mirror.origin, oid, "main", expected=tip)
    mirror.origin.head()
    mirror.origin.fetch_tips(["main"])
    mirror.origin.push_leased([("gitcd/bump", oid, "")])
    talking = [words for words in processes if remote.url in words]
    assert {next(verb for verb in ("ls-remote", "fetch", "push") if verb in words) for words in talking} == {
        "ls-remote", "fetch", "push"
    }  # fmt: skip
    for words in talking:
        assert words.index("--") + 1 == words.index(remote.url), words
        assert not [word for word in words[words.index("--") + 1 :] if word.startswith("-")], words


def _alive(pid: str) -> bool:
    try:
        return "(sh) Z" not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
