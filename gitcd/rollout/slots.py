"""The two workloads of a ServiceBlueGreen: which shall be live, which is, and what stands behind the Service."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from gitcd.model import times
from gitcd.model.health import Around
from gitcd.model.live import Json, Manifest
from gitcd.model.registry import Failure
from gitcd.rollout.actions import Action, Apply, Scale
from gitcd.rollout.facts import Facts, Release, images, template
from gitcd.rollout.health import pods, service
from gitcd.rollout.health.reading import is_leaving, mapping, number, objects, text

_SLOTS = 2
_SCALED = frozenset({"Deployment", "StatefulSet", "ReplicaSet"})
_OURS = "gitcd"
_OF_ROLLOUTS = frozenset({_OURS, "gitcd-rollout", "gitcd-handover"})


@dataclass(frozen=True, slots=True)
class Pair:
    """What git says. `new` is the slot that holds the release's image, `old` the other one.

    `preview` is the Service for verification, None where none is declared. `is_switched`: git's Service selects `new`.
    """

    new: Manifest
    old: Manifest
    service: Manifest
    preview: Manifest | None
    labels: tuple[str, ...]
    is_switched: bool

    @property
    def live(self) -> Manifest:
        """The slot that git says is live."""
        return self.new if self.is_switched else self.old


def pair_of(release: Release) -> Pair | Failure:
    """Tell the slots apart by the release's image and by the Service in git."""
    blue_green = release.spec.strategy.blue_green
    if blue_green is None or len(release.workloads) != _SLOTS:
        names = ", ".join(str(each.ref) for each in release.workloads) or "none"
        return Failure("BlueGreenNeedsTwo", f"strategy ServiceBlueGreen needs exactly two workloads, found {names}")
    if stiff := [each.ref for each in release.workloads if each.ref.kind not in _SCALED]:
        return Failure("BlueGreenNeedsScale", f"strategy ServiceBlueGreen scales its slots, and {stiff[0]} cannot be")
    main = _service(release, blue_green.service_name)
    preview = _service(release, blue_green.verification_service_name)
    if main is None or (preview is None and blue_green.verification_service_name):
        name = blue_green.verification_service_name if main else blue_green.service_name
        return Failure("ServiceNotFound", f"Service {name} does not stand in git")
    live = [each for each in release.workloads if _selects(main, each, blue_green.label_names)]
    if len(live) != 1:
        which = "both slots" if live else "neither slot"
        return Failure("LiveSlotUnclear", f"{main.ref} selects {which} by {', '.join(blue_green.label_names)}")
    idle = next(each for each in release.workloads if each is not live[0])
    new = live[0] if holds(live[0], release) else idle
    if not holds(new, release):
        return Failure("SlotUnclear", f"neither {live[0].ref} nor {idle.ref} holds {release.version or release.digest}")
    old = idle if new is live[0] else live[0]
    if preview and not _selects(preview, idle, blue_green.label_names):
        return _misled(preview, idle)
    return Pair(new, old, main, preview, blue_green.label_names, is_switched=new is live[0])


def _misled(preview: Manifest, idle: Manifest) -> Failure:
    message = f"{preview.ref} does not select {idle.ref}, the slot that is not live, which it is to verify"
    return Failure("VerificationServiceUnclear", message)


def holds(slot: Manifest, release: Release) -> bool:
    """Whether git puts the release's image into this slot."""
    repository = str(release.spec.repository)
    found = (image for image in images(slot.value).values() if image.startswith(repository))
    return any(release.digest in {image.partition("@")[2], image.removeprefix(f"{repository}:")} for image in found)


def labels_of(slot: Manifest) -> Json:
    """The labels of the pods that a slot makes."""
    return mapping(template(slot.value), "metadata", "labels")


def selector_of(value: Json) -> Json:
    return mapping(value, "spec", "selector")


def ready_pods(facts: Facts, pair: Pair) -> list[Json]:
    """The ready pods of the new slot that the Service selects, or will once it is switched."""
    selector = {**selector_of(pair.service.value), **{key: labels_of(pair.new).get(key) for key in pair.labels}}
    return [
        pod
        for pod in _pods(facts, pair.new)
        if pods.is_ready(pod) and not is_leaving(pod) and selector.items() <= mapping(pod, "metadata", "labels").items()
    ]


