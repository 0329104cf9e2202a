"""What becomes of a tree that another tool worked on, once the declarations drafted from it are put beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from hypothesis import strategies as st

from gitcd.manifests import to_yaml
from gitcd.model.migration import Drafted
from gitcd.model.plan import Plan
from gitcd.model.tree import MemoryTree
from gitcd.usecases.context import Context
from gitcd.usecases.planner import make_plan
from tests.support.scenes import NOW, Tags


def with_drafts(files: Mapping[str, str], drafted: Drafted) -> dict[str, str]:
    """The files, gitcd.yaml, and each declaration where Argo CD and Flux do not look."""
    declared = {
        f".gitcd/declarations/{number}.yaml": to_yaml(each.document) for number, each in enumerate(drafted.drafts)
    }
    return {**files, "gitcd.yaml": to_yaml(drafted.layout), **declared}


def plan_of(files: Mapping[str, str], tags: Tags) -> Plan:
    """The plan with a registry that holds these tags."""
    tree = MemoryTree({path: text.encode() for path, text in files.items()})
    return make_plan(tree, Context(tags, lambda _: {}, NOW)).plan


def changed_lines(plan: Plan) -> set[tuple[str, int]]:
    """Path and number of every line that is another one after the plan, or new."""
    found: set[tuple[str, int]] = set()
    for change in plan.files:
        before, after = change.before.decode().splitlines(), change.after.decode().splitlines()
        assert len(before) == len(after), f"{change.path} has got or lost lines"
        pairs = enumerate(zip(before, after, strict=True), 1)
        found |= {(change.path, number) for number, (old, new) in pairs if old != new}
    return found


def broken(text: str, draw: Any) -> str:
    """The documents of a text with one value, wherever it stands, of another type."""
    documents = list(yaml.safe_load_all(text))
    spots = [spot for number, each in enumerate(documents) for spot in _spots(each, (number,))]
    way = draw(st.sampled_from(spots))
    odd = draw(st.sampled_from([None, 7, True, "text", [], ["a"], {}, {"a": "b"}, [{"a": None}]]))
    value: Any = documents
    for step in way[:-1]:
        value = value[step]
    value[way[-1]] = odd
    return yaml.safe_dump_all(documents)


def _spots(value: Any, way: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    yield way
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, item in items:
        yield from _spots(item, (*way, step))
