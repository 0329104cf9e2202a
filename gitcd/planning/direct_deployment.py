"""One Deployment that is changed in the cluster itself, with no git behind it: its image, and what is remembered.

What ran before, and which digest failed, is noted on the Deployment, so that a run that is killed can be continued.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gitcd.model.declaration import Pin, Spec
from gitcd.model.live import CONTAINERS, Json
from gitcd.model.plan import Resolved
from gitcd.model.reference import Reference, suffix
from gitcd.model.reference import ReferenceError as NotAReference
from gitcd.model.registry import Failure

_LONGEST_MANAGER = 128  # as the API server has it


@dataclass(frozen=True, slots=True)
class Change:
    """The image of one container; `key` is the list that holds it."""

    key: str
    container: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Notes:
    """What is remembered: the images to go back to while a change is under way, and the digest that failed last."""

    before: Mapping[str, str]
    rejected: str = ""


@dataclass(frozen=True, slots=True)
class Author:
    """In whose name the images of one repository, or one container, are written: several may work on one Deployment."""

    spec: Spec

    @property
    def manager(self) -> str:
        """The field manager."""
        container = f"/{self.spec.container.name}" if self.spec.container else ""
        return f"gitcd-ecr-sync/{self.spec.repository.path}{container}"[-_LONGEST_MANAGER:]

    def notes(self, live: Json) -> Notes:
        """What was noted on a Deployment; what cannot be read is nothing."""
        annotations = (live["metadata"].get("annotations") or {}).get
        try:
            before = json.loads(annotations(self._key("before"), "{}"))
        except ValueError:
            before = {}
        is_map = isinstance(before, dict) and all(isinstance(each, str) for each in before.values())
        return Notes(before if is_map else {}, annotations(self._key("rejected"), ""))

    def changes(self, live: Json, resolved: Resolved, pin: Pin) -> list[Change] | Failure:
        """What the containers of the repository run, and what they shall."""
        name = self.spec.container.name if self.spec.container else ""
        pod = ((live.get("spec") or {}).get("template") or {}).get("spec") or {}
        every = [(key, each) for key in CONTAINERS for each in pod.get(key) or () if name in {"", each["name"]}]
        mine = [(key, each, found) for key, each in every if (found := _read(each)) and self._is_mine(found)]
        if not mine or (name and len(mine) != len(every)):
            has = (
                ", ".join(f"{each['name']} runs {each.get('image')}" for _, each in every) or "it has none of that name"
            )
            message = f"no container runs an image of {self.spec.repository}: {has}"
            return Failure("NothingMatched", message, "Correct --container or --ecr.")
        return [
            Change(
                key, each["name"], each["image"], each["image"] if _holds(found, resolved) else self._new(resolved, pin)
            )
            for key, each, found in mine
        ]

    def body(self, live: Json, images: Sequence[Change], notes: Notes) -> dict[str, Any]:
        """The Deployment with these images and notes alone, for server-side apply to the version that was read."""
        pod: dict[str, Any] = {}
        for each in images:
            pod.setdefault(each.key, []).append({"name": each.container, "image": each.new})
        written = {self._key("before"): json.dumps(notes.before, sort_keys=True)} if notes.before else {}
        written |= {self._key("rejected"): notes.rejected} if notes.rejected else {}
        kept = {key: live["metadata"][key] for key in ("name", "namespace", "uid", "resourceVersion")}
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {**kept, "annotations": written},
            "spec": {"template": {"spec": pod}},
        }

    def _key(self, name: str) -> str:
        mark = hashlib.sha256(self.manager.encode()).hexdigest()[:8]
        return f"{mark}.ecr-sync.gitcd.io/{name}"

    def _is_mine(self, reference: Reference) -> bool:
        return reference.repository == self.spec.repository

    def _new(self, resolved: Resolved, pin: Pin) -> str:
        content = {
            "VersionAndDigest": (resolved.version, resolved.digest),
            "Digest": ("", resolved.digest),
            "Version": (resolved.version, ""),
            "TagAndDigest": (resolved.tag, resolved.digest),
        }
        return f"{self.spec.repository.familiar}{suffix(*content[pin])}"


def _read(container: Json) -> Reference | None:
    try:
        return Reference.parse(str(container.get("image", "")))
    except NotAReference:
        return None


def _holds(found: Reference, resolved: Resolved) -> bool:
    """Whether an image is what the tag names, however it is written: then no pod need be started anew."""
    return found.digest == resolved.digest or (not found.digest and found.tag == resolved.version != "")
