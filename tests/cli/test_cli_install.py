"""`gitcd install` as a command: its forms, its folder, its refusals."""

import json
from pathlib import Path

import pytest

from gitcd import __version__
from gitcd.cli import main
from gitcd.manifests.documents import compose

REPO = "https://git.example.com/atlas/config.git"


def test_manifests_are_data_and_what_they_need_is_said_beside(capfd: pytest.CaptureFixture[str]) -> None:
    assert main.run(["install", REPO, "-e", "prod", "--create-namespace"]) == 0
    out, err = capfd.readouterr()
    kinds = [each["kind"] for each in compose(out)]
    assert kinds == ["CustomResourceDefinition", "Namespace", "ServiceAccount", "NetworkPolicy", "CronJob"]
    assert err == (
        f"not in it, and needed for the first run: the image gitcd:{__version__}, which no registry has (--image names "
        "yours), the Secret gitcd-git in the namespace gitcd\n"
    )
    assert main.run(["install", REPO, "--image", "r.example/gitcd:1", "--git-secret", ""]) == 0
    assert capfd.readouterr().err == "not in it, and needed for the first run: the image r.example/gitcd:1\n"
    assert main.run(["install", REPO, "--quiet"]) == 0
    assert capfd.readouterr().err == ""


def test_json_and_names_say_the_same(capfd: pytest.CaptureFixture[str]) -> None:
    main.run(["install", REPO, "--no-crd"])
    plain = list(compose(capfd.readouterr().out))
    main.run(["install", REPO, "--no-crd", "-o", "json"])
    whole = json.loads(capfd.readouterr().out)
    assert (whole["apiVersion"], whole["kind"], whole["items"]) == ("v1", "List", plain)
    main.run(["install", REPO, "--no-crd", "-o", "name"])
    assert capfd.readouterr().out.split() == ["serviceaccount/gitcd", "networkpolicy/gitcd", "cronjob/gitcd-reconcile"]


def test_a_folder_becomes_a_kustomize_base(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "deploy" / "base"
    assert main.run(["install", REPO, "--out", str(folder)]) == 0
    assert main.run(["install", REPO, "--out", str(folder)]) == 0
    out, err = capfd.readouterr()
    assert out == ""
    assert err == f"wrote 5 files to {folder}\n" * 2
    (base,) = compose((folder / "kustomization.yaml").read_text())
    assert sorted([*base["resources"], "kustomization.yaml"]) == sorted(path.name for path in folder.iterdir())


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main.run(["install", REPO, "--out", str(tmp_path / "file" / "base")]) == 2
    assert "cannot be written: Not a directory" in capfd.readouterr().err


@pytest.mark.parametrize("variable", ["GITCD_REPO", "GITCD_BRANCH"])
def test_variables_count(variable: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("GITCD_REPO", REPO)
    monkeypatch.setenv("GITCD_BRANCH", "live")
    assert main.run(["install"]) == 0
    assert f'name: "{variable}"' in capfd.readouterr().out


def test_the_operators_own_settings_file_stays_at_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Only a file that is named here goes into the cluster; one that serves this machine does not."""
    (tmp_path / "mine.yaml").write_text(f"repo: {REPO}\ngit: {{sshKey: ~/.ssh/mine}}\n")
    monkeypatch.setenv("GITCD_CONFIG", str(tmp_path / "mine.yaml"))
    assert main.run(["install"]) == 0
    out = capfd.readouterr().out
    assert REPO in out
    assert "kind: ConfigMap" not in out
    assert "mine" not in out


def test_all_mistakes_are_told_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    assert main.run(["install", REPO, "--role-arn", "me", "--memory", "much", "-n", "No"]) == 2
    err = capfd.readouterr().err
    assert [flag for flag in ("--role-arn", "--memory", "--namespace") if flag not in err] == []


def test_a_settings_file_that_is_wrong_is_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "settings.yaml").write_text("namespaces: tiles\n")
    assert main.run(["install", REPO, "--config", str(tmp_path / "settings.yaml")]) == 2
    assert "settings.yaml:1:1: namespaces: a list is wanted" in capfd.readouterr().err
    assert main.run(["install", REPO, "--config", str(tmp_path / "none.yaml")]) == 2
    assert "none.yaml cannot be read: No such file" in capfd.readouterr().err
