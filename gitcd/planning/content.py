"""What stands at the places of a declaration now, compared with the image that shall move in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gitcd.model import reference
from gitcd.model.plan import Direction
from gitcd.model.reference import Repository, is_digest, is_tag, short, split_reference
from gitcd.model.registry import Answer, Answers, Image
from gitcd.model.site import Form, Site
from gitcd.planning import gates

_UNSAID = "latest"  # what a reference means that names neither tag nor digest


@dataclass(frozen=True, slots=True)
class Held:
    """The image that a place names; both empty where it names none of this repository."""

    tag: str = ""
    digest: str = ""

    @property
    def identifier(self) -> str:
        """What the registry is asked for."""
        return self.digest or self.tag

    def answer(self, repository: Repository, answers: Answers) -> Answer:
        return answers.get(repository, self.identifier)

    def is_image(self, digest: str, repository: Repository, answers: Answers) -> bool:
        """Whether it surely is the image with this digest."""
        if self.digest:
            return self.digest == digest
        image = self.answer(repository, answers)
        return isinstance(image, Image) and image.digest == digest


def held(site: Site, repository: Repository) -> Held:
    """What a site names, read as its form and format say."""
    if site.repository is not None:
        unsaid = _UNSAID if site.form in {Form.IMAGE, Form.MARKED} and not site.digest else ""
        return Held(site.tag or unsaid, site.digest)
    text = site.value or ""
    match site.format:
        case "reference":
            return _of_reference(text, repository)
        case "digest":
            return Held(digest=text) if is_digest(text) else Held()
        case _:
            return _of_content(text)


def _of_reference(text: str, repository: Repository) -> Held:
    try:
        name, tag, digest = split_reference(text)
    except reference.ReferenceError:
        return Held()
    if Repository.parse(name) != repository:
        return Held()
    return Held(tag if tag or digest else _UNSAID, digest)


def _of_content(text: str) -> Held:
    """A tag, a digest, or `tag@digest`."""
    if is_digest(text):
        return Held(digest=text)
    tag, at, digest = text.partition("@")
    return Held(tag, digest) if is_tag(tag) and (is_digest(digest) or not at) else Held()


def carriers(sites: Sequence[Site]) -> list[Site]:
    """The sites that say what runs. A key of a ConfigMap only repeats what other sites say, if there are any."""
    return [site for site in sites if site.form is not Form.CONFIG] or list(sites)


@dataclass(frozen=True, slots=True)
class Before:
    """What stands at one of the places that change; `held` names nothing where none of them holds an image."""

    held: Held
    image: Answer
    direction: Direction

    @property
    def name(self) -> str:
        return self.held.tag or short(self.held.digest)

    @property
    def digest(self) -> str:
        return self.image.digest if isinstance(self.image, Image) else self.held.digest


# Of several places the one that speaks most against a move speaks for all.
_GRAVITY = (Direction.BACKWARD, Direction.UNKNOWN, Direction.FORWARD, Direction.SAME)


def before(sites: Sequence[Site], new: Image, repository: Repository, answers: Answers) -> Before:
    """The place that speaks most against a move of all these sites to the new image. An empty value says nothing."""
    named = [held(site, repository) for site in sites if site.repository is not None or site.value]
    found = [Before(each, image := each.answer(repository, answers), gates.direction(image, new)) for each in named]
    return min(found, key=lambda each: _GRAVITY.index(each.direction), default=Before(Held(), new, Direction.SAME))
