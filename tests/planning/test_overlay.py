"""Edits on top of each other."""

from gitcd.model.plan import FileChange
from gitcd.model.tree import MemoryTree, Mode
from gitcd.planning.overlay import Overlay


def files(tree):
    return {entry.path: data for entry, data in tree.read(tree.entries())}


def test_what_is_changed_twice_goes_from_the_first_to_the_last():
    below = MemoryTree({"a": b"1", "b": b"1", "c": b"1"})
    once = Overlay(below).changed([FileChange("a", Mode.FILE, b"1", b"2"), FileChange("new", Mode.FILE, None, b"n")])
    twice = once.changed([FileChange("a", Mode.FILE, b"2", b"3"), FileChange("c", Mode.FILE, b"1", None)])
    assert files(twice) == {"a": b"3", "b": b"1", "new": b"n"}
    assert [entry.path for entry in twice.entries()] == ["a", "b", "new"]
    assert {each.path: (each.before, each.after) for each in twice.changes} == {
        "a": (b"1", b"3"),
        "new": (None, b"n"),
        "c": (b"1", None),
    }
    assert files(below) == {"a": b"1", "b": b"1", "c": b"1"}
