"""What people say about a rollout: read from annotations, and written by the verb."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from gitcd.cli.main import root
from gitcd.rollout.facts import Order, Orders
from gitcd.rollout.orders import VERBS, read_orders, render
from gitcd.usecases.rollout import roll_out
from gitcd.usecases.rollout_end import End
from tests.support.rollouts import Rollouts, back_to, digest

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
ORDER = Order("sha256:a", "ada", "Pause", "looks well", "2026-05-04T12:00:00Z")


def test_what_is_written_is_read() -> None:
    assert read_orders({"gitcd.io/approve": render(ORDER)}) == Orders(approve=ORDER)


def test_an_order_with_the_longest_words_is_read() -> None:
    order = Order(f"sha256:{'a' * 64}", 512 * '"', "Pause", 512 * "\\", "2026-05-04T12:00:00Z")
    assert read_orders({"gitcd.io/abort": render(order)}).abort == order
    umlauts = Order("sha256:a", 512 * "ä", "", 512 * "界")
    assert read_orders({"gitcd.io/abort": render(umlauts)}).abort == umlauts


def test_a_digest_written_by_hand_is_an_order() -> None:
    assert read_orders({"gitcd.io/abort": "sha256:a"}) == Orders(abort=Order("sha256:a"))


@pytest.mark.parametrize(
    "text", ["{}", '{"by": "ann"}', '{"digest": ""}', '{"digest": "x", "who": "ann"}', '{"digest": 1}', "[]", "1"]
)
def test_what_is_no_order_is_none(text: str) -> None:
    assert read_orders({f"gitcd.io/{verb}": text for verb in VERBS}) == Orders()


def test_what_was_said_of_an_earlier_rollout_counts_no_more() -> None:
    annotations = {f"gitcd.io/{verb}": render(ORDER) for verb in ("approve", "abort", "pause")}
    assert read_orders(annotations, NOW) == Orders(approve=ORDER, abort=ORDER, pause=ORDER)
    assert read_orders(annotations, NOW + timedelta(seconds=1)) == Orders(pause=ORDER)


@given(st.dictionaries(st.sampled_from(["gitcd.io/approve", "gitcd.io/pause", "other"]), st.text(max_size=40)))
def test_whatever_an_annotation_holds_is_read(annotations: dict[str, str]) -> None:
    assert isinstance(read_orders(annotations, NOW), Orders)


def test_an_approval_is_of_one_digest_and_step() -> None:
    orders = Orders(approve=ORDER)
    assert orders.approves("sha256:a", "Pause")
    assert not orders.approves("sha256:a", "Weigh")
    assert not orders.approves("sha256:b", "Pause")


def _say(rollouts: Rollouts, *words: str) -> Result:
    where = ("--kubeconfig", str(rollouts.plane.admin.kubeconfig), "--namespace", rollouts.namespace)
    return CliRunner().invoke(root, ["rollout", *words, *where])


@pytest.mark.slow
def test_a_rollout_is_paused_resumed_and_aborted(rollouts: Rollouts) -> None:
    rollouts.declare("app")
    good, bad = rollouts.release("app", "1.0.0"), rollouts.release("app", "bad-never")
    roll_out([good], rollouts.means())
    roll_out([bad], rollouts.means(until=time.monotonic() + 0.5))
    assert "is at step Settle, which nobody has to approve of" in str(_say(rollouts, "approve", "app").exception)
    assert _say(rollouts, "pause", "app", "--by", "ada").exit_code == 0
    (rolled,) = roll_out([bad], rollouts.means(until=time.monotonic() + 0.5))
    assert (rolled.end, rolled.text) == (End.PROGRESSING, "Settle: paused by ada")
    assert "stepStartedAt" not in rollouts.status("app")["rollout"]
    _say(rollouts, "pause", "app", "--resume")
    _say(rollouts, "abort", "app", "--by", "ada", "--reason", "too slow")
    (rolled,) = roll_out([bad], rollouts.means(take_back=back_to(good)))
    assert rolled.trouble is not None
    assert (rolled.end, rolled.trouble.message) == (End.ROLLED_BACK, "aborted by ada: too slow")
    shown = _say(rollouts, "history", "app").stdout.splitlines()
    assert [line.split()[2] for line in shown] == ["RESULT", "Succeeded", "RolledBack", "Succeeded"]


@pytest.mark.slow
def test_what_is_not_taken_back_waits_for_a_person(rollouts: Rollouts) -> None:
    """spec.rollback.enabled: false: failed and stalled, and nothing is tried again until somebody says so."""
    rollouts.declare("app", rollback={"enabled": False})
    bad = rollouts.release("app", "bad-crash", rollback={"enabled": False})
    (rolled,) = roll_out([bad], rollouts.means(take_back=back_to()))
    assert rolled.end is End.FAILED
    assert rollouts.live_image("app") == f"{bad.spec.image_repo}:bad-crash@{digest('bad-crash')}"
    assert rollouts.conditions("app")["Stalled"] == ("True", "CrashLoopBackOff")
    before = rollouts.status("app")
    (rolled,) = roll_out([bad], rollouts.means())
    assert rolled.end is End.FAILED
    assert rollouts.status("app") == before
    time.sleep(1)
    assert _say(rollouts, "retry", "app").exit_code == 0
    (rolled,) = roll_out([bad], rollouts.means())
    assert rolled.end is End.FAILED
    assert rollouts.status("app")["history"] != before["history"]


@pytest.mark.slow
def test_what_is_said_of_nothing_is_refused(rollouts: Rollouts) -> None:
    rollouts.declare("app")
    for verb in ("approve", "abort", "pause", "retry"):
        answer = _say(rollouts, verb, "app")
        assert answer.exit_code != 0
    assert "no ContainerVersion other" in str(_say(rollouts, "abort", "other").exception)
