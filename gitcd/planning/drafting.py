"""What ways in from other tools have in common: their expressions, ranges and names in gitcd's words."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gitcd.manifests.foreign import Object, as_list, as_map
from gitcd.model.legacy_spec import anywhere, fault_of
from gitcd.model.migration import Note
from gitcd.model.pattern import MAX_LENGTH, check_regex
from gitcd.model.ranges import check_range
from gitcd.model.reference import EcrRegistry, Repository

BY_PUSH = "gitcd takes the tag that was pushed last"
NO_PUSH_TIMES = "only Amazon ECR says when a tag was pushed: follow a range, or a tag that the build moves"

_PRE_RELEASE = re.compile(r"-(0|[0-9A-Za-z.]*[A-Za-z][0-9A-Za-z.]*)(?=[\s,|]|$)")
_SLUG = re.compile(r"[^a-z0-9]+")
_LITERAL = re.compile(r"\^(?P<text>(?:[A-Za-z0-9_-]|\\\.)+)\$")
_MAX_NAME = 63


class NoCounterpartError(Exception):
    """What was asked for cannot be said in a declaration; the message says why."""


@dataclass(frozen=True, slots=True)
class Followed:
    """The part of a spec that says what is followed, and what is not quite the same about it."""

    spec: Mapping[str, Any]
    notes: tuple[str, ...] = ()


def in_range(text: str) -> tuple[str, tuple[str, ...]]:
    """A constraint of the Masterminds library, which both tools use, as a range, and what is different.

    Raises:
        NoCounterpartError: there is no such range.
    """
    spelled = text.strip().replace("=>", ">=").replace("=<", "<=") or "*"
    notes: tuple[str, ...] = ()
    if _PRE_RELEASE.search(spelled):
        notes = ("pre-releases count only where the range names one of their version",)
        if check_range(spelled):
            spelled = _PRE_RELEASE.sub("", spelled)
            notes = ("pre-releases are not followed",)
    if fault := check_range(spelled):
        raise NoCounterpartError(f"the range {text!r} has no counterpart: {fault}")
    return spelled, notes


def whole(expression: str) -> str:
    """An expression that is found anywhere as one that matches as a whole.

    Raises:
        NoCounterpartError: it uses what is not supported.
    """
    written = anywhere(expression)
    if fault := fault_of(expression) or (len(written) > MAX_LENGTH and "it is too long"):
        raise NoCounterpartError(f"the expression {expression!r} has no counterpart: {fault}")
    return ".*" if written in {"", ".*.*", ".*.*.*"} else written


def any_of(expressions: Iterable[str]) -> str:
    """One expression for what any of them matches as a whole; empty where there are none.

    Raises:
        NoCounterpartError: it would be too long.
    """
    given = list(dict.fromkeys(expressions))
    joined = given[0] if len(given) == 1 else "|".join(given)
    if fault := check_regex(joined):
        raise NoCounterpartError(f"{len(given)} patterns have no counterpart in one: {fault}")
    return joined


def literal(expression: str) -> str:
    """The one text that the expression matches; empty where it may match others."""
    match = _LITERAL.fullmatch(expression)
    return match["text"].replace("\\.", ".") if match else ""


def newest(match: str, repository: str, what: str, **bounds: str) -> Followed:
    """Follow the tag pushed last where the other tool had another order, `what`."""
    follow: dict[str, Any] = {"newest": {"match": match}, **{key: text for key, text in bounds.items() if text}}
    notes = [f"{what}; {BY_PUSH}"]
    if EcrRegistry.parse(Repository.parse(repository).registry) is None:
        notes.append(NO_PUSH_TIMES)
    return Followed({"follow": follow}, tuple(notes))


def slug(text: str) -> str:
    """A name of an environment or of a declaration made from a text."""
    return _SLUG.sub("-", text.lower()).strip("-")[:_MAX_NAME].strip("-") or "default"


def free_name(name: str, taken: Container[str]) -> str:
    """The name, with a number where it is taken."""
    return next(each for each in (name, *(f"{name}-{number}" for number in range(2, 10_000))) if each not in taken)


def about_branches(targets: Iterable[tuple[Object, tuple[str, str]]]) -> list[Note]:
    """What there is to tell where the repositories and branches that objects commit to are not one and the same."""
    known = list(targets)
    if len({target for _, target in known}) <= 1:
        return []
    alone = "a run of gitcd works on one branch of one repository"
    return [
        Note(each.origin, each.title, f"it commits to {branch or 'the default branch'} of {repository}; {alone}")
        for each, (repository, branch) in known
    ]


def matches_selector(selector: Mapping[str, Any], labels: Mapping[str, Any]) -> bool:
    """Whether labels meet a LabelSelector of Kubernetes."""
    if any(labels.get(key) != value for key, value in as_map(selector.get("matchLabels")).items()):
        return False
    return all(_meets(as_map(each), labels) for each in as_list(selector.get("matchExpressions")))


def _meets(expression: Mapping[str, Any], labels: Mapping[str, Any]) -> bool:
    value, values = labels.get(str(expression.get("key"))), as_list(expression.get("values"))
    match expression.get("operator"):
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case _:
            return value is None
