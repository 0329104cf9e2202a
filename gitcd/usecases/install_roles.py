"""The roles of an installation: what gitcd asks the API server for, and nothing besides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gitcd.model import legacy
from gitcd.model.declaration import GROUP, PLURAL
from gitcd.rendering.install import Permission, Scope
from gitcd.usecases.apply_record import record_name
from gitcd.usecases.install_rights import TELLING, Kinds

# `get` is for a status that somebody else changed meanwhile: it is looked at again before it is written.
_READING = Permission(GROUP, PLURAL, ("get", "list"))
_WATCHING = Permission(GROUP, PLURAL, ("get", "list", "watch"))
# The kinds of cvmanager and kcd; they are told nothing, and not watched.
_OLD_KINDS = tuple(Permission(legacy.GROUP, each, ("list",)) for each in legacy.PLURALS.values())
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


def to_apply(name: str, namespaces: Sequence[str], kinds: Kinds, *, prune: bool) -> Iterator[Scope]:
    """To take commits to these namespaces, or to all where none is named.

    Raises:
        ConfigError: it is not known what a kind needs.
    """
    rules = kinds.rules(namespaced=True, prune=prune)
    if not namespaces:
        yield Scope("ClusterRole", f"{name}-apply", "", rules)
    for namespace in namespaces:
        yield Scope("Role", f"{name}-apply", namespace, rules)
    if whole := kinds.rules(namespaced=False, prune=prune):
        yield Scope("ClusterRole", f"{name}-apply-cluster", "", whole)


def to_keep_records(name: str, home: str, environments: Sequence[str]) -> Scope:
    """To remember in the namespace that gitcd runs in what was applied, one run at a time."""
    own = [record_name(each) for each in environments]
    rules = [Permission("", "configmaps", ("create",)), Permission("coordination.k8s.io", "leases", ("create",))]
    rules += [Permission("", "configmaps", ("get", "update"), name=each) for each in own]
    rules += [Permission("coordination.k8s.io", "leases", ("get", "update"), name=each) for each in own]
    return Scope("Role", f"{name}-records", home, tuple(rules))


def for_declarations(name: str, namespaces: Sequence[str], *, watches: bool, old_kinds: bool) -> Iterator[Scope]:
    """To read declarations in these namespaces, or in all where none is named, and to tell them the outcome."""
    rules = [_WATCHING, *TELLING, *_LISTING] if watches else [_READING, *TELLING]
    rules += _OLD_KINDS if old_kinds else ()
    if not namespaces:
        yield Scope("ClusterRole", name, "", tuple(rules))
    for namespace in namespaces:
        yield Scope("Role", name, namespace, tuple(rules))


def to_know_the_cluster(name: str) -> Scope:
    """To see which cluster this is."""
    return Scope("Role", f"{name}-which-cluster", "kube-system", (_WHICH_CLUSTER,))


def to_be_elected(name: str, home: str) -> Scope:
    """To hold the Lease in the namespace that gitcd runs in."""
    return Scope("Role", f"{name}-lease", home, _LEASE)


def to_review(name: str) -> Scope:
    """To ask who somebody is, and whether they may."""
    return Scope("ClusterRole", f"{name}-review", "", _REVIEWS)
