"""What the branch says of a rollout while that goes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from gitcd.git.mirror import Mirror
from gitcd.model.declaration import Identity
from gitcd.rollout.facts import Release
from gitcd.usecases.rollout_git import Branch
from tests.support.repos import make_bare
from tests.support.scenes import LAYOUT, Tags, app_files, mirror_of, run

APP = Identity("dev", "team", "app")


def test_what_goes_back_is_wanted_though_the_branch_still_names_what_failed(tmp_path: Path) -> None:
    """As long as the revert waits to be merged, somebody else's commit does not put an end to the way back."""
    remote = make_bare(tmp_path / "remote.git", {"gitcd.yaml": LAYOUT} | app_files("app"))
    tags = Tags()

    def said(mirror: Mirror, version: str) -> Release:
        tags.move("team/app", "env-dev", version)
        run(remote.url, tags)
        (found,) = Branch(mirror).releases(mirror.fetch(), [APP])
        return found

    with mirror_of(remote.url) as mirror:
        before, failed = said(mirror, "1.0.0"), said(mirror, "1.1.0")
        back = replace(before, rejected={failed.digest: "it crashed"})
        branch = Branch(mirror)
        remote.commit({"README.md": b"Read me.\n"})
        assert branch.superseded([back]) == frozenset()
        assert branch.superseded([before]) == {APP}
        assert branch.superseded([failed]) == frozenset()
