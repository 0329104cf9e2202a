"""Whole command lines against a real Gitea, over real git http: what a user, a reviewer and gitcd do to each other."""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gitcd.cli.main import run
from gitcd.forge.opening import open_forge
from gitcd.model import settings
from gitcd.model.declaration import Identity, Origin
from gitcd.model.journal import Entry
from gitcd.model.plan import FileChange, Outcome, OutcomeKind, PlannedCommit, PlannedPull, Resolved
from gitcd.model.pull import Limits, MergeMethod, PullState
from gitcd.model.trailers import parse
from gitcd.model.tree import Mode
from gitcd.rendering.pull import Details, Provenance, RenderedObject, pull_content
from tests.support.ecr import StandIn, single_manifest
from tests.support.gitea import Repository, gitea, repository  # noqa: F401 - fixtures
from tests.support.repos import git
from tests.support.scenes import HOST, app_files

LAYOUT = b"""\
apiVersion: gitcd.io/v1
kind: ConfigRepository
environments:
  - {name: dev, path: envs/dev}
  - {name: prod, path: envs/prod, delivery: {mode: PullRequest, group: env}}
"""
BRANCH = "gitcd/prod/env"
PATH = "envs/prod/app/deployment.yaml"
pytestmark = pytest.mark.slow


def revision(version: str) -> str:
    return version.replace(".", "").ljust(40, "a")


def built(version: str) -> str:
    """A manifest that says where its image comes from."""
    annotations = {
        "org.opencontainers.image.source": "https://github.com/team/app",
        "org.opencontainers.image.revision": revision(version),
    }
    return json.dumps(json.loads(single_manifest(version)) | {"annotations": annotations})


class Team:
    """A config repository on the forge, a registry, and the people around them."""

    def __init__(self, repository: Repository, ecr: StandIn, folder: Path, capfd) -> None:  # noqa: F811 - the fixture
        self.repository, self.ecr, self.capfd = repository, ecr, capfd
        self.work = folder / "work"
        bot = repository.forge.bot
        git(folder, "clone", "--quiet", repository.url.replace("//", f"//{bot.name}:{bot.token}@"), str(self.work))
        ecr.put("team/app", tags=["1.0.0", "env-dev", "env-prod"], manifest=built("1.0.0"))
        files = {"gitcd.yaml": LAYOUT} | app_files("app") | app_files("app", environment="prod")
        self.push(files)

    def push(self, files: dict[str, bytes], message: str = "A change") -> None:
        git(self.work, "pull", "--quiet", "--rebase")
        for name, content in files.items():
            (self.work / name).parent.mkdir(parents=True, exist_ok=True)
            (self.work / name).write_bytes(content)
        git(self.work, "add", "-A")
        git(self.work, "commit", "--quiet", "-m", message)
        git(self.work, "push", "--quiet")

    def show(self, path: str = PATH, branch: str = "main") -> str:
        git(self.work, "fetch", "--quiet", "--prune")
        return git(self.work, "show", f"origin/{branch}:{path}")

    def move(self, version: str) -> str:
        return self.ecr.put("team/app", tags=[version, "env-prod"], manifest=built(version))

    def gitcd(self, *arguments: str, code: int = 0) -> tuple[str, str]:
        got = run(arguments)
        out, err = self.capfd.readouterr()
        assert got == code, err
        return out, err

    def report(self, *arguments: str, code: int = 0) -> dict:
        return json.loads(self.gitcd("reconcile", "-o", "json", *arguments, code=code)[0])

    def api(self, method: str, path: str, body: object = None):
        return self.repository.forge.api(method, f"{self.repository.path}{path}", body)

    def pulls(self, state: str = "all") -> list[dict]:
        return sorted(self.api("GET", f"/pulls?state={state}"), key=lambda pull: pull["number"])

    def branches(self) -> list[str]:
        return [each["name"] for each in self.api("GET", "/branches") if each["name"] != "main"]

    def merge(self, number: int, method: str) -> None:
        """As the button of the web page does it: the message of a squash is what the page offers; `bare`: none."""
        pull = self.api("GET", f"/pulls/{number}")
        message = {"MergeMessageField": pull["body"]} if method == "squash" else {}
        for _ in range(40):
            try:
                self.api("POST", f"/pulls/{number}/merge", {"Do": "squash" if method == "bare" else method, **message})
            except urllib.error.HTTPError:
                time.sleep(0.1)  # it says 405 until it has found out
            else:
                return
        raise AssertionError("Gitea never finds it mergeable")


