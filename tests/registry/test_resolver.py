from __future__ import annotations

import random
import threading
import time
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitcd.errors import ConfigError
from gitcd.model.declaration import Follow
from gitcd.model.reference import Repository
from gitcd.model.registry import Answer, Answers, Candidate, Failure, Image, Query
from gitcd.registry import resolver
from gitcd.registry.ecr import Ecr
from gitcd.registry.resolver import resolve
from tests.support.ecr import StandIn, sha256

HOST = "123456789012.dkr.ecr.us-east-1.amazonaws.com"


def repository(name: str) -> Repository:
    return Repository(HOST, name)


def ask(name: str, *tags: str, digests: Sequence[str] = ()) -> Query:
    return Query(repository(name), frozenset(tags), frozenset(digests))


class Table:
    """A registry of known answers that notes what it is asked and takes its time, never the same."""

    def __init__(self, answers: Mapping[tuple[Repository, str], Answer], seed: int = 0) -> None:
        self.answers, self.batches, self.calls = answers, [], 0
        self.random, self.lock = random.Random(seed), threading.Lock()

    def look_up(self, repository: Repository, ids: Sequence[str]) -> dict[str, Answer]:
        with self.lock:
            self.batches.append((repository, tuple(ids)))
            self.calls += 1
            pause = self.random.random() / 5000
        time.sleep(pause)
        missing = Failure("ImageNotFound", "not there")
        return {identifier: self.answers.get((repository, identifier), missing) for identifier in ids}


def image(name: str) -> Image:
    return Image(sha256(name.encode()), (name,))


def test_one_batch_serves_all_declarations_of_a_repository() -> None:
    table = Table({})
    resolve([ask("team/a", "x", "y"), ask("team/a", "y", "z", digests=["sha256:1"]), ask("team/b", "x")], table)
    assert sorted(table.batches) == [
        (repository("team/a"), ("sha256:1", "x", "y", "z")),
        (repository("team/b"), ("x",)),
    ]


def test_more_than_a_hundred_ids_are_split() -> None:
    table = Table({})
    answers = resolve([ask("team/a", *map(str, range(250)))], table)
    assert sorted(len(ids) for _, ids in table.batches) == [50, 100, 100]
    assert len(answers.by_key) == 250


def test_nothing_to_ask_asks_nothing() -> None:
    table = Table({})
    assert resolve([Query(repository("team/a"))], table) == Answers({})
    assert not table.batches


NAMES = st.sampled_from(["team/a", "team/b", "team/c"])
TAGS = st.frozensets(st.sampled_from([f"t{number}" for number in range(12)]), max_size=12)


@given(st.lists(st.tuples(NAMES, TAGS), max_size=6), st.integers(1, 4), st.randoms(), st.integers(1, 16))
def test_property_15_any_partition_gives_the_same_answers(
    wanted: list[tuple[str, frozenset[str]]], batch: int, shuffle: random.Random, workers: int
) -> None:
    known = {
        (repository(name), tag): image(f"{name}-{tag}") for name in ("team/a", "team/b") for tag in ("t1", "t2", "t3")
    }
    whole = resolve([ask(name, *tags) for name, tags in wanted], Table(known), workers=1)
    pieces = [ask(name, tag) for name, tags in wanted for tag in tags]
    shuffle.shuffle(pieces)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resolver, "BATCH", batch)
        parts = resolve(pieces, Table(known, seed=workers), workers=workers)
    assert list(parts.by_key.items()) == list(whole.by_key.items())


def test_property_15_holds_against_a_server(ecr: StandIn, registry: Ecr) -> None:
    for number in range(30):
        ecr.put("team/a", tags=[f"1.0.{number}"])
    ids = [f"1.0.{number}" for number in range(0, 60, 2)]
    together = resolve([ask("team/a", *ids)], registry)
    one_by_one = [resolve([ask("team/a", identifier)], registry) for identifier in ids[:8] + ids[-8:]]
    assert all(together.by_key[key] == answer for each in one_by_one for key, answer in each.by_key.items())


def test_F6_a_tag_that_moves_during_the_run_keeps_its_first_answer(ecr: StandIn, registry: Ecr) -> None:
    first = ecr.put("team/a", tags=["prod"])
    answers = resolve([ask("team/a", "prod")], registry)
    ecr.move("team/a", "prod", ecr.put("team/a", tags=["1.2.4"]))
    again = resolve([ask("team/a", "prod", "1.2.4")], registry, known=answers)
    assert again.get(repository("team/a"), "prod").digest == first
    assert again.get(repository("team/a"), "1.2.4").digest != first
    assert [call.ids for call in ecr.calls] == [["prod"], ["1.2.4"]]


