"""What apply may do with which kind: how the API serves it, and the verbs that a run asks for."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from gitcd.errors import ConfigError
from gitcd.model.declaration import GROUP, KIND, PLURAL
from gitcd.planning.applying_prune import KEPT
from gitcd.rendering.install import Permission


@dataclass(frozen=True, slots=True)
class Served:
    """A kind as rules of roles name it. `namespaced`: its objects have namespaces."""

    group: str
    plural: str
    namespaced: bool = True


# The kinds that apply may always write, in the order of the rules.
USUAL: Mapping[str, Served] = {
    "Deployment": Served("apps", "deployments"),
    "StatefulSet": Served("apps", "statefulsets"),
    "DaemonSet": Served("apps", "daemonsets"),
    "ReplicaSet": Served("apps", "replicasets"),
    "Job": Served("batch", "jobs"),
    "CronJob": Served("batch", "cronjobs"),
    "Pod": Served("", "pods"),
    "Service": Served("", "services"),
    "ConfigMap": Served("", "configmaps"),
    "ServiceAccount": Served("", "serviceaccounts"),
    "PersistentVolumeClaim": Served("", "persistentvolumeclaims"),
    "PodDisruptionBudget": Served("policy", "poddisruptionbudgets"),
    "HorizontalPodAutoscaler": Served("autoscaling", "horizontalpodautoscalers"),
    "Ingress": Served("networking.k8s.io", "ingresses"),
    "NetworkPolicy": Served("networking.k8s.io", "networkpolicies"),
    "HTTPRoute": Served("gateway.networking.k8s.io", "httproutes"),
    "GRPCRoute": Served("gateway.networking.k8s.io", "grpcroutes"),
    "Rollout": Served("argoproj.io", "rollouts"),
    KIND: Served(GROUP, PLURAL),
}
# Others of Kubernetes itself, and of the Gateway API, that an operator may allow by their names alone.
OTHERS: Mapping[str, Served] = {
    "Secret": Served("", "secrets"),
    "ResourceQuota": Served("", "resourcequotas"),
    "LimitRange": Served("", "limitranges"),
    "Endpoints": Served("", "endpoints"),
    "EndpointSlice": Served("discovery.k8s.io", "endpointslices"),
    "PodTemplate": Served("", "podtemplates"),
    "ReplicationController": Served("", "replicationcontrollers"),
    "Role": Served("rbac.authorization.k8s.io", "roles"),
    "RoleBinding": Served("rbac.authorization.k8s.io", "rolebindings"),
    "Gateway": Served("gateway.networking.k8s.io", "gateways"),
    "ReferenceGrant": Served("gateway.networking.k8s.io", "referencegrants"),
    "Namespace": Served("", "namespaces", namespaced=False),
    "PersistentVolume": Served("", "persistentvolumes", namespaced=False),
    "ClusterRole": Served("rbac.authorization.k8s.io", "clusterroles", namespaced=False),
    "ClusterRoleBinding": Served("rbac.authorization.k8s.io", "clusterrolebindings", namespaced=False),
    "CustomResourceDefinition": Served("apiextensions.k8s.io", "customresourcedefinitions", namespaced=False),
    "StorageClass": Served("storage.k8s.io", "storageclasses", namespaced=False),
    "PriorityClass": Served("scheduling.k8s.io", "priorityclasses", namespaced=False),
    "RuntimeClass": Served("node.k8s.io", "runtimeclasses", namespaced=False),
    "IngressClass": Served("networking.k8s.io", "ingressclasses", namespaced=False),
    "GatewayClass": Served("gateway.networking.k8s.io", "gatewayclasses", namespaced=False),
    "APIService": Served("apiregistration.k8s.io", "apiservices", namespaced=False),
    "ValidatingWebhookConfiguration": Served(
        "admissionregistration.k8s.io", "validatingwebhookconfigurations", namespaced=False
    ),
    "MutatingWebhookConfiguration": Served(
        "admissionregistration.k8s.io", "mutatingwebhookconfigurations", namespaced=False
    ),
    "ValidatingAdmissionPolicy": Served(
        "admissionregistration.k8s.io", "validatingadmissionpolicies", namespaced=False
    ),
    "ValidatingAdmissionPolicyBinding": Served(
        "admissionregistration.k8s.io", "validatingadmissionpolicybindings", namespaced=False
    ),
}

# Few objects are read one by one, many by a list; server-side apply asks for `create` where it makes one.
_WRITING = ("get", "list", "create", "patch")
# Deleted without --prune: the copy that a canary made, a Job that is made anew, a pod that keeps a StatefulSet stuck.
_FREED = ("Deployment", "Job", "Pod")
# Telling a declaration its outcome.
TELLING = (
    Permission(GROUP, f"{PLURAL}/status", ("patch",)),
    Permission("events.k8s.io", "events", ("create",)),
)
# How it goes with what was written, and what went wrong.
_LOOKING = (
    Permission("", "pods/log", ("get",)),
    Permission("", "events", ("list",)),
    Permission("discovery.k8s.io", "endpointslices", ("list",)),
    *TELLING,
)


@dataclass(frozen=True, slots=True)
class Kinds:
    """What apply may write beyond the usual: the kinds that the operator allows, and how those of others are served.

    `served` are by kind, each as `plural.group`.
    """

    allowed: Collection[str] = ()
    served: Mapping[str, str] | None = None

    def rules(self, *, namespaced: bool, prune: bool) -> tuple[Permission, ...]:
        """What is allowed with objects in namespaces, or with those of the whole cluster.

        Raises:
            ConfigError: a kind is not allowed, or nobody says how it is served.
        """
        usual = USUAL.items() if namespaced else ()
        rules = [_rule(kind, each, prune=prune) for kind, each in usual]
        rules += [_rule(kind, each, prune=prune) for kind, each in self._more() if each.namespaced is namespaced]
        return (*rules, *(_LOOKING if namespaced else ()))

    def _more(self) -> Iterator[tuple[str, Served]]:
        served = self.served or {}
        for kind in sorted({*self.allowed, *served} - (USUAL.keys() - served.keys())):
            if kind not in self.allowed and kind not in USUAL:
                raise ConfigError(
                    f"--kind {kind}: apply may not write that kind",
                    remedy=f"Add {kind} to allow.kinds of the settings file.",
                )
            if kind in served:
                plural, _, group = served[kind].partition(".")
                yield kind, Served(group, plural)
            elif kind in OTHERS:
                yield kind, OTHERS[kind]
            else:
                raise ConfigError(
                    f"allow.kinds has {kind}, and it is not known how the cluster serves that",
                    remedy=f"Say it by --kind {kind}=PLURAL.GROUP; `kubectl api-resources` shows both.",
                )


def _rule(kind: str, served: Served, *, prune: bool) -> Permission:
    deletes = kind in _FREED or (prune and kind not in KEPT)
    return Permission(served.group, served.plural, (*_WRITING, *(("delete",) if deletes else ())))


def table() -> dict[str, Any]:
    """The same as plain JSON, for the Helm chart, which renders it by itself."""
    return {
        "usual": list(USUAL),
        "kinds": {kind: asdict(each) for kind, each in {**USUAL, **OTHERS}.items()},
        "verbs": list(_WRITING),
        "freed": list(_FREED),
        "kept": sorted(KEPT),
        "looking": [asdict(each) for each in _LOOKING],
    }
