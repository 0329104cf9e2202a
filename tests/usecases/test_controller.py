"""The loop of `gitcd run`: who leads, what is told, and what trouble leads to."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import pytest

from gitcd.cluster.lease import Lease, Place
from gitcd.errors import ConfigError, ExitCode, GitcdError, TransientError
from gitcd.model.declaration import Identity, Origin
from gitcd.model.plan import Delivered, Outcome, OutcomeKind, Plan, PullAct
from gitcd.model.registry import Answers, Failure
from gitcd.model.tree import MemoryTree
from gitcd.planning.intake import read_inputs
from gitcd.usecases.context import Planned
from gitcd.usecases.controller import Alone, Controller, Election, Health, Look, News
from gitcd.usecases.controller_schedule import Schedule
from gitcd.usecases.metrics import Meter
from gitcd.usecases.publish import Published

INPUTS = read_inputs(MemoryTree({}))


def published(*outcomes: Outcome, commits: tuple[str, ...] = (), **more) -> Published[Planned]:
    return Published(Planned(Plan("", outcomes, **more), INPUTS, (), Answers({})), commits)


def outcome(name: str, kind: OutcomeKind, message: str = "") -> Outcome:
    return Outcome(Identity("dev", "team", name), Origin(name), kind, message=message)


@dataclass
class World:
    now: float = 1000.0
    leads: bool = True
    trouble: GitcdError | None = None
    looks: list[float] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    after: int = 0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += max(seconds, 0.1)

    def look(self, choose) -> Look:
        self.looks.append(self.now)
        self.now += 1
        if self.trouble:
            raise self.trouble
        choose(INPUTS)
        return Look(published(), ExitCode.OK, 3)

    def count(self) -> None:
        self.after += 1


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def controller(world: World) -> Controller:
    return Controller(
        look=world.look,
        tell=lambda error: world.told.append(error.message),
        schedule=Schedule(draw=lambda low, high: (low + high) / 2),
        meter=Meter(),
        health=Health(60, world.clock),
        leader=world,
        after=world.count,
        sleep=world.sleep,
        clock=world.clock,
    )


def run_until(controller: Controller, world: World, moment: float) -> None:
    while world.now < moment:
        controller.step()


def test_it_looks_at_once_and_then_by_the_schedule(controller, world) -> None:
    run_until(controller, world, 1400)
    assert world.looks[0] == 1000
    assert len(world.looks) == 2
    assert 1300 <= world.looks[1] < 1301
    assert world.after == 2
    assert controller.health.is_ready


def test_one_that_does_not_lead_looks_at_nothing_and_is_ready(controller, world) -> None:
    world.leads = False
    run_until(controller, world, 1010)
    assert not world.looks
    assert controller.health.is_ready
    world.leads = True
    controller.step()
    assert len(world.looks) == 1


def test_whoever_begins_to_lead_looks_at_once(controller, world) -> None:
    run_until(controller, world, 1010)
    world.leads = False
    run_until(controller, world, 1020)
    world.leads = True
    run_until(controller, world, 1022)
    assert len(world.looks) == 2


def test_F38_trouble_is_told_each_time_and_tried_again_later_and_later(controller, world) -> None:
    world.trouble = TransientError("down")
    run_until(controller, world, 1030)
    assert world.told == ["down"] * len(world.looks)
    gaps = [later - earlier for earlier, later in zip(world.looks, world.looks[1:], strict=False)]
    assert gaps == sorted(gaps)
    assert len(gaps) >= 2
    assert not controller.health.is_ready
    world.trouble = None
    run_until(controller, world, 1060)
    assert controller.health.is_ready


def test_a_mistake_of_the_setup_does_not_end_it(controller, world) -> None:
    world.trouble = ConfigError("gitcd.yaml is broken")
    assert controller.once() is ExitCode.USAGE
    world.trouble = None
    assert controller.once() is ExitCode.OK


def test_a_loop_that_stands_still_is_not_alive(controller, world) -> None:
    controller.step()
    assert controller.health.is_alive
    world.now += 61
    assert not controller.health.is_alive


class TestNews:
    def test_what_was_told_is_not_told_again(self) -> None:
        news = News()
        failed = published(outcome("a", OutcomeKind.FAILED, "no such tag"))
        assert not news.hear(published(outcome("a", OutcomeKind.CURRENT)))
        assert [news.hear(failed), news.hear(failed)] == [True, False]
        assert news.hear(published(outcome("a", OutcomeKind.FAILED, "another reason")))
        assert news.hear(published(outcome("a", OutcomeKind.CURRENT)))

    def test_a_look_at_another_part_is_no_news(self) -> None:
        news = News()
        assert news.hear(published(outcome("a", OutcomeKind.FAILED)))
        assert not news.hear(published(outcome("b", OutcomeKind.CURRENT)))
        assert not news.hear(published())
        assert not news.hear(published(outcome("a", OutcomeKind.FAILED)))

    def test_what_was_done_is_always_told(self) -> None:
        news = News()
        done = published(outcome("a", OutcomeKind.BUMPED), commits=("1",))
        assert [news.hear(done), news.hear(done)] == [True, True]
        pull = Published(done.work, pulls=(Delivered("b", PullAct.UPDATED),))
        same = Published(done.work, pulls=(Delivered("b", PullAct.UNCHANGED),))
        assert [news.hear(pull), news.hear(same)] == [True, False]

    def test_failures_and_warnings_are_told_once(self) -> None:
        news = News()
        said = published(failures=(Failure("X", "y"),), warnings=("z",))
        assert [news.hear(said), news.hear(said), news.hear(published()), news.hear(said)] == [True, False, True, True]


class FakeLease(Lease):
    """A Lease without a cluster."""

    def __init__(self) -> None:
        self.place, self.seen_holder = Place("ns", "gitcd"), "other"
        self.answers: list[bool | GitcdError] = []
        self.released = 0
        self.tried = threading.Semaphore(0)

    def hold(self) -> bool:
        answer = self.answers.pop(0) if self.answers else True
        self.tried.release()
        if isinstance(answer, GitcdError):
            raise answer
        return answer

    def release(self) -> None:
        self.released += 1


class TestElection:
    @pytest.fixture
    def lease(self, monkeypatch) -> FakeLease:
        monkeypatch.setattr("gitcd.usecases.controller._RETRY", 0.01)
        return FakeLease()

    def test_it_leads_while_it_can_renew(self, lease, world) -> None:
        election = Election(lease, world.clock)
        assert not election.leads
        election.start()
        assert election.leads
        election.stop()
        assert (election.leads, lease.released) == (False, 1)

    def test_it_no_longer_leads_when_it_could_not_renew_for_ten_seconds(self, lease, world) -> None:
        lease.answers = [True, *[TransientError("down")] * 10_000]
        election = Election(lease, world.clock)
        election.start()
        world.now += 9.9
        assert election.leads
        world.now += 0.2
        assert not election.leads
        election.stop()

    def test_it_no_longer_leads_when_another_has_it(self, lease, world) -> None:
        lease.answers = [True, *[False] * 10_000]
        election = Election(lease, world.clock)
        election.start()
        for _ in range(3):
            assert lease.tried.acquire(timeout=10)
        assert not election.leads
        election.stop()

    def test_a_cluster_in_trouble_at_the_start_is_stood_by(self, lease, world) -> None:
        lease.answers = [TransientError("down"), True]
        election = Election(lease, world.clock)
        election.start()
        for _ in range(2):
            assert lease.tried.acquire(timeout=10)
        election.stop()

    def test_one_alone_always_leads(self) -> None:
        assert Alone().leads
