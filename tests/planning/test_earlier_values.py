"""Steps back through what was held: properties, and the cases that they are made of."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitcd.planning.earlier_values import earlier

VALUES = st.lists(st.sampled_from("abcd"), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("held", "back"),
    [("a", ""), ("ab", "a"), ("abc", "ba"), ("aba", ""), ("abab", "a"), ("abac", "a"), ("abcbd", "ba"), ("aab", "a")],
)
def test_a_value_that_comes_again_takes_back_what_came_after_it(held, back):
    newest_first = held[::-1]
    assert "".join(newest_first[number] for number in earlier(newest_first)) == back


@given(VALUES)
def test_no_step_is_the_present_value_or_another_step(values):
    steps = [values[number] for number in earlier(values)]
    assert values[0] not in steps
    assert len(set(steps)) == len(steps)


@given(VALUES)
def test_steps_lead_from_the_newest_to_the_oldest_and_each_names_where_it_was_held_last(values):
    steps = earlier(values)
    assert steps == sorted(steps)
    oldest_left = len(values)
    for number in reversed(steps):
        assert number < oldest_left
        oldest_left = number


@given(VALUES, st.sampled_from("abcd"))
def test_going_back_one_step_leaves_the_steps_below_it(values, new):
    steps = earlier(values)
    if steps:
        after = [values[steps[0]], *values]
        assert [after[number] for number in earlier(after)] == [values[number] for number in steps[1:]]
    if new not in {values[number] for number in steps} | {values[0]}:
        onward = [new, *values]
        assert [onward[number] for number in earlier(onward)] == [values[0], *(values[number] for number in steps)]
