"""How a new image is taken live, and what is asked of it before it counts: part of a ContainerVersion's spec."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, ClassVar, Literal

from gitcd.model import duration
from gitcd.model.fields import (
    AnnotationMap,
    Doc,
    Duration,
    GroupName,
    Items,
    Name,
    Number,
    OptionalName,
    Rule,
    Tag,
    Text,
    belongs,
    needs,
)

_Figure = Annotated[str, Text(r"(-?[0-9]+(\.[0-9]+)?)?", max=32, hint="a number, quoted")]


def _kind_needs(kind: str, name: str) -> Rule:
    return Rule(
        f"self.kind != '{kind}' || (has(self.{name}) && self.{name} != '')",
        f"kind {kind} needs {name}",
        lambda verify: verify.kind != kind or bool(getattr(verify, name)),
        name,
        needs("kind", kind, name),
    )


@dataclass(frozen=True, slots=True)
class Verify:
    """One verification. A verdict is pass, fail or inconclusive; "could not run" is never "version bad"."""

    kind: Annotated[
        Literal["Image", "HTTP", "Prometheus"],
        Doc("Image runs a Job, HTTP asks a Service, Prometheus judges the result of a query."),
    ]
    name: Annotated[OptionalName, Doc("What reports call this check.")] = ""
    image: Annotated[str, Text(max=511), Doc("Image: repository of the image to run as a Job.")] = ""
    tag: Annotated[Tag, Doc("Image: the tag of that image.")] = ""
    annotations: Annotated[AnnotationMap, Doc("Image: annotations copied to the pod.")] = field(default_factory=dict)
    service: Annotated[OptionalName, Doc("HTTP: a Service of the declaration's own namespace.")] = ""
    path: Annotated[
        str, Text(r"(/[^\s]*)?", max=1024, hint="a path that begins with /"), Doc("HTTP: the path that is asked for.")
    ] = ""
    expect: Annotated[int, Number(min=100, max=599), Doc("HTTP: the status expected.")] = 200
    query: Annotated[str, Text(max=4096), Doc("Prometheus: an instant query.")] = ""
    min: Annotated[_Figure, Doc("Prometheus: the least value that passes.")] = ""
    max: Annotated[_Figure, Doc("Prometheus: the largest value that passes.")] = ""
    on_empty: Annotated[
        Literal["Inconclusive", "Pass", "Fail"], Doc("Prometheus: the verdict where the query has no result.")
    ] = "Inconclusive"
    interval: Annotated[Duration, Doc("Time between two measurements.")] = timedelta(seconds=30)
    count: Annotated[int, Number(min=1, max=1000), Doc("How many measurements in a row must pass.")] = 1
    failure_limit: Annotated[int, Number(min=0, max=1000), Doc("How many may fail on the way there.")] = 0
    inconclusive_limit: Annotated[
        int, Number(min=0, max=1000), Doc("How many may be inconclusive on the way there.")
    ] = 0

    RULES: ClassVar[tuple[Rule, ...]] = (
        _kind_needs("Image", "image"),
        _kind_needs("HTTP", "service"),
        _kind_needs("Prometheus", "query"),
    )


@dataclass(frozen=True, slots=True)
class BlueGreen:
    service_name: Annotated[Name, Doc("The Service that carries live traffic.")]
    label_names: Annotated[
        tuple[Annotated[str, Text(min=1, max=317)], ...],
        Items(min=1, max=8),
        Doc("Labels that tell the two workloads apart, as the Service selects them."),
    ]
    verification_service_name: Annotated[OptionalName, Doc("A Service that selects the idle workload.")] = ""
    scale_down: Annotated[bool, Doc("Whether the former live workload is scaled to zero after the switch.")] = True
    scale_down_delay: Annotated[Duration, Doc("How long after the switch it is scaled down.")] = timedelta(seconds=30)
    watch: Annotated[Duration, Doc("How long the new live workload is watched before the switch counts as done.")] = (
        timedelta(minutes=2)
    )


@dataclass(frozen=True, slots=True)
class CanaryStep:
    weight: Annotated[int, Number(min=1, max=100), Doc("Percent of the traffic.")]
    pause: Annotated[
        str,
        Text(rf"(Approval|{duration.PATTERN})", max=32, hint="a duration or Approval"),
        Doc("How long this step lasts; Approval: until a person lets it go on."),
    ] = "0s"
    verify: Annotated[tuple[Verify, ...], Items(max=16), Doc("Checks before the next step.")] = ()


@dataclass(frozen=True, slots=True)
class HttpRoute:
    name: Annotated[OptionalName, Doc("Name of the HTTPRoute; empty: replicas make the weight.")] = ""
    stable_service: Annotated[OptionalName, Doc("The Service of the old version in its rules.")] = ""
    canary_service: Annotated[OptionalName, Doc("The Service of the new version in its rules.")] = ""


@dataclass(frozen=True, slots=True)
class Canary:
    steps: Annotated[tuple[CanaryStep, ...], Items(min=1, max=32), Doc("The steps to the full weight, in order.")]
    http_route: Annotated[HttpRoute, Doc("The HTTPRoute that divides the traffic.")] = field(default_factory=HttpRoute)


@dataclass(frozen=True, slots=True)
class Strategy:
    kind: Annotated[
        Literal["RollingUpdate", "ServiceBlueGreen", "Canary"],
        Doc("RollingUpdate leaves it to the workload's own controller."),
    ] = "RollingUpdate"
    group: Annotated[GroupName, Doc("Declarations of one group roll out and roll back together.")] = ""
    blue_green: Annotated[BlueGreen | None, Doc("How kind ServiceBlueGreen switches.")] = None
    canary: Annotated[Canary | None, Doc("How kind Canary moves the traffic.")] = None
    verify: Annotated[tuple[Verify, ...], Items(max=16), Doc("Checks after the rollout, or before the switch.")] = ()

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "(self.kind == 'ServiceBlueGreen') == has(self.blueGreen)",
            "blueGreen belongs to kind ServiceBlueGreen, and that kind needs it",
            lambda strategy: (strategy.kind == "ServiceBlueGreen") == (strategy.blue_green is not None),
            "blueGreen",
            belongs("kind", "ServiceBlueGreen", "blueGreen"),
        ),
        Rule(
            "(self.kind == 'Canary') == has(self.canary)",
            "canary belongs to kind Canary, and that kind needs it",
            lambda strategy: (strategy.kind == "Canary") == (strategy.canary is not None),
            "canary",
            belongs("kind", "Canary", "canary"),
        ),
    )
