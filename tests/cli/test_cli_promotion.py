"""`gitcd promote`, `rollback`, `status` and `history` as command lines, over real git and a stand-in for ECR."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jsonschema
import pytest

from gitcd.cli.main import run
from gitcd.model import document
from tests.cli.test_cli_documents import IDENTITY, TEXT, TEXTS, closed, kind, listed
from tests.support.ecr import StandIn
from tests.support.repos import Bare, make_bare, make_worktree
from tests.support.scenes import HOST, app_files

LAYOUT = b"""\
apiVersion: gitcd.io/v1
kind: ConfigRepository
environments:
  - {name: dev, path: envs/dev}
  - {name: prod, path: envs/prod, promoteFrom: dev}
"""
PROD = "envs/prod/app/deployment.yaml"
STATUS = kind(
    "Status",
    base=TEXT,
    environments=listed(name=TEXT, promoteFrom=TEXT, frozen=TEXT),
    items=listed(
        identity=IDENTITY,
        repository=TEXT,
        tag=TEXT,
        version=TEXT,
        digest=TEXT,
        since={"anyOf": [closed(time=TEXT, commit=TEXT, by=TEXT, act=TEXT), {"type": "null"}]},
        states=listed(kind=TEXT, text=TEXT),
        places=TEXTS,
    ),
    differing=TEXTS,
    warnings=TEXTS,
)
HISTORY = kind(
    "History",
    items=listed(
        identity=IDENTITY,
        time={"type": "string", "format": "date-time"},
        commit=TEXT,
        by=TEXT,
        act={"enum": ["added", "bumped", "pinned", "promoted", "rolled back", "reverted", "edited", "removed"]},
        subject=TEXT,
        old=closed(version=TEXT, digest=TEXT),
        new=closed(version=TEXT, digest=TEXT),
    ),
)


@pytest.fixture
def ecr(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """dev's tag names 1.1.0, prod's 1.0.0."""
    now = datetime.now(UTC)
    with StandIn() as server:
        server.put("team/app", tags=["1.0.0", "env-prod"], pushed_at=now - timedelta(days=9))
        server.put("team/app", tags=["1.1.0", "env-dev"], pushed_at=now - timedelta(days=3))
        monkeypatch.setenv("GITCD_ECR_ENDPOINT_URL", server.url)
        yield server


@pytest.fixture
def remote(tmp_path: Path, ecr, monkeypatch: pytest.MonkeyPatch, capfd) -> Bare:
    """dev runs 1.1.0 by a reconcile, prod 1.0.0 as it was imported."""
    files = {"gitcd.yaml": LAYOUT} | app_files("app") | app_files("app", environment="prod")
    remote = make_bare(tmp_path / "config.git", files)
    monkeypatch.setenv("GITCD_REPO", remote.url)
    gitcd(capfd, "reconcile")
    return remote


def gitcd(capfd, *arguments: str, code: int = 0) -> tuple[str, str]:
    got = run([str(argument) for argument in arguments])
    out, err = capfd.readouterr()
    assert got == code, err
    return out, err


def digest_of(ecr: StandIn, version: str) -> str:
    (repository,) = ecr.store.repositories.values()
    return repository.tags[version]


class TestPromote:
    def test_moves_commits_and_says_so(self, remote, ecr, capfd) -> None:
        out, err = gitcd(capfd, "promote", "dev", "prod")
        assert out.split(maxsplit=1)[1] == "prod: promote app 1.0.0 -> 1.1.0\n"
        assert "promoted from dev" in err
        assert f"{HOST}/team/app:1.1.0@{digest_of(ecr, '1.1.0')}".encode() in remote.show(PROD)

    def test_a_rehearsal_is_a_patch_and_check_tells_by_its_exit_code(self, remote, capfd) -> None:
        tip = remote.tip
        out, _ = gitcd(capfd, "promote", "dev", "prod", "--dry-run")
        assert out.startswith("diff --git a/envs/prod/app/deployment.yaml")
        assert gitcd(capfd, "promote", "dev", "prod", "--check", code=1)[0] == out
        assert remote.tip == tip

    def test_json_is_a_report(self, remote, capfd) -> None:
        report = json.loads(gitcd(capfd, "promote", "dev", "prod", "-o", "json")[0])
        jsonschema.validate(report, document.report_schema())
        assert report["outcomes"][0]["reason"] == "Promoted"

    def test_the_copy_that_is_missing_is_named(self, remote, ecr, capfd) -> None:
        for path in (PROD, "envs/prod/app/cv.yaml"):
            remote.commit({path: remote.show(path).replace(b"team/app", b"prod/app")})
        ecr.put("prod/app", tags=["1.0.0", "env-prod"])
        _, err = gitcd(capfd, "promote", "dev", "prod", code=5)
        assert f"{HOST}/prod/app does not hold 1.1.0" in err
        assert f"Copy {HOST}/team/app@sha256:" in err

    def test_settle_moves_the_tags_and_nothing_else(self, remote, ecr, capfd, tmp_path) -> None:
        gitcd(capfd, "promote", "dev", "prod")
        tip, new = remote.tip, digest_of(ecr, "1.1.0")
        assert "Moved" in gitcd(capfd, "promote", "dev", "prod", "--settle", "--dry-run")[0]
        assert digest_of(ecr, "env-prod") != new
        gitcd(capfd, "promote", "dev", "prod", "--settle", "--journal", tmp_path / "journal")
        assert digest_of(ecr, "env-prod") == new
        assert remote.tip == tip
        assert json.loads((tmp_path / "journal").read_bytes())["new"] == new
        assert "Unchanged" in gitcd(capfd, "promote", "dev", "prod", "--settle")[0]
        assert "TagDrift" not in gitcd(capfd, "status", "--tags")[0]

    def test_a_plan_that_was_reviewed_is_carried_out_as_it_is(self, remote, capfd, tmp_path) -> None:
        plan, tip = tmp_path / "plan.json", remote.tip
        out, _ = gitcd(capfd, "promote", "dev", "prod", "--out", plan)
        assert (remote.tip, "+          image" in out) == (tip, True)
        text = json.loads(plan.read_text())
        text["commits"][0]["message"] = text["commits"][0]["message"].replace("prod: promote", "CHG-17: promote")
        plan.write_text(json.dumps(text))
        gitcd(capfd, "promote", "dev", "prod", "--plan", plan)
        assert remote.git("log", "-1", "--format=%s").startswith("CHG-17: promote app")
        assert "out of date" in gitcd(capfd, "promote", "dev", "prod", "--plan", plan, code=5)[1]

    def test_a_plan_is_refused_where_the_source_has_moved_on_or_by_another_verb(
        self, remote, ecr, capfd, tmp_path
    ) -> None:
        plan = tmp_path / "plan.json"
        gitcd(capfd, "promote", "dev", "prod", "--out", plan)
        tip = remote.tip
        assert "AwaitsPromotion now" in gitcd(capfd, "reconcile", "--plan", plan, code=5)[1]
        ecr.put("team/app", tags=["1.2.0", "env-dev"])
        gitcd(capfd, "reconcile")
        moved = remote.tip
        assert moved != tip
        assert "out of date" in gitcd(capfd, "promote", "dev", "prod", "--plan", plan, code=5)[1]
        assert remote.tip == moved

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ("promote dev", "Missing argument 'TO'"),
            ("promote prod dev", "dev follows its tags"),
            ("promote dev prod --pr --commit", "--commit and --pr exclude each other"),
            ("promote dev prod --plan x --app app", "--plan carries out what the plan says"),
            ("promote dev prod --settle --out x", "--settle moves tags and makes no plan"),
            ("rollback prod/team/app --out plan.json", "No such option"),
            ("promote dev dev", "dev cannot be promoted from itself"),
            ("promote dev prod --settle --check", "--settle moves tags and makes no plan"),
            ("promote dev prod --journal x", "--journal is for --settle"),
            ("rollback app", "names 2 declarations"),
            ("rollback prod/team/app --to 1 --last-good", "--to and --last-good exclude each other"),
            ("rollback prod/team/app --until soon", "--until"),
        ],
    )
    def test_mistakes_are_usage_errors(self, remote, capfd, line: str, said: str) -> None:
        tip = remote.tip
        assert said in gitcd(capfd, *line.split(), code=2)[1]
        assert remote.tip == tip

    @pytest.mark.parametrize("line", ["promote dev prod", "rollback prod/team/app"])
    def test_a_work_tree_is_refused(self, ecr, tmp_path, capfd, monkeypatch, line: str) -> None:
        folder = make_worktree(tmp_path / "tree", {"gitcd.yaml": LAYOUT} | app_files("app"))
        assert "never commits in somebody's checkout" in gitcd(capfd, *line.split(), folder, code=2)[1]
        monkeypatch.chdir(folder)
        assert "no config repository is named" in gitcd(capfd, *line.split(), code=2)[1]


class TestRollback:
    @pytest.fixture(autouse=True)
    def promoted(self, remote, capfd) -> None:
        gitcd(capfd, "promote", "dev", "prod")

    def test_goes_back_and_shows_everywhere(self, remote, capfd, monkeypatch) -> None:
        monkeypatch.setenv("USER", "dana")
        out, err = gitcd(capfd, "rollback", "prod/team/app", "--reason", "slow", "--until", "2999-01-01")
        assert out.split(maxsplit=1)[1] == "prod: roll back app 1.1.0 -> 1.0.0\n"
        assert "rolled back from 1.1.0" in err
        out, _ = gitcd(capfd, "status", "-e", "prod")
        assert "Held: 1.1.0 is rejected until 2999-01-01" in out
        assert "Behind: dev deploys 1.1.0" in out
        _, err = gitcd(capfd, "promote", "dev", "prod")
        assert "1.1.0 is rejected until 2999-01-01" in err
        out, err = gitcd(capfd, "history", "prod/team/app", "--limit", "1")
        assert err == "1 change; there are more, --limit 0 shows all\n"
        assert gitcd(capfd, "history", "prod/team/app", "--limit", "0")[1] == "3 changes\n"
        assert out.splitlines()[1].split()[2:9] == ["team/app", "prod", "rolled", "back", "1.1.0", "->", "1.0.0"]

    def test_a_rehearsal_shows_the_images_and_the_hold(self, remote, capfd) -> None:
        tip = remote.tip
        out, _ = gitcd(capfd, "rollback", "prod/team/app", "--dry-run")
        assert [line.split()[2] for line in out.splitlines() if line.startswith("diff --git")] == [
            "a/.gitcd/holds/prod/team.app.yaml",
            f"a/{PROD}",
        ]
        assert remote.tip == tip

    def test_F48_an_image_that_expired_is_refused(self, remote, ecr, capfd) -> None:
        (repository,) = ecr.store.repositories.values()
        old = repository.tags["1.0.0"]
        del repository.images[old]
        repository.tags = {tag: digest for tag, digest in repository.tags.items() if digest != old}
        _, err = gitcd(capfd, "rollback", "prod/team/app", code=5)
        assert "1.0.0 cannot be gone back to" in err


class TestStatus:
    @pytest.mark.parametrize(("line", "schema"), [("status --tags", STATUS), ("history", HISTORY)])
    @pytest.mark.parametrize("form", ["json", "yaml"])
    def test_one_document_by_its_schema(self, remote, capfd, line: str, schema: object, form: str) -> None:
        from gitcd.manifests import documents

        text, _ = gitcd(capfd, *line.split(), "-o", form)
        value = json.loads(text) if form == "json" else json.loads(json.dumps(next(documents.compose(text))))
        jsonschema.validate(value, schema)
        assert value["items"]

    def test_the_registry_is_not_asked_unless_tags_are(self, remote, ecr, capfd) -> None:
        before = len(ecr.calls)
        gitcd(capfd, "status")
        gitcd(capfd, "history")
        assert len(ecr.calls) == before
        gitcd(capfd, "status", "--tags")
        assert len(ecr.calls) == before + 1

    def test_apps_that_are_not_the_same_everywhere_are_named(self, remote, capfd) -> None:
        out, err = gitcd(capfd, "status", "-o", "json")
        assert json.loads(out)["differing"] == ["team/app"]
        assert err.endswith("1 behind, 1 app not the same everywhere\n")
        gitcd(capfd, "promote", "dev", "prod")
        assert json.loads(gitcd(capfd, "status", "-o", "json")[0])["differing"] == []

    def test_the_page_is_one_document(self, remote, capfd) -> None:
        out, _ = gitcd(capfd, "status", "-o", "html")
        assert out.startswith("<!doctype html>")
        assert out.rstrip().endswith("</html>")
        assert "<title>config - gitcd status</title>" in out
        assert ">behind</span>" in out

    def test_what_is_broken_makes_the_exit_code(self, remote, capfd) -> None:
        path = "envs/dev/bad/cv.yaml"
        remote.commit({path: app_files("bad")[path].replace(b"tag:", b"tga:")})
        out, _ = gitcd(capfd, "status", code=5)
        assert "Broken: InvalidDeclaration" in out
        assert "Broken" not in gitcd(capfd, "status", "-e", "prod")[0]

    @pytest.mark.parametrize("operands", [["."], ["app", "."], []])
    def test_history_of_a_work_tree(self, tmp_path, capfd, monkeypatch, operands: list[str]) -> None:
        folder = make_worktree(tmp_path / "tree", {"gitcd.yaml": LAYOUT} | app_files("app"))
        monkeypatch.chdir(folder)
        out, err = gitcd(capfd, "history", *operands)
        assert out.splitlines()[1].split()[2:6] == ["team/app", "dev", "added", "1.0.0"]
        assert err == "1 change\n"

    def test_nothing_declared_is_said(self, tmp_path, capfd) -> None:
        folder = make_worktree(tmp_path / "tree", {"x.txt": b"x"})
        out, err = gitcd(capfd, "status", folder)
        assert (out, err.splitlines()[-1]) == ("", "no ContainerVersion found; `gitcd schema` shows what one may say")
