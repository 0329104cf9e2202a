"""A proposed switch that git has overtaken, against a real Gitea: closed with the reason, its branch gone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gitcd.forge.opening import open_forge
from gitcd.git.access import Credentials
from gitcd.git.mirror import Mirror, open_mirror
from gitcd.git.remote import Remote
from gitcd.git.tree import CommitTree
from gitcd.model import settings
from gitcd.model.declaration import Identity, Spec
from gitcd.rollout.facts import Release
from gitcd.usecases.desk import Desk
from gitcd.usecases.pending import drive
from gitcd.usecases.pending_outdated import withdraw
from gitcd.usecases.promote import Pen
from gitcd.usecases.reconcile import reconcile
from gitcd.usecases.switch import Switcher
from tests.support.gitea import Repository, gitea, repository  # noqa: F401 - fixtures
from tests.support.repos import git
from tests.support.scenes import AUTHOR, HOST, NOW, Tags, context, digest
from tests.usecases.test_pull_delivery import acts, desk
from tests.usecases.test_rollback_slots import LAYOUT, environment

OVER = "gitcd/switch/dev/team.app"
APP = Identity("dev", "team", "app")
pytestmark = pytest.mark.slow


class Shop:
    """A config repository on Gitea whose switch to 1.1.0 waits to be merged."""

    def __init__(self, repository: Repository, folder: Path) -> None:  # noqa: F811 - the fixture
        self.repository, self.tags, bot = repository, Tags(), repository.forge.bot
        self.work = folder / "work"
        git(folder, "clone", "--quiet", repository.url.replace("//", f"//{bot.name}:{bot.token}@"), str(self.work))
        self.push({"gitcd.yaml": LAYOUT} | environment("dev", "1.0.0", "1.0.0", "blue"))
        self.move("1.0.0")
        self.move("1.1.0")
        repository.protect("main")
        self.switch("1.1.0")

    def push(self, files: dict[str, bytes]) -> None:
        git(self.work, "pull", "--quiet", "--rebase")
        for name, content in files.items():
            (self.work / name).parent.mkdir(parents=True, exist_ok=True)
            (self.work / name).write_bytes(content)
        git(self.work, "add", "-A")
        git(self.work, "commit", "--quiet", "-m", "A change")
        git(self.work, "push", "--quiet")

    def free(self) -> None:
        """Whoever merges may."""
        self.api("DELETE", "/branch_protections/main")

    def move(self, version: str) -> None:
        """The tag moves, and that is committed: nobody looks at proposals meanwhile."""
        self.tags.move("team/app", "env-dev", version)
        with self.mirror() as mirror:
            assert reconcile(mirror, context(mirror, self.tags), AUTHOR).failure is None

    def switch(self, version: str) -> None:
        with self.mirror() as mirror:
            mirror.fetch()
            spec = Spec(f"{HOST}/team/app", tag="env-dev")
            switcher = Switcher(
                mirror, context(mirror, self.tags), Pen(AUTHOR, desk=self.desk()), _nothing, lambda: NOW
            )
            switcher.switch([Release(APP, spec, version, digest(f"team/app:{version}"), "c" * 40, ())])

    def desk(self) -> Desk:
        token = self.repository.forge.bot.token
        return desk(open_forge(self.repository.url, settings.Forge(kind="gitea"), token))

    @contextmanager
    def mirror(self) -> Iterator[Mirror]:
        bot = self.repository.forge.bot
        with open_mirror(
            Remote.parse(self.repository.url), "main", credentials=Credentials(bot.token, bot.name)
        ) as mirror:
            yield mirror

    def api(self, method: str, path: str, body: object = None):
        return self.repository.forge.api(method, f"{self.repository.path}{path}", body)

    @property
    def pulls(self) -> list[tuple[int, str, str]]:
        found = sorted(self.api("GET", "/pulls?state=all"), key=lambda pull: pull["number"])
        return [(each["number"], each["state"], each["title"]) for each in found]

    @property
    def branches(self) -> list[str]:
        return [each["name"] for each in self.api("GET", "/branches") if each["name"] != "main"]

    @property
    def comments(self) -> list[str]:
        return [each["body"] for each in self.api("GET", "/issues/1/comments")]


def _nothing(*_: object) -> tuple[Release, ...]:
    return ()


@pytest.fixture
def shop(repository: Repository, tmp_path: Path) -> Shop:  # noqa: F811 - the fixture
    made = Shop(repository, tmp_path)
    assert made.pulls == [(1, "open", "dev: switch app 1.0.0 -> 1.1.0")]
    assert made.branches == [OVER]
    return made


@pytest.mark.parametrize("who", ["reconcile", "apply"])
def test_a_switch_to_what_git_no_longer_holds_is_closed_and_the_next_is_proposed(shop: Shop, who: str) -> None:
    shop.free()
    shop.move("1.2.0")
    assert shop.branches == [OVER]
    with shop.mirror() as mirror:
        mirror.fetch()
        if who == "reconcile":
            assert list(acts(reconcile(mirror, context(mirror, shop.tags), AUTHOR, desk=shop.desk()))) == [OVER]
        else:
            desk = shop.desk()
            found = drive(mirror, CommitTree(mirror.git, mirror.tip), AUTHOR, lambda: desk.forge, NOW)
            assert (found.outdated, found.pending, found.tree.commit) == ((APP,), (), mirror.tip)
            withdraw(mirror, found.outdated, context(mirror, shop.tags), desk)
    assert shop.pulls == [(1, "closed", "dev: switch app 1.0.0 -> 1.1.0")]
    assert shop.branches == []
    why = "git has changed Deployment team/app-green since it was verified, so that it is verified anew"
    told = f"Closed by gitcd, as nothing is left to merge. `dev/team/app is not switched by this: {why}`"
    assert shop.comments == [told]
    shop.repository.protect("main")
    shop.switch("1.2.0")
    assert [each[1:] for each in shop.pulls[1:]] == [("open", "dev: switch app 1.0.0 -> 1.2.0")]
    with shop.mirror() as mirror:
        mirror.fetch()
        assert [
            each.branch
            for each in drive(
                mirror, CommitTree(mirror.git, mirror.tip), AUTHOR, lambda: shop.desk().forge, NOW
            ).pending
        ] == [OVER]


def test_one_that_still_leads_to_what_was_verified_is_left_alone(shop: Shop) -> None:
    shop.free()
    shop.push({"README.md": b"# Shop\n", "envs/dev/app/note.yaml": b"# nothing\n"})
    head = shop.repository.head(OVER)
    with shop.mirror() as mirror:
        mirror.fetch()
        assert acts(reconcile(mirror, context(mirror, shop.tags), AUTHOR, desk=shop.desk())) == {}
        assert drive(mirror, CommitTree(mirror.git, mirror.tip), AUTHOR, lambda: shop.desk().forge, NOW).outdated == ()
    assert (shop.repository.head(OVER), shop.comments) == (head, [])
