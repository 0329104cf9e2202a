"""Which declarations of several environments are one app, by namespace and name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

from gitcd.model.declaration import Identity


def kinship(identities: Iterable[Identity]) -> dict[Identity, str]:
    """What names the app of each declaration across environments.

    That is its namespace and name where another environment has both. Else the environment's own name in the namespace
    may differ: `pay-dev/ledger` of dev and `pay-prod/ledger` of prod are `pay-*/ledger`.
    """
    known = set(identities)
    alike = _environments(known, lambda each: each.app)
    rest = [each for each in known if len(alike[each.app]) == 1]
    kin = _environments(rest, _without_environment)
    return {each: each.app for each in known} | {
        each: _without_environment(each) for each in rest if len(kin[_without_environment(each)]) > 1
    }


def _environments(identities: Iterable[Identity], key: Callable[[Identity], str]) -> defaultdict[str, set[str]]:
    found: defaultdict[str, set[str]] = defaultdict(set)
    for each in identities:
        found[key(each)].add(each.environment)
    return found


def _without_environment(identity: Identity) -> str:
    """Namespace and name, with `*` where the namespace is, ends with, or begins with the name of the environment."""
    namespace, own = identity.namespace, identity.environment
    if own and namespace == own:
        namespace = "*"
    elif own and namespace.endswith(f"-{own}"):
        namespace = namespace.removesuffix(own) + "*"
    elif own and namespace.startswith(f"{own}-"):
        namespace = "*" + namespace.removeprefix(own)
    return f"{namespace}/{identity.name}"
