"""Documents of cvmanager and kcd (`custom.k8s.io/v1`), and what each of them says as a ContainerVersion of today.

Three forms of the spec were in use, and are read as one: `deployment` with `checkFrequency` in minutes; `selector` with
`container` as a text; `selector` with `container` as a map, strategies and seconds. Objects that lie in a cluster hold
a null for what was left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from gitcd.model import declaration, schema
from gitcd.model.declaration import KIND
from gitcd.model.duration import format_duration
from gitcd.model.legacy_spec import BLUE_GREEN, Document, Spec, Strategy, Verify, anywhere
from gitcd.model.problem import Problem
from gitcd.model.reference import with_host

GROUP = "custom.k8s.io"
API_VERSION = f"{GROUP}/v1"
SELECTED_BY = {KIND: "cvapp", "KCD": "kcdapp"}  # the kinds, and the one label by which each finds its workloads
PLURALS = {KIND: "containerversions", "KCD": "kcds"}
# Under which names fields of the spec go on, if they do; of two that meet in one, the first.
SUCCESSORS = {
    "pollIntervalSeconds": "interval",
    "checkFrequency": "interval",
    "timeoutSeconds": "timeouts",
    "deployment": "workload",
}

_SYNTAX = "[0-9a-f]{5,40}"
_DEADLINE = timedelta(minutes=15)
_UNREAD = "nothing read it; spec.timeouts.verify is the time for all checks"


@dataclass(frozen=True, slots=True)
class Modern:
    """What a legacy document says today: a plain document of `gitcd.io/v1`, or None and what is wrong with the old one.

    `lost` are the fields that say nothing any more, or not the same; each with the reason.
    """

    document: dict[str, Any] | None
    problems: tuple[Problem, ...] = ()
    lost: tuple[Problem, ...] = ()

    def read(self) -> tuple[declaration.Document | None, list[Problem]]:
        """The document as a model value, or None and every problem."""
        if self.document is None:
            return None, list(self.problems)
        return schema.read(declaration.Document, self.document)


def is_legacy(value: Mapping[str, Any]) -> bool:
    """Whether a plain document is one of these kinds."""
    kind = value.get("kind")
    return value.get("apiVersion") == API_VERSION and isinstance(kind, str) and kind in SELECTED_BY


def modernise(value: Mapping[str, Any]) -> Modern:
    """Read a plain legacy document."""
    spec = _tidied(value["spec"]) if "spec" in value else {}
    problems: list[Problem] = []
    read = schema.table(Document).read({**value, "spec": spec} if "spec" in value else dict(value), (), problems)
    if problems:
        return Modern(None, tuple(problems))
    label = SELECTED_BY[read.kind]
    if read.spec.selector and label not in read.spec.selector:
        problem = Problem(f"has no label {label}, by which kind {read.kind} selects", steps=("spec", "selector"))
        return Modern(None, (problem,))
    head = {"apiVersion": declaration.API_VERSION, "kind": KIND, "metadata": value["metadata"]}
    return Modern({**head, "spec": _modern_spec(read.spec, label)}, lost=tuple(_lost(read.spec, value["spec"], label)))


def _tidied(spec: Any) -> Any:
    """The spec in its last form: without nulls, and with maps and lists where older ones had one text or one map."""
    spec = _without_nulls(spec)
    if not isinstance(spec, dict):
        return spec
    if isinstance(spec.get("container"), str):
        spec["container"] = {"name": spec["container"]}
    strategy = spec.get("strategy")
    if isinstance(strategy, dict):
        if isinstance(strategy.get("verify"), dict):
            strategy["verify"] = [strategy["verify"]]
        if strategy.get("kind", "") != BLUE_GREEN:
            strategy.pop("blueGreen", None)
    return spec


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def _modern_spec(spec: Spec, label: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "imageRepo": with_host(spec.image_repo),
        "tag": spec.tag,
        "versionSyntax": anywhere(spec.version_syntax or _SYNTAX),
        **_workload(spec, label),
    }
    if spec.poll_interval_seconds > 0:
        found["interval"] = _span(spec.poll_interval_seconds)
    elif spec.check_frequency > 0:
        found["interval"] = _span(spec.check_frequency * 60)
    if strategy := _strategy(spec):
        found["strategy"] = strategy
    if spec.config:
        found["config"] = schema.plain(spec.config)
    deadline = _span(spec.timeout_seconds) if spec.timeout_seconds > 0 else format_duration(_DEADLINE)
    return {
        **found,
        "timeouts": {"rollout": deadline, "verify": deadline},
        "rollback": {"enabled": spec.rollback.enabled},
        "history": {"enabled": spec.history.enabled},
    }


def _workload(spec: Spec, label: str) -> dict[str, Any]:
    if spec.deployment:
        workload = {"kind": "Deployment", "name": spec.deployment.name}
        return {"workload": workload, "container": {"name": spec.deployment.container}}
    assert spec.container  # noqa: S101 - a rule of the spec asks for it
    return {"selector": {label: spec.selector[label]}, "container": {"name": spec.container.name}}


def _strategy(spec: Spec) -> dict[str, Any]:
    old = spec.strategy or Strategy()
    found: dict[str, Any] = {}
    if spec.strategy:
        found["kind"] = BLUE_GREEN if old.kind == BLUE_GREEN else "RollingUpdate"
    if old.blue_green:
        plain = schema.plain(old.blue_green)
        plain.pop("timeoutSeconds", None)
        found["blueGreen"] = {**plain, "scaleDown": old.blue_green.scale_down}
    if checks := [*(spec.container.verify if spec.container else ()), *old.verify]:
        found["verify"] = [_check(each) for each in checks]
    return found


def _check(verify: Verify) -> dict[str, Any]:
    plain = schema.plain(verify)
    plain.pop("timeoutSeconds", None)
    return plain


def _span(seconds: int) -> str:
    return format_duration(timedelta(seconds=seconds))


def _lost(spec: Spec, written: Mapping[str, Any], label: str) -> Iterator[Problem]:
    if spec.liveness_seconds:
        yield _no_successor("no process has to prove that it is alive", "livenessSeconds")
    if spec.service_account_name:
        yield _no_successor("gitcd runs under an account of its own", "serviceAccountName")
    if spec.history.name:
        yield _no_successor("git log is the history", "history", "name")
    if spec.poll_interval_seconds > 0 and spec.check_frequency > 0:
        yield _no_successor("pollIntervalSeconds says it", "checkFrequency")
    for other in sorted(spec.selector.keys() - {label}):
        yield _no_successor(f"{label} alone selected", "selector", other)
    yield from _lost_of_rollouts(spec, written)


def _lost_of_rollouts(spec: Spec, written: Mapping[str, Any]) -> Iterator[Problem]:
    before = spec.container.verify if spec.container else ()
    strategy = spec.strategy or Strategy()
    if before:
        yield Problem("is done after the rollout now, or before the switch", steps=("spec", "container", "verify"))
    if strategy.kind != BLUE_GREEN and (written.get("strategy") or {}).get("blueGreen"):
        yield _no_successor(f"it is for kind {BLUE_GREEN} only", "strategy", "blueGreen")
    if strategy.blue_green and strategy.blue_green.timeout_seconds:
        yield _no_successor(_UNREAD, "strategy", "blueGreen", "timeoutSeconds")
    for place, checks in (("container", before), ("strategy", strategy.verify)):
        for index, verify in enumerate(checks):
            if verify.timeout_seconds:
                yield _no_successor(_UNREAD, place, "verify", index, "timeoutSeconds")


def _no_successor(why: str, *steps: str | int) -> Problem:
    return Problem(f"has no successor: {why}", steps=("spec", *steps))
