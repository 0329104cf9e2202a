"""What people say about a rollout, written where every run looks: on the ContainerVersion in the cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from gitcd.cluster.api import Api
from gitcd.cluster.progress import Progress, read_progress
from gitcd.cluster.which import cluster_uid
from gitcd.errors import ConfigError, RefusedError
from gitcd.model.declaration import API_VERSION, KIND, Identity
from gitcd.model.reference import short
from gitcd.model.settings import Settings
from gitcd.model.times import shown
from gitcd.rollout import orders
from gitcd.rollout.book import Page, Result
from gitcd.rollout.canary import APPROVAL
from gitcd.rollout.facts import Order

Verb = Literal["approve", "abort", "pause", "retry"]
RUNNING = "Running"
_LOOK = "`gitcd rollout history` shows what became of each."
_MANAGER = "gitcd-rollout-"  # one for each verb, so that what one says leaves alone what another said


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody says. `digest`: about which image; empty: the one that it is about now."""

    verb: Verb
    namespace: str
    name: str
    digest: str = ""
    by: str = ""
    reason: str = ""


def give(api: Api, wish: Wish, now: datetime) -> str:
    """Write it down, and tell what was said, in one line.

    Raises:
        ConfigError: there is no such ContainerVersion.
        RefusedError: there is nothing that this could be about.
    """
    progress = _progress(api, wish.namespace, wish.name)
    order = _order(wish, progress, now)
    _write(api, wish.verb, progress, {orders.PREFIX + wish.verb: orders.render(order)})
    step = f", step {order.step}" if order.step else ""
    return f"{wish.namespace}/{wish.name} {short(order.digest)}{step}: {_SAID[wish.verb]}"


def take_back(api: Api, wish: Wish) -> str:
    """Take the word back, whoever gave it.

    Raises:
        ConfigError: there is no such ContainerVersion.
    """
    progress = _progress(api, wish.namespace, wish.name)
    _write(api, wish.verb, progress, {})
    return f"{wish.namespace}/{wish.name}: {wish.verb} is taken back"


def history(api: Api, namespace: str, name: str) -> list[Mapping[str, Any]]:
    """The rollouts that the status remembers, the latest first; the one under way before them.

    Raises:
        ConfigError: there is no such ContainerVersion.
    """
    fields = _progress(api, namespace, name).fields
    past: list[Mapping[str, Any]] = list(fields.get("history") or ())
    under_way = fields.get("rollout")
    if not under_way:
        return past
    told = {"digest": under_way.get("newDigest", ""), "result": RUNNING, "message": f"step {under_way.get('step', '')}"}
    return [{**told, **{key: under_way.get(key, "") for key in ("commit", "startedAt")}}, *past]


def last_good(reach: Callable[[], Api], identity: Identity, settings: Settings) -> str:
    """The digest that was found healthy last; empty where the operator names no cluster, or it knows of none.

    Raises:
        ConfigError: the cluster at hand is not the environment's.
        TransientError: it is in trouble.
    """
    wanted = next((each.cluster for each in settings.environments if each.name == identity.environment), "")
    if not wanted:
        return ""
    api = reach()
    if cluster_uid(api) != wanted:
        raise ConfigError(
            f"{api.server} is not the cluster of {identity.environment}, which knows what was good there",
            remedy="Choose another --context, or say --to.",
        )
    found = read_progress(api, identity.namespace, identity.name)
    return Page(found.fields).good if found else ""


_SAID = {
    "approve": "may go on",
    "abort": "is given up, and goes back",
    "pause": "stops where it is",
    "retry": "is tried again",
}


def _progress(api: Api, namespace: str, name: str) -> Progress:
    found = read_progress(api, namespace, name)
    if found is None:
        raise ConfigError(
            f"there is no ContainerVersion {name} in namespace {namespace}",
            remedy="Choose another --namespace or --context; `gitcd apply` takes declarations to the cluster.",
        )
    return found


def _order(wish: Wish, progress: Progress, now: datetime) -> Order:
    page = Page(progress.fields, progress.conditions)
    record = page.record
    if wish.verb == "retry":
        return Order(_failed(wish, page), wish.by, "", wish.reason, shown(now))
    digest = wish.digest or record.new_digest
    if digest != record.new_digest or not digest:
        going = f"what goes on is {short(record.new_digest)}" if record.new_digest else "no rollout is under way"
        raise RefusedError(f"{wish.namespace}/{wish.name}: {going}", remedy="`gitcd status --live` shows what goes on.")
    step = record.step if wish.verb == "approve" else ""
    if step and not step.startswith(APPROVAL):
        raise RefusedError(
            f"{wish.namespace}/{wish.name} is at step {step}, which nobody has to approve of",
            remedy="It goes on by itself; the steps with `pause: Approval` wait for you.",
        )
    return Order(digest, wish.by, step, wish.reason, shown(now))


def _failed(wish: Wish, page: Page) -> str:
    """The digest that failed last, and was left as it is."""
    past: list[Mapping[str, Any]] = list(page.fields.get("history") or ())
    last = past[0] if past else {}
    digest = str(last.get("digest", ""))
    if wish.digest and wish.digest != digest:
        raise RefusedError(
            f"the last rollout of {wish.namespace}/{wish.name} was that of {short(digest) or 'nothing'}", remedy=_LOOK
        )
    if last.get("result") == Result.ROLLED_BACK:
        raise RefusedError(
            f"{short(digest)} was taken back, and its hold keeps it out",
            remedy=f"`gitcd release {wish.namespace}/{wish.name}` lets it in again.",
        )
    if last.get("result") not in {Result.FAILED, Result.INCONCLUSIVE}:
        raise RefusedError(f"the last rollout of {wish.namespace}/{wish.name} did not fail", remedy=_LOOK)
    return digest


def _write(api: Api, verb: Verb, progress: Progress, annotations: Mapping[str, str]) -> None:
    live = progress.live
    metadata = {"name": live.name, "namespace": live.namespace, "uid": live.uid, "annotations": dict(annotations)}
    body = {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata}
    api.apply(live.path, body, manager=f"{_MANAGER}{verb}", force=True)
