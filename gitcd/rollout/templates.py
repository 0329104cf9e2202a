"""The pod template of a slot: whether it is as the commit says, and the seal that binds a verification to it."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

from gitcd.model.applied import Difference
from gitcd.model.live import Json, Manifest
from gitcd.planning.applying_fields import fingerprint, lacks
from gitcd.rollout.facts import Facts, template
from gitcd.rollout.health.reading import text

_QUANTITY = re.compile(r"([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,2})?)([numkMGTPE]|[KMGTPE]i)?")
# Source: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}


def seal(live: Json | None) -> str:
    """Stands for one workload with one pod template; another for one that was made anew. Empty: there is none."""
    return fingerprint([text(live, "metadata", "uid"), template(live)]) if live else ""


def unlike(facts: Facts, slot: Manifest) -> str:
    """Where the pod template of a slot is not as the commit says, its images aside; empty: it is.

    What admission makes of a template that this run has written is what the commit says.
    """
    live = facts.live.get(slot.ref)
    if live is None or facts.release.spec.apply.ownership == "Image":
        return ""
    if facts.written.get(slot.ref) == seal(live):
        return ""
    found = lacks({"template": template(live)}, {"template": template(slot.value)})
    return next((each.path for each in found if not (each.path.endswith(".image") or _is_spelling(each))), "")


def _is_spelling(difference: Difference) -> bool:
    """Whether it is the same in another spelling, or left to another tool, as far as one can tell without asking."""
    old, new = difference.old, difference.new
    if isinstance(new, str) and "${" in new:
        return True
    if new == "":
        return old is None
    return _amount(old) is not None and _amount(old) == _amount(new)


def _amount(value: object) -> Decimal | None:
    """What a number or a quantity comes to."""
    match = _QUANTITY.fullmatch(str(value)) if isinstance(value, str | int | float) else None
    if match is None or isinstance(value, bool):
        return None
    try:
        number, unit = Decimal(match[1]), match[2] or ""
    except InvalidOperation:
        return None
    return number * 2 ** _BINARY[unit] if unit in _BINARY else number.scaleb(_DECIMAL[unit])
