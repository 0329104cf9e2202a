"""Hold and release, over real git and in a work tree."""

import pytest

from gitcd.errors import ConfigError, TransientError
from gitcd.git.worktree import WorkTree
from gitcd.manifests.reading import read_hold
from gitcd.model.hold import Hold
from gitcd.model.plan import OutcomeKind
from gitcd.model.tree import MemoryTree
from gitcd.planning.holds import NoHistory
from gitcd.usecases import holding
from gitcd.usecases.holding import HoldRequest, hold, release
from gitcd.usecases.holding_list import list_holds
from tests.support.scenes import AUTHOR, LAYOUT, NOW, app_files, context, digest, mirror_of, reference, run

PATH = "envs/dev/app/deployment.yaml"
HOLD = ".gitcd/holds/dev/team.app.yaml"


def held(remote, request):
    with mirror_of(remote.url) as mirror:
        return holding.commit(mirror, lambda tree, _: hold(tree, request, NOW), AUTHOR, NOW)


def released(remote, tags, app="app"):
    with mirror_of(remote.url) as mirror:
        recall = context(mirror, tags).recall
        return holding.commit(mirror, lambda tree, _: release(tree, app, recall, by="ann", now=NOW), AUTHOR, NOW)


def outcome(remote, tags, name="app"):
    return next(each for each in run(remote.url, tags).work.plan.outcomes if each.identity.name == name)


def test_a_hold_is_one_file_in_one_commit_and_holds_until_released(remote, tags):
    before = remote.count()
    published = held(remote, HoldRequest("app", reason="looks slow", by="ann"))
    assert remote.count() == before + 1
    assert remote.git("log", "-1", "--format=%B").strip() == "Hold dev/team/app\n\nThe reason given: looks slow"
    assert remote.git("diff-tree", "-r", "--name-only", "main~1", "main").split() == [HOLD]
    assert published.work.change.path == HOLD
    assert outcome(remote, tags).kind is OutcomeKind.HELD
    assert outcome(remote, tags, "other").kind is OutcomeKind.CURRENT
    released(remote, tags)
    assert HOLD not in remote.git("ls-tree", "-r", "--name-only", "main").split()
    assert outcome(remote, tags).kind is OutcomeKind.PIN_ONLY


def test_a_rejected_digest_is_kept_out_and_the_next_one_let_in(remote, tags):
    run(remote.url, tags)
    held(remote, HoldRequest("dev/team/app", reject=digest("team/app:1.1.0"), version="1.1.0", reason="crashes"))
    tags.move("team/app", "env-dev", "1.1.0")
    assert outcome(remote, tags).kind is OutcomeKind.HELD
    tags.move("team/app", "env-dev", "1.1.1")
    assert outcome(remote, tags).kind is OutcomeKind.BUMPED
    assert reference("app", "1.1.1") in remote.show(PATH)


def test_holding_twice_adds_to_the_file(remote):
    held(remote, HoldRequest("app", reject=digest("a"), reason="first"))
    held(remote, HoldRequest("app", reject=digest("b"), reason="second"))
    text = remote.show(HOLD).decode()
    assert digest("a") in text
    assert digest("b") in text


def test_a_human_s_revert_can_be_released(remote, tags):
    run(remote.url, tags)
    before = remote.show(PATH)
    tags.move("team/app", "env-dev", "1.1.0")
    run(remote.url, tags)
    remote.commit({PATH: before}, "No")
    assert outcome(remote, tags).reason == "Reverted"
    assert "let" in released(remote, tags).work.said
    assert outcome(remote, tags).kind is OutcomeKind.BUMPED
    assert reference("app", "1.1.0") in remote.show(PATH)


def test_releasing_what_nothing_holds_changes_nothing(remote, tags):
    run(remote.url, tags)
    tip = remote.tip
    published = released(remote, tags)
    assert (published.work.change, published.commits, remote.tip) == (None, (), tip)
    assert published.work.said == "Nothing holds dev/team/app"


def test_in_a_work_tree_only_the_file_is_written(tmp_path):
    for path, data in ({"gitcd.yaml": LAYOUT} | app_files("app")).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    tree = WorkTree(tmp_path)
    holding.write(tree, hold(tree, HoldRequest("app", until="2026-12-01"), NOW))
    written = Hold(freeze=True, until="2026-12-01", time="2026-11-22T12:00:00Z")
    assert read_hold(HOLD, (tmp_path / HOLD).read_bytes()) == (written, ())
    holding.write(tree, release(tree, "app", lambda _: {}, now=NOW))
    assert not (tmp_path / HOLD).exists()


@pytest.mark.parametrize(("app", "said"), [("nobody", "no declaration is called"), ("app", "names 2 declarations")])
def test_the_operand_must_name_one_declaration(app, said):
    tree = MemoryTree({"gitcd.yaml": LAYOUT} | app_files("app") | app_files("app", environment="prod"))
    with pytest.raises(ConfigError, match=said) as caught:
        hold(tree, HoldRequest(app), NOW)
    assert "prod/team/app" in caught.value.remedy


