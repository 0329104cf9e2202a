"""ServiceBlueGreen in git: two workloads, a Service that selects the live one, and only the idle one may be bumped."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gitcd.model.declaration import Identity, Spec
from gitcd.model.registry import Failure
from gitcd.model.site import Owner, Service, Site
from gitcd.model.strategy import BlueGreen
from gitcd.planning.matching import Declared, Surveyed

_SLOTS = 2


@dataclass(frozen=True, slots=True)
class Slots:
    """The sites of the workload that carries traffic, and those of the one that does not."""

    live: tuple[Site, ...]
    idle: tuple[Site, ...]
    live_name: str
    idle_name: str


def slots(surveyed: Surveyed, blue_green: BlueGreen) -> Slots | Failure:
    """Tell live from idle by the Service in git."""
    workloads: defaultdict[tuple[str, str], list[Site]] = defaultdict(list)
    for site in surveyed.image_sites:
        if not site.workload:
            return _overriding(site)
        workloads[site.owner.kind, site.owner.name].append(site)
    if len(workloads) != _SLOTS:
        names = ", ".join(_shown(*key, sites) for key, sites in sorted(workloads.items())) or "none"
        return Failure(
            "BlueGreenNeedsTwo",
            f"strategy ServiceBlueGreen needs exactly two workloads, found {names}",
            "Narrow or widen spec.selector until it selects both slots and nothing else.",
        )
    if blue_green.service_name == blue_green.verification_service_name:
        return Failure(
            "VerificationServiceUnclear",
            f"Service {blue_green.service_name} carries live traffic, and cannot be the one for verification, too",
            "Give strategy.blueGreen.verificationServiceName a Service of its own, or remove it.",
        )
    service = _service(surveyed.services, blue_green.service_name)
    if isinstance(service, Failure):
        return service
    live = [key for key, sites in workloads.items() if _selects(service, sites[0].owner, blue_green)]
    if len(live) != 1:
        which = "both workloads" if live else "neither workload"
        return Failure(
            "LiveSlotUnclear",
            f"Service {service.name} ({service.path}:{service.line}) selects {which} by "
            f"{', '.join(blue_green.label_names)}",
            "Let its selector name one slot, by the labels of the pod templates.",
        )
    idle = next(key for key in workloads if key != live[0])
    return Slots(tuple(workloads[live[0]]), tuple(workloads[idle]), "/".join(live[0]), "/".join(idle))


def _shown(kind: str, name: str, sites: Sequence[Site]) -> str:
    """A workload, with the places where it stands if those are several."""
    places = dict.fromkeys((each.path, each.document) for each in sites)
    first = [next(site for site in sites if (site.path, site.document) == each) for each in places]
    where = " and ".join(f"{each.path}:{each.line}" for each in first)
    return f"{kind}/{name} in {where}" if len(places) > 1 else f"{kind}/{name}"


def shared(declared: Iterable[Declared]) -> dict[Identity, Failure]:
    """Those whose Services another declaration switches, too: what is verified for one would move the other."""
    users: defaultdict[tuple[str, str, str], list[Identity]] = defaultdict(list)
    for each in declared:
        if blue_green := each.declaration.spec.strategy.blue_green:
            for name in {blue_green.service_name, blue_green.verification_service_name} - {""}:
                users[each.identity.environment, each.identity.namespace, name].append(each.identity)
    found = {}
    for (*_, name), identities in sorted(users.items()):
        for identity in identities if len(identities) > 1 else ():
            others = ", ".join(sorted(str(each) for each in identities if each != identity))
            found[identity] = Failure(
                "ServiceShared",
                f"Service {name} is switched by {others}, too: what is verified for one would move the other",
                "Give each declaration with strategy ServiceBlueGreen Services of its own.",
            )
    return found


def _overriding(site: Site) -> Failure:
    return Failure(
        "BlueGreenOverridden",
        f"{site.where}: strategy ServiceBlueGreen bumps the idle slot alone, and this place ({site.form}) sets the "
        "image of both",
        "Let each workload name its own image and remove this place, or leave its file out with spec.paths.",
    )


def unsupported(spec: Spec) -> Failure | None:
    """What cannot be had together with two slots."""
    if spec.strategy.blue_green is None or spec.config is None:
        return None
    return Failure(
        "BlueGreenConfig",
        f"spec.config cannot be used with strategy ServiceBlueGreen: ConfigMap {spec.config.name} would change before "
        "the switch, under the slot that is live",
        "Remove spec.config, and give each slot a ConfigMap of its own.",
    )


def _service(services: list[Service], name: str) -> Service | Failure:
    if len(services) == 1:
        return services[0]
    if not services:
        return Failure(
            "ServiceNotFound",
            f"no Service {name} was found in the declaration's scope",
            "Correct strategy.blueGreen.serviceName, or add the Service to git.",
        )
    where = ", ".join(f"{each.path}:{each.line}" for each in services)
    return Failure("ServiceAmbiguous", f"Service {name} stands in git more than once: {where}", "Narrow spec.paths.")


def _selects(service: Service, owner: Owner, blue_green: BlueGreen) -> bool:
    """Whether the Service selects this workload, judged by the labels that tell the slots apart."""
    asked = {key: service.selector.get(key) for key in blue_green.label_names}
    return all(value is not None and owner.pod_labels.get(key) == value for key, value in asked.items())
