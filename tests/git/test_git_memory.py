"""The kept memory: what it keeps, what it lets go, and that a damaged file is as good as none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitcd.git import memory as memory_module
from gitcd.git.memory import FileMemory
from gitcd.git.mirror import open_mirror
from gitcd.git.remote import Remote
from gitcd.model.memory import FORGETFUL


def keep(folder, facts, subject="blobs"):
    memory = FileMemory(folder)
    for key, fact in facts.items():
        memory.note(subject, key, fact)
    memory.save()


def test_what_was_noted_is_recalled_by_the_next_run(tmp_path):
    keep(tmp_path / "m", {"a": "one", "b c.yaml": "two\\n"})
    memory = FileMemory(tmp_path / "m")
    assert memory.recall("blobs", "a") == memory.recall("blobs", "a") == "one"
    assert memory.recall("blobs", "b c.yaml") == "two\\n"
    assert memory.recall("blobs", "d") is None
    assert memory.recall("others", "a") is None


@given(
    st.dictionaries(
        st.text("abc .-", min_size=1), st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1)
    )
)
def test_any_printable_fact_comes_back(tmp_path_factory, facts):
    folder = tmp_path_factory.mktemp("memory") / "m"
    keep(folder, facts)
    memory = FileMemory(folder)
    assert {key: memory.recall("blobs", key) for key in facts} == facts


def test_a_subject_keeps_only_what_the_last_run_asked_for(tmp_path):
    keep(tmp_path / "m", {"a": "one", "b": "two"})
    keep(tmp_path / "m", {"x": "other"}, subject="untouched")
    memory = FileMemory(tmp_path / "m")
    memory.recall("blobs", "a")
    memory.save()
    again = FileMemory(tmp_path / "m")
    assert [again.recall("blobs", key) for key in "ab"] == ["one", None]
    assert again.recall("untouched", "x") == "other"


def test_little_news_is_not_worth_a_new_file(tmp_path):
    keep(tmp_path / "m", {str(number): "x" * 100 for number in range(100)})
    (file,) = (tmp_path / "m").iterdir()
    before = file.read_bytes()
    memory = FileMemory(tmp_path / "m")
    for number in range(100):
        memory.recall("blobs", str(number))
    memory.note("blobs", "100", "x" * 100)
    memory.save()
    assert file.read_bytes() == before


def test_a_note_takes_the_place_of_what_was_known(tmp_path):
    keep(tmp_path / "m", {"a": "one"})
    keep(tmp_path / "m", {"a": "two"})
    assert FileMemory(tmp_path / "m").recall("blobs", "a") == "two"


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2],
        lambda data: data.replace(b"one", b"two"),
        lambda data: b"",
        lambda data: b"\xff" * 200,
        lambda data: data.replace(b"memory 1", b"memory 0"),
        lambda data: data + b"a\tb\n",
    ],
)
def test_a_damaged_file_is_as_good_as_none(tmp_path, damage):
    keep(tmp_path / "m", {"a": "one"})
    (file,) = (tmp_path / "m").iterdir()
    file.write_bytes(damage(file.read_bytes()))
    assert FileMemory(tmp_path / "m").recall("blobs", "a") is None


def test_another_version_starts_anew(tmp_path, monkeypatch):
    keep(tmp_path / "m", {"a": "one"})
    monkeypatch.setattr(memory_module, "_FORMAT", "gitcd memory 1 99.0.0")
    assert FileMemory(tmp_path / "m").recall("blobs", "a") is None


def test_more_than_the_bound_is_not_kept(tmp_path, monkeypatch):
    keep(tmp_path / "m", {"a": "one"})
    monkeypatch.setattr(memory_module, "MAX_BYTES", 200)
    keep(tmp_path / "m", {"b": "x" * 300})
    assert list((tmp_path / "m").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_no_failure(tmp_path):
    (tmp_path / "m").write_text("in the way")
    keep(tmp_path / "m", {"a": "one"})
    assert (tmp_path / "m").read_text() == "in the way"


def test_only_a_kept_mirror_has_a_memory(tmp_path, remote):
    with open_mirror(Remote.parse(remote.url), remote.branch) as mirror:
        assert mirror.memory is FORGETFUL
    with open_mirror(Remote.parse(remote.url), remote.branch, cache_dir=tmp_path / "cache") as mirror:
        mirror.memory.note("blobs", "a", "one")
    with open_mirror(Remote.parse(remote.url), remote.branch, cache_dir=tmp_path / "cache") as mirror:
        assert mirror.memory.recall("blobs", "a") == "one"
