"""What a rollout is decided by: what a commit says, and what was seen in the cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gitcd.model import times
from gitcd.model.declaration import Identity, Spec
from gitcd.model.health import Around, Health
from gitcd.model.live import CONTAINERS, Json, Manifest, Ref, part, template_at
from gitcd.model.reference import ReferenceError, split_reference  # noqa: A004 - the model's own word
from gitcd.model.verdict import Measurement, Tally
from gitcd.rollout import record
from gitcd.rollout.record import Record

_TELLING = frozenset({"f:template", "f:jobTemplate", "f:selector"})  # what a step waits for, once it is set

Renamed = Mapping[tuple[Ref, str], str]  # what admission has made of an image that git names, in a workload


@dataclass(frozen=True, slots=True)
class Release:
    """One declaration, and what a commit says that it shall run.

    `digest` is the digest, or the tag where git names none. `workloads` are the manifests that carry its image,
    `others` those that its strategy names: Services, an HTTPRoute. `rejected` are the digests that its hold keeps out,
    each with the reason. `back`: it goes back to what ran before, so by the shortest way. `returns`: of two slots the
    idle one holds what somebody asked to go back to. `external`: somebody else applies the commit. `left` are copies
    that a canary has left in the cluster, and that no canary takes away. `after` are members of its group that come
    first.
    """

    identity: Identity
    spec: Spec
    version: str
    digest: str
    commit: str
    workloads: tuple[Manifest, ...]
    others: tuple[Manifest, ...] = ()
    rejected: Mapping[str, str] = field(default_factory=dict)
    back: bool = False
    returns: bool = False
    external: bool = False
    left: tuple[Ref, ...] = ()
    after: frozenset[Identity] = frozenset()

    @property
    def company(self) -> object:
        """What tells those apart that do not move together."""
        group = self.spec.strategy.group
        return (self.identity.environment, group) if group else self.identity


@dataclass(frozen=True, slots=True)
class Order:
    """What a person said about the rollout of one digest; about one of its steps, where `step` names it."""

    digest: str
    by: str = ""
    step: str = ""
    reason: str = ""
    time: str = ""


@dataclass(frozen=True, slots=True)
class Orders:
    approve: Order | None = None
    abort: Order | None = None
    pause: Order | None = None
    retry: Order | None = None

    def approves(self, digest: str, step: str) -> bool:
        """Whether somebody lets this digest go past this step."""
        return self.approve is not None and (self.approve.digest, self.approve.step) == (digest, step)


@dataclass(frozen=True, slots=True)
class Facts:
    """One look at everything.

    `measured` are the run's own measurements by the key that they were asked for with, `earlier` what the record said
    of those of earlier runs.

    `live` holds what is there of the release's objects and of transient ones; what is not there is not in it. `good`
    is the digest that the status says was found healthy last. `renamed` is what admission makes of images.
    `stalled` is the reason for which the status says that the rollout was left as it is. `written` holds the seals of
    workloads as they were right after this run had applied them.
    """

    release: Release
    now: datetime
    live: Mapping[Ref, Json] = field(default_factory=dict)
    health: Mapping[Ref, Health] = field(default_factory=dict)
    around: Mapping[Ref, Around] = field(default_factory=dict)
    measured: Mapping[str, tuple[Measurement, ...]] = field(default_factory=dict)
    record: Record = record.NONE
    orders: Orders = field(default_factory=Orders)
    good: str = ""
    earlier: Mapping[str, Tally] = field(default_factory=dict)
    renamed: Renamed = field(default_factory=dict)
    written: Mapping[Ref, str] = field(default_factory=dict)
    stalled: str = ""

    @property
    def pending(self) -> tuple[Manifest, ...]:
        """The workloads that do not run the images of the commit yet."""
        return tuple(each for each in self.release.workloads if self.is_pending(each))

    def is_pending(self, manifest: Manifest) -> bool:
        """Whether a workload of the cluster lacks an image that its manifest names."""
        live = self.live.get(manifest.ref)
        return live is None or not self.runs(manifest, live)

    def runs(self, manifest: Manifest, live: Json) -> bool:
        """Whether an object has the images of a manifest, or what admission makes of them, such as those of a mirror.

        What that is, is known from the answer to gitcd's own write; where somebody else writes, a digest says enough.
        """
        there = images(live)
        return all(self._is(manifest.ref, image, there.get(name, "")) for name, image in images(manifest.value).items())

    def _is(self, ref: Ref, image: str, there: str) -> bool:
        if self.renamed.get((ref, image)) == there:
            return is_alike(image, there)
        return image == there or (self.release.external and _has_digest_of(image, there))

    def since(self, step: str) -> datetime:
        """Since when a step has been going on: never before its objects became what they are, nor in times to come."""
        begun = self.record.since if self.record.step == step else None
        if begun is None:
            return self.now
        return min(max(begun, self.changed or begun), self.now)

    @property
    def changed(self) -> datetime | None:
        """When the latest of the objects became what it is, as far as the API server remembers."""
        return max((time for each in self.live.values() if (time := changed_at(each))), default=None)


def template(value: Json) -> Json:
    """The pod template of a workload; empty for what has none."""
    return part(value, *template_at(str(value.get("kind"))))


def containers(value: Json) -> Iterator[Json]:
    """The containers of a workload's pods, init containers too."""
    spec = part(template(value), "spec")
    for key in CONTAINERS:
        found = spec.get(key)
        yield from (each for each in found if isinstance(each, Mapping)) if isinstance(found, list | tuple) else ()


def images(value: Json) -> dict[str, str]:
    """The images of a workload by the names of its containers."""
    return {str(each.get("name")): str(each.get("image")) for each in containers(value)}


def running_digest(release: Release, live: Mapping[Ref, Json]) -> str:
    """The digest of the release's image that its workloads run in the cluster, as far as they say one."""
    repository = str(release.spec.repository)
    found = {
        images(live.get(each.ref, {})).get(name, "").partition("@")[2]
        for each in release.workloads
        for name, image in images(each.value).items()
        if repository in image
    }
    return next(iter(sorted(found - {""})), "")


def is_alike(image: str, there: str) -> bool:
    """Whether what admission made of an image can be the same one under another name: nothing in it says otherwise."""
    (_, tag, digest), (_, other_tag, other) = _parts(image), _parts(there)
    return digest == other if digest and other else tag == other_tag or not (tag and other_tag)


def _has_digest_of(image: str, there: str) -> bool:
    digest = _parts(image)[2]
    return bool(digest) and digest == _parts(there)[2]


def _parts(image: str) -> tuple[str, str, str]:
    try:
        return split_reference(image)
    except ReferenceError:
        return image, "", ""


def changed_at(value: Json) -> datetime | None:
    """When a pod template, or what a Service selects, was last set by its owner, as the API server remembers."""
    entries = (value.get("metadata") or {}).get("managedFields") or ()
    owners = (each for each in entries if not each.get("subresource") and _owns_any(each.get("fieldsV1") or {}))
    return max((time for each in owners if (time := times.parsed(each.get("time")))), default=None)


def _owns_any(fields: Mapping[str, Any]) -> bool:
    return not _TELLING.isdisjoint(fields.get("f:spec") or {})
