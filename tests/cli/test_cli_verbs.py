"""Whole command lines, over real git and a stand-in for ECR."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from gitcd.cli.main import run
from gitcd.model import document
from tests.support.ecr import StandIn
from tests.support.repos import Bare, git, make_bare, make_worktree
from tests.support.scenes import HOST, LAYOUT, app_files

FILES = {"gitcd.yaml": LAYOUT} | app_files("app") | app_files("other") | app_files("app", environment="prod")
DEPLOYMENT = "envs/dev/app/deployment.yaml"
APP = "dev/team/app"


@pytest.fixture
def ecr(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """`app` runs 1.0.0 and its tag names 1.1.0 in dev; everything else is only to be pinned."""
    with StandIn() as server:
        server.put("team/app", tags=["1.0.0", "env-prod"])
        server.put("team/app", tags=["1.1.0", "env-dev"])
        server.put("team/other", tags=["1.0.0", "env-dev"])
        monkeypatch.setenv("GITCD_ECR_ENDPOINT_URL", server.url)
        yield server


@pytest.fixture
def remote(tmp_path: Path) -> Bare:
    return make_bare(tmp_path / "remote.git", FILES)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return make_worktree(tmp_path / "checkout", FILES)


def gitcd(capfd, *arguments: str, code: int = 0) -> tuple[str, str]:
    """Run one command line; its exit code is the one expected."""
    got = run([str(argument) for argument in arguments])
    out, err = capfd.readouterr()
    assert got == code, err
    return out, err


class TestDiff:
    def test_the_patch_is_one_that_git_applies(self, ecr, checkout, capfdbinary) -> None:
        before = (checkout / DEPLOYMENT).read_bytes()
        assert run(["diff", str(checkout)]) == 1
        patch = capfdbinary.readouterr().out
        assert (checkout / DEPLOYMENT).read_bytes() == before
        subprocess.run(["git", "apply", "-"], cwd=checkout, input=patch, check=True)
        after = (checkout / DEPLOYMENT).read_bytes()
        assert after != before
        assert b"/team/app:1.1.0@sha256:" in after
        assert run(["diff", str(checkout)]) == 0
        assert capfdbinary.readouterr().out == b""

    def test_the_summary_goes_to_stderr_and_ends_in_one_line_of_counts(self, ecr, checkout, capfd) -> None:
        out, err = gitcd(capfd, "diff", checkout, code=1)
        assert out.startswith("diff --git a/envs/dev/app/deployment.yaml")
        lines = err.splitlines()
        assert lines[0].split() == ["APP", "ENVIRONMENT", "CHANGE", "DIGEST", "OUTCOME", "REASON"]
        assert lines[1].split()[:5] == ["team/app", "dev", "1.0.0", "->", "1.1.0"]
        assert lines[-1] == "1 bumped, 2 pin-only"

    def test_a_remote_and_a_work_tree_give_the_same_patch(self, ecr, remote, checkout, capfd) -> None:
        assert gitcd(capfd, "diff", remote.url, code=1) == gitcd(capfd, "diff", checkout, code=1)

    def test_quiet_leaves_the_patch_alone(self, ecr, checkout, capfd) -> None:
        out, err = gitcd(capfd, "diff", "-q", checkout, code=1)
        assert out.startswith("diff --git")
        assert err == ""

    def test_json_is_one_report_by_its_schema(self, ecr, checkout, capfd) -> None:
        out, _ = gitcd(capfd, "diff", "-o", "json", checkout, code=1)
        report = json.loads(out)
        jsonschema.validate(report, document.report_schema())
        assert (report["kind"], report["exitCode"], report["counts"]["bumped"]) == ("Report", 1, 1)

    def test_yaml_is_the_same_report(self, ecr, checkout, capfd) -> None:
        out, _ = gitcd(capfd, "diff", "-o", "yaml", checkout, code=1)
        assert out.startswith("apiVersion: gitcd.io/v1\nkind: Report\n")

    def test_names_are_those_of_what_changes(self, ecr, checkout, capfd) -> None:
        out, _ = gitcd(capfd, "diff", "-o", "name", checkout, code=1)
        assert out.splitlines() == ["dev/team/app", "dev/team/other", "prod/team/app"]

    @pytest.mark.parametrize(
        ("flags", "names"),
        [
            (["-e", "prod"], ["prod/team/app"]),
            (["--app", "team/app"], ["dev/team/app", "prod/team/app"]),
            (["--app", "other", "-e", "dev", "-e", "prod"], ["dev/team/other"]),
            (["--app", "dev/team/app", "--app", "other"], ["dev/team/app", "dev/team/other"]),
        ],
    )
    def test_a_selection_narrows_the_run(self, ecr, checkout, capfd, flags, names) -> None:
        out, _ = gitcd(capfd, "diff", "-o", "name", *flags, checkout, code=1)
        assert out.splitlines() == names

    @pytest.mark.parametrize("verb", ["diff", "reconcile"])
    @pytest.mark.parametrize("flags", [["--app", "tpyo"], ["-e", "pord"], ["-e", "prod", "--app", "other"]])
    def test_a_selection_that_meets_nothing_is_an_error(self, ecr, remote, capfd, verb, flags) -> None:
        for _ in "once", "again":
            _, err = gitcd(capfd, verb, *flags, remote.url, code=2)
            assert f"nothing is selected by --{'app' if '--app' in flags else 'environment'} {flags[-1]}" in err

    def test_the_repository_may_come_from_the_environment(self, ecr, remote, capfd, monkeypatch) -> None:
        monkeypatch.setenv("GITCD_REPO", remote.url)
        monkeypatch.setenv("GITCD_OUTPUT", "name")
        out, _ = gitcd(capfd, "diff", code=1)
        assert out.startswith("dev/team/app\n")

    def test_the_repository_is_the_current_folder_by_default(self, ecr, checkout, capfd, monkeypatch) -> None:
        monkeypatch.chdir(checkout)
        gitcd(capfd, "diff", code=1)

    def test_colour_is_for_those_who_want_it(self, ecr, checkout, capfd, monkeypatch) -> None:
        monkeypatch.delenv("NO_COLOR")
        assert "\x1b" not in "".join(gitcd(capfd, "diff", checkout, code=1))
        assert "\x1b[32m+" in gitcd(capfd, "diff", "--color", "always", checkout, code=1)[0]
        monkeypatch.setenv("FORCE_COLOR", "1")
        assert "\x1b[32m+" in gitcd(capfd, "diff", checkout, code=1)[0]
        monkeypatch.setenv("NO_COLOR", "1")
        assert "\x1b" not in gitcd(capfd, "diff", checkout, code=1)[0]

    def test_a_failure_is_told_in_full_and_exits_5(self, ecr, checkout, capfd) -> None:
        cv = checkout / "envs/dev/other/cv.yaml"
        cv.write_text(cv.read_text().replace("env-dev", "env-missing"))
        out, err = gitcd(capfd, "diff", checkout, code=5)
        assert "envs/dev/app/deployment.yaml" in out
        assert "error: dev/team/other (envs/dev/other/cv.yaml:1): " in err
        assert "env-missing" in err
        assert err.splitlines()[-1] == "1 bumped, 1 pin-only, 1 failed"

    def test_trouble_that_may_pass_exits_3(self, ecr, checkout, capfd) -> None:
        ecr.fail("*", "ServerException", status=500, times=-1)
        _, err = gitcd(capfd, "diff", "-e", "prod", checkout, code=3)
        assert "error: prod/team/app" in err

    def test_a_cluster_as_source_reaches_nothing_without_a_map(self, capfd, checkout) -> None:
        _, err = gitcd(capfd, "diff", "--from", "cluster", checkout, code=2)
        assert "no namespace of the cluster is mapped to environments" in err
        assert "- {name: tiles, environments: [prod]" in err

    def test_a_verb_for_the_repository_reads_no_cluster(self, capfd, checkout) -> None:
        _, err = gitcd(capfd, "validate", "--from", "cluster", checkout, code=2)
        assert "diff, reconcile, explain, hold and release read clusters" in err

    def test_flags_of_clusters_go_with_the_cluster(self, capfd, checkout) -> None:
        _, err = gitcd(capfd, "diff", "-n", "team", checkout, code=2)
        assert "--namespace goes with --from cluster only" in err

    @pytest.mark.parametrize("place", ["no/such/folder", "ext::sh -c id", "https://"])
    def test_a_repository_that_is_none_exits_2(self, capfd, place) -> None:
        out, err = gitcd(capfd, "diff", place, code=2)
        assert out == ""
        assert err.startswith("error: ")

    def test_T10_no_secret_at_any_verbosity(self, ecr, remote, capfd, monkeypatch) -> None:
        # What is printed is searched for canaries by the suite itself.
        for flag in ("-q", "-v", "-vv"):
            gitcd(capfd, "diff", flag, remote.url, code=1)
        monkeypatch.setenv("GITCD_LOG_FORMAT", "json")
        _, err = gitcd(capfd, "diff", "-vv", remote.url, code=1)
        assert [json.loads(line)["level"] for line in err.splitlines()]

    def test_a_secret_in_a_manifest_is_masked_in_the_patch(self, ecr, checkout, capfd) -> None:
        path = checkout / DEPLOYMENT
        path.write_text(path.read_text() + "          # https://user:hunter2hunter2@example.com\n")
        out, err = gitcd(capfd, "diff", checkout, code=1)
        assert "hunter2" not in out
        assert "warning: something that looks like a secret is masked" in err


class TestReconcile:
    def test_commits_land_and_a_second_run_has_nothing_to_do(self, ecr, remote, capfd) -> None:
        out, err = gitcd(capfd, "reconcile", remote.url)
        commits = remote.git("rev-list", "--reverse", "main~3..main").split()
        assert [line.split()[0] for line in out.splitlines()] == commits
        assert "pushed 3 commits to main of " in err
        tip = remote.tip
        assert gitcd(capfd, "reconcile", remote.url) == ("", "3 current\nnothing to do\n")
        assert remote.tip == tip

    def test_json_names_the_commits(self, ecr, remote, capfd) -> None:
        out, _ = gitcd(capfd, "reconcile", "-o", "json", remote.url)
        report = json.loads(out)
        jsonschema.validate(report, document.report_schema())
        assert report["commits"][-1]["id"] == remote.tip
        assert report["commits"][-1]["message"].strip() == remote.git("log", "-1", "--format=%B").strip()

    @pytest.mark.parametrize(("flag", "code"), [("--dry-run", 0), ("--check", 1)])
    def test_a_rehearsal_shows_the_diff_and_writes_nothing(self, ecr, remote, capfd, flag, code) -> None:
        patch, _ = gitcd(capfd, "diff", remote.url, code=1)
        tip = remote.tip
        assert gitcd(capfd, "reconcile", flag, remote.url, code=code)[0] == patch
        assert remote.tip == tip

    def test_what_the_dry_run_prints_is_what_lands(self, ecr, remote, capfd) -> None:
        before = remote.tip
        patch, _ = gitcd(capfd, "reconcile", "--dry-run", remote.url)
        gitcd(capfd, "reconcile", remote.url)
        wanted = git(remote.path, "diff", "--no-color", "--abbrev=10", before, "main")
        # git names the enclosing line behind the second @@; that is all that may differ
        assert [line.partition(" @@")[0] for line in patch.splitlines()] == [
            line.partition(" @@")[0] for line in wanted.splitlines()
        ]

    def test_in_place_writes_the_files_and_commits_nothing(self, ecr, checkout, capfd) -> None:
        head = git(checkout, "rev-parse", "HEAD")
        patch, _ = gitcd(capfd, "reconcile", "--in-place", checkout)
        assert b":1.1.0@sha256:" in (checkout / DEPLOYMENT).read_bytes()
        assert git(checkout, "rev-parse", "HEAD") == head
        assert git(checkout, "diff", "--stat").endswith("3 files changed, 3 insertions(+), 3 deletions(-)")
        assert patch.count("diff --git") == 3

    def test_a_work_tree_without_in_place_is_a_usage_error(self, ecr, checkout, capfd) -> None:
        _, err = gitcd(capfd, "reconcile", checkout, code=2)
        assert "never commits in somebody's checkout" in err
        assert "--in-place" in err

    def test_in_place_is_for_work_trees(self, ecr, remote, capfd) -> None:
        assert "REPO is none" in gitcd(capfd, "reconcile", "--in-place", remote.url, code=2)[1]

    @pytest.mark.parametrize(
        "flags",
        [
            ["--dry-run", "--in-place"],
            ["--plan", "x", "--dry-run"],
            ["--plan", "x", "--in-place"],
            ["--plan", "x", "--out", "y"],
            ["--plan", "x", "--app", "a"],
            ["--plan", "x", "-e", "dev"],
        ],
    )
    def test_flags_that_contradict_each_other_exit_2(self, capfd, flags) -> None:
        _, err = gitcd(capfd, "reconcile", *flags, "x", code=2)
        assert "gitcd reconcile --help" in err

    def test_a_reviewed_plan_lands_byte_for_byte(self, ecr, remote, capfd, tmp_path) -> None:
        plan = tmp_path / "plan.json"
        gitcd(capfd, "reconcile", "--dry-run", "--out", plan, remote.url)
        jsonschema.validate(json.loads(plan.read_text()), document.plan_schema())
        remote.commit({"README.md": b"unrelated\n"})
        out, err = gitcd(capfd, "reconcile", "--plan", plan, remote.url)
        assert len(out.splitlines()) == 3
        assert "pushed 3 commits" in err
        reviewed = document.from_document(json.loads(plan.read_text()))
        assert [remote.show(change.path) for change in reviewed.files] == [change.after for change in reviewed.files]
        messages = [remote.git("log", "-1", "--format=%B", line.split()[0]) for line in out.splitlines()]
        assert [message.strip() for message in messages] == [commit.message.strip() for commit in reviewed.commits]

    def test_a_plan_that_is_kept_for_review_is_not_carried_out(self, ecr, remote, capfd, tmp_path) -> None:
        plan, tip = tmp_path / "plan.json", remote.tip
        shown, _ = gitcd(capfd, "reconcile", "--out", plan, remote.url)
        assert (shown, remote.tip) == (gitcd(capfd, "reconcile", "--dry-run", remote.url)[0], tip)
        gitcd(capfd, "reconcile", "--plan", plan, remote.url)
        assert remote.tip != tip

    def test_a_plan_that_is_out_of_date_is_refused(self, ecr, remote, capfd, tmp_path) -> None:
        plan = tmp_path / "plan.json"
        gitcd(capfd, "reconcile", "--dry-run", "--out", plan, remote.url)
        ecr.put("team/app", tags=["1.2.0", "env-dev"])
        tip = remote.tip
        _, err = gitcd(capfd, "reconcile", "--plan", plan, remote.url, code=5)
        assert "the plan is out of date" in err
        assert remote.tip == tip

    @pytest.mark.parametrize(("content", "said"), [("{", "is not JSON"), ("{}", "no plan"), (None, "cannot be read")])
    def test_what_is_no_plan_file_exits_2(self, ecr, remote, capfd, tmp_path, content, said) -> None:
        plan = tmp_path / "plan.json"
        if content:
            plan.write_text(content)
        assert said in gitcd(capfd, "reconcile", "--plan", plan, remote.url, code=2)[1]

    def test_a_plan_that_cannot_be_written_exits_2(self, ecr, remote, capfd, tmp_path) -> None:
        arguments = ["reconcile", "--dry-run", "--out", tmp_path / "no" / "plan.json", remote.url]
        assert "cannot be written" in gitcd(capfd, *arguments, code=2)[1]

    def test_a_push_that_the_server_declines_exits_5(self, ecr, remote, capfd) -> None:
        remote.hook("pre-receive", "echo 'protected \x1b[31mbranch' >&2; exit 1")
        tip = remote.tip
        out, err = gitcd(capfd, "reconcile", remote.url, code=5)
        assert (out, remote.tip) == ("", tip)
        assert "does not take the push" in err
        assert "\x1b" not in err
        assert "nothing to do" not in err


class TestExplain:
    def test_the_whole_way_to_the_decision_is_told(self, ecr, checkout, capfd) -> None:
        out, _ = gitcd(capfd, "explain", APP, checkout)
        assert out.startswith("dev/team/app: Bumped\n  declared  envs/dev/app/cv.yaml:1\n")
        for topic in ("follows", "scope", "owns", "registry", "decision"):
            assert f"\n  {topic}" in out

    def test_json_holds_the_same_facts(self, ecr, checkout, capfd) -> None:
        out, _ = gitcd(capfd, "explain", "app", "-o", "json", checkout)
        explanation = json.loads(out)
        assert explanation["kind"] == "Explanation"
        assert [item["identity"]["environment"] for item in explanation["items"]] == ["dev", "prod"]
        assert {"topic": "declared", "text": "envs/dev/app/cv.yaml:1"} in explanation["items"][0]["facts"]

    @pytest.mark.parametrize(("app", "flags"), [("nothing", []), ("other", ["-e", "prod"])])
    def test_an_app_that_is_not_there_exits_2(self, ecr, checkout, capfd, app, flags) -> None:
        _, err = gitcd(capfd, "explain", app, *flags, checkout, code=2)
        assert err.startswith(f"error: nothing is selected by --app {app}\n  There are: dev/team/app, ")


class TestFlags:
    def test_a_branch_does_not_go_with_a_work_tree(self, ecr, checkout, capfd) -> None:
        err = gitcd(capfd, "diff", "-b", "main", checkout, code=2)[1]
        assert err.startswith(f"error: --branch does not go with the work tree {checkout}")

    def test_the_branch_of_the_settings_is_for_repositories_only(self, ecr, checkout, capfd, monkeypatch) -> None:
        monkeypatch.setenv("GITCD_BRANCH", "main")
        gitcd(capfd, "validate", checkout)

    @pytest.mark.parametrize("value", ["dev,prod", " dev , prod "])
    def test_a_list_in_a_variable_is_divided_by_commas(self, ecr, checkout, capfd, monkeypatch, value) -> None:
        monkeypatch.setenv("GITCD_ENVIRONMENT", value)
        assert gitcd(capfd, "diff", checkout, code=1) == gitcd(
            capfd, "diff", "-e", "dev", "-e", "prod", checkout, code=1
        )

    def test_a_list_that_is_divided_otherwise_is_refused(self, ecr, checkout, capfd, monkeypatch) -> None:
        assert "'dev,prod' is no name; repeat" in gitcd(capfd, "diff", "-e", "dev,prod", checkout, code=2)[1]
        monkeypatch.setenv("GITCD_ENVIRONMENT", "dev prod")
        assert "divide the variable by commas" in gitcd(capfd, "diff", checkout, code=2)[1]

    @pytest.mark.parametrize("verb", ["diff", "reconcile --dry-run"])
    def test_where_nothing_is_declared_it_is_said_what_was_looked_at(self, ecr, tmp_path, capfd, verb) -> None:
        (tmp_path / "a.yaml").write_text("a: b")
        (tmp_path / "b.txt").write_text("")
        err = gitcd(capfd, *verb.split(), tmp_path)[1]
        assert f"warning: {tmp_path} declares nothing: 2 files, 1 of them .yaml or .yml, and no ContainerVersion" in err


class TestHold:
    def test_a_hold_stops_the_app_until_it_is_released(self, ecr, remote, capfd) -> None:
        out, err = gitcd(capfd, "hold", APP, "--reason", "incident 7", "--by", "ada", remote.url)
        assert "+++ b/.gitcd/holds/dev/team.app.yaml" in out
        assert "Hold dev/team/app" in err
        assert b"incident 7" in remote.show(".gitcd/holds/dev/team.app.yaml")
        out, err = gitcd(capfd, "diff", "--app", APP, remote.url)
        assert out == ""
        assert "1 held" in err or "1 frozen" in err
        gitcd(capfd, "release", APP, remote.url)
        gitcd(capfd, "diff", "--app", APP, remote.url, code=1)

    def test_an_environment_tells_which_of_one_name(self, ecr, remote, capfd) -> None:
        assert "'app' names 2 declarations" in gitcd(capfd, "hold", "app", remote.url, code=2)[1]
        assert "Hold dev/team/app" in gitcd(capfd, "hold", "-e", "dev", "app", remote.url)[1]
        assert gitcd(capfd, "hold", "--list", "-e", "dev", "-o", "name", remote.url)[0] == f"{APP}\n"
        assert gitcd(capfd, "hold", "--list", "-e", "prod", "-o", "name", remote.url)[0] == ""
        assert "Nothing holds prod/team/app" in gitcd(capfd, "release", "-e", "prod", "app", remote.url)[1]
        assert "Release dev/team/app" in gitcd(capfd, "release", "-e", "dev", "app", remote.url)[1]
        for verb in ("hold", "release", "rollback"):
            err = gitcd(capfd, verb, "-e", "test", "app", remote.url, code=2)[1]
            assert "no declaration in test is called 'app'" in err

    def test_who_says_so_is_taken_from_ci_where_nobody_is_named(self, ecr, remote, capfd, monkeypatch) -> None:
        monkeypatch.setenv("GITHUB_ACTOR", "octo")
        gitcd(capfd, "hold", APP, remote.url)
        assert b"\nby: octo\n" in remote.show(".gitcd/holds/dev/team.app.yaml")
        gitcd(capfd, "hold", APP, "--by", "ada", remote.url)
        assert b"\nby: ada\n" in remote.show(".gitcd/holds/dev/team.app.yaml")

    def test_json_says_what_was_committed(self, ecr, remote, capfd) -> None:
        held = json.loads(gitcd(capfd, "hold", APP, "-o", "json", remote.url)[0])
        assert held == {
            "apiVersion": "gitcd.io/v1",
            "kind": "HoldChange",
            "app": APP,
            "message": "Hold dev/team/app",
            "files": [".gitcd/holds/dev/team.app.yaml"],
            "commits": [remote.tip],
        }

    @pytest.mark.parametrize("verb", ["hold", "release", "explain", "rollback"])
    @pytest.mark.parametrize("place", [".", "https://git.example.com/config", "remote.git"])
    def test_a_repository_in_place_of_the_name_is_noticed(self, capfd, verb: str, place: str) -> None:
        assert "APP is missing" in gitcd(capfd, verb, place, code=2)[1]

    def test_a_checkout_needs_in_place(self, ecr, checkout, capfd, monkeypatch) -> None:
        assert "--in-place" in gitcd(capfd, "hold", APP, checkout, code=2)[1]
        monkeypatch.chdir(checkout)
        err = gitcd(capfd, "hold", APP, code=2)[1]
        assert err.startswith("error: no config repository is named\n")
        assert "--in-place" in err
        file = checkout / ".gitcd/holds/dev/team.app.yaml"
        assert gitcd(capfd, "hold", APP, "--in-place")[1].endswith(f"wrote {file}; committing it is left to you\n")
        assert (checkout / ".gitcd/holds/dev/team.app.yaml").is_file()
        gitcd(capfd, "release", APP, "--in-place", checkout)
        assert not (checkout / ".gitcd/holds/dev/team.app.yaml").exists()

    def test_it_says_what_was_pushed_where(self, ecr, remote, capfd) -> None:
        err = gitcd(capfd, "hold", APP, remote.url)[1]
        path = remote.url.removeprefix("file://")
        assert err == f"Hold dev/team/app\ncommitted {remote.tip[:12]} and pushed it to main of {path}\n"

    def test_holds_are_listed(self, ecr, remote, checkout, capfd, monkeypatch) -> None:
        assert gitcd(capfd, "hold", "--list", remote.url) == ("", "nothing is held\n")
        gitcd(capfd, "hold", APP, "--reason", "incident 7", "--by", "ada", remote.url)
        out, err = gitcd(capfd, "hold", "--list", remote.url)
        assert out.splitlines()[1].startswith("dev/team/app  freeze  20")
        assert out.splitlines()[1].endswith("  ada  incident 7  in force")
        assert err == "1 hold\n"
        assert gitcd(capfd, "hold", "--list", "-o", "name", remote.url)[0] == f"{APP}\n"
        assert "  state: in force\n" in gitcd(capfd, "hold", "--list", "-o", "yaml", remote.url)[0]
        monkeypatch.chdir(checkout)
        assert gitcd(capfd, "hold", "--list") == ("", "nothing is held\n")

    @pytest.mark.parametrize("line", [["hold"], ["hold", "--list", APP, "x"], ["hold", "--list", "--reason", "x"]])
    def test_what_is_neither_a_hold_nor_a_list_is_refused(self, ecr, capfd, line) -> None:
        assert "See `gitcd hold --help`" in gitcd(capfd, *line, code=2)[1]

    def test_nothing_to_release_is_no_error(self, ecr, remote, capfd) -> None:
        tip = remote.tip
        assert gitcd(capfd, "release", APP, remote.url) == ("", "Nothing holds dev/team/app\n")
        assert remote.tip == tip

    @pytest.mark.parametrize(
        "flags",
        [["--reject", "sha256:1"], ["--until", "tomorrow"], ["--reason", "two\nlines"], ["--by", "x" * 600]],
    )
    def test_what_a_hold_file_cannot_say_exits_2(self, ecr, remote, capfd, flags) -> None:
        tip = remote.tip
        gitcd(capfd, "hold", APP, *flags, remote.url, code=2)
        assert remote.tip == tip


class TestValidate:
    def test_a_sound_repository_exits_0(self, checkout, capfd) -> None:
        assert gitcd(capfd, "validate", checkout) == ("", "3 declarations, 2 environments, 0 holds: no problems\n")

    def test_every_fault_is_told_with_its_place_and_exits_2(self, remote, capfd) -> None:
        broken = FILES["envs/dev/app/cv.yaml"].replace(b"tag:", b"tga:").replace(b"selector", b"selectors")
        remote.commit({"envs/dev/app/cv.yaml": broken})
        out, err = gitcd(capfd, "validate", remote.url, code=2)
        assert "envs/dev/app/cv.yaml:6:3: team/app: spec.tga: " in out
        assert "Did you mean tag?" in out
        assert "selectors" in out
        assert "problems" in err
        value = json.loads(gitcd(capfd, "validate", "-o", "json", remote.url, code=2)[0])
        assert value["kind"] == "Validation"
        assert {"spec.tga"} <= {problem["field"] for problem in value["problems"]}


class TestConfig:
    def test_values_and_where_they_come_from(self, capfd, monkeypatch, tmp_path) -> None:
        file = tmp_path / "config.yaml"
        file.write_text("author: {name: bot}\n")
        monkeypatch.setenv("GITCD_BRANCH", "live")
        out, _ = gitcd(capfd, "config", "show", "--origin", "--config", file, "--ecr-endpoint-url", "http://ecr.local")
        rows = {line.split()[0]: line.split()[1:] for line in out.splitlines()[1:]}
        assert rows["branch"] == ["live", "GITCD_BRANCH"]
        assert rows["ecr.endpointUrl"] == ["http://ecr.local", "--ecr-endpoint-url"]
        assert rows["author.name"][0] == "bot"
        assert str(file) in rows["author.name"][1]
        assert rows["ecr.workers"] == ["16", "default"]

    def test_a_flag_wins_over_a_variable(self, capfd, monkeypatch) -> None:
        monkeypatch.setenv("GITCD_BRANCH", "live")
        value = json.loads(gitcd(capfd, "config", "show", "-o", "json", "-b", "next")[0])
        assert {"key": "branch", "value": "next"} in value["settings"]

    def test_T10_a_token_is_masked(self, capfd) -> None:
        assert "***" in gitcd(capfd, "config", "show")[0]


class TestDoctor:
    def test_every_check_is_told(self, ecr, remote, capfd) -> None:
        out, _ = gitcd(capfd, "doctor", remote.url)
        assert [line.split()[:2] for line in out.splitlines() if not line.startswith(" ")] == [
            ["ok", "git:"],
            ["ok", "repository:"],
            ["ok", "push:"],
            ["ok", "declarations:"],
            ["ok", "registry:"],
            ["ok", "lifecycle:"],
            ["warning", "mutability:"],
            ["warning", "mutability:"],
        ]

    def test_a_remedy_of_several_lines_stays_below_its_check(self, ecr, tmp_path, capfd) -> None:
        notes = b"text: ours is %s/team/app\n" % HOST.encode()
        tree = {path: notes if path == DEPLOYMENT else data for path, data in FILES.items()}
        out, _ = gitcd(capfd, "doctor", make_bare(tmp_path / "near.git", tree).url)
        near = out.splitlines().index("         Near misses:")
        assert out.splitlines()[near + 1].startswith(f"{'':13}{DEPLOYMENT}:1 mentions the repository")

    def test_what_fails_comes_with_a_remedy_and_a_code(self, ecr, remote, capfd) -> None:
        ecr.fail("*", "AccessDeniedException", status=400, times=-1)
        out, _ = gitcd(capfd, "doctor", remote.url, code=5)
        failed = out[out.index("failed") :].splitlines()
        assert len(failed) >= 2
        assert failed[1].startswith("         ")
        value = json.loads(gitcd(capfd, "doctor", "-o", "json", remote.url, code=5)[0])
        assert value["checks"][-1]["verdict"] == "failed"
        assert "verdict: failed" in gitcd(capfd, "doctor", "-o", "yaml", remote.url, code=5)[0]


class TestSchemaAndVersion:
    @pytest.mark.parametrize("kind", ["ContainerVersion", "ConfigRepository", "Hold", "Settings", "Plan", "Report"])
    def test_schemas_are_schemas(self, capfd, kind) -> None:
        schema = json.loads(gitcd(capfd, "schema", kind)[0])
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema["title"] == kind

    def test_the_default_is_the_declaration(self, capfd) -> None:
        assert json.loads(gitcd(capfd, "schema")[0])["title"] == "ContainerVersion"

    def test_the_definition_for_clusters_is_yaml_that_kubectl_takes(self, capfd) -> None:
        text = gitcd(capfd, "schema", "crd")[0]
        assert text.startswith("apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n")
        assert "  name: containerversions.gitcd.io\n" in text

    def test_versions(self, capfd) -> None:
        assert [line.split()[0] for line in gitcd(capfd, "version")[0].splitlines()] == ["gitcd", "python", "git"]
        assert json.loads(gitcd(capfd, "version", "-o", "json")[0])["kind"] == "Version"
