"""What people say about a rollout: annotations of its ContainerVersion, each about one digest.

`gitcd.io/approve` lets one step go on, `gitcd.io/abort` ends the rollout, `gitcd.io/pause` stops it for as long as it
stands there, `gitcd.io/retry` lets a digest that failed try again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict

from gitcd.rollout.facts import Order, Orders

PREFIX = "gitcd.io/"
_LONGEST = 2048


def read_orders(annotations: Mapping[str, str]) -> Orders:
    """The orders that stand on a ContainerVersion; what cannot be read is none."""
    return Orders(**{verb: _order(annotations.get(PREFIX + verb)) for verb in ("approve", "abort", "pause", "retry")})


def render(order: Order) -> str:
    """The value of the annotation."""
    return json.dumps({key: value for key, value in asdict(order).items() if value}, sort_keys=True)


def _order(text: str | None) -> Order | None:
    """Of an annotation that is no document, all of it is the digest: so people may write one by hand."""
    if not text or len(text) > _LONGEST:
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return Order(text)
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        return None
    if not value.get("digest") or not value.keys() <= {"digest", "by", "step", "reason", "time"}:
        return None
    return Order(**value)
