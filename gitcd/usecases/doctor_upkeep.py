"""Part of the doctor: whether repositories are set so that what git deploys stays there, and stays what it is.

Nothing here stops a run, so it warns at most: of lifecycle rules that would take a deployed image, of versions that may
be moved, of followed tags that may not.
"""

from __future__ import annotations

import os.path
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from gitcd.model.reference import EcrRegistry, Repository, short
from gitcd.model.registry import Failure, Image
from gitcd.model.version import pick_version
from gitcd.planning.deployed import Deployed
from gitcd.planning.matching import Declared
from gitcd.registry.lifecycle import EcrLifecycle, Loss, Preview
from gitcd.registry.mutability import Mutability
from gitcd.registry.parallel import in_parallel
from gitcd.registry.settings import RegistrySettings
from gitcd.registry.tags import EcrTags
from gitcd.usecases.doctor_check import SHOWN, Check, Verdict, counted, failures
from gitcd.usecases.protecting import PREFIX

_GRACE = 5.0  # seconds for a last answer to come in
_MOST_FILTERS = 5  # Source: ImageTagMutabilityExclusionFilters in the Amazon ECR API reference
_KEEPING_RULE = (
    '{"rulePriority": 1, "selection": {"tagStatus": "tagged", '
    f'"tagPrefixList": ["{PREFIX}"], "countType": "imageCountMoreThan", "countNumber": 9999}}, '
    '"action": {"type": "expire"}}'
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Asked:
    """Which repositories are asked, how, and until when (a moment of `time.monotonic()`)."""

    repositories: Sequence[Repository]
    settings: RegistrySettings
    workers: int
    deadline: float

    def each(self, question: Callable[[Repository], T | Failure]) -> dict[Repository, T | Failure]:
        """The answer of every repository, in their order.

        Raises:
            ConfigError: there are no usable AWS credentials.
        """
        limit = self.deadline + _GRACE
        answers = dict(in_parallel(question, self.repositories, self.workers, limit))
        return {each: answers[each] if each in answers else _late(each) for each in self.repositories}


def check_lifecycle(asked: Asked, stands: Iterable[Deployed]) -> Iterator[Check]:
    """Preview what the lifecycle policies would take of that which is deployed.

    Raises:
        ConfigError: there are no usable AWS credentials.
    """
    deployed: defaultdict[Repository, dict[str, Deployed]] = defaultdict(dict)
    doubts = []
    for each in stands:
        deployed[each.repository].update(dict.fromkeys(each.images, each))
        doubts += [each.doubt] if each.doubt else []
    registry = EcrLifecycle(asked.settings)
    answers = asked.each(lambda each: registry.preview(each, deployed[each].keys(), asked.deadline))
    yield from failures("lifecycle", Verdict.WARNING, doubts, "declarations")
    worries = {
        repository: [_loss(repository, answer.losses, deployed[repository])] if answer.losses else []
        for repository, answer in answers.items()
        if isinstance(answer, Preview)
    }
    yield from _told("lifecycle", answers, worries, "no rule takes what git deploys")


def check_mutability(asked: Asked, declared: Iterable[Declared], images: Mapping[Repository, Image]) -> Iterator[Check]:
    """Check that versions stay on their images, and that followed tags can move. `images`: one of each repository.

    Raises:
        ConfigError: there are no usable AWS credentials.
    """
    uses = _uses(declared, images)
    registry = EcrTags(asked.settings)
    settings = asked.each(registry.mutability)
    worries = {
        repository: _mismatches(repository, setting, uses[repository])
        for repository, setting in settings.items()
        if isinstance(setting, Mutability)
    }
    yield from _told("mutability", settings, worries, "versions stay and followed tags can move")


def _told(
    name: str, answers: Mapping[Repository, object], worries: Mapping[Repository, list[Check]], well: str
) -> Iterator[Check]:
    """What was found, then what could not be found out, then how many are well."""
    for checks in worries.values():
        yield from checks
    unknown = [answer for answer in answers.values() if isinstance(answer, Failure)]
    yield from failures(name, Verdict.WARNING, unknown, "repositories")
    if calm := sum(not checks for checks in worries.values()):
        yield Check(name, Verdict.OK, f"{well}, in {calm} of {counted(len(answers), 'repository', 'repositories')}")


def _loss(repository: Repository, losses: Sequence[Loss], deployed: Mapping[str, Deployed]) -> Check:
    shown = [_shown(loss, deployed) for loss in losses[:SHOWN]]
    more = [f"and {len(losses) - SHOWN} more"] if len(losses) > SHOWN else []
    message = f"the lifecycle policy of {repository} is about to take what git deploys: {'; '.join(shown + more)}"
    return Check("lifecycle", Verdict.WARNING, message, _rescue(losses))


def _shown(loss: Loss, deployed: Mapping[str, Deployed]) -> str:
    stand = next(deployed[name] for name in (loss.digest, *loss.tags) if name in deployed)
    verb = "archives" if loss.archived else "expires"
    return f"rule {loss.rule} {verb} {short(loss.digest)} of {stand.identity}"


def _rescue(losses: Iterable[Loss]) -> str:
    """Keep tags spare an image from rules for untagged ones; from others only together with a rule of their own."""
    steps = []
    if not all(_is_kept(loss) for loss in losses):
        steps.append("run `gitcd ecr-tags protect`")
    if any(loss.tags for loss in losses):
        steps.append(f"let the policy begin with this rule, which takes nothing: {_KEEPING_RULE}")
    text = ", and ".join(steps)
    return text[:1].upper() + text[1:]


def _is_kept(loss: Loss) -> bool:
    return any(tag.startswith(PREFIX) for tag in loss.tags)


@dataclass(slots=True)
class _Uses:
    """The tags of one repository, as declarations use them."""

    moving: set[str]
    versions: set[str]


def _uses(declared: Iterable[Declared], images: Mapping[Repository, Image]) -> defaultdict[Repository, _Uses]:
    """A followed tag that is a version itself is meant to stay, and so is what a rule chooses."""
    uses: defaultdict[Repository, _Uses] = defaultdict(lambda: _Uses(set(), set()))
    for spec in (each.declaration.spec for each in declared):
        use = uses[spec.repository]
        if spec.tag:
            is_version = pick_version([spec.tag], spec.version_syntax) == spec.tag
            (use.versions if is_version else use.moving).add(spec.tag)
        version = pick_version(images[spec.repository].tags, spec.version_syntax, followed=spec.tag)
        if isinstance(version, str):
            use.versions.add(version)
    return uses


def _mismatches(repository: Repository, setting: Mutability, use: _Uses) -> list[Check]:
    loose = sorted(tag for tag in use.versions if setting.lets_move(tag))
    stuck = sorted(tag for tag in use.moving if not setting.lets_move(tag))
    found = []
    if loose:
        found.append(f"versions of {repository} may be moved to other images ({_listed(loose)})")
    if stuck:
        found.append(f"followed tags of {repository} cannot move ({_listed(stuck)})")
    remedy = _setting(repository, setting, use)
    return [Check("mutability", Verdict.WARNING, f"{each}: its tag mutability is {setting}", remedy) for each in found]


def _setting(repository: Repository, setting: Mutability, use: _Uses) -> str:
    """The command that lets the followed tags move and no version; other exceptions that there are stay."""
    filters = _filters(setting.filters if setting.setting.startswith("IMMUTABLE") else (), use)
    if len(filters) > _MOST_FILTERS:
        return f"{len(filters)} tags move, and ECR takes {_MOST_FILTERS} exceptions: let them begin alike."
    registry = EcrRegistry.parse(repository.registry)
    place = f" --registry-id {registry.account} --region {registry.region}" if registry else ""
    command = f"aws ecr put-image-tag-mutability{place} --repository-name {repository.path} --image-tag-mutability"
    if not filters:
        return f"Where nothing else moves: {command} IMMUTABLE"
    exceptions = " ".join(f"'filterType=WILDCARD,filter={each}'" for each in filters)
    exclusion = f"IMMUTABLE_WITH_EXCLUSION --image-tag-mutability-exclusion-filters {exceptions}"
    return f"Where nothing else moves: {command} {exclusion}"


def _filters(present: Iterable[str], use: _Uses) -> list[str]:
    """Exceptions for the tags that move: those there are, one for each other tag, or one for all of these."""
    kept = [each for each in present if not _excepts([each], use.versions)]
    lacking = sorted(tag for tag in use.moving if not _excepts(kept, [tag]))
    alike = f"{os.path.commonprefix(lacking)}*"  # noqa: RUF071 - of tags, which are no paths
    many = len(kept) + len(lacking) > _MOST_FILTERS
    return [*kept, alike] if many and alike != "*" and not _excepts([alike], use.versions) else [*kept, *lacking]


def _excepts(filters: Sequence[str], tags: Iterable[str]) -> bool:
    setting = Mutability("IMMUTABLE_WITH_EXCLUSION", tuple(filters))
    return any(setting.lets_move(tag) for tag in tags)


def _listed(tags: Sequence[str]) -> str:
    return ", ".join(tags[:SHOWN]) + (f" and {len(tags) - SHOWN} more" if len(tags) > SHOWN else "")


def _late(repository: Repository) -> Failure:
    return Failure("DeadlineExceeded", f"{repository} did not answer in time", "run again", transient=True)
