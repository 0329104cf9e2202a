"""The transient copy of a Deployment, in which a canary runs the new image."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from gitcd.model.live import CONTAINERS, Json, Manifest, Ref, part
from gitcd.rollout.facts import Facts, images
from gitcd.rollout.health.reading import annotation, number, text

TRACK = "gitcd.io/track"
_CANARY = "canary"
ROUTE = "gitcd.io/route"  # the HTTPRoute that may lead to the copy
_OF = "gitcd.io/canary-of"
_PODS = "gitcd.io/pods"  # how many pods the Deployment had when the canary began
_MOST_PODS = 10_000
_LONGEST_NAME = 63  # of what may stand in labels, as the names of workloads do


@dataclass(frozen=True, slots=True)
class Copy:
    """The copy of one Deployment. Its pods have the labels of the Deployment's, so that a Service selects both.

    `of_live`: git holds nothing but the Deployment's image, and the rest is as the cluster has it. `route` is the name
    of the HTTPRoute that divides the traffic, if one does.
    """

    stable: Manifest
    of_live: bool = False
    route: str = ""

    @property
    def ref(self) -> Ref:
        return replace(self.stable.ref, name=_named(self.stable.ref.name))

    def manifest(self, facts: Facts) -> Manifest:
        """The copy as it shall be. How many pods it has is not said: that changes step by step."""
        live = facts.live.get(self.stable.ref, {})
        base = _with_images(live, images(self.stable.value)) if self.of_live else self.stable.value
        value = {
            "apiVersion": self.stable.api_version,
            "kind": "Deployment",
            "metadata": {
                "name": self.ref.name,
                "namespace": self.ref.namespace,
                "labels": {"app.kubernetes.io/managed-by": "gitcd", TRACK: _CANARY},
                "annotations": {
                    _OF: self.stable.ref.name,
                    _PODS: str(self.pods(facts)),
                    **({ROUTE: self.route} if self.route else {}),
                },
                "ownerReferences": _owners(live),
            },
            "spec": _tracked(part(base, "spec")),
        }
        return replace(self.stable, ref=self.ref, value=value)

    def pod_labels(self) -> Json:
        """The labels of its pods."""
        return {**pod_labels(self.stable), TRACK: _CANARY}

    def pods(self, facts: Facts) -> int:
        """How many pods the Deployment had when the canary began, whatever an autoscaler made of it meanwhile."""
        written = annotation(facts.live.get(self.ref, {}), _PODS) if self.is_there(facts) else ""
        if written.isascii() and written.isdecimal() and 0 < int(written[:9]) <= _MOST_PODS:
            return int(written[:9])
        return max(1, number(facts.live.get(self.stable.ref, {}), "spec", "replicas", default=1))

    def is_there(self, facts: Facts) -> bool:
        return annotation(facts.live.get(self.ref, {}), _OF) == self.stable.ref.name

    def is_taken(self, facts: Facts) -> bool:
        """Whether an object of somebody else has its name."""
        return self.ref in facts.live and not self.is_there(facts)


def pod_labels(workload: Manifest) -> Json:
    """The labels of the pods that a workload makes."""
    return part(workload.value, "spec", "template", "metadata", "labels")


def _named(name: str) -> str:
    if len(name) + len("-canary") <= _LONGEST_NAME:
        return f"{name}-canary"
    mark = hashlib.sha256(name.encode()).hexdigest()[:6]
    return f"{name[: _LONGEST_NAME - len('-canary-') - len(mark)].rstrip('-.')}-{mark}-canary"


def _tracked(spec: Json) -> dict[str, Any]:
    """The spec of a Deployment with another selector, which its own pods alone meet."""
    template, selector = part(spec, "template"), part(spec, "selector")
    metadata = part(template, "metadata")
    kept = {key: value for key, value in spec.items() if key != "replicas"}
    return {
        **kept,
        "selector": {**selector, "matchLabels": {**part(selector, "matchLabels"), TRACK: _CANARY}},
        "template": {
            **template,
            "metadata": {**metadata, "labels": {**part(metadata, "labels"), TRACK: _CANARY}},
        },
    }


def _with_images(live: Json, wanted: Mapping[str, str]) -> Json:
    """A Deployment of the cluster with other images."""
    spec = part(live, "spec")
    pod = part(spec, "template", "spec")
    changed = {key: [_with_image(each, wanted) for each in pod[key]] for key in CONTAINERS if pod.get(key)}
    return {**live, "spec": {**spec, "template": {**part(spec, "template"), "spec": {**pod, **changed}}}}


def _with_image(container: Json, wanted: Mapping[str, str]) -> Json:
    name = text(container, "name")
    return {**container, "image": wanted[name]} if name in wanted else container


def _owners(live: Json) -> list[dict[str, str]]:
    """The copy goes with the Deployment."""
    uid = text(live, "metadata", "uid")
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": text(live, "metadata", "name"), "uid": uid}
    return [owner] if uid else []
