"""What people say about a rollout: annotations of its ContainerVersion, each about one digest.

`gitcd.io/approve` lets one step go on, `gitcd.io/abort` ends the rollout, `gitcd.io/pause` stops it for as long as it
stands there, `gitcd.io/retry` lets a digest that failed try again. The same digest may be rolled out again one day: so
what was said before a rollout began is not about it. Only a pause is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime

from gitcd.model.times import parsed
from gitcd.rollout.facts import Order, Orders

PREFIX = "gitcd.io/"
VERBS = ("approve", "abort", "pause", "retry")
_LONGEST = 8192  # more than reason and name of the greatest length take


def read_orders(annotations: Mapping[str, str], began: datetime | None = None) -> Orders:
    """The orders that stand on a ContainerVersion about a rollout that began then; what cannot be read is none."""
    found = {verb: _order(annotations.get(PREFIX + verb)) for verb in VERBS}
    return Orders(
        approve=_since(found["approve"], began),
        abort=_since(found["abort"], began),
        pause=found["pause"],
        retry=found["retry"],
    )


def render(order: Order) -> str:
    """The value of the annotation."""
    return json.dumps({key: value for key, value in asdict(order).items() if value}, sort_keys=True, ensure_ascii=False)


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


def _since(order: Order | None, began: datetime | None) -> Order | None:
    """The order, unless it was given before then; one without a time was written by hand, for what goes on now."""
    given = parsed(order.time) if order else None
    return None if given and began and given < began else order
