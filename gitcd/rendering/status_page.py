"""The page of `gitcd status -o html`: one file that needs nothing else, in which nothing but its own script runs."""

from __future__ import annotations

import base64
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gitcd.model.kinship import kinship
from gitcd.model.overview import Item, Overview
from gitcd.model.reference import brief, short

PAGE_TEMPLATE = "status.html.j2"
_LIMIT = 256 << 20  # bytes: more than any fleet's page
_UNITS = (("y", timedelta(days=365)), ("d", timedelta(days=1)), ("h", timedelta(hours=1)), ("m", timedelta(minutes=1)))
# How each kind of state is spoken of, and how loud it looks.
_WORDS = {
    "Held": ("held", "hold"),
    "Suspended": ("suspended", "hold"),
    "Behind": ("behind", "info"),
    "TagDrift": ("tag differs", "info"),
    "Pending": ("pull request", "info"),
    "Mixed": ("mixed", "bad"),
    "Unclear": ("unclear", "bad"),
    "TagUnknown": ("tag unknown", "bad"),
    "Broken": ("broken", "bad"),
}


@dataclass(frozen=True, slots=True)
class Badge:
    kind: str
    word: str
    tone: str
    text: str


@dataclass(frozen=True, slots=True)
class Cell:
    """One declaration in one environment. `age` is short, `story` says the rest."""

    version: str
    digest: str
    full_digest: str
    age: str
    story: str
    badges: tuple[Badge, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One app in all environments; an environment that does not have it has no cell."""

    namespace: str
    name: str
    cells: tuple[tuple[Cell, ...], ...]
    kinds: str
    same: bool


@dataclass(frozen=True, slots=True)
class Chip:
    """A kind of state with how many rows have it."""

    kind: str
    word: str
    tone: str
    count: int


def page(overview: Overview, *, title: str, now: datetime, folder: Path | None = None) -> str:
    """The whole page. Every text in it is escaped by the template's own rules.

    Raises:
        ConfigError: the operator's template is wrong.
    """
    from gitcd.rendering import sandbox

    names = [each.name for each in overview.environments]
    rows = list(_rows(overview.items, names, now))
    script, style = (_own(name) for name in ("status.js", "status.css"))
    values = {
        "title": title,
        "generated": f"{now.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
        "base": overview.base[:10],
        "environments": overview.environments,
        "rows": rows,
        "chips": _chips(rows),
        "warnings": overview.warnings,
        "script": script,
        "style": style,
        "script_hash": _hash(script),
        "style_hash": _hash(style),
    }
    return sandbox.render(PAGE_TEMPLATE, values, folder=folder, limit=_LIMIT)


def age(span: timedelta) -> str:
    """A span by its largest unit: `12d`."""
    for name, size in _UNITS:
        if span >= size:
            return f"{span // size}{name}"
    return "now" if span >= timedelta(0) else "?"


def _rows(items: Iterable[Item], environments: Sequence[str], now: datetime) -> Iterable[Row]:
    shown = list(items)
    apps = kinship(item.identity for item in shown)
    rows: defaultdict[tuple[str, str], defaultdict[str, list[Item]]] = defaultdict(lambda: defaultdict(list))
    for item in shown:
        namespace = apps[item.identity].rpartition("/")[0]
        rows[namespace, item.identity.name][item.identity.environment].append(item)
    for (namespace, name), by_environment in sorted(rows.items()):
        cells = tuple(tuple(_cell(item, now) for item in by_environment[each]) for each in environments)
        present = [item for each in environments for item in by_environment[each]]
        kinds = {state.kind for item in present for state in item.states}
        same = all(item.deploys_as(present[0]) for item in present)
        yield Row(namespace, name, cells, " ".join(sorted(kinds | (set() if same else {"Differs"}))), same)


def _cell(item: Item, now: datetime) -> Cell:
    since = item.since
    story = ""
    if since:
        story = f"{since.act} by {since.by} in {since.commit[:10]}, {since.when.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    badges = tuple(Badge(each.kind, *_WORDS.get(each.kind, (each.kind, "info")), each.text) for each in item.states)
    return Cell(
        brief(item.version) or ("" if item.digest else "—"),
        short(item.digest),
        item.digest,
        age(now - since.when) if since else "",
        story,
        badges,
    )


def _chips(rows: Iterable[Row]) -> list[Chip]:
    counted: defaultdict[str, int] = defaultdict(int)
    for row in rows:
        for kind in row.kinds.split():
            counted[kind] += 1
    words = {**_WORDS, "Differs": ("differ between environments", "plain")}
    order = [*_WORDS, "Differs"]
    return [
        Chip(kind, *words.get(kind, (kind, "info")), counted[kind])
        for kind in sorted(counted, key=lambda kind: order.index(kind) if kind in order else len(order))
    ]


def _own(name: str) -> str:
    """A text of the page that is gitcd's own, and that no operator's template replaces."""
    from gitcd.rendering.sandbox import TEMPLATES

    return (TEMPLATES / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """What the page's policy names a text by. Source: Content Security Policy Level 3, "hash-source"."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
