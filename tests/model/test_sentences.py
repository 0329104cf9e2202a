"""Remedies read alike, wherever they were written."""

import pytest

from gitcd.errors import ConfigError, as_sentence
from gitcd.model.problem import Problem


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("name one", "Name one"),
        ("Name one.", "Name one."),
        ("", ""),
        ("chmod o-r file", "chmod o-r file"),
        ("aws ecr put-image", "aws ecr put-image"),
        ("`gitcd release x`", "`gitcd release x`"),
        ("gates.minAge waits", "gates.minAge waits"),
    ],
)
def test_a_remedy_begins_with_a_capital_letter_unless_it_is_a_command(written, shown):
    assert as_sentence(written) == shown
    assert ConfigError("x", remedy=written).remedy == shown
    assert str(Problem("is wrong", written)) == "is wrong" + (f"\n  {shown}" if shown else "")
