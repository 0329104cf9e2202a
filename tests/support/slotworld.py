"""A cluster and a branch in memory, with two slots behind a Service, as far as blue-green asks for them.

Nothing happens in it by itself: `bring_up` lets the pods of a slot become what its Deployment says, `publish` lets
EndpointSlices follow. So a test decides what is seen when. `invariant` is whether the live Service selects a ready pod.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from gitcd.model.declaration import Identity, Origin, Spec
from gitcd.model.health import Around, Health, State
from gitcd.model.live import Manifest, Ref
from gitcd.model.strategy import BlueGreen, Strategy, Verify
from gitcd.model.verdict import Measurement, Verdict
from gitcd.rollout import bluegreen, record, slots
from gitcd.rollout.actions import Action, Apply, CommitSwitch, Measure, Scale, Select
from gitcd.rollout.facts import Facts, Release, images
from gitcd.rollout.record import Record
from gitcd.rollout.table import Decision, Do, Wait, advance

REPO = "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/app"
START = datetime(2026, 11, 23, 12, tzinfo=UTC)
NAMES = ("blue", "green")


def digest(version: str) -> str:
    return f"sha256:{version.encode().hex():0<64}"


def image(version: str) -> str:
    return f"{REPO}:{version}@{digest(version)}"


@dataclass
class Slot:
    """A Deployment of the cluster; `pods` are (uid, version, ready). `scalers` own its number of replicas."""

    version: str
    replicas: int
    pods: list[tuple[str, str, bool]] = field(default_factory=list)
    scaler: str = "gitcd"


@dataclass
class World:
    """Blue is live with version 1, green shall be, with `version`; `bad` versions never become ready."""

    version: str = "2"
    replicas: int = 2
    preview: bool = True
    checks: bool = True
    verdict: Verdict = Verdict.PASS
    external: bool = False
    back: bool = False
    returns: bool = False
    scale_down: bool = True
    delay: timedelta = timedelta(seconds=30)
    watch: timedelta = timedelta(minutes=2)
    now: datetime = START

    def __post_init__(self) -> None:
        self.git = {"blue": "1", "green": self.version}
        self.git_live = "blue"
        self.slots = {"blue": Slot("1", self.replicas), "green": Slot("1", 0)}
        self.selects: dict[str, str] = {"app": "blue"} | ({"app-preview": "green"} if self.preview else {})
        self.selected = dict.fromkeys(self.selects, (START - timedelta(days=1), "gitcd"))
        self.endpoints: dict[str, list[tuple[str, bool]]] = {}
        self.record = Record()
        self.measured: dict[str, tuple[Measurement, ...]] = {}
        self.stalled = ""  # what the status says of a run before
        self.failing: dict[str, str] = {}  # slots whose pods cannot start, and why
        self.paused: set[str] = set()
        self.stated: dict[str, int | None] = dict.fromkeys(NAMES, self.replicas)  # in git; None: git says nothing
        self.strangers: list[str] = []  # ready pods that a Service selects, and that are none of the slots'
        self.remembers = True  # whether the API server says who set what, and when
        self.generation = 0
        self.writes: list[str] = []
        self.commits = 0
        for name in self.slots:
            self.bring_up(name)
        self.publish()

    # what happens in a cluster by itself

    def bring_up(self, name: str) -> None:
        """The pods of a slot are what its Deployment says, and ready where its image can be."""
        slot = self.slots.get(name)
        if slot:
            kept = [pod for pod in slot.pods if pod[1] == slot.version][: slot.replicas]
            self.generation += 1
            new = [(f"{name}-{self.generation}-{n}", slot.version, True) for n in range(slot.replicas - len(kept))]
            ready = name not in self.failing
            slot.pods = [(uid, version, ready) for uid, version, _ in [*kept, *new]]

    def publish(self) -> None:
        """EndpointSlices are what selectors and pods are now."""
        self.endpoints = {
            service: [(uid, ready) for uid, _, ready in self.slots[name].pods] if name in self.slots else []
            for service, name in self.selects.items()
        }

    def settle(self) -> None:
        for name in self.slots:
            self.bring_up(name)
        self.publish()

    def turn_by_hand(self, name: str) -> None:
        """Somebody switches the live Service in the cluster."""
        self.selects["app"], self.selected["app"] = name, (self.now, "kubectl-edit")

    def scale_by_other(self, name: str, replicas: int) -> None:
        """An autoscaler, say, sets how many there are."""
        if slot := self.slots.get(name):
            slot.replicas, slot.scaler = replicas, "kube-controller-manager"

    @property
    def carrying(self) -> tuple[str, str]:
        """The slot that the live Service selects, and the version that it shall run."""
        name = self.selects.get("app", "")
        return name, self.slots[name].version if name in self.slots else ""

    @property
    def invariant(self) -> bool:
        slot = self.slots.get(self.selects.get("app", ""))
        return slot is not None and any(ready for _, _, ready in slot.pods)

    # what the rollout sees and does

    def release(self) -> Release:
        others = (self._service("app", self.git_live),)
        idle = next(name for name in NAMES if name != self.git_live)
        if self.preview:
            others += (self._service("app-preview", idle),)
        return Release(
            Identity("dev", "team", "app"),
            self.spec(),
            self.version,
            digest(self.version),
            "c" * 40,
            tuple(self._manifest(name) for name in NAMES),
            others,
            external=self.external,
            back=self.back,
            returns=self.returns,
        )

    def spec(self) -> Spec:
        preview = "app-preview" if self.preview else ""
        blue_green = BlueGreen("app", ("slot",), preview, self.scale_down, self.delay, self.watch)
        verify = (Verify("HTTP", service="app-preview", interval=timedelta(0)),) if self.checks else ()
        return Spec(REPO, tag="env-dev", strategy=Strategy("ServiceBlueGreen", blue_green=blue_green, verify=verify))

    def facts(self, release: Release | None = None) -> Facts:
        live, health, around = {}, {}, {}
        for name, slot in self.slots.items():
            ref = self._manifest(name).ref
            live[ref] = self._deployment(name, slot.version, slot.replicas, slot.scaler)
            pods = tuple(self._pod(name, *pod) for pod in slot.pods)
            around[ref] = Around(pods=pods)
            health[ref] = self._health(ref, name, slot)
        for service, name in self.selects.items():
            main = self._service(service, name)
            since, manager = self.selected[service]
            stamp = since.strftime("%Y-%m-%dT%H:%M:%SZ")
            owner = {"manager": manager, "time": stamp, "fieldsV1": {"f:spec": {"f:selector": {}}}}
            owners = [owner] if self.remembers else []
            metadata = {**main.value["metadata"], "resourceVersion": "1", "managedFields": owners}
            live[main.ref] = {**main.value, "metadata": metadata}
            around[main.ref] = Around(slices=(self._slice(service),))
        release = release or self.release()
        kept = record.read(record.render(self.record))
        return Facts(release, self.now, live, health, around, self.measured, kept, stalled=self.stalled)

    def turn(self) -> Decision:
        """What a run does in one turn: what it decides, and that carried out, after it is written down."""
        table = bluegreen.table(self.release())
        decision = advance(table, self.facts())
        if isinstance(decision, Do | Wait):
            self.enter(decision.step)
        if isinstance(decision, Do):
            for action in decision.actions:
                self.act(action)
        return decision

    def enter(self, step: str) -> None:
        self.stalled = ""
        mine = self.record.is_of(slots.STRATEGY, digest(self.version))
        if not (mine and self.record.step == step):
            self.record = Record(slots.STRATEGY, step, self.now, self.now, 1, "", digest(self.version), "c" * 40)

    def run(self, turns: int = 60, *, until: str = "") -> Decision:
        """Turn by turn, with time enough between them for all that happens by itself."""
        decision = self.turn()
        for _ in range(turns):
            if not isinstance(decision, Do | Wait) or decision.step == until:
                return decision
            self.settle()
            self.now += timedelta(seconds=10)
            decision = self.turn()
        return decision

    def act(self, action: Action) -> None:
        assert not self.external or isinstance(action, CommitSwitch | Measure), action
        match action:
            case Apply(manifest) if manifest.ref.kind == "Service":
                self._select(manifest)
            case Apply(manifest):
                self._apply(manifest)
            case Scale(ref, replicas, manager):
                self.slots[_name(ref)].replicas = replicas
                self.slots[_name(ref)].scaler = manager or "gitcd-rollout"
                if replicas < len(self.slots[_name(ref)].pods):
                    self.bring_up(_name(ref))
            case Select(manifest, version):
                assert version == "1"
                self._select(manifest)
            case Measure(key, _, before):
                found = self.measured.get(key, ())
                self.measured[key] = (*found, Measurement(self.now, self.verdict, "seen", before.of))
            case CommitSwitch():
                self.commits += 1
                self.git_live = next(name for name in NAMES if name != self.git_live)
            case _:
                raise AssertionError(action)
        self.writes.append(str(action))

    def _apply(self, manifest: Manifest) -> None:
        name = _name(manifest.ref)
        version = next(iter(images(manifest.value).values())).removeprefix(f"{REPO}:").partition("@")[0]
        stated = manifest.value["spec"].get("replicas")
        old = self.slots.get(name)
        if old is None:
            self.slots[name] = Slot(version, 1 if stated is None else stated)
            return
        old.version = version
        if stated is not None:
            old.replicas = stated
        elif old.scaler == "gitcd":
            old.replicas = 1  # as the API server does with what nobody owns any more
        if len(old.pods) > old.replicas:
            self.bring_up(name)

    def _select(self, manifest: Manifest) -> None:
        self.selects[manifest.ref.name] = manifest.value["spec"]["selector"]["slot"]
        self.selected[manifest.ref.name] = (self.now, "gitcd")

    def _health(self, ref: Ref, name: str, slot: Slot) -> Health:
        if name in self.failing and slot.replicas:
            return Health(ref, State.FAILED, self.failing[name], f"{ref}: {self.failing[name]}", f"{name}-0", "app")
        if name in self.paused:
            return Health(ref, State.SUSPENDED, "Paused", f"{ref} is paused")
        wanted = [(slot.version, True)] * slot.replicas
        if [(version, ready) for _, version, ready in slot.pods] == wanted:
            return Health(ref, State.CURRENT, "Ready")
        return Health(ref, State.IN_PROGRESS, "Starting", f"{ref}: its pods are not ready")

    def _manifest(self, name: str) -> Manifest:
        value = self._deployment(name, self.git[name], self.stated[name])
        return Manifest(Ref("Deployment", "team", f"app-{name}", "apps"), "v1", value, Origin(f"{name}.yaml"))

    def _deployment(self, name: str, version: str, replicas: int | None, scaler: str = "") -> dict[str, Any]:
        owners = [{"manager": scaler, "fieldsV1": {"f:spec": {"f:replicas": {}}}}] if scaler else []
        pod = {"containers": [{"name": "app", "image": image(version)}]}
        template = {"metadata": {"labels": {"app": "app", "slot": name}}, "spec": pod}
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": f"app-{name}", "namespace": "team", "managedFields": owners},
            "spec": {"template": template} | ({} if replicas is None else {"replicas": replicas}),
        }

    def _service(self, service: str, name: str) -> Manifest:
        value = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": service, "namespace": "team"},
            "spec": {"selector": {"app": "app", "slot": name}},
        }
        return Manifest(Ref("Service", "team", service), "v1", value, Origin("service.yaml"))

    def _slice(self, service: str) -> dict[str, Any]:
        endpoints = [
            {"addresses": ["10.0.0.1"], "conditions": {"ready": ready}, "targetRef": {"name": uid, "uid": uid}}
            for uid, ready in [*self.endpoints.get(service, ()), *((each, True) for each in self.strangers)]
        ]
        return {"metadata": {"labels": {"kubernetes.io/service-name": service}}, "endpoints": endpoints}

    def _pod(self, name: str, uid: str, version: str, ready: bool) -> dict[str, Any]:
        return {
            "kind": "Pod",
            "metadata": {"name": uid, "uid": uid, "labels": {"app": "app", "slot": name}},
            "status": {"conditions": [{"type": "Ready", "status": str(ready)}]},
        }


def _name(ref: Ref) -> str:
    return ref.name.removeprefix("app-")