@pytest.fixture
def team(repository, tmp_path, monkeypatch, capfd):  # noqa: F811 - the fixture
    bot = repository.forge.bot
    with StandIn() as ecr:
        for name, value in {
            "GITCD_REPO": repository.url,
            "GITCD_GIT_TOKEN": bot.token,
            "GITCD_GIT_USERNAME": bot.name,
            "GITCD_FORGE_KIND": "gitea",
            "GITCD_ECR_ENDPOINT_URL": ecr.url,
        }.items():
            monkeypatch.setenv(name, value)
        yield Team(repository, ecr, tmp_path, capfd)


def outcomes(report: dict) -> dict[str, tuple[str, str]]:
    return {each["identity"]["environment"]: (each["kind"], each["reason"]) for each in report["outcomes"]}


def act(report: dict) -> list[str]:
    return [each["act"] for each in report["pulls"]]


def test_open_follow_hold_and_close(team, tmp_path):
    """One pull request from its opening to its end, each run twice: the second writes nothing."""
    team.gitcd("reconcile")
    (pull,) = team.pulls("open")
    assert (pull["title"], pull["head"]["ref"]) == ("prod: pin app 1.0.0, content unchanged", BRANCH)
    out, err = team.gitcd("reconcile")
    assert (out, err.splitlines()[-1]) == ("", "nothing to do")
    assert team.gitcd("diff")[1].splitlines()[-1] == "1 proposed, 1 current"

    digest = team.move("1.1.0")
    moved = Entry(datetime.now(UTC), "run", "ada@ci", f"{HOST}/team/app", "env-prod", "", digest)
    (tmp_path / "journal").write_bytes(b"no entry\n" + moved.line())
    report = team.report("--journal", str(tmp_path / "journal"))
    assert outcomes(report)["prod"] == ("Proposed", "Bumped")
    assert (act(report), report["pulls"][0]["url"]) == (["updated"], pull["html_url"])
    (pull,) = team.pulls("open")
    assert (pull["number"], pull["title"]) == (1, "prod: app 1.0.0 -> 1.1.0")
    assert "| `team/app` | `prod` | `1.0.0` → `1.1.0` |" in pull["body"]
    assert "| forward | `ada@ci` | [`100aaaa..110aaaa`](" in pull["body"]
    assert f"https://github.com/team/app/compare/{revision('1.0.0')}...{revision('1.1.0')})" in pull["body"]
    assert f"app:1.1.0@{digest}" in team.show(branch=BRANCH)
    before = pull["head"]["sha"], pull["title"], pull["body"]
    assert act(team.report()) == ["unchanged"]
    (pull,) = team.pulls("open")
    assert (pull["head"]["sha"], pull["title"], pull["body"]) == before

    team.push({".gitcd/holds/prod/team.app.yaml": b"freeze: true\nreason: audit\n"})
    assert act(team.report()) == ["closed"]
    assert (team.pulls("open"), team.branches()) == ([], [])
    changed, closed = team.api("GET", "/issues/1/comments")
    assert changed["body"].endswith(f"Now: `prod/team/app to 1.1.0 {digest}`")
    assert closed["body"].startswith("Closed by gitcd, as nothing is left to merge. `prod/team/app is held: frozen")
    assert team.report()["pulls"] == []


@pytest.mark.parametrize("method", ["merge", "squash", "bare"])
def test_F33_after_a_merge_all_is_current_and_a_revert_is_heard(team, method):
    team.gitcd("reconcile")
    before = team.show().encode()
    digest = team.move("1.1.0")
    team.gitcd("reconcile")
    team.merge(1, method)
    assert f"app:1.1.0@{digest}" in team.show()
    report = team.report()
    assert outcomes(report)["prod"] == ("Current", "")
    assert (act(report), team.branches()) == (["cleared"], [])
    assert team.report()["pulls"] == []
    team.push({PATH: before + b"\n"}, "Take it back")
    assert outcomes(team.report())["prod"] == ("Held", "Reverted")
    assert len(team.pulls()) == 1


