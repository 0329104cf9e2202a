"""The roles of an installation: what gitcd asks the API server for, and nothing besides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gitcd.model.crd import GROUP, PLURAL
from gitcd.rendering.install import Permission, Scope

# Telling a declaration its outcome.
_TELLING = (
    Permission(GROUP, f"{PLURAL}/status", ("patch",)),
    Permission("events.k8s.io", "events", ("create",)),
)
# `get` is for a status that somebody else changed meanwhile: it is looked at again before it is written.
_READING = Permission(GROUP, PLURAL, ("get", "list"))
_WATCHING = Permission(GROUP, PLURAL, ("get", "list", "watch"))
# What runs of what is declared, for the list that `gitcd run` serves.
_LISTING = (
    Permission("apps", "deployments", ("list",)),
    Permission("apps", "statefulsets", ("list",)),
    Permission("apps", "daemonsets", ("list",)),
    Permission("batch", "cronjobs", ("list",)),
)
# Which cluster this is, is told by the UID of its namespace kube-system.
_WHICH_CLUSTER = Permission("", "namespaces", ("get",), name="kube-system")
# A Lease cannot be created under a name that a rule restricts it to.
_LEASE = (
    Permission("coordination.k8s.io", "leases", ("create",)),
    Permission("coordination.k8s.io", "leases", ("get", "update"), name="gitcd"),
)
_REVIEWS = (
    Permission("authentication.k8s.io", "tokenreviews", ("create",)),
    Permission("authorization.k8s.io", "subjectaccessreviews", ("create",)),
)


def for_declarations(name: str, namespaces: Sequence[str], *, watches: bool) -> Iterator[Scope]:
    """To read declarations in these namespaces, or in all where none is named, and to tell them the outcome."""
    rules = (_WATCHING, *_TELLING, *_LISTING) if watches else (_READING, *_TELLING)
    if not namespaces:
        yield Scope("ClusterRole", name, "", rules)
    for namespace in namespaces:
        yield Scope("Role", name, namespace, rules)


def to_know_the_cluster(name: str) -> Scope:
    """To see which cluster this is."""
    return Scope("Role", f"{name}-which-cluster", "kube-system", (_WHICH_CLUSTER,))


def to_be_elected(name: str, home: str) -> Scope:
    """To hold the Lease in the namespace that gitcd runs in."""
    return Scope("Role", f"{name}-lease", home, _LEASE)


def to_review(name: str) -> Scope:
    """To ask who somebody is, and whether they may."""
    return Scope("ClusterRole", f"{name}-review", "", _REVIEWS)