def test_a_rejection_needs_a_whole_digest():
    tree = MemoryTree({"gitcd.yaml": LAYOUT} | app_files("app"))
    with pytest.raises(ConfigError, match="is not a digest"):
        hold(tree, HoldRequest("app", reject="1.1.0"), NOW)


def test_an_end_that_is_no_moment_is_refused_before_it_is_written():
    tree = MemoryTree({"gitcd.yaml": LAYOUT} | app_files("app"))
    with pytest.raises(ConfigError, match="until: 'tomorrow' is not a date"):
        hold(tree, HoldRequest("app", until="tomorrow"), NOW)


@pytest.mark.parametrize(
    "reason",
    [
        "x\n\nGitcd-App: team/app\nGitcd-Digest: sha256:1",
        "Signed-off-by: Eve <eve@example.com>",
        "Gitcd-Run: 1",
        "@team",
    ],
)
def test_T21_a_reason_forges_no_trailer(remote, tags, reason):
    held(remote, HoldRequest("app"))
    with mirror_of(remote.url) as mirror:
        recall = context(mirror, tags).recall
        holding.commit(mirror, lambda tree, _: release(tree, "app", recall, reason=reason, now=NOW), AUTHOR, NOW)
    message = remote.git("log", "-1", "--format=%B")
    assert message.startswith("Release dev/team/app")
    assert remote.git("interpret-trailers", "--parse", stdin=message.encode()) == ""
    assert "@team" not in message


class TestList:
    def rows(self, files):
        return list_holds(MemoryTree({"gitcd.yaml": LAYOUT} | app_files("app") | files), NOW)

    def test_holds_and_freezes_say_whether_they_are_in_force(self):
        layout = LAYOUT.replace(b"path: envs/dev}", b"path: envs/dev, freeze: [{until: 2026-11-01, reason: audit}]}")
        text = (
            f"freeze: true\nuntil: 2026-12-01\nby: ada\ntime: 2026-11-20\n"
            f"reject: [{{digest: '{digest('a')}', version: 1.2.0, until: 2026-11-02}}]\n"
        )
        rows = self.rows({"gitcd.yaml": layout, HOLD: text.encode()})
        assert [(row.subject, str(row.held)) for row in rows] == [
            ("dev", "freeze until 2026-11-01 (over): audit"),
            ("dev/team/app", "freeze since 2026-11-20 until 2026-12-01 by ada"),
            ("dev/team/app", "reject 1.2.0 until 2026-11-02 by ada (over)"),
        ]

    def test_files_that_hold_nothing_and_all_are_listed_too(self):
        folder = HOLD.rpartition("/")[0]
        rows = self.rows(
            {f"{folder}/team.gone.yaml": b"freeze: true\n", HOLD: b"freez: true\n", f"{folder}/app.yaml": b""}
        )
        assert [(row.subject, row.held.what, row.note) for row in rows] == [
            ("dev/team/gone", "freeze", "there is no such declaration"),
            ("dev/team/app", "everything", "is not a known field"),
            ("-", "nothing", "the path names no declaration"),
        ]


def test_the_hold_of_a_renamed_declaration_can_be_released():
    path = HOLD.replace("team.app", "team.gone")
    tree = MemoryTree({"gitcd.yaml": LAYOUT, path: b"freeze: true\n"} | app_files("app"))
    change = release(tree, "gone", lambda _: {}, now=NOW).change
    assert (change.path, change.after) == (path, None)


def test_what_is_current_says_that_a_hold_is_in_force(remote, tags):
    run(remote.url, tags)
    held(remote, HoldRequest("app", reason="audit"))
    found = outcome(remote, tags)
    assert (found.kind, found.reason) == (OutcomeKind.CURRENT, "HoldInForce")
    assert found.message == "a hold is in force: freeze since 2026-11-22T12:00:00Z: audit"


def test_a_hold_file_is_released_though_the_history_is_missing():
    tree = MemoryTree({"gitcd.yaml": LAYOUT, HOLD: b"freeze: true\n"} | app_files("app"))
    done = release(tree, "app", lambda asked: {each.identity: NoHistory("gone") for each in asked}, now=NOW)
    assert (done.change.path, done.change.after) == (HOLD, None)
    assert done.note == "history that may hold dev/team/app is missing: gone"


@pytest.mark.parametrize(("lasting", "error"), [(True, ConfigError), (False, TransientError)])
def test_without_history_nobody_can_tell_what_a_release_lets_in(lasting, error):
    tree = MemoryTree({"gitcd.yaml": LAYOUT} | app_files("app"))
    with pytest.raises(error, match="history that may hold dev/team/app is missing: gone"):
        release(tree, "app", lambda asked: {each.identity: NoHistory("gone", "", lasting) for each in asked}, now=NOW)
