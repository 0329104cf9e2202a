"""Completion: what each shell is given, asked of the real shells, and what is offered for names."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gitcd.cli.main import run
from gitcd.git.mirror import open_mirror
from gitcd.git.remote import Remote
from tests.conftest import leaks
from tests.support.repos import make_bare, make_worktree
from tests.support.scenes import LAYOUT, app_files

FILES = (
    {"gitcd.yaml": LAYOUT}
    | app_files("app")
    | app_files("app", environment="prod")
    | app_files("api")
    | app_files("web", environment="prod")
)


@pytest.fixture
def checkout(tmp_path):
    return make_worktree(tmp_path / "checkout", FILES)


def test_the_help_keeps_each_shells_line(capfd):
    assert run(["completion", "--help"]) == 0
    lines = [line.split()[0] for line in capfd.readouterr().out.splitlines() if "gitcd completion " in line[2:]]
    assert lines[-3:] == ["bash:", "zsh:", "fish:"]


@pytest.fixture
def offered(monkeypatch, capfd, checkout):
    """What bash is offered at the end of a command line, in the work tree."""
    monkeypatch.chdir(checkout)

    def offered(line):
        words = line.split()
        monkeypatch.setenv("_GITCD_COMPLETE", "bash_complete")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(words) - (not line.endswith(" "))))
        with pytest.raises(SystemExit) as ended:
            run([])
        assert ended.value.code == 0
        out, err = capfd.readouterr()
        assert err == ""
        return [each.partition(",")[2] for each in out.splitlines() if each]

    return offered


class TestNames:
    @pytest.mark.parametrize(
        ("line", "names"),
        [
            ("gitcd explain ", ["api", "app", "web"]),
            ("gitcd explain a", ["api", "app"]),
            ("gitcd explain team/a", ["team/api", "team/app"]),
            ("gitcd explain dev", ["dev/team/api", "dev/team/app"]),
            ("gitcd explain dev/te", ["dev/team/api", "dev/team/app"]),
            ("gitcd explain dev/team/ap", ["dev/team/api", "dev/team/app"]),
            ("gitcd explain nothing", []),
            ("gitcd rollback w", ["web"]),
            ("gitcd release ", ["api", "app", "web"]),
            ("gitcd hold w", ["web"]),
            ("gitcd history w", ["web"]),
            ("gitcd diff --app ", ["api", "app", "web"]),
            ("gitcd diff -e prod --app ", ["app", "web"]),
            ("gitcd diff --environment ", ["dev", "prod"]),
            ("gitcd diff -e dev -e ", ["prod"]),
            ("gitcd reconcile -e p", ["prod"]),
            ("gitcd promote ", ["dev", "prod"]),
            ("gitcd promote dev ", ["prod"]),
            ("gitcd install -e ", ["dev", "prod"]),
            ("gitcd schema conf", ["configrepository"]),
            ("gitcd prom", ["promote"]),
            ("gitcd diff --environ", ["--environment"]),
        ],
    )
    def test_what_is_offered(self, offered, line, names):
        assert offered(line) == names

    def test_a_declaration_that_nobody_has_added_counts(self, offered, checkout):
        new = checkout / "envs/dev/new/cv.yaml"
        new.parent.mkdir()
        new.write_bytes(app_files("new")["envs/dev/new/cv.yaml"])
        assert offered("gitcd explain n") == ["new"]

    def test_a_folder_without_git_or_layout_will_do(self, offered, tmp_path, monkeypatch):
        (tmp_path / "plain").mkdir()
        (tmp_path / "plain/cv.yaml").write_bytes(app_files("alone")["envs/dev/alone/cv.yaml"])
        monkeypatch.chdir(tmp_path / "plain")
        assert offered("gitcd explain ") == ["alone"]
        assert offered("gitcd diff -e ") == ["default"]

    def test_of_a_remote_it_is_what_was_fetched_last(self, offered, tmp_path, monkeypatch):
        remote = make_bare(tmp_path / "remote.git", {"gitcd.yaml": LAYOUT} | app_files("far"))
        url = f"file://{remote.path}"
        monkeypatch.setenv("GITCD_REPO", url)
        assert offered("gitcd explain ") == ["far"]  # a bare repository on this machine
        with open_mirror(Remote.parse(url), "", cache_dir=Path(os.environ["XDG_CACHE_HOME"]) / "gitcd") as mirror:
            mirror.fetch()
        remote.commit(app_files("later"))
        assert offered("gitcd explain ") == ["far"]
        shutil.move(remote.path, tmp_path / "away.git")
        assert offered("gitcd explain ") == ["far"]

    @pytest.mark.parametrize("repo", ["https://git.example.com/a/b", "ssh://git@git.example.com/a/b", "/none", "--x"])
    def test_what_is_not_here_offers_nothing_and_asks_nobody(self, offered, monkeypatch, repo):
        monkeypatch.setenv("GITCD_REPO", repo)
        assert offered("gitcd explain ") == []

    def test_what_is_not_valid_offers_what_is(self, offered, checkout):
        (checkout / "envs/dev/api/cv.yaml").write_text("apiVersion: gitcd.io/v1\nkind: ContainerVersion\nspec: {}\n")
        assert offered("gitcd explain ") == ["app", "web"]
        (checkout / "gitcd.yaml").write_text("apiVersion: gitcd.io/v1\nkind: ConfigRepository\nenvironments: 5\n")
        assert offered("gitcd explain ") == []

    def test_broken_settings_offer_nothing(self, offered, monkeypatch):
        monkeypatch.setenv("GITCD_CONFIG", "/none")
        assert offered("gitcd explain ") == []


class TestShells:
    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_the_script_is_one_that_the_shell_reads(self, shell, capfd):
        assert run(["completion", shell]) == 0
        out, err = capfd.readouterr()
        assert "_GITCD_COMPLETE" in out
        assert (err, leaks(out)) == ("", [])
        if program := shutil.which(shell):
            checked = subprocess.run([program, "-n"], input=out, text=True, capture_output=True, check=False)
            assert (checked.returncode, checked.stderr) == (0, "")

    def test_another_shell_is_named(self, capfd):
        assert run(["completion", "tcsh"]) == 2
        assert "'bash', 'zsh', 'fish'" in capfd.readouterr().err

    @pytest.fixture
    def environment(self, tmp_path):
        """gitcd on the path, as the one of this interpreter."""
        (tmp_path / "bin").mkdir()
        program = tmp_path / "bin/gitcd"
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m gitcd "$@"\n')
        program.chmod(0o755)
        return os.environ | {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}

    def ask(self, words, environment, checkout):
        if not shutil.which(words[0], path=environment["PATH"]):
            pytest.skip(f"{words[0]} is not installed")
        done = subprocess.run(words, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    def test_bash_completes_a_name(self, environment, checkout):
        script = (
            'eval "$(gitcd completion bash)"; COMP_WORDS=(gitcd explain a); COMP_CWORD=2; COMP_TYPE=9; '
            '_gitcd_completion gitcd 2>/dev/null; printf "%s\\n" "${COMPREPLY[@]}"; complete -p gitcd'
        )
        offered = self.ask(["bash", "--norc", "-c", script], environment, checkout)
        assert offered[:2] == ["api", "app"]
        assert offered[-2:] == ["_gitcd_completion", "gitcd"]

    def test_fish_completes_a_name_and_says_where_it_is(self, environment, checkout):
        script = 'gitcd completion fish | source; complete -C "gitcd explain a"'
        offered = self.ask(["fish", "--no-config", "-c", script], environment, checkout)
        assert offered == ["api", "in", "dev", "app", "in", "dev", "prod"]

    def test_zsh_knows_whom_to_ask_and_understands_the_answer(self, environment, checkout):
        script = 'autoload -U compinit; compinit -D; eval "$(gitcd completion zsh)"; print -r -- ${_comps[gitcd]}'
        assert self.ask(["zsh", "-f", "-c", script], environment, checkout) == ["_gitcd_completion"]
        asked = environment | {"COMP_WORDS": "gitcd explain a", "COMP_CWORD": "2", "_GITCD_COMPLETE": "zsh_complete"}
        answer = self.ask(["gitcd"], asked, checkout)
        assert answer == ["plain", "api", "in", "dev", "plain", "app", "in", "dev", "prod"]
