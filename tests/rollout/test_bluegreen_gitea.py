"""Command lines alone, with a real Gitea and a real cluster: a proposed switch that a newer version overtakes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gitcd.cli.main import run
from tests.support.applying import uid_of
from tests.support.containerversions import manifest
from tests.support.ecr import StandIn
from tests.support.gitea import Repository, gitea, repository  # noqa: F401 - fixtures
from tests.support.repos import git
from tests.support.rollouts import Rollouts
from tests.support.scenes import LAYOUT
from tests.support.slotrollouts import FAST, FOLDER, service, slot

pytestmark = pytest.mark.slow


class Shop:
    def __init__(self, rollouts: Rollouts, repository: Repository, ecr: StandIn, folder: Path, capfd: Any) -> None:  # noqa: F811 - the fixture
        self.rollouts, self.repository, self.ecr, self.capfd = rollouts, repository, ecr, capfd
        self.settings = folder / "settings.yaml"
        self.settings.write_text(json.dumps({"environments": [{"name": "dev", "cluster": uid_of(rollouts.plane)}]}))
        self.work, bot, ns = folder / "work", repository.forge.bot, rollouts.namespace
        git(folder, "clone", "--quiet", repository.url.replace("//", f"//{bot.name}:{bot.token}@"), str(self.work))
        names = {"serviceName": "app", "verificationServiceName": "preview", "labelNames": ["slot"]}
        strategy = {"kind": "ServiceBlueGreen", "blueGreen": {**names, **FAST}}
        made = {
            "cv": manifest("app", ns, versionSyntax="[0-9.]+", strategy=strategy),
            "blue": slot("blue", ns, 1),
            "green": slot("green", ns, 1),
            "app": service("app", ns, "blue"),
            "preview": service("preview", ns, "green"),
        }
        (self.work / FOLDER).mkdir(parents=True)
        (self.work / "gitcd.yaml").write_bytes(LAYOUT)
        for name, value in made.items():
            (self.work / FOLDER / f"{name}.yaml").write_text(_written(value))
        git(self.work, "add", "-A")
        git(self.work, "commit", "--quiet", "-m", "The shop")
        git(self.work, "push", "--quiet")

    def release(self, version: str) -> None:
        """A newer version is merged, while nobody looks at proposals."""
        self.ecr.put("team/app", tags=[version, "env-dev"])
        self.gitcd("reconcile")

    def apply(self, code: int = 0) -> str:
        flags = ("--config", str(self.settings), "--kubeconfig", str(self.rollouts.plane.admin.kubeconfig))
        return self.gitcd("apply", *flags, "-n", self.rollouts.namespace, code=code)

    def gitcd(self, *arguments: str, code: int = 0) -> str:
        got = run(arguments)
        out, err = self.capfd.readouterr()
        assert got == code, out + err
        return str(out + err)

    def api(self, method: str, path: str, body: object = None) -> Any:
        return self.repository.forge.api(method, f"{self.repository.path}{path}", body)

    @property
    def pulls(self) -> list[tuple[str, str]]:
        found = sorted(self.api("GET", "/pulls?state=all"), key=lambda pull: pull["number"])
        return [(each["state"], each["title"]) for each in found]

    @property
    def live(self) -> tuple[str, str]:
        """The slot that carries traffic, and the version that it runs."""
        base = f"/namespaces/{self.rollouts.namespace}"
        name = self.rollouts.plane.get(f"/api/v1{base}/services/app")["spec"]["selector"]["slot"]
        found = self.rollouts.plane.get(f"/apis/apps/v1{base}/deployments/app-{name}")
        return name, found["spec"]["template"]["spec"]["containers"][0]["image"].partition("@")[0].rpartition(":")[2]


def _written(value: dict[str, Any]) -> str:
    """A manifest as a person writes it: of its image the tag alone."""
    return re.sub("@sha256:[0-9a-f]{64}", "", json.dumps(value, indent=2))


@pytest.fixture
def shop(
    rollouts: Rollouts,
    repository: Repository,  # noqa: F811 - the fixture
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: Any,
) -> Iterator[Shop]:
    bot = repository.forge.bot
    with StandIn() as ecr:
        for name, value in {
            "GITCD_REPO": repository.url,
            "GITCD_GIT_TOKEN": bot.token,
            "GITCD_GIT_USERNAME": bot.name,
            "GITCD_ECR_ENDPOINT_URL": ecr.url,
        }.items():
            monkeypatch.setenv(name, value)
        yield Shop(rollouts, repository, ecr, tmp_path, capfd)


def test_apply_withdraws_the_overtaken_switch_and_proposes_the_newer_one(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.release("1.0.0")
    shop.apply()
    shop.release("1.1.0")
    shop.repository.protect("main")
    monkeypatch.setenv("GITCD_FORGE_KIND", "gitea")
    shop.apply()
    assert shop.pulls == [("open", "dev: switch app 1.0.0 -> 1.1.0")]
    assert shop.live == ("green", "1.1.0")

    shop.api("DELETE", "/branch_protections/main")
    monkeypatch.delenv("GITCD_FORGE_KIND")
    shop.release("1.2.0")
    shop.repository.protect("main")
    monkeypatch.setenv("GITCD_FORGE_KIND", "gitea")
    said = shop.apply()
    assert shop.pulls == [("closed", "dev: switch app 1.0.0 -> 1.1.0"), ("open", "dev: switch app 1.0.0 -> 1.2.0")]
    assert shop.live == ("green", "1.2.0"), said
    (comment,) = shop.api("GET", "/issues/1/comments")
    assert "app-green since it was verified, so that it is verified anew" in comment["body"]
    assert "5 unchanged" in shop.apply()