def mixed(facts: Facts, main: Manifest, slot: Manifest) -> str:
    """Why a Service does not lead to ready pods of this slot alone; empty: it does."""
    ready = _ready_endpoints(facts, main)
    own = {text(pod, "metadata", "uid") for pod in _pods(facts, slot)}
    foreign = [text(each, "targetRef", "name") for each in ready if text(each, "targetRef", "uid") not in own]
    if foreign:
        return f"{main.ref} still leads to pod {foreign[0]}, which is none of {slot.ref}"
    return "" if ready else f"no ready pod stands behind {main.ref}"


def is_deserted(facts: Facts, main: Manifest) -> bool:
    """Whether no ready pod stands behind a Service."""
    return not _ready_endpoints(facts, main)


def live_slot(facts: Facts, pair: Pair) -> Manifest | None:
    """The slot that the Service in the cluster selects; None: neither or both, or there is no such Service."""
    live = facts.live.get(pair.service.ref, {})
    found = [each for each in (pair.new, pair.old) if _meets(selector_of(live), each, pair.labels)]
    return found[0] if len(found) == 1 else None


def replicas(value: Json) -> int:
    return number(value, "spec", "replicas", default=1)


def brought(facts: Facts, slot: Manifest) -> Sequence[Action]:
    """Let a slot run what git says, with as many pods as it has: how many is a matter of the rollout.

    The number is taken over first: where nobody else owned it, it would fall to one as soon as it is left out.
    """
    live = facts.live.get(slot.ref)
    if live is None:
        return (Apply(slot),)
    spec = {key: each for key, each in slot.value["spec"].items() if key != "replicas"}
    return Scale(slot.ref, replicas(live)), Apply(replace(slot, value={**slot.value, "spec": spec}))


def wanted_replicas(facts: Facts, pair: Pair) -> int:
    """How many pods the new slot needs before it may be live: as git says, and never fewer than what it replaces.

    The old slot counts where somebody other than gitcd set its number, an autoscaler say, and where git says 0.
    """
    stated = replicas(pair.new.value)
    old = facts.live.get(pair.old.ref)
    if old is not None and live_slot(facts, pair) is pair.old and (stated == 0 or is_scaled_by_others(old)):
        return max(stated, replicas(old))
    return stated


def is_set_by_us(value: Json) -> bool:
    """Whether the selector of a Service stands there because gitcd applied it."""
    return any(each.get("manager") == _OURS for each in _owners(value, "f:selector"))


def selected_since(value: Json) -> datetime | None:
    """When the selector of a Service was set, as the API server remembers."""
    set_at = (times.parsed(each.get("time")) for each in _owners(value, "f:selector"))
    set_at = (times.parsed(each.get("time")) for each in _owners(value, "f:selector"))
    return max(filter(None, set_at), default=None)


def is_scaled_by_others(value: Json) -> bool:
    """Whether somebody other than gitcd set how many replicas a workload has."""
    return any(each.get("manager") not in _OF_ROLLOUTS for each in _owners(value, "f:replicas"))


def _owners(value: Json, field: str) -> Iterator[Mapping[str, Any]]:
    """The entries of managedFields that own a field of the spec."""
    for each in objects(value, "metadata", "managedFields"):
        if field in mapping(each, "fieldsV1", "f:spec"):
            yield each


def _pods(facts: Facts, slot: Manifest) -> tuple[Json, ...]:
    return facts.around.get(slot.ref, Around()).pods


def _ready_endpoints(facts: Facts, main: Manifest) -> list[Json]:
    found = service.endpoints(facts.live.get(main.ref, {}), facts.around.get(main.ref, Around()).slices)
    return [each for each in found if service.is_ready(each)]


def _service(release: Release, name: str) -> Manifest | None:
    found = (each for each in release.others if name and (each.ref.kind, each.ref.name) == ("Service", name))
    return next(found, None)


def _selects(main: Manifest, slot: Manifest, labels: tuple[str, ...]) -> bool:
    return _meets(selector_of(main.value), slot, labels)


def _meets(selector: Json, slot: Manifest, labels: tuple[str, ...]) -> bool:
    """Judged by the labels that tell the slots apart."""
    own = labels_of(slot)
    return all(key in selector and own.get(key) == selector[key] for key in labels)
