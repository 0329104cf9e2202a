"""Pods that Kubernetes does not let be made, by the condition ReplicaFailure of a ReplicaSet."""

from __future__ import annotations

from datetime import timedelta

from gitcd.model.live import Json
from gitcd.rollout.health.look import Look
from gitcd.rollout.health.reading import condition, moment, says, text

_LASTING = timedelta(seconds=3)  # what admission is judged by may itself have come a moment ago
# What a webhook or a policy of the cluster says against an object, whatever words its author chose beside.
# Source: webhook/errors.go and policy/validating/dispatcher.go in apiserver.
DENIED = ("denied the request", "denied request")
# What a rule says against a pod, whenever it is asked.
# Source: plugin/pkg/admission/limitranger and security/podsecurity in Kubernetes.
_FINAL = ("forbidden", *DENIED)
# What may end by itself: when other pods have gone, or once an account is made.
# Source: resourcequota/controller.go in apiserver, and plugin/pkg/admission/serviceaccount.
_PASSING = ("exceeded quota", "status unknown for quota", "service account")


def refused(replica_set: Json | None, look: Look) -> str:
    """What stands against its pods for good; empty: nothing, or what may end by itself."""
    found = condition(replica_set, "ReplicaFailure")
    message, since = text(found, "message"), moment(found, "lastTransitionTime")
    if not says(found, "True") or since is None or look.now - since < _LASTING:
        return ""
    is_final = any(words in message for words in _FINAL) and not any(words in message for words in _PASSING)
    return message if is_final else ""
