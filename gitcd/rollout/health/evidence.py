"""What to look up about an object that is not well, and what to keep of what was found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from gitcd.model.health import Health
from gitcd.rollout.health.look import line

LINES = 10  # of a log
_LONGEST = 256  # characters of one of them
# Beginnings of reasons for which a container waits that never ran.
# Source: kubelet, pkg/kubelet/images/types.go and pkg/kubelet/kuberuntime/kuberuntime_container.go.
_NEVER_RAN = ("ErrImage", "ImagePull", "InvalidImage", "ImageInspect", "CreateContainer", "ContainerCreating", "Pod")


def has_log(health: Health) -> bool:
    """Whether a container is to blame that has run, so that its last lines may tell why."""
    return bool(health.pod and health.container) and not health.reason.startswith(_NEVER_RAN)


def with_log(health: Health, lines: Iterable[str]) -> Health:
    """The same with the last of these lines, each of them without secrets and of a bounded length.

    What the container left as its last words stays before them, if the log does not have it.
    """
    kept = [each for each in (line(each, _LONGEST) for each in lines) if each]
    own = [each for each in health.log if each not in kept]
    return replace(health, log=(*own, *kept[-LINES:]))
