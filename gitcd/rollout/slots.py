"""The two workloads of a ServiceBlueGreen: which shall be live, which is, and what stands behind the Service."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gitcd.model import times
from gitcd.model.health import Around
from gitcd.model.live import Json, Manifest, part
from gitcd.model.registry import Failure
from gitcd.rollout.facts import Facts, Release, images, template
from gitcd.rollout.health import pods, service
from gitcd.rollout.health.reading import is_leaving, objects, text

STRATEGY = "ServiceBlueGreen"
_SLOTS = 2
_SCALED = frozenset({"Deployment", "StatefulSet", "ReplicaSet"})
_OURS = "gitcd"
_BY_HAND = "kubectl"  # kubectl-edit, kubectl-patch, kubectl-client-side-apply, ...


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

    @property
    def idle(self) -> Manifest:
        """The other one."""
        return self.old if self.is_switched else self.new


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


def holds(slot: Manifest, release: Release, digest: str = "") -> bool:
    """Whether git puts the release's image into this slot; or that of its images which has this digest, or tag."""
    repository, wanted = str(release.spec.repository), digest or release.digest
    found = (image for image in images(slot.value).values() if image.startswith(repository))
    return any(wanted in {image.partition("@")[2], image.removeprefix(f"{repository}:")} for image in found)


def labels_of(slot: Manifest) -> Json:
    """The labels of the pods that a slot makes."""
    return part(template(slot.value), "metadata", "labels")


def selector_of(value: Json) -> Json:
    return part(value, "spec", "selector")


def ready_pods(facts: Facts, pair: Pair, slot: Manifest) -> list[Json]:
    """The ready pods of a slot that the Service selects, or will once it is switched to it."""
    selector = {**selector_of(pair.service.value), **{key: labels_of(slot).get(key) for key in pair.labels}}
    return [
        pod for pod in _pods(facts, slot) if pods.is_ready(pod) and not is_leaving(pod) and _is_asked(pod, selector)
    ]


def mixed(facts: Facts, main: Manifest, slot: Manifest) -> str:
    """Why a Service does not lead to ready pods of this slot alone; empty: it does."""
    ready = _ready_endpoints(facts, main)
    asked = selector_of(main.value)  # what else the slot's own selector meets may be the other slot's
    own = {text(pod, "metadata", "uid") for pod in _pods(facts, slot) if _is_asked(pod, asked)}
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


def is_set_by_us(value: Json) -> bool:
    """Whether the selector of a Service stands there because gitcd applied it."""
    return any(each.get("manager") == _OURS for each in owners(value, "f:selector"))


def stranger(value: Json) -> str:
    """Who would not let gitcd change what a Service selects; people at a terminal do not stand in the way."""
    managers = (str(each.get("manager")) for each in owners(value, "f:selector"))
    return next((each for each in managers if each != _OURS and not each.startswith(_BY_HAND)), "")


def selected_since(value: Json) -> datetime | None:
    """When the selector of a Service was set, as the API server remembers."""
    set_at = (times.parsed(each.get("time")) for each in owners(value, "f:selector"))
    return max(filter(None, set_at), default=None)


def owners(value: Json, field: str) -> Iterator[Mapping[str, Any]]:
    """The entries of managedFields that own a field of the spec."""
    for each in objects(value, "metadata", "managedFields"):
        if field in part(each, "fieldsV1", "f:spec"):
            yield each


def _is_asked(pod: Json, selector: Json) -> bool:
    return selector.items() <= part(pod, "metadata", "labels").items()


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
