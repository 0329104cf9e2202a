"""How a pull request is known again by its body."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitcd.model.pull import ForgeFailure, Trouble, plan_of, seal

PLANS = st.text("0123456789abcdef", min_size=8, max_size=64)


@given(PLANS, st.booleans(), st.text().filter(lambda text: "gitcd-plan" not in text))
def test_a_seal_is_read_back_wherever_it_stands(plan: str, hidden: bool, text: str) -> None:
    mark = seal(plan, hidden=hidden)
    for body in (mark, f"{text}\n\n{mark}", f"{mark}\n{text}", f"{text}\n{mark}\r\n\r\nmore"):
        assert plan_of(body) == plan


@given(PLANS)
def test_a_hidden_seal_is_a_comment_on_a_line_of_its_own(plan: str) -> None:
    assert seal(plan, hidden=True) == f"<!-- gitcd-plan: {plan} -->"
    assert "<" not in seal(plan, hidden=False)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "gitcd-plan:",
        "gitcd-plan: xyz12345",
        "see gitcd-plan: 0123456789abcdef",
        "gitcd-plan: 0123456789abcdef and more",
    ],
)
def test_what_is_no_seal(body: str) -> None:
    assert plan_of(body) == ""


def test_the_last_seal_counts() -> None:
    assert plan_of(f"{seal('a' * 16, hidden=True)}\n{seal('b' * 16, hidden=False)}") == "b" * 16


def test_only_what_may_pass_is_transient() -> None:
    assert {each for each in Trouble if ForgeFailure(each, "").transient} == {Trouble.TRANSIENT, Trouble.RATE_LIMITED}
    assert str(ForgeFailure(Trouble.REFUSED, "no", "do this")) == "no\n  do this"
