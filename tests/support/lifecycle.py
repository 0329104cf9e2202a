"""Lifecycle policies as ECR evaluates them, for the stand-in.

By priority each rule claims the images that fit its tags, and no later rule touches these, whether or not the rule
expires them: "an image that matches the tagging requirements of a rule cannot be expired by a rule with a lower
priority" (Amazon ECR user guide).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol


class Stored(Protocol):
    digest: str
    tags: set[str]
    pushed_at: Any


def rule(priority: int, status: str = "untagged", *, prefixes: Iterable[str] = (), patterns: Iterable[str] = (), more_than: int | None = None, days: int = 1, action: str = "expire") -> dict[str, Any]:  # fmt: skip
    """One rule of a policy: expire all but the `more_than` newest, or what was pushed `days` ago."""
    count = {"countType": "imageCountMoreThan", "countNumber": more_than} if more_than is not None else {"countType": "sinceImagePushed", "countUnit": "days", "countNumber": days}  # fmt: skip
    lists = {"tagPrefixList": list(prefixes), "tagPatternList": list(patterns)}
    selection = {"tagStatus": status, **{key: value for key, value in lists.items() if value}, **count}
    return {"rulePriority": priority, "selection": selection, "action": {"type": action}}


def expiring(policy: str, images: Iterable[Stored], has_parent: Callable[[str], bool]) -> list[dict[str, Any]]:
    """The results of a preview; an image that an index refers to is never among them."""
    left = sorted((image for image in images if not has_parent(image.digest)), key=_age, reverse=True)
    results = []
    for each in sorted(json.loads(policy)["rules"], key=lambda each: each["rulePriority"]):
        claimed = [image for image in left if _fits(image, each["selection"])]
        left = [image for image in left if image not in claimed]
        results += [_result(image, each) for image in _over(claimed, each["selection"])]
    return results


def _fits(image: Stored, selection: Mapping[str, Any]) -> bool:
    status = selection["tagStatus"]
    if status != "tagged":
        return status == "any" or not image.tags
    patterns = [*selection.get("tagPatternList", ()), *(f"{each}*" for each in selection.get("tagPrefixList", ()))]
    expressions = [re.compile(".*".join(map(re.escape, each.split("*")))) for each in patterns]
    return bool(image.tags) and all(any(map(each.fullmatch, image.tags)) for each in expressions)


def _over(images: list[Stored], selection: Mapping[str, Any]) -> list[Stored]:
    if selection["countType"] == "imageCountMoreThan":
        return images[selection["countNumber"] :]
    now = datetime.now(UTC)
    return [image for image in images if (now - _age(image)).days >= selection["countNumber"]]


def _age(image: Stored) -> datetime:
    pushed = image.pushed_at
    return pushed if isinstance(pushed, datetime) else datetime.fromtimestamp(float(pushed or 0), UTC)


def _result(image: Stored, rule: Mapping[str, Any]) -> dict[str, Any]:
    kinds = {"expire": {"type": "EXPIRE"}, "transition": {"type": "TRANSITION", "targetStorageClass": "ARCHIVE"}}
    result = {
        "imageDigest": image.digest,
        "imageTags": sorted(image.tags),
        "imagePushedAt": _age(image).timestamp(),
        "action": kinds[rule["action"]["type"]],
        "appliedRulePriority": rule["rulePriority"],
    }
    return {key: value for key, value in result.items() if value != []}
