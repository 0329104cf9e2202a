"""Tags taken away, and no image with them: ECR deletes an image when its last tag goes.

The check and the removal are two requests. Should another process take an image's other tags away between them, the
image is gone with ours; that is looked for afterwards, and the image is put back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from gitcd.model.reference import Repository
from gitcd.model.registry import Answer, Failure, Image
from gitcd.registry.tags import EcrTags, Manifest
from gitcd.usecases.tagging import CLOSING, Action, Record, TagChange, is_absent, no_version

Manifests = Mapping[str, Manifest | Failure]
LAST_TAG = "LastTag"  # the reason why a tag is not removed that is the last of its image


@dataclass(frozen=True, slots=True)
class Remove:
    """Tags that shall go. `version` (a tag or a digest): only where they name this image; empty: wherever."""

    tags: Sequence[str]
    version: str = ""
    delete_untagged: bool = False
    dry_run: bool = False


def remove(request: Remove, registry: EcrTags, repository: Repository, record: Record) -> list[TagChange]:
    """Take tags of one repository away; each that went is recorded at once.

    Raises:
        ConfigError: there are no usable AWS credentials.
    """
    if registry.closing:
        return [TagChange(repository, tag, Action.FAILED, failure=CLOSING) for tag in request.tags]
    ids = [*request.tags, *([request.version] if request.version else [])]
    found = registry.find(repository, list(dict.fromkeys(ids)))
    changes = {tag: _decide(repository, tag, found, request.version) for tag in request.tags}
    if refusal := registry.irremovable(repository):
        return [change.failed(refusal) if change.writes else change for change in changes.values()]
    if not request.delete_untagged:
        changes |= {change.tag: change for change in _last_ones(changes.values(), found)}
    pending = [change for change in changes.values() if change.writes]
    if pending and not request.dry_run:
        changes |= {change.tag: change for change in _carry_out(registry, pending, request, record)}
    return list(changes.values())


def _decide(repository: Repository, tag: str, found: Mapping[str, Answer], version: str) -> TagChange:
    current = found[tag]
    wanted = TagChange(repository, tag, Action.REMOVED)
    if isinstance(current, Failure):
        return replace(wanted, action=Action.ABSENT) if is_absent(current) else wanted.failed(current)
    wanted = replace(wanted, old=current.digest)
    if not version:
        return wanted
    image = found[version]
    if isinstance(image, Failure):
        return wanted.failed(no_version(repository, version, image))
    return wanted if current.digest == image.digest else wanted.failed(_elsewhere(wanted, version))


def _elsewhere(change: TagChange, version: str) -> Failure:
    message = f"the tag {change.tag} of {change.repository} is on {change.old}, which is not the image of {version}"
    return Failure("OnOtherImage", f"{message}; it was left alone", "did you mean `add`?")


def _last_ones(changes: Iterable[TagChange], found: Mapping[str, Answer]) -> list[TagChange]:
    """Of these, the removals that together would leave an image without a tag, refused."""
    going = [change for change in changes if change.writes]
    leaving = {change.tag for change in going}
    return [change.failed(_last(change)) for change in going if not _stays(found[change.tag], leaving)]


def _stays(image: Answer, leaving: set[str]) -> bool:
    return isinstance(image, Image) and not leaving.issuperset(image.tags)


def _last(change: TagChange) -> Failure:
    message = f"{change.repository} would lose the image {change.old}: it has no tag but those that are to go"
    remedy = f"leave it a tag, or delete it by intent with --delete-untagged (tag {change.tag})"
    return Failure(LAST_TAG, message, remedy)


def _carry_out(registry: EcrTags, pending: Sequence[TagChange], request: Remove, record: Record) -> list[TagChange]:
    repository = pending[0].repository
    digests = list(dict.fromkeys(change.old for change in pending))
    manifests = registry.manifests(repository, digests)
    done = [change for change in pending if request.delete_untagged or isinstance(manifests[change.old], Manifest)]
    unsafe = [change.failed(_unsafe(change, manifests[change.old])) for change in pending if change not in done]
    answers = registry.remove(repository, [change.tag for change in done])
    done = [_removed(change, answers[change.tag], manifests, record) for change in done]
    strange = [change.old for change in done if change.old not in manifests]
    seen = registry.find(repository, list(dict.fromkeys(strange if request.delete_untagged else digests + strange)))

    def judged(change: TagChange) -> TagChange:
        if change.old not in manifests:
            return change.failed(_strayed(change, seen[change.old]))
        return change if request.delete_untagged else _verified(registry, change, seen[change.old], manifests, record)

    return [judged(change) for change in done] + unsafe


def _unsafe(change: TagChange, manifest: Manifest | Failure) -> Failure:
    """Why a tag is not removed: without its manifest an image could not be put back."""
    why = manifest.message if isinstance(manifest, Failure) else ""
    message = f"the tag {change.tag} was left alone, as its image could not be put back if need be: {why}"
    remedy = manifest.remedy if isinstance(manifest, Failure) else ""
    return Failure("NoWayBack", message, remedy, transient=isinstance(manifest, Failure) and manifest.transient)


def _removed(change: TagChange, answer: str | Failure, manifests: Manifests, record: Record) -> TagChange:
    """The removal as the registry answered it: with the image that the tag was taken off."""
    manifest = manifests[change.old]
    if isinstance(manifest, Manifest):
        change = replace(change, home=manifest.home)
    if isinstance(answer, Failure):
        return change.failed(answer)
    change = replace(change, old=answer or change.old)
    record(change)
    return change


def _strayed(change: TagChange, seen: Answer) -> Failure:
    """Another process moved the tag to another image just before it was removed."""
    message = (
        f"the tag {change.tag} of {change.repository} was moved to {change.old} in between, and taken off that one"
    )
    if isinstance(seen, Failure) and is_absent(seen):
        return Failure("ImageLost", f"{message}, which had no other and went with it", "push that image again")
    return Failure("Overtaken", message, f"look who moves it; `add --version {change.old}` brings it back")


def _verified(registry: EcrTags, change: TagChange, seen: Answer, manifests: Manifests, record: Record) -> TagChange:
    """The removal in the light of what is there now; an image that went with it is put back under the tag."""
    if isinstance(seen, Failure):
        if is_absent(seen) and (change.failure is None or change.failure.transient):
            return _put_back(registry, change, manifests[change.old], record)
        note = f"it was not possible to look again afterwards: {seen.message}"
        return change if change.failure else replace(change, note=note)
    if change.failure and change.failure.transient and change.tag not in seen.tags:
        change = replace(change, action=Action.REMOVED, failure=None)
        record(change)
    return change


def _put_back(registry: EcrTags, change: TagChange, manifest: Manifest | Failure, record: Record) -> TagChange:
    failure = registry.put(change.repository, manifest, change.tag) if isinstance(manifest, Manifest) else manifest
    gone = (
        f"the other tags of {change.old} in {change.repository} went while {change.tag} was removed, and it with them"
    )
    if failure:
        return change.failed(Failure("ImageLost", f"{gone}; {failure.message}", "push the image again"))
    record(replace(change, action=Action.ADDED, old="", new=change.old))
    message = f"{gone}; it was put back under {change.tag}"
    return change.failed(Failure("PutBack", message, "look who else removes tags, and run again"))
