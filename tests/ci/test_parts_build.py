"""How the servers that tests run against are built: by a Go that stands in for the real one here."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

GO = """#!/bin/sh
if [ "$1" = env ]; then echo "${FAKE_VERSION:-go1.99.0}"; exit; fi
echo "$@" >> "$FAKE_LOG"
while [ $# -gt 1 ]; do [ "$1" = -o ] && target=$2; shift; done
[ -z "$FAKE_SLOW" ] || sleep 5
[ "${FAKE_FAILS:-none}" = "${target##*/}" ] && exit 1
mkdir -p "${target%/*}" && echo built > "$target"
"""


class Builder:
    def __init__(self, root: Path, folder: Path) -> None:
        self.root, self.store, self.log = root, folder / "store", folder / "log"
        (folder / "path").mkdir()
        go = folder / "path" / "go"
        go.write_text(GO)
        go.chmod(0o755)
        self.environment = os.environ | {"GITCD_PARTS": str(self.store), "FAKE_LOG": str(self.log)}
        self.path = f"{folder / 'path'}:/usr/bin:/bin"

    def start(self, *words: str, **extra: str) -> "subprocess.Popen[str]":
        command = [sys.executable, str(self.root / "tools/parts.py"), *words]
        environment = self.environment | {"PATH": self.path} | extra
        return subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )

    def run(self, *words: str, **extra: str) -> tuple[int, str, str]:
        with self.start(*words, **extra) as process:
            out, err = process.communicate()
        return process.returncode, out.strip(), err

    def built(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []

    def finished(self) -> list[Path]:
        return [path for path in self.store.iterdir() if not path.name.startswith(".")]


@pytest.fixture
def builder(pytestconfig: pytest.Config, tmp_path: Path) -> Builder:
    return Builder(pytestconfig.rootpath, tmp_path)


def test_what_is_built_is_built_once(builder: Builder) -> None:
    status, folder, _ = builder.run("control-plane")
    assert status == 0
    names = {"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "kwok"}
    assert {path.name for path in Path(folder).iterdir()} == names
    assert len(builder.built()) == len(names)
    assert builder.run("control-plane")[:2] == (0, folder)
    assert builder.run("--path", "control-plane")[:2] == (0, folder)
    assert len(builder.built()) == len(names)
    assert [path.name for path in builder.store.iterdir() if path.name.startswith(".building")] == []


def test_versions_are_stamped(builder: Builder) -> None:
    builder.run("control-plane")
    (line,) = [line for line in builder.built() if "/kubectl" in line]
    assert "-X k8s.io/component-base/version.gitVersion=v1.36.4" in line
    assert "-X k8s.io/client-go/pkg/version.gitMinor=36" in line


def test_what_failed_is_not_there(builder: Builder) -> None:
    status, _, said = builder.run("control-plane", FAKE_FAILS="kubectl")
    assert status == 1
    assert "error: go build k8s.io/kubernetes/cmd/kubectl failed with exit status 1" in said
    assert builder.finished() == []
    assert builder.run("control-plane")[0] == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_what_was_stopped_is_not_there_and_goes_on(builder: Builder, number: signal.Signals) -> None:
    with builder.start("helm", FAKE_SLOW="1") as process:
        while not builder.built():
            time.sleep(0.02)
        process.send_signal(number)
    assert process.returncode != 0
    assert builder.finished() == []
    status, folder, _ = builder.run("helm")
    assert status == 0
    assert (Path(folder) / "helm").read_text() == "built\n"


def test_time_is_up(builder: Builder) -> None:
    status, _, said = builder.run("--seconds", "0.2", "helm", FAKE_SLOW="1")
    assert status == 1
    assert "error: the time for it is up; started again, it goes on from there" in said
    assert builder.finished() == []


def test_without_go_or_with_an_old_one_the_message_says_what_to_do(builder: Builder) -> None:
    status, _, said = builder.run("control-plane", FAKE_VERSION="go1.24.5")
    assert status == 1
    assert "building control-plane needs Go 1.26.0 or newer" in said
    assert "is go1.24.5 (https://go.dev/dl)" in said
    assert not builder.store.exists()
