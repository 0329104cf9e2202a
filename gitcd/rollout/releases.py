"""From the manifests of a commit to what shall run: the image that they themselves name is what counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gitcd.model import reference
from gitcd.model.declaration import Identity, Spec
from gitcd.model.hold import Hold
from gitcd.model.live import Json, Manifest
from gitcd.model.reference import Reference, short
from gitcd.model.registry import Failure
from gitcd.planning.switching import Wanted
from gitcd.rollout.facts import Release, containers


def release_of(
    identity: Identity,
    spec: Spec,
    commit: str,
    workloads: Sequence[Manifest],
    others: Sequence[Manifest] = (),
    *,
    hold: Hold | None = None,
    external: bool = False,
    aim: Wanted | Failure | None = None,
) -> Release | Failure:
    """What a commit says that a declaration shall run; a Failure where the manifests do not say one thing.

    Two slots hold an image each: `aim` is which of them shall be live, or why nobody can tell.
    """
    if isinstance(aim, Failure):
        return aim
    found = {each for manifest in workloads for each in named_images(manifest.value, spec)}
    if aim:
        found = {each for each in found if aim.identifier in {each.digest, each.tag}}
    if not found:
        return Failure(
            "NoWorkload",
            f"no workload of namespace {identity.namespace} runs {spec.image_repo} as the manifests of the commit say",
            "Correct spec.selector or spec.workload, or add the workload to git.",
        )
    if len({each.digest or each.tag for each in found}) > 1:
        shown = " and ".join(sorted(each.suffix or "latest" for each in found))
        return Failure("SeveralImages", f"its workloads name several images of {spec.image_repo}: {shown}")
    image = min(found, key=lambda each: (not each.tag, each.tag))
    return Release(
        identity,
        spec,
        image.tag or short(image.digest),
        image.digest or image.tag,
        commit,
        tuple(workloads),
        tuple(others),
        rejected=rejected_by(hold),
        returns=aim is not None and aim.returns,
        external=external,
    )


def named_images(value: Json, spec: Spec) -> list[Reference]:
    """The references of a workload that the declaration is about."""
    named = [each for each in containers(value) if spec.container is None or each.get("name") == spec.container.name]
    parsed = (_parsed(each.get("image")) for each in named)
    return [each for each in parsed if each and each.repository == spec.repository]


def rejected_by(hold: Hold | None) -> Mapping[str, str]:
    """The digests that a hold file keeps out, each with the reason."""
    return {each.digest: each.reason for each in hold.reject} if hold else {}


def _parsed(image: object) -> Reference | None:
    try:
        return Reference.parse(image) if isinstance(image, str) else None
    except reference.ReferenceError:
        return None
