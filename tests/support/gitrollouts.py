"""A config repository whose commits are taken to the real control plane, and back."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gitcd.git.history import ensure_history
from gitcd.git.mirror import Mirror
from gitcd.git.tree import CommitTree
from gitcd.manifests.reading import read_hold
from gitcd.model.declaration import Identity
from gitcd.model.hold import Hold
from gitcd.rendering.pull import Details, pull_content
from gitcd.rendering.pull_markup import code
from gitcd.usecases.deliver_details import restarts
from gitcd.usecases.desk import NO_FORGE, Desk
from gitcd.usecases.pending import Drive, drive
from gitcd.usecases.pending_declined import declined, stalled
from gitcd.usecases.pending_outdated import withdraw
from gitcd.usecases.promote import Pen
from gitcd.usecases.publish import Published
from gitcd.usecases.reconcile import reconcile
from gitcd.usecases.rollback import Sources
from gitcd.usecases.rollout import roll_out
from gitcd.usecases.rollout_end import Rolled
from gitcd.usecases.rollout_git import Branch
from gitcd.usecases.rollout_means import Means
from gitcd.usecases.rollout_takeback import Reverter
from gitcd.usecases.switch import Switcher
from tests.support.containerversions import manifest
from tests.support.memoryforge import MemoryForge
from tests.support.repos import Bare, make_bare
from tests.support.rollouts import Rollouts, workload
from tests.support.scenes import AUTHOR, HOST, LAYOUT, Tags, context, digest, mirror_of


def app(
    name: str, namespace: str, kind: str = "Deployment", more: dict[str, Any] | None = None, **spec: Any
) -> dict[str, bytes]:
    """A declaration, and a workload at 1.0.0 as people write it."""
    made = workload(name, namespace, "1.0.0", kind, **(more or {}))
    made["spec"]["template"]["spec"]["containers"][0]["image"] = f"{HOST}/team/{name}:1.0.0"
    declaration = manifest(name, namespace, versionSyntax="[0-9a-z.-]+", **spec)
    folder = f"envs/dev/{name}"
    return {
        f"{folder}/cv.yaml": json.dumps(declaration, indent=2).encode(),
        f"{folder}/workload.yaml": json.dumps(made, indent=2).encode(),
    }


@dataclass
class GitRollouts:
    """`move` lets a tag name another version and commits that; `apply` takes what the branch says to the cluster."""

    cluster: Rollouts
    remote: Bare
    tags: Tags
    apps: list[str] = field(default_factory=list)
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    forge: MemoryForge | None = None

    def move(self, version: str, name: str = "app") -> Published[Any]:
        self.tags.move(f"team/{name}", "env-dev", version)
        return self.reconcile()

    def reconcile(self) -> Published[Any]:
        with mirror_of(self.remote.url) as mirror:
            return reconcile(mirror, context(mirror, self.tags, self._later()), AUTHOR, desk=self._desk())

    def apply(self, **more: Any) -> dict[str, Rolled]:
        with mirror_of(self.remote.url) as mirror:
            driven = self.driven(mirror)
            if driven.outdated and (desk := self._desk()):
                withdraw(mirror, driven.outdated, context(mirror, self.tags, self._later()), desk)
            means = self.means(mirror, **more)
            identities = [Identity("dev", self.cluster.namespace, name) for name in self.apps]
            releases = Branch(mirror).releases(driven.tree.commit, identities)
            told = stalled(means.objects, declined(mirror, driven, "dev"), datetime.now(UTC))
            rolled = [*roll_out(releases, means), *told]
            return {each.release.identity.name: each for each in rolled}

    def driven(self, mirror: Mirror) -> Drive:
        return drive(
            mirror, CommitTree(mirror.git, mirror.fetch()), AUTHOR, lambda: self.forge or NO_FORGE, datetime.now(UTC)
        )

    def protect(self) -> MemoryForge:
        """From now on the branch moves by the forge's button alone."""
        self.remote.hook("update", 'test "$1" != refs/heads/main || { echo protected >&2; exit 1; }')
        self.forge = MemoryForge(self.remote)
        return self.forge

    def _desk(self) -> Desk | None:
        def write(pull: Any, limits: Any, planned: Any) -> Any:
            return pull_content(pull, limits, Details(restarts=restarts(planned, pull)))

        return Desk(self.forge, write, code, AUTHOR) if self.forge else None

    def means(self, mirror: Mirror, **more: Any) -> Means:
        sources = Sources(lambda: ensure_history(mirror, mirror.tip), lambda *_: {})
        branch = Branch(mirror)
        asked, pen = context(mirror, self.tags, self.now), Pen(AUTHOR, desk=self._desk())
        switcher = Switcher(mirror, asked, pen, branch.releases, self._later)
        made = Reverter(mirror, asked, sources, pen, branch.releases, self._later, switcher)
        git = {"take_back": made.take_back, "foresee": made.foresee, "superseded": branch.superseded}
        git["switch"] = switcher.switch
        return self.cluster.means(**{**git, **more})

    def hold(self, name: str = "app") -> Hold:
        path = f".gitcd/holds/dev/{self.cluster.namespace}.{name}.yaml"
        hold, problems = read_hold(path, self.remote.show(path))
        assert hold is not None, problems
        return hold

    def in_git(self, name: str = "app") -> str:
        data = json.loads(self.remote.show(f"envs/dev/{name}/workload.yaml"))
        return str(data["spec"]["template"]["spec"]["containers"][0]["image"])

    def image(self, version: str, name: str = "app") -> str:
        return f"{HOST}/team/{name}:{version}@{digest(f'team/{name}:{version}')}"

    def _later(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


def git_rollouts(cluster: Rollouts, folder: Path, apps: dict[str, dict[str, bytes]]) -> GitRollouts:
    """The applications declared, in git and in the cluster, and 1.0.0 of each committed with its digest."""
    files = {"gitcd.yaml": LAYOUT}
    tags = Tags()
    for name, each in apps.items():
        files |= each
        tags.move(f"team/{name}", "env-dev", "1.0.0")
    made = GitRollouts(cluster, make_bare(folder / "remote.git", files), tags, list(apps))
    for name, each in apps.items():
        spec = json.loads(each[f"envs/dev/{name}/cv.yaml"])["spec"]
        cluster.declare(name, **spec)
    made.reconcile()
    return made


@pytest.fixture
def one_app(rollouts: Rollouts, tmp_path: Path) -> GitRollouts:
    """One Deployment, whose 1.0.0 runs in the cluster."""
    made = git_rollouts(rollouts, tmp_path, {"app": app("app", rollouts.namespace)})
    made.apply()
    return made
