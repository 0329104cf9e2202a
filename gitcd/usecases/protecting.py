"""Keep tags: names on images in ECR that keep lifecycle rules from taking what a config repository may need.

`keep-<environment>-<beginning of the digest>` says itself on which image it belongs, so whether a tag is one of ours is
known without a record of what was put. Such a tag is only ever put where there was none, and taken off its own image.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from gitcd.model.reference import Repository, is_digest
from gitcd.model.registry import Answer, Failure, Image
from gitcd.registry.tags import EcrTags
from gitcd.usecases.keeping import Duty, Need
from gitcd.usecases.tagging import NOTHING, Action, Add, Record, TagChange, add, is_absent
from gitcd.usecases.untagging import LAST_TAG, Remove, remove

PREFIX = "keep-"
# As much of a digest as leaves room for the longest environment's name (63 of 128 characters), and no two images alike.
_DIGITS = 32
_ALGORITHM = "sha256:"


def keep_tag(environment: str, digest: str) -> str:
    """The tag that keeps an image for an environment."""
    return f"{PREFIX}{environment}-{digest.removeprefix(_ALGORITHM)[:_DIGITS]}"


@dataclass(frozen=True, slots=True)
class Protect:
    """Keep what is deployed, and as many `versions` before that; take the tags off whatever else has one."""

    versions: int = 0
    dry_run: bool = False


def protect(request: Protect, duty: Duty, registry: EcrTags, record: Record) -> list[TagChange]:
    """Bring the keep tags of a repository to what they should be; each that was put or taken is recorded at once.

    Tags are put first, then those are taken off that nobody needs, but never the last tag of an image.

    Raises:
        ConfigError: there are no usable AWS credentials.
    """
    answers = registry.find(duty.repository, list(dict.fromkeys(_asked(duty, request.versions))))
    wanted = _wanted(duty, answers, request.versions)
    work = _Work(registry, duty.repository, record, request.dry_run)
    tags = wanted.by_digest()
    changes = [*wanted.unknown, *(change for digest in tags for change in work.put(digest, tags[digest], wanted))]
    spare = _spare(registry, duty, wanted)
    if isinstance(spare, Failure):
        return [*changes, TagChange(duty.repository, f"{PREFIX}*", Action.FAILED, failure=spare)]
    coming = tags if request.dry_run else {}
    return changes + [
        change for image, going in spare for change in work.take_off(image, going, coming.get(image.digest, {}))
    ]


@dataclass(frozen=True, slots=True)
class Wanted:
    """The keep tags that shall be there, each with its digest and who needs it; `images` is what ECR says of these.

    `unknown` tells of images whose digest is not known, `unsure` the environments whose other tags are left alone.
    """

    tags: Mapping[str, tuple[str, str]]
    images: Mapping[str, Answer]
    unsure: frozenset[str]
    unknown: tuple[TagChange, ...] = ()

    def by_digest(self) -> dict[str, dict[str, str]]:
        """Of each digest the tags, each with who needs it."""
        found: defaultdict[str, dict[str, str]] = defaultdict(dict)
        for tag, (digest, why) in self.tags.items():
            found[digest][tag] = why
        return dict(found)


def _asked(duty: Duty, versions: int) -> Iterator[str]:
    for need in duty.needs:
        yield from need.images
        yield from _past(need, versions)


def _past(need: Need, versions: int) -> Sequence[str]:
    """As many former digests as may be wanted: some of them may be deployed now."""
    return need.past[: versions + len(need.images)] if versions else ()


def _wanted(duty: Duty, answers: Mapping[str, Answer], versions: int) -> Wanted:
    tags: dict[str, tuple[str, str]] = {}
    unsure = set(duty.unsure)
    unknown = []
    for need in duty.needs:
        environment = need.identity.environment
        now = {name: _digest_of(name, answers[name]) for name in need.images}
        for name, digest in now.items():
            why = f"{need.identity} deploys it ({need.images[name]})"
            if digest:
                tags.setdefault(keep_tag(environment, digest), (digest, why))
            else:
                unsure.add(environment)
                unknown.append(_failed(TagChange(duty.repository, name, Action.FAILED), name, answers[name], why))
        before = [digest for digest in _past(need, versions) if digest not in now.values()]
        for digest in before[:versions]:
            why = f"{need.identity} may be taken back to it"
            tags.setdefault(keep_tag(environment, digest), (digest, why))
    images = {answer.digest if isinstance(answer, Image) else name: answer for name, answer in answers.items()}
    return Wanted(tags, images, frozenset(unsure), tuple(unknown))


def _digest_of(name: str, answer: Answer) -> str:
    """The digest of a deployed image; empty where only the registry could tell, and did not."""
    if is_digest(name):
        return name
    return answer.digest if isinstance(answer, Image) else ""


def _failed(change: TagChange, name: str, answer: Answer, why: str) -> TagChange:
    """The image of this name cannot be kept: it is not there, or ECR does not say."""
    if not isinstance(answer, Failure):
        return change
    if not is_absent(answer):
        return change.failed(answer)
    remedy = "push the image again, or let git name another one"
    return change.failed(Failure("ImageNotFound", f"{change.repository} has no image {name}, and {why}", remedy))


def _spare(registry: EcrTags, duty: Duty, wanted: Wanted) -> list[tuple[Image, list[str]]] | Failure:
    """Images with keep tags of these environments that nobody needs: each such tag stands on its own image."""
    environments = sorted(duty.environments - wanted.unsure)
    found = []
    for image in registry.images(duty.repository) if environments else ():
        if isinstance(image, Failure):
            return image
        own = [keep_tag(each, image.digest) for each in environments]
        if tags := [tag for tag in own if tag in image.tags and tag not in wanted.tags]:
            found.append((image, tags))
    return found


@dataclass(frozen=True, slots=True)
class _Work:
    """What is done to the images of one repository."""

    registry: EcrTags
    repository: Repository
    record: Record
    dry_run: bool

    def put(self, digest: str, tags: Mapping[str, str], wanted: Wanted) -> list[TagChange]:
        """Let the image have these tags, of which each says who needs it; one on another image is left there."""
        image = wanted.images[digest]
        if isinstance(image, Failure):
            refused = {tag: TagChange(self.repository, tag, Action.FAILED, new=digest) for tag in tags}
            return [_failed(change, digest, image, tags[tag]) for tag, change in refused.items()]
        there = [tag for tag in tags if tag in image.tags]
        lacking = [tag for tag in tags if tag not in image.tags]
        changes = [TagChange(self.repository, tag, Action.UNCHANGED, digest, digest) for tag in there]
        if not lacking:
            return changes
        request = Add(digest, lacking, expected=NOTHING, dry_run=self.dry_run)
        return changes + add(request, self.registry, self.repository, self.record)

    def take_off(self, image: Image, tags: Sequence[str], coming: Collection[str]) -> list[TagChange]:
        """Take tags off an image that has others, or has some `coming`; else all but one, or ECR would delete it."""
        stays = set(image.tags).union(coming).difference(tags)
        going = tags if stays else tags[:-1]
        kept = [_kept(TagChange(self.repository, tag, Action.KEPT, image.digest)) for tag in tags if tag not in going]
        if self.dry_run:
            return [TagChange(self.repository, tag, Action.REMOVED, image.digest) for tag in going] + kept
        if not going:
            return kept
        done = remove(Remove(going, version=image.digest), self.registry, self.repository, self.record)
        return [_kept(each) if each.failure and each.failure.reason == LAST_TAG else each for each in done] + kept


def _kept(change: TagChange) -> TagChange:
    note = "it stays, though nobody needs it: it is the last tag of its image, which ECR would delete with it"
    return replace(change, action=Action.KEPT, new=change.old, failure=None, note=note)
