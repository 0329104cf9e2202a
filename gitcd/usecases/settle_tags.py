"""Let the tags of an environment that nothing follows name what git deploys there, for those who look at tags."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from gitcd.model.declaration import Identity
from gitcd.model.plan import Outcome
from gitcd.model.reference import Repository
from gitcd.model.registry import Failure
from gitcd.planning.intake import read_inputs
from gitcd.planning.limits import limit
from gitcd.planning.matching import Declared
from gitcd.planning.overview import LiveImages, live_images
from gitcd.planning.survey import survey
from gitcd.registry.tags import EcrTags
from gitcd.usecases.keeping import Source
from gitcd.usecases.planner import check_selection
from gitcd.usecases.promote import Promotion, check_environments
from gitcd.usecases.tagging import Add, Record, TagChange, add

Order = Callable[[Record], Sequence[TagChange]]


@dataclass(frozen=True, slots=True)
class Settlement:
    """For each repository the tags and the image that each shall name; and why some are left alone."""

    tags: Mapping[Repository, Mapping[str, str]]
    problems: tuple[Failure, ...] = ()
    warnings: tuple[str, ...] = ()

    def orders(self, registry: EcrTags, *, dry_run: bool) -> dict[Repository, Order]:
        """What is to be done in each repository."""

        def order(repository: Repository) -> Order:
            requests = [Add(image, (tag,), dry_run=dry_run) for tag, image in sorted(self.tags[repository].items())]
            return lambda record: [
                change for request in requests for change in add(request, registry, repository, record)
            ]

        return {repository: order(repository) for repository in sorted(self.tags)}


def settle(source: Source, request: Promotion) -> Settlement:
    """What the tags of the target environment should name.

    A tag that a declaration elsewhere follows is left alone: to move it would move that one.

    Raises:
        ConfigError: the environments do not promote from each other, or the selection meets nothing.
    """
    inputs = read_inputs(source.tree, source.memory)
    check_environments(inputs.scopes, request.source, request.target)
    check_selection(request.selection, inputs)
    permitted, refused = limit(inputs.declared, source.limits)
    chosen = [each for each in permitted if request.selection.takes(each.identity)]
    asked = [each for each in chosen if each.declaration.spec.tag]
    warnings = [f"{each.identity} names no tag, so none is moved" for each in chosen if not each.declaration.spec.tag]
    stands = {each.declared.identity: live_images(each) for each in survey(asked, source.tree, inputs.scopes)}
    followers = _followers(
        each for each in permitted if not inputs.scopes.layout_of(each.identity.environment).promote_from
    )
    wishes: defaultdict[tuple[Repository, str], dict[str, Identity]] = defaultdict(dict)
    problems = [_unreadable(each) for each in (*inputs.broken, *refused) if request.selection.takes(each.identity)]
    for each in asked:
        image = _image(each, stands[each.identity])
        if isinstance(image, Failure):
            problems.append(image)
        elif image:
            spec = each.declaration.spec
            wishes[spec.repository, spec.tag].setdefault(image, each.identity)
    tags: defaultdict[Repository, dict[str, str]] = defaultdict(dict)
    for (repository, tag), images in wishes.items():
        if problem := _obstacle(repository, tag, images, followers.get((repository, tag), [])):
            problems.append(problem)
        else:
            tags[repository][tag] = next(iter(images))
    return Settlement(dict(tags), tuple(problems), tuple(warnings))


def _followers(declared: Iterable[Declared]) -> dict[tuple[Repository, str], list[Identity]]:
    """Who moves when a tag moves."""
    found: defaultdict[tuple[Repository, str], list[Identity]] = defaultdict(list)
    for each in declared:
        found[each.declaration.spec.repository, each.declaration.spec.tag].append(each.identity)
    return dict(found)


def _image(declared: Declared, stand: LiveImages) -> str | Failure:
    """The digest or tag that git deploys; empty where it is the moving tag itself."""
    spec, who = declared.declaration.spec, f"{declared.identity} ({declared.declaration.origin})"
    if stand.doubt:
        return Failure(stand.doubt.reason, f"{who}: {stand.doubt.message}", stand.doubt.remedy)
    if stand.image is None:
        return Failure("ImageUnclear", f"{who} deploys several images: {' and '.join(sorted(stand.value))}")
    name = stand.image.identifier
    return "" if name == spec.tag else name


def _obstacle(
    repository: Repository, tag: str, images: Mapping[str, Identity], followers: Sequence[Identity]
) -> Failure | None:
    if followers:
        names = ", ".join(map(str, followers))
        message = f"{repository}:{tag} is left alone: {names} follows it, and would move"
        return Failure("TagFollowed", message, "Give each environment a tag of its own.")
    if len(images) > 1:
        wishes = " and ".join(f"{identity} deploys {image}" for image, identity in images.items())
        return Failure("TagShared", f"{repository}:{tag} cannot name several images: {wishes}")
    return None


def _unreadable(outcome: Outcome) -> Failure:
    return Failure(outcome.reason, f"{outcome.identity} ({outcome.origin}): {outcome.message}", outcome.remedy)
