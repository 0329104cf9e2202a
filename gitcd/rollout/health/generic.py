"""What holds for every kind, and all that can be said of those that have no rule of their own.

After kstatus: https://github.com/kubernetes-sigs/cli-utils/tree/master/pkg/kstatus
"""

from __future__ import annotations

from gitcd.model.health import Health
from gitcd.model.live import Json
from gitcd.rollout.health.look import Look
from gitcd.rollout.health.reading import condition, has_number, is_leaving, number, says, text

# Groups of Kubernetes itself, whose kinds without a rule are done when they are written, or are nothing to wait for.
_BUILT_IN = frozenset(
    {"", "apps", "autoscaling", "batch", "events.k8s.io", "policy", "apiextensions.k8s.io", "apiregistration.k8s.io"}
    | {f"{name}.k8s.io" for name in ("admissionregistration", "authentication", "authorization", "certificates")}
    | {f"{name}.k8s.io" for name in ("coordination", "discovery", "flowcontrol.apiserver", "networking", "node")}
    | {f"{name}.k8s.io" for name in ("rbac.authorization", "resource", "scheduling", "storage")}
)
# Kinds of those whose controller says when they can be used.
_READY_BY = {("apiregistration.k8s.io", "APIService"): "Available"}


def first(look: Look) -> Health | None:
    """What comes before the rule of any kind."""
    value = look.value
    if is_leaving(value):
        waits = ", ".join(_finalizers(value))
        return look.terminating(f"it is being deleted; it waits for {waits}" if waits else "it is being deleted")
    if _lags(value):
        return look.progressing("NotObserved", "its controller has not seen its latest change yet")
    reconciling, stalled = condition(value, "Reconciling"), condition(value, "Stalled")
    if says(reconciling, "True"):
        return look.progressing(text(reconciling, "reason") or "Reconciling", text(reconciling, "message"))
    if says(stalled, "True"):
        return look.failed(text(stalled, "reason") or "Stalled", text(stalled, "message"))
    return None


def judge(look: Look) -> Health:
    """By condition Ready, if there is one. Where nothing tells an answered change from a new one, only time does."""
    value, key = look.value, (look.ref.group, look.ref.kind)
    if key[0] in _BUILT_IN and key not in _READY_BY:
        return look.current()
    ready = condition(value, _READY_BY.get(key, "Ready"))
    if _is_behind(value, ready):
        return look.progressing("NotObserved", "its condition is of an earlier change")
    if ready and not says(ready, "True"):
        return look.progressing(text(ready, "reason") or "NotReady", text(ready, "message"))
    if not (look.is_settled or _is_answered(value, ready)):
        return look.progressing("Settling", "its controller, if it has one, has said nothing yet")
    if key in _READY_BY and not ready:
        return look.progressing("NotReady", f"it has no condition {_READY_BY[key]} yet")
    return look.current()


def _lags(value: Json) -> bool:
    """Whether a controller says that what it saw was another generation."""
    seen = ("status", "observedGeneration")
    return has_number(value, *seen) and number(value, *seen) != number(value, "metadata", "generation")


def _is_behind(value: Json, ready: Json) -> bool:
    seen = number(ready, "observedGeneration")
    return has_number(ready, "observedGeneration") and seen < number(value, "metadata", "generation")


def _is_answered(value: Json, ready: Json) -> bool:
    """Whether its controller says that it saw this very generation, and how it is."""
    return bool(ready) and (
        has_number(value, "status", "observedGeneration") or has_number(ready, "observedGeneration")
    )


def _finalizers(value: Json) -> list[str]:
    found = value.get("metadata")
    names = found.get("finalizers") if isinstance(found, dict) else None
    return [str(each) for each in names] if isinstance(names, list) else []
