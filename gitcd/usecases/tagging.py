"""Tags of repositories, moved and taken away: `gitcd ecr-tags`.

A registry has no compare-and-set. What can be had is: look, write, look again. So a move that another one overtook is
seen and said; a move that another one made between the first look and the write is overwritten unseen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from gitcd.errors import ConfigError, ExitCode, GitcdError, RefusedError, TransientError
from gitcd.model import reference
from gitcd.model.reference import DOCKER_HUB, Repository, short
from gitcd.model.registry import Answer, Failure, Image
from gitcd.registry.mutability import Mutability
from gitcd.registry.settings import RegistrySettings
from gitcd.registry.tags import EcrTags, Manifest, immutable

NOTHING = "none"  # the current digest of a tag that does not exist
_WORKERS = 8


class Action(StrEnum):
    """What became of one tag."""

    ADDED = "Added"  # it named nothing before
    MOVED = "Moved"
    UNCHANGED = "Unchanged"  # it named this image already
    REMOVED = "Removed"
    ABSENT = "Absent"  # there was nothing to remove
    KEPT = "Kept"  # it should go, but is the last tag of its image
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class TagChange:
    """One tag of one repository: the digests it named before and after, empty for none.

    With `Action.FAILED` there is a failure; `new` is then what was wanted. `repository` is as it was asked for; `home`
    has the host name of its registry, once ECR has said it.
    """

    repository: Repository
    tag: str
    action: Action
    old: str = ""
    new: str = ""
    failure: Failure | None = None
    note: str = ""
    home: Repository | None = None

    @property
    def writes(self) -> bool:
        return self.action in {Action.ADDED, Action.MOVED, Action.REMOVED}

    def failed(self, failure: Failure) -> TagChange:
        return replace(self, action=Action.FAILED, failure=failure)


CLOSING = Failure("Interrupted", "its turn did not come", "run again")
Record = Callable[[TagChange], None]
Work = Callable[[Repository], Sequence[TagChange]]


@dataclass(frozen=True, slots=True)
class Add:
    """Tags that shall name the image that `version` (a tag or a digest) names.

    `expected`: the digest that every tag must name now, or `NOTHING`; empty: whichever.
    """

    version: str
    tags: Sequence[str]
    expected: str = ""
    dry_run: bool = False


def add(request: Add, registry: EcrTags, repository: Repository, record: Record) -> list[TagChange]:
    """Let the tags of one repository name the image; each that was moved is recorded at once.

    Raises:
        ConfigError: there are no usable AWS credentials.
    """
    if registry.closing:
        return [TagChange(repository, tag, Action.FAILED, failure=CLOSING) for tag in request.tags]
    found = registry.find(repository, list(dict.fromkeys([request.version, *request.tags])))
    image = found[request.version]
    if isinstance(image, Failure):
        failure = no_version(repository, request.version, image)
        return [TagChange(repository, tag, Action.FAILED, failure=failure) for tag in request.tags]
    changes = {tag: _decide(repository, tag, found[tag], image, request.expected) for tag in request.tags}
    if pending := [change for change in changes.values() if change.writes]:
        done = _foresee(registry, pending) if request.dry_run else _put(registry, image, pending, record)
        left = {change.tag for change in done if change.writes}
        changes |= {change.tag: _noted(change, found[change.tag], left) for change in done}
    return list(changes.values())


def _decide(repository: Repository, tag: str, current: Answer, image: Image, expected: str) -> TagChange:
    wanted = TagChange(repository, tag, Action.ADDED, new=image.digest)
    if isinstance(current, Failure):
        if not is_absent(current):
            return wanted.failed(current)
    else:
        wanted = replace(wanted, action=Action.MOVED, old=current.digest)
    if wanted.old == image.digest:
        return replace(wanted, action=Action.UNCHANGED)
    if expected and expected != (wanted.old or NOTHING):
        return wanted.failed(_unexpected(wanted, expected))
    return wanted


def _noted(change: TagChange, current: Answer, left: set[str]) -> TagChange:
    """The change, with a note where the image that its tag `left` keeps none."""
    if change.note or not change.writes or not isinstance(current, Image):
        return change
    if current.partial or not left.issuperset(current.tags):
        return change
    note = f"{short(current.digest)} has no tag left; a lifecycle rule for untagged images may expire it"
    return replace(change, note=note)


def _unexpected(change: TagChange, expected: str) -> Failure:
    message = f"the tag {change.tag} of {change.repository} names {change.old or 'nothing'}, and not {expected}"
    return Failure("CurrentDiffers", f"{message}; it was left alone", "look who moved it, and decide again")


def _foresee(registry: EcrTags, pending: Sequence[TagChange]) -> list[TagChange]:
    """What would come of these moves, as far as the repository's setting tells."""
    if all(change.action is Action.ADDED for change in pending):
        return list(pending)
    repository = pending[0].repository
    mutability = registry.mutability(repository)
    if isinstance(mutability, Failure):
        note = f"whether it may move could not be found out: {mutability.message}"
        return [replace(change, note=note) for change in pending]
    return [_foreseen(change, mutability) for change in pending]


def _foreseen(change: TagChange, mutability: Mutability) -> TagChange:
    if change.action is Action.ADDED or mutability.lets_move(change.tag):
        return change
    return change.failed(immutable(change.repository, change.tag, mutability))


