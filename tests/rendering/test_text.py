"""Texts as they stand in YAML that is rendered."""

import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from gitcd.rendering.text import block, quoted


@given(st.text(alphabet=st.sampled_from("a: -#\n\t\r\x85\u2028'\"|{%")) | st.text(max_size=20))
@example("a\n")
@example("a")
@example(" a\n")
@example("a\n\n")
@example("a\n\n  b \n---\nc\n")
@example("\n")
@example("")
def test_a_block_reads_as_the_text(text: str) -> None:
    assert yaml.safe_load(f"data:\n  key: {block(text, 4)}\nmore: 1\n") == {"data": {"key": text}, "more": 1}


def test_a_block_is_written_line_by_line() -> None:
    assert block("a: 1\n\nb: [x]\n", 2) == "|\n  a: 1\n\n  b: [x]"
    assert block("a", 2) == "|-\n  a"


def test_what_cannot_be_seen_is_escaped() -> None:
    assert block("a\tb\n", 2) == quoted("a\tb\n") == '"a\\tb\\n"'