@pytest.mark.usefixtures("no_backoff")
class Listed(Table):
    """The same with a list of tags, which tells of their images too."""

    def __init__(self, listed: Sequence[Candidate], answers: Mapping[tuple[Repository, str], Answer]) -> None:
        super().__init__(answers)
        self.listed = listed

    def candidates(self, _: Repository) -> Sequence[Candidate]:
        return self.listed


FOLLOWED = Query(repository("team/a"), follows=frozenset({Follow(semver=">=1.0.0")}))


def test_F6_a_tag_that_moves_while_tags_are_listed_is_asked_for() -> None:
    key = repository("team/a"), "1.0.0"
    first, second = image("first"), image("second")
    still = Listed([Candidate("1.0.0", first)], {key: second})
    assert (resolve([FOLLOWED], still).get(*key), still.batches) == (first, [])
    moves = Listed([Candidate("1.0.0", first), Candidate("1.0.0", second)], {key: second})
    assert (resolve([FOLLOWED], moves).get(*key), len(moves.batches)) == (second, 1)


def test_F6_what_is_known_is_not_told_anew_by_a_list() -> None:
    key = repository("team/a"), "1.0.0"
    known = Answers({key: image("first")})
    listed = Listed([Candidate("1.0.0", image("second"))], {})
    assert resolve([FOLLOWED], listed, known=known).get(*key) == image("first")


def test_F1_throttling_of_one_repository_leaves_the_others(ecr: StandIn, registry: Ecr) -> None:
    for name in ("team/a", "team/b", "team/c"):
        ecr.put(name, tags=["prod"])
    ecr.fail("*", "ThrottlingException", repository="team/b", times=-1)
    answers = resolve([ask(name, "prod") for name in ("team/a", "team/b", "team/c", "team/d")], registry)
    kinds = [answer.reason if isinstance(answer, Failure) else "" for answer in answers.by_key.values()]
    assert kinds == ["", "Throttled", "", "RepositoryNotFound"]


def test_F10_the_deadline_ends_the_wait(ecr: StandIn, registry: Ecr) -> None:
    for name in ("team/a", "team/b"):
        ecr.put(name, tags=["prod"])
    ecr.fail("*", repository="team/b", delay=3, times=-1)
    started = time.monotonic()
    answers = resolve([ask("team/a", "prod"), ask("team/b", "prod")], registry, deadline=started + 0.8)
    assert time.monotonic() - started < 2
    assert isinstance(answers.get(repository("team/a"), "prod"), Image)
    late = answers.get(repository("team/b"), "prod")
    assert (late.reason, late.transient) == ("DeadlineExceeded", True)


def test_F10_a_deadline_that_has_passed_still_answers_for_everything() -> None:
    table = Table({})
    answers = resolve([ask("team/a", "prod", "dev")], table, deadline=time.monotonic() - 1)
    assert {answer.reason for answer in answers.by_key.values()} <= {"DeadlineExceeded", "ImageNotFound"}
    assert len(answers.by_key) == 2


def test_F2_no_credentials_are_reported_once_for_the_run(
    ecr: StandIn, registry: Ecr, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(ConfigError, match="credentials"):
        resolve([ask(f"team/{number}", "prod") for number in range(50)], registry)
    assert not ecr.calls


def test_F2_an_expired_token_is_refreshed_once_for_all(ecr: StandIn, registry: Ecr) -> None:
    ecr.fail("*", "ExpiredTokenException", times=-1)
    answers = resolve([ask(f"team/{number}", "prod") for number in range(40)], registry)
    assert {answer.reason for answer in answers.by_key.values()} == {"ExpiredToken"}
    assert len(ecr.calls) <= 40 + 16


def test_workers_bound_the_requests_in_flight(ecr: StandIn, registry: Ecr) -> None:
    most = now = 0
    lock = threading.Lock()

    class Gauge(Table):
        def look_up(self, repository: Repository, ids: Sequence[str]) -> dict[str, Answer]:
            nonlocal most, now
            with lock:
                now += 1
                most = max(most, now)
            time.sleep(0.005)
            answers = super().look_up(repository, ids)
            with lock:
                now -= 1
            return answers

    resolve([ask(f"team/{number}", "prod") for number in range(40)], Gauge({}), workers=4)
    assert 1 < most <= 4


def test_a_bug_in_a_worker_is_not_lost() -> None:
    class Broken(Table):
        def look_up(self, repository: Repository, ids: Sequence[str]) -> dict[str, Answer]:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        resolve([ask("team/a", "prod")], Broken({}))
