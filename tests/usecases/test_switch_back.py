"""A switch, or what comes before it, is taken back with its hold, whether the registry can be asked by then or not."""

from contextlib import contextmanager

import pytest

from gitcd.errors import TransientError
from gitcd.git.branch import Branch as Waiting
from gitcd.model.declaration import Identity
from gitcd.model.registry import Answers, Failure
from gitcd.model.trailers import Move, render
from gitcd.planning.pulls import rollback_branch
from gitcd.rollout.table import Trouble
from gitcd.usecases.promote import Pen
from gitcd.usecases.rollback import Sources
from gitcd.usecases.rollout_git import Branch
from gitcd.usecases.rollout_takeback import Reverter
from gitcd.usecases.switch import Switcher
from tests.support.repos import make_bare
from tests.support.scenes import AUTHOR, HOST, LAYOUT, NOW, Tags, context, digest, mirror_of, run
from tests.usecases.test_switch_runs import DECLARATION, service, workload

APP = Identity("dev", "team", "app")
HOLD = ".gitcd/holds/dev/team.app.yaml"


def nobody(queries):
    """A registry that cannot be asked."""
    failure = Failure("RegistryUnavailable", "the registry does not answer", transient=True)
    return Answers({(each.repository, name): failure for each in queries for name in each.tags | each.digests})


@pytest.fixture
def scene(tmp_path):
    """1.1.0 was written into the idle slot, by its tag alone."""
    declaration = f"{DECLARATION}  pin: Version\n"
    texts = {"cv": declaration, "blue": workload("blue"), "green": workload("green"), "service": service("blue")}
    files = {f"envs/dev/{name}.yaml": text.encode() for name, text in texts.items()}
    remote, tags = make_bare(tmp_path / "remote.git", files | {"gitcd.yaml": LAYOUT}), Tags()
    for tag, version in (("past", "1.0.0"), ("env-dev", "1.1.0")):
        tags.move("team/app", tag, version)
    assert len(run(remote.url, tags).commits) == 1
    assert f'{HOST}/team/app:1.1.0"'.encode() in remote.show("envs/dev/green.yaml")
    return remote, tags


@contextmanager
def switching(remote, registry):
    """What the branch wants now, and who switches to it."""
    with mirror_of(remote.url) as mirror:
        mirror.fetch()
        branch = Branch(mirror)
        (release,) = branch.releases(mirror.tip, {APP})
        yield release, Switcher(mirror, context(mirror, registry), Pen(AUTHOR), branch.releases, lambda: NOW)


@pytest.mark.parametrize("is_switched", [False, True], ids=["before the switch", "after it"])
def test_no_hold_is_lost_because_the_registry_cannot_be_asked(scene, is_switched):
    remote, tags = scene
    if is_switched:
        with switching(remote, tags) as (release, switcher):
            switcher.switch([release])
    with switching(remote, nobody) as (release, switcher):
        assert release.digest == "1.1.0"
        assert len(switcher.take_back(release, "it crashes").commits) == 1
    assert digest("team/app:1.1.0").encode() in remote.show(HOLD)
    assert run(remote.url, tags).commits == ()


def test_where_git_does_not_say_it_either_nothing_is_taken_back_yet(scene):
    remote, _ = scene
    remote.commit({"envs/dev/green.yaml": remote.show("envs/dev/green.yaml").replace(b"1.1.0", b"1.2.0")}, "By hand")
    remote.commit({"envs/dev/service.yaml": service("green").encode()}, "Switch by hand")
    tip = remote.tip
    with switching(remote, nobody) as (release, switcher):
        assert release.digest == "1.2.0"
        with pytest.raises(TransientError, match=r"1\.2\.0 cannot be held off yet"):
            switcher.take_back(release, "it crashes")
    assert remote.tip == tip


@pytest.mark.parametrize("brings", ["", "another", "it"])
def test_what_stands_in_no_slot_any_more_is_superseded_unless_it_waits_to_be_merged(scene, monkeypatch, brings):
    remote, tags = scene
    with switching(remote, tags) as (release, switcher):
        green = remote.show("envs/dev/green.yaml")
        remote.commit({"envs/dev/green.yaml": green.replace(b"1.1.0", b"1.2.0")}, "By hand")
        tip, sources = remote.tip, Sources(lambda: None, lambda *_: {})
        reverter = Reverter(
            switcher.mirror, switcher.context, sources, switcher.pen, switcher.releases, lambda: NOW, switcher
        )
        name = rollback_branch(APP, switcher.context.line())
        moved = Move(APP, release.digest if brings == "it" else digest("team/app:1.2.0"))
        waiting = Waiting(name, tip, (tip,), "", "", render([moved]))
        monkeypatch.setattr(
            "gitcd.usecases.rollout_takeback.read_branches", lambda _: {name: waiting} if brings else {}
        )
        back = reverter.take_back(release, Trouble("CrashLoopBackOff", "it crashes"), "")
        assert (back.superseded, bool(back.refusal)) == (brings != "it", brings == "it")
    assert remote.tip == tip