def test_a_squash_of_ours_keeps_the_trailers(team):
    """The API would leave them out by itself."""
    team.gitcd("reconcile")
    bot = team.repository.forge.bot
    forge = open_forge(team.repository.url, settings.Forge(kind="gitea"), bot.token)
    pull = forge.find_open(BRANCH, "main")
    merged = forge.merge(pull, head=pull.head, method=MergeMethod.SQUASH)
    assert merged.state is PullState.MERGED
    git(team.work, "fetch", "--quiet")
    message = git(team.work, "log", "-1", "--format=%B", "origin/main")
    assert [str(move.identity) for move in parse(message)] == ["prod/team/app"]


def everything(team) -> tuple:
    """What the forge and the remote show to whoever looks: nothing of it changes where nothing is written."""
    heads = {name: team.repository.head(name) for name in ["main", *team.branches()]}
    told = [[each[name] for name in ("number", "state", "title", "body", "updated_at")] for each in team.pulls()]
    return heads, told, [team.api("GET", f"/issues/{each['number']}/comments") for each in team.pulls()]


@pytest.fixture
def promoting(team):
    """prod moves by promotion, and dev has gone on to 1.1.0."""
    team.push({"gitcd.yaml": LAYOUT.replace(b"envs/prod,", b"envs/prod, promoteFrom: dev,")})
    team.ecr.put("team/app", tags=["1.1.0", "env-dev"], manifest=built("1.1.0"))
    team.gitcd("reconcile")
    return team


@pytest.mark.parametrize("method", ["merge", "squash", "rebase"])
def test_F38_after_a_promotion_is_merged_three_runs_with_the_old_tag_change_nothing(promoting, method):
    team = promoting
    team.gitcd("promote", "dev", "prod")
    assert json.loads(team.gitcd("promote", "dev", "prod", "-o", "json")[0])["pulls"][0]["act"] == "unchanged"
    team.merge(1, method)
    assert "app:1.1.0@" in team.show()
    first = team.report()
    assert (act(first), team.branches()) == (["cleared"], [])
    before = everything(team)
    for _ in range(3):
        report = team.report()
        assert (outcomes(report)["prod"], act(report)) == (("AwaitsPromotion", "TagDrift"), [])
    team.gitcd("promote", "dev", "prod")
    assert everything(team) == before
    told = json.loads(team.gitcd("history", "prod/team/app", "-o", "json")[0])
    assert told["items"][0]["act"] == "promoted"


def test_F38_a_rollback_is_proposed_once_however_often_it_is_asked_for(promoting):
    """Asked again in the same words nothing is written; merged, it stays, and its branch goes."""
    team = promoting
    team.gitcd("promote", "dev", "prod")
    team.merge(1, "squash")
    team.gitcd("reconcile")
    words = ["rollback", "prod/team/app", "--reason", "slow", "--by", "dana", "-o", "json"]
    assert act(json.loads(team.gitcd(*words)[0])) == ["opened"]
    before = everything(team)
    for _ in range(2):
        time.sleep(1)  # the next second: the hold says when it was asked for
        assert act(json.loads(team.gitcd(*words)[0])) == ["unchanged"]
        team.gitcd("reconcile")
    assert everything(team) == before
    team.api("PATCH", "/pulls/2", {"state": "closed"})
    assert act(json.loads(team.gitcd(*words)[0])) == ["opened"], "who asks for it by name means it"
    team.merge(3, "squash")
    assert act(team.report()) == ["cleared"]
    assert "app:1.0.0" in team.show()
    assert team.branches() == []


