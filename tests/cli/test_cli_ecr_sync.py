"""`gitcd ecr-sync` as whole command lines, over real git and a stand-in for ECR."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gitcd.cli.main import run
from tests.conftest import ACCOUNT, REGION
from tests.support.ecr import StandIn
from tests.support.repos import Bare, make_bare

OLD, NEW = "0a1b2c3d4e", "5f6a7b8c9d"
IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/nearmap/tiles"
DEPLOYMENT = f"""\
# tilesapp, as deployed
apiVersion: apps/v1
kind: Deployment
metadata: {{name: tilesapp, namespace: default}}
spec:
  template:
    spec:
      containers:
        - name: tilesapp-container
          image: {IMAGE}:{OLD}  # moves
        - {{name: proxy, image: "proxy:1"}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: tilesjobs}}
spec:
  template:
    spec:
      containers:
        - {{name: tilesapp-container, image: "{IMAGE}:{OLD}"}}
""".encode()
CONFIG = f'apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: tiles}}\ndata:\n  version: "{OLD}"\n'.encode()
LAYOUT = b"""\
apiVersion: gitcd.io/v1
kind: ConfigRepository
environments:
  - {name: dev, path: envs/dev}
  - {name: prod, path: envs/prod}
"""
PATH = "envs/dev/tiles/deployment.yaml"
FILES = {"gitcd.yaml": LAYOUT, PATH: DEPLOYMENT, "envs/dev/tiles/config.yaml": CONFIG}
FLAGS = (
    "--tag=dev", "--ecr=nearmap/tiles", "--deployment=tilesapp", "--container=tilesapp-container",
    "--namespace=default", "--sync=1",
)  # fmt: skip


@pytest.fixture
def ecr(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """The Deployment runs OLD; the tag `dev` names NEW."""
    with StandIn() as server:
        server.put("nearmap/tiles", tags=[OLD, "env-prod"])
        server.put("nearmap/tiles", tags=[NEW, "dev"])
        monkeypatch.setenv("AWS_ENDPOINT_URL_ECR", server.url)
        yield server


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bare:
    bare = make_bare(tmp_path / "remote.git", FILES)
    monkeypatch.setenv("GITCD_REPO", bare.url)
    return bare


def sync(capfd, *arguments: str, code: int = 0, flags: tuple[str, ...] = FLAGS) -> tuple[str, str]:
    """Run the command with cvmanager's flags and some more; its exit code is the one expected."""
    got = run(["ecr-sync", *flags, *map(str, arguments)])
    out, err = capfd.readouterr()
    assert got == code, err
    return out, err


def moved(ecr: StandIn, version: str = NEW, tag: str = "dev") -> bytes:
    """The manifest after a move to what the tag names."""
    digest = ecr.create("nearmap/tiles").tags[tag]
    return DEPLOYMENT.replace(f"{IMAGE}:{OLD}  #".encode(), f"{IMAGE}:{version}@{digest}  #".encode())


class TestOnce:
    def test_the_one_container_moves_and_not_a_byte_else(self, ecr, remote, capfd) -> None:
        out, _ = sync(capfd, "--once")
        assert out == f"{remote.tip} dev: tilesapp {OLD} -> {NEW}\n"
        assert remote.show(PATH) == moved(ecr)
        assert remote.git("diff-tree", "-r", "--name-only", "HEAD~1", "HEAD").split() == [PATH]
        assert "Gitcd-App: default/tilesapp" in remote.git("log", "-1", "--format=%B")

    def test_F32_a_second_poll_makes_no_commit(self, ecr, remote, capfd) -> None:
        sync(capfd, "--once")
        tip = remote.tip
        out, err = sync(capfd, "--once")
        assert (out, remote.tip) == ("", tip)
        assert err.endswith("1 current\nnothing to do\n")

    def test_the_version_is_written_to_the_config_map_in_the_same_commit(self, ecr, remote, capfd) -> None:
        sync(capfd, "--once", "--configKey", "tiles/version")
        assert remote.count() == 2
        assert remote.show("envs/dev/tiles/config.yaml") == CONFIG.replace(OLD.encode(), NEW.encode())

    def test_a_repository_named_in_full_needs_no_look_for_its_registry(self, ecr, remote, capfd) -> None:
        sync(capfd, "--once", f"--ecr={IMAGE}")
        assert remote.show(PATH) == moved(ecr)
        assert set(ecr.counted()) == {"DescribeImages"}
