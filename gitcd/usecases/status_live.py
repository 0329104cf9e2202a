"""What runs in the cluster beside what git says, and how its rollouts stand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from gitcd.cluster.api import Api, DeclinedError, Json
from gitcd.cluster.which import cluster_uid
from gitcd.cluster.workloads import Workload, list_workloads
from gitcd.errors import ConfigError
from gitcd.model import reference
from gitcd.model.declaration import API_VERSION, PLURAL
from gitcd.model.overview import Item, Overview, Running, State
from gitcd.model.reference import Reference, short
from gitcd.model.settings import Settings
from gitcd.rollout.book import STALLED, VERIFIED
from gitcd.rollout.canary import APPROVAL


def with_running(found: Overview, api: Api, settings: Settings) -> Overview:
    """The same, with what runs of those environments that are this cluster.

    Raises:
        ConfigError: nobody says which environment this cluster is.
        DeclinedError: its workloads or ContainerVersions may not be listed.
        TransientError: it is in trouble.
    """
    here = _environments(api, settings)
    namespaces = sorted({each.identity.namespace for each in found.items if each.identity.environment in here})
    declared = {key: each for namespace in namespaces for key, each in _declared(api, namespace).items()}
    workloads = {namespace: list_workloads(api, namespace) for namespace in namespaces}

    def looked(item: Item) -> Item:
        if item.identity.environment not in here:
            return item
        namespace = item.identity.namespace
        return _looked(item, declared.get((namespace, item.identity.name)), workloads[namespace])

    return replace(found, items=tuple(map(looked, found.items)))


def _environments(api: Api, settings: Settings) -> frozenset[str]:
    uid = cluster_uid(api)
    here = frozenset(each.name for each in settings.environments if each.cluster == uid)
    if not here:
        raise ConfigError(
            f"nobody says which environment {api.server} is",
            remedy=f"Write its UID into the setting environments: {{name: NAME, cluster: {uid}}}.",
        )
    return here


def _declared(api: Api, namespace: str) -> dict[tuple[str, str], Json]:
    """The ContainerVersions of a namespace by namespace and name; none where the cluster has no such kind."""
    try:
        found = api.collect(f"/apis/{API_VERSION}/namespaces/{namespace}/{PLURAL}", lambda item: item)
    except DeclinedError as answer:
        if answer.reason != "NotFound":
            raise
        return {}
    return {(each["metadata"]["namespace"], each["metadata"]["name"]): each for each in found}


def _looked(item: Item, declared: Json | None, workloads: list[Workload]) -> Item:
    status: Mapping[str, Any] = (declared or {}).get("status") or {}
    images = [(each, image) for each in workloads for image in _images(each, item, declared)]
    images = [each for each in images if not each[0].is_idle] or images  # of two slots one may have no pods
    running = Running(
        tuple(dict.fromkeys(image.tag or short(image.digest) for _, image in images)),
        tuple(dict.fromkeys(image.digest for _, image in images if image.digest)),
        sum(each.available for each in {id(each): each for each, _ in images}.values()),
        str((status.get("rollout") or {}).get("step", "")),
    )
    return replace(item, running=running, states=(*item.states, *_states(item, running, status)))


def _images(workload: Workload, item: Item, declared: Json | None) -> Iterator[Reference]:
    """The images of the item's repository in a workload that its declaration selects."""
    spec = (declared or {}).get("spec") or {}
    named, selector = spec.get("workload") or {}, spec.get("selector") or {}
    if named and (named.get("kind"), named.get("name")) != (workload.kind, workload.name):
        return
    if not any(selector.items() <= labels.items() for labels in workload.labels):
        return
    for _, image in workload.images:
        parsed = _parsed(image)
        if parsed and (str(parsed.repository) == item.repository or (item.digest and parsed.digest == item.digest)):
            yield parsed


def _states(item: Item, running: Running, status: Mapping[str, Any]) -> Iterator[State]:
    conditions = {each.get("type"): each for each in status.get("conditions") or ()}
    stalled, verified = conditions.get(STALLED, {}), conditions.get(VERIFIED, {})
    if running.rollout:
        yield State("RollingOut", f"step {running.rollout}{_awaited(item, running.rollout)}")
    elif not running.names:
        yield State("NotRunning", "no workload of the cluster runs it")
    elif item.digest and running.digests and item.digest not in running.digests:
        yield State("NotLive", f"the cluster runs {' + '.join(running.names)}")
    if stalled.get("status") == "True" and stalled.get("reason") == verified.get("reason"):
        yield State("Stalled", " ".join(str(stalled.get("message", "")).split()))


def _awaited(item: Item, step: str) -> str:
    """What the step waits for, if for a person."""
    identity = item.identity
    order = f"gitcd rollout approve {identity.name} -n {identity.namespace}"
    return f" waits for `{order}`" if step.startswith(APPROVAL) else ""


def _parsed(image: str) -> Reference | None:
    try:
        return Reference.parse(image)
    except reference.ReferenceError:
        return None