def _put(registry: EcrTags, image: Image, pending: Sequence[TagChange], record: Record) -> list[TagChange]:
    repository = pending[0].repository
    manifest = registry.manifests(repository, [image.digest])[image.digest]
    if isinstance(manifest, Failure):
        return [change.failed(manifest) for change in pending]
    done = list(_put_each(registry, manifest, pending, record))
    doubtful = [change.tag for change in done if change.failure is None or change.failure.transient]
    seen = registry.find(repository, doubtful)
    trouble, rest = done[-1].failure, pending[len(done) :]
    untried = [change.failed(trouble) for change in rest] if trouble else []
    return [_confirmed(change, seen.get(change.tag), record) for change in done] + untried


def _put_each(
    registry: EcrTags, manifest: Manifest, pending: Sequence[TagChange], record: Record
) -> Iterator[TagChange]:
    """Put tag after tag, up to trouble that outlasted all attempts: for the next tag it would take as long again."""
    for change in pending:
        done = _put_one(registry, manifest, change, record)
        yield done
        if done.failure and done.failure.transient:
            return


def _put_one(registry: EcrTags, manifest: Manifest, change: TagChange, record: Record) -> TagChange:
    failure = CLOSING if registry.closing else registry.put(change.repository, manifest, change.tag)
    change = replace(change, home=manifest.home)
    if failure:
        return change.failed(failure)
    record(change)
    return change


def _confirmed(change: TagChange, seen: Answer | None, record: Record) -> TagChange:
    """The change in the light of what the tag names now."""
    if seen is None:
        return change
    if isinstance(seen, Failure) and not is_absent(seen):
        note = f"it was not possible to look again afterwards: {seen.message}"
        return change if change.failure else replace(change, note=note)
    digest = "" if isinstance(seen, Failure) else seen.digest
    if digest == change.new:
        return _landed(change, record)
    return change if change.failure else change.failed(_overtaken(change, digest))


def _landed(change: TagChange, record: Record) -> TagChange:
    """The tag names the image; also where the registry's answer to the move was lost."""
    if change.failure is None:
        return change
    change = replace(change, action=Action.MOVED if change.old else Action.ADDED, failure=None)
    record(change)
    return change


def _overtaken(change: TagChange, digest: str) -> Failure:
    where = f"the tag {change.tag} of {change.repository}"
    if digest == change.old:
        message = f"the registry took the move of {where} and still answers with what it named before"
        return Failure("NotSeen", message, "run again", transient=True)
    message = f"{where} was moved, and names {digest or 'nothing'} now: another move came in between"
    return Failure("Overtaken", message, "look who else moves it, and decide which move is meant")


def every(registry: EcrTags, repositories: Sequence[Repository], work: Work) -> list[TagChange]:
    """Do the work for each repository, several at a time; what one cannot do keeps no other from it.

    Signals reach the main thread alone, so none comes between a move and its record. When this is interrupted, tags
    whose turn has not come stay where they are, and what was begun is ended first.
    """
    from concurrent.futures import ThreadPoolExecutor

    if not repositories:
        return []
    pool = ThreadPoolExecutor(min(_WORKERS, len(repositories)))
    try:
        return [change for changes in pool.map(work, repositories) for change in changes]
    except BaseException:
        registry.closing = True
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def exit_code(changes: Iterable[TagChange], problems: Iterable[Failure] = ()) -> ExitCode:
    """5 where a failure is for good, 3 where each may pass, else 0."""
    failures = [*problems, *(change.failure for change in changes if change.failure)]
    if not failures:
        return ExitCode.OK
    return ExitCode.TRANSIENT if all(failure.transient for failure in failures) else ExitCode.ITEMS_FAILED


def is_absent(failure: Failure) -> bool:
    """Whether the registry said that there is no such image, rather than nothing at all."""
    return failure.reason == "ImageNotFound"


def no_version(repository: Repository, version: str, failure: Failure) -> Failure:
    if not is_absent(failure):
        return failure
    return Failure("ImageNotFound", f"{repository} has no image {version}", "push it first, or correct --version")


def caller(registry: EcrTags, repository: Repository) -> str:
    """The AWS identity that asks a repository.

    Raises:
        GitcdError: AWS does not say.
    """
    arn = registry.caller(repository)
    if isinstance(arn, Failure):
        raise as_error(arn)
    return arn


def as_error(failure: Failure) -> GitcdError:
    """The failure as the exception that ends a command."""
    kind = TransientError if failure.transient else RefusedError
    return kind(failure.message, remedy=failure.remedy)


def parse_repository(text: str) -> Repository:
    """A repository as `--ecr` takes it: with its registry's host, or the bare name in the caller's own registry.

    Raises:
        ConfigError: the text is no repository.
    """
    if not text:
        raise ConfigError("--ecr: no repository is named", remedy="Give team/app, or the full name with its host.")
    try:
        repository = Repository.parse(text)
    except reference.ReferenceError as error:
        raise ConfigError(f"--ecr: {error}", remedy="Give team/app, or the full name with its host.") from None
    bare = repository.registry == DOCKER_HUB and not text.lower().startswith((DOCKER_HUB, "index.docker.io"))
    return Repository("", text) if bare else repository


def settings_for(flags: Mapping[str, str | None], environ: Mapping[str, str]) -> RegistrySettings:
    """How the registry is reached: flags, then the environment. No settings file is read, which keeps the start fast.

    botocore itself knows AWS_DEFAULT_REGION and not AWS_REGION.
    """

    def first(flag: str, *names: str) -> str:
        values = (flags.get(flag), *(environ.get(name) for name in names))
        return next((value for value in values if value), "")

    return RegistrySettings(
        endpoint_url=first("ecr_endpoint_url", "GITCD_ECR_ENDPOINT_URL", "AWS_ENDPOINT_URL_ECR"),
        region=first("region", "GITCD_ECR_REGION", "AWS_DEFAULT_REGION", "AWS_REGION"),
        role_arn=first("role_arn"),
        profile=first("profile"),
    )
