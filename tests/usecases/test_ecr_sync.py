"""One Deployment that follows a tag by flags: the declaration they amount to, races, and polling."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gitcd.errors import ConfigError, RefusedError, TransientError
from gitcd.git.commit import Author
from gitcd.git.mirror import Mirror
from gitcd.model.declaration import ConfigKey, Container, Workload
from gitcd.model.plan import OutcomeKind
from gitcd.model.reference import Repository
from gitcd.model.version import compile_pattern
from gitcd.usecases.context import Context
from gitcd.usecases.ecr_sync import Poll, Sync, keep
from tests.support.repos import Bare
from tests.support.scenes import AUTHOR, HOST, Tags, app_files, context, mirror_of, reference

PATH = "envs/dev/app/deployment.yaml"
SYNC = Sync(tag="env-dev", ecr=f"{HOST}/team/app", deployment="app", namespace="team", version_syntax=r"\d+\.\d+\.\d+")


@dataclass
class Run:
    """What a poll needs of a workspace; `interfere` happens once, while the registry is asked."""

    tags: Tags
    interfere: list[object] = field(default_factory=list)
    templates: Path | None = None
    run: str = "test"
    author: Author = AUTHOR

    def context(self, mirror: Mirror) -> Context:
        def resolve(queries):
            while self.interfere:
                self.interfere.pop()()
            return self.tags(queries)

        found = context(mirror, self.tags)
        return Context(resolve, found.recall, found.now)


@pytest.fixture
def remote(remote: Bare) -> Bare:
    """The usual remote, with nothing declared."""
    remote.commit({f"envs/dev/{name}/cv.yaml": None for name in ("app", "other")})
    return remote


def poll(remote: Bare, run: Run, sync: Sync = SYNC, cache: Path | None = None):
    with mirror_of(remote.url, cache) as mirror:
        return Poll(sync.declaration(), (), run).commit(mirror)


class TestPoll:
    def test_it_moves_what_nobody_declared(self, remote, tags) -> None:
        tags.move("team/app", "env-dev", "1.1.0")
        other = remote.show("envs/dev/other/deployment.yaml")
        published = poll(remote, Run(tags))
        assert published.commits == (remote.tip,)
        assert remote.show(PATH) == app_files("app")[PATH].replace(
            f"{HOST}/team/app:1.0.0".encode(), reference("app", "1.1.0")
        )
        assert remote.show("envs/dev/other/deployment.yaml") == other

    def test_what_others_declared_is_left_to_reconcile(self, remote, tags) -> None:
        remote.commit({"envs/dev/other/cv.yaml": app_files("other")["envs/dev/other/cv.yaml"]})
        for name in ("team/app", "team/other"):
            tags.move(name, "env-dev", "1.1.0")
        published = poll(remote, Run(tags))
        assert [str(each.identity) for each in published.work.plan.outcomes] == ["dev/team/app"]
        assert remote.show("envs/dev/other/deployment.yaml") == app_files("other")["envs/dev/other/deployment.yaml"]

    def test_what_is_delivered_by_pull_request_fails_by_name(self, remote, tags) -> None:
        layout = remote.show("gitcd.yaml").replace(b"envs/dev}", b"envs/dev, delivery: {mode: PullRequest}}")
        remote.commit({"gitcd.yaml": layout})
        tip = remote.tip
        tags.move("team/app", "env-dev", "1.1.0")
        published = poll(remote, Run(tags))
        (outcome,) = published.work.plan.outcomes
        assert (outcome.kind, outcome.reason) == (OutcomeKind.FAILED, "PullRequestOnly")
        assert remote.tip == tip

    def test_F38_any_number_of_polls_ends_alike(self, remote, tags, tmp_path) -> None:
        tags.move("team/app", "env-dev", "1.1.0")
        for cache in (None, tmp_path / "cache", tmp_path / "cache", None):
            poll(remote, Run(tags), cache=cache)
        assert remote.count() == 3

    def test_a_tag_may_go_back_and_forth(self, remote, tags) -> None:
        """Only what a person took back stays out; our own moves back are none of that."""
        for version in ("1.1.0", "1.0.0", "1.1.0", "1.0.0"):
            tags.move("team/app", "env-dev", version)
            assert poll(remote, Run(tags)).commits
            assert reference("app", version) in remote.show(PATH)

    def test_F13_a_race_that_is_lost_is_computed_again(self, remote, tags) -> None:
        tags.move("team/app", "env-dev", "1.1.0")
        edited = app_files("app")[PATH] + b"# a human's line\n"
        published = poll(remote, Run(tags, [lambda: remote.commit({PATH: edited}, "A human's")]))
        assert published.attempts == 2
        assert remote.show(PATH).endswith(b"# a human's line\n")
        assert reference("app", "1.1.0") in remote.show(PATH)
        assert "A human's" in remote.git("log", "--format=%s")

    def test_a_hold_that_lands_in_between_counts(self, remote, tags) -> None:
        tags.move("team/app", "env-dev", "1.1.0")
        hold = {".gitcd/holds/dev/team.app.yaml": b"freeze: true\n"}
        published = poll(remote, Run(tags, [lambda: remote.commit(hold)]))
        (outcome,) = published.work.plan.outcomes
        assert (published.commits, outcome.kind, outcome.reason) == ((), OutcomeKind.HELD, "Frozen")

    def test_a_place_that_appears_in_between_counts(self, remote, tags) -> None:
        tags.move("team/app", "env-dev", "1.1.0")
        rival = {"envs/prod/app.yaml": app_files("app")[PATH]}
        with pytest.raises(ConfigError, match="is in the environments dev, prod"):
            poll(remote, Run(tags, [lambda: remote.commit(rival)]))
        assert remote.show(PATH) == app_files("app")[PATH]

    def test_what_is_remembered_of_other_flags_does_not_count(self, remote, tags, tmp_path) -> None:
        """The same commit and Deployment, and another tag: what the mirror remembers must not answer for it."""
        poll(remote, Run(tags), cache=tmp_path)
        poll(remote, Run(tags), cache=tmp_path)
        tags.move("team/app", "next", "2.0.0")
        sync = Sync(tag="next", ecr=SYNC.ecr, deployment="app", namespace="team", version_syntax=SYNC.version_syntax)
        assert poll(remote, Run(tags), sync, tmp_path).commits
        assert reference("app", "2.0.0") in remote.show(PATH)


class TestSync:
    def test_the_flags_amount_to_a_declaration(self) -> None:
        sync = Sync("dev", "team/app", "web", "main", "shop", "versions/web.txt", "", "Digest", ("envs/dev",))
        declaration = sync.declaration(Repository(HOST, "team/app"))
        spec = declaration.spec
        assert (declaration.metadata.name, declaration.namespace) == ("web", "shop")
        assert (spec.image_repo, spec.tag, spec.pin) == (f"{HOST}/team/app", "dev", "Digest")
        assert (spec.workload, spec.container) == (Workload("Deployment", "web"), Container("main"))
        assert spec.config == ConfigKey("versions", "web.txt")
        assert spec.paths == ("envs/dev",)

    @given(st.text("0123456789abcdefgxyz.-_", min_size=1, max_size=60))
    @example("abcde")
    @example("abcd")
    @example("x" * 40 + "abcde")
    @example("a" * 41)
    def test_the_version_is_what_cvmanager_found(self, tag: str) -> None:
        syntax = Sync("dev", "team/app", "app").declaration().spec.version_syntax
        assert compile_pattern(syntax).matches(tag) == bool(re.search("[0-9a-f]{5,40}", tag))

    @given(st.tuples(*[st.text(max_size=12)] * 8))
    def test_any_text_is_a_declaration_or_a_mistake_by_its_flag(self, texts: tuple[str, ...]) -> None:
        try:
            said = Sync(*texts).declaration().spec.tag
        except ConfigError as error:
            said = error.message
        assert said == texts[0] or re.match("--[a-zA-Z-]+: ", said)


class StopError(Exception):
    """The end of a test's time."""


def keep_for(polls: list[object]) -> tuple[list[str], list[float]]:
    """Poll as often as there are entries, each an error to raise or nothing; what was told, and the pauses."""
    told: list[str] = []
    pauses: list[float] = []

    def once() -> None:
        error = polls.pop(0)
        if isinstance(error, Exception):
            raise error

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if not polls:
            raise StopError

    with pytest.raises(StopError):
        keep(once, lambda error: told.append(error.message), timedelta(minutes=2), sleep)
    return told, pauses


class TestKeep:
    def test_it_polls_and_waits(self) -> None:
        assert keep_for([None, None, None]) == ([], [120.0] * 3)

    def test_foreseen_trouble_does_not_end_it(self) -> None:
        told, pauses = keep_for([TransientError("a"), None, RefusedError("b"), ConfigError("c"), None])
        assert (told, len(pauses)) == (["a", "b", "c"], 5)

    def test_a_wrong_set_up_ends_it_at_the_start(self) -> None:
        with pytest.raises(ConfigError, match="wrong"):
            keep_for([ConfigError("wrong")])

    def test_a_bug_ends_it(self) -> None:
        with pytest.raises(ZeroDivisionError):
            keep_for([None, ZeroDivisionError()])
