"""Which texts are strings to everybody, and what `-o yaml` prints."""

import pytest
import ruamel.yaml
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gitcd.manifests import is_plain_string, to_yaml
from gitcd.manifests.scalars import spell

TAG = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,20}", fullmatch=True)
NUMBERISH = st.from_regex(r"[0-9_.eExXoObB:+-]{1,12}", fullmatch=True)
ODD = ["1.10", "0123", "12e4567", "on", "off", "yes", "No", "y", "N", "null", "~", "1_0", "12:30", "0x1f", "0o17", "1e3", ".5",
       "2024-01-01", "=", "<<", "true", "12345678", ".inf", "-.INF", ".nan", "0b11", "685_230.15", "+1", "",
       "0X1F", "1e_5", "0B1"]  # fmt: skip


def readers(text: str) -> list[object]:
    twelve = ruamel.yaml.YAML(typ="safe", pure=True)
    return [yaml.safe_load(text), twelve.load(text)]


@pytest.mark.parametrize("text", ODD)
def test_odd_tags_are_quoted(text: str) -> None:
    assert not is_plain_string(text)
    spelled, style = spell(text, "")
    assert style == '"'
    assert readers(spelled.decode()) == [text, text]


@pytest.mark.parametrize("text", ["v1", "1.2.3", "main-0abc", "abc", "1e", "latest", "sha256:0", "nan", "v1@sha256:00"])
def test_usual_tags_stay_plain(text: str) -> None:
    assert spell(text, "") == (text.encode(), "")


@given(TAG | NUMBERISH | st.sampled_from(ODD), st.sampled_from(["", "'", '"']))
def test_every_tag_reads_back_as_a_string(text: str, style: str) -> None:
    spelled, _ = spell(text, style)
    assert readers(f"k: {spelled.decode()}\n") == [{"k": text}] * 2
    assert readers(f"{{k: {spelled.decode()}}}\n") == [{"k": text}] * 2


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E)), st.sampled_from(["", "'", '"']))
def test_every_printable_text_reads_back_as_it_is(text: str, style: str) -> None:
    spelled, _ = spell(text, style)
    assert readers(f"k: {spelled.decode()}\n") == [{"k": text}] * 2


@given(NUMBERISH)
def test_what_any_reader_takes_for_a_number_is_no_plain_string(text: str) -> None:
    try:
        float(text.replace("_", ""))
    except ValueError:
        return
    assert not is_plain_string(text) or text.startswith("_")


PLAIN_DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E)) | st.sampled_from(ODD),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc-", min_size=1) | st.sampled_from(ODD), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(PLAIN_DATA)
def test_output_reads_back_under_both_versions(value: object) -> None:
    assert readers(to_yaml(value)) == [value, value]


def test_output_for_people() -> None:
    shared = ["x"]
    assert to_yaml({"b": shared, "a": shared, "text": "one\ntwo\n", "t": "1.10", "e": "\u00e9"}) == (
        'b:\n  - x\na:\n  - x\ntext: |\n  one\n  two\nt: "1.10"\ne: \u00e9\n'
    )


def test_output_of_anything_else_is_an_error() -> None:
    with pytest.raises(TypeError, match="no plain data"):
        to_yaml({"x": object()})