def test_F34_a_foreign_commit_stays_until_somebody_decides(team):
    team.gitcd("reconcile")
    theirs = team.repository.commit(BRANCH, "note.txt", "mine", user=team.repository.forge.reviewer)
    team.move("1.1.0")
    for verb in ("reconcile", "diff"):
        _, err = team.gitcd(verb)
        assert f"blocked: foreign commit: {BRANCH} carries {theirs[:10]} by reviewer" in err
    assert team.repository.head(BRANCH) == theirs
    team.api("DELETE", f"/branches/{BRANCH.replace('/', '%2F')}")
    assert act(team.report()) == ["opened"]


def test_F33_what_a_person_closed_stays_closed_until_it_changes(team):
    team.gitcd("reconcile")
    team.api("PATCH", "/pulls/1", {"state": "closed"})
    for _ in range(2):
        assert outcomes(team.report())["prod"] == ("Held", "PullRequestClosed")
    team.api("PATCH", "/pulls/1", {"state": "open"})
    assert act(team.report()) == ["unchanged"]
    team.api("PATCH", "/pulls/1", {"state": "closed"})
    team.move("1.1.0")
    assert act(team.report()) == ["opened"]
    assert [(pull["number"], pull["state"]) for pull in team.pulls()] == [(1, "closed"), (2, "open")]


def test_F18_where_the_base_is_protected_the_pull_request_is_opened_all_the_same(team):
    team.repository.protect("main")
    team.ecr.put("team/app", tags=["1.1.0", "env-prod", "env-dev"])
    report = team.report(code=5)
    assert outcomes(report) == {"dev": ("Blocked", "NotPushed"), "prod": ("Proposed", "Bumped")}
    assert act(report) == ["opened"]


def test_T10_a_token_that_may_do_nothing_is_named_and_not_shown(team, monkeypatch):
    stranger = team.repository.forge.stranger
    monkeypatch.setenv("GITCD_FORGE_TOKEN", stranger.token)
    out, err = team.gitcd("reconcile", "-vv", code=5)
    assert "1 failed" in err
    assert stranger.token not in out + err
    assert team.repository.forge.bot.token not in out + err
    assert team.branches() == []
    checks = json.loads(team.gitcd("doctor", "-o", "json", code=5)[0])["checks"]
    (check,) = [each for each in checks if each["name"] == "forge"]
    assert check["verdict"] == "failed"
    assert stranger.token not in str(checks)


def test_T21_the_forge_itself_sees_nothing_but_code(team):
    """Gitea's own Markdown, of a body with hostile names: no picture, no mention, no link but the one that we make."""
    hostile = "@reviewer fixes #1 ![x](http://e.example/x.png) <img src=x> https://e.example `a` | </details> :smile:"
    outcome = Outcome(
        Identity("prod", "team", hostile),
        Origin("cv.yaml"),
        OutcomeKind.BUMPED,
        image_repo=hostile,
        resolved=Resolved("env-prod", hostile, "sha256:" + "1" * 64),
        old=f"{hostile}!",
    )
    change = FileChange(f"{hostile}.yaml", Mode.FILE, b"", f"```\n{hostile}\n~~~\n".encode())
    commit = PlannedCommit(OutcomeKind.BUMPED, ("prod",), (outcome,), (change,), f"prod: {hostile}")
    pull = PlannedPull("prod", BRANCH, "a" * 64, commit)
    known = Provenance("https://github.com/team/app", "a" * 40, "b" * 40, hostile)
    details = Details({outcome.identity: known}, {"a": [hostile]}, [RenderedObject(hostile, (hostile,))])
    body = pull_content(pull, Limits(255, 65_536), details).body
    forge = team.repository.forge
    asked = urllib.request.Request(
        f"{forge.url}/api/v1/markdown",
        json.dumps({"Text": body, "Mode": "comment", "Context": team.repository.full_name}).encode(),
        {"Authorization": f"token {forge.bot.token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(asked) as answer:
        page = answer.read().decode()
    links = re.findall(r"<a [^>]*href=\"([^\"]*)\"", page)
    assert links == [f"https://github.com/team/app/compare/{'a' * 40}...{'b' * 40}"]
    assert "<img" not in page
    assert "mention" not in page
    assert page.count("<details>") == page.count("</details>") == 2
