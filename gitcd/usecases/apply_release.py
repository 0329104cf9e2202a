"""Declarations as releases: what their strategies take live, and whether there is anything to take."""

from __future__ import annotations

from collections.abc import Mapping

from gitcd.model.declaration import API_VERSION, KIND
from gitcd.model.live import Json, Ref
from gitcd.model.reference import Reference
from gitcd.planning.applying_scope import Part
from gitcd.rollout.facts import Release, images

_GROUP = API_VERSION.partition("/")[0]


def declaration_ref(part: Part) -> Ref:
    """The declaration as an object of the cluster."""
    return Ref(KIND, part.identity.namespace, part.identity.name, _GROUP)


def release_of(part: Part, commit: str, rejected: Mapping[str, str], *, external: bool = False) -> Release | None:
    """What a commit says that the declaration shall run; None where it has no workload that runs its image."""
    spec = part.declared.declaration.spec
    found = [image for each in part.workloads for image in images(each.value).values()]
    references = [each for each in map(_read, found) if each and each.repository == spec.repository]
    if not references:
        return None
    first = references[0]
    version, digest = (first.tag or "", first.digest or first.tag or "")
    return Release(
        part.identity,
        spec,
        version,
        digest,
        commit,
        workloads=part.workloads,
        others=part.others,
        rejected=rejected,
        external=external,
    )


def is_due(release: Release, live: Mapping[Ref, Json], declaration: Json | None) -> bool:
    """Whether the cluster runs something else, or it was never found good there, or a rollout is under way."""
    for each in release.workloads:
        there = live.get(each.ref)
        if there is None or not images(each.value).items() <= images(there).items():
            return True
    status = (declaration or {}).get("status") or {}
    under_way = (status.get("rollout") or {}).get("newDigest")
    return bool(under_way) or (status.get("lastGood") or {}).get("digest") != release.digest


def _read(image: str) -> Reference | None:
    try:
        return Reference.parse(image)
    except ValueError:
        return None
