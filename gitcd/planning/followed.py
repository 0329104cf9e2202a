"""What a declaration follows, as the registry answers: the tag that it names, or the one that its rule chooses."""

from __future__ import annotations

from gitcd.model.declaration import Spec
from gitcd.model.following import described
from gitcd.model.registry import Answer, Answers, Failure
from gitcd.model.version import VersionProblem, pick_version


def followed_tag(spec: Spec, answers: Answers) -> str | Failure:
    """The tag that is followed now."""
    return spec.tag if spec.follow is None else answers.followed(spec.repository, spec.follow)


def followed_image(spec: Spec, answers: Answers) -> Answer:
    """The image that the followed tag names."""
    tag = followed_tag(spec, answers)
    return tag if isinstance(tag, Failure) else answers.get(spec.repository, tag)


def followed_version(spec: Spec, tag: str, tags: tuple[str, ...], label: str = "") -> str | VersionProblem:
    """The version of the image that the followed tag names, with its other tags and what it says of itself.

    A tag that a rule chooses stays where it is, so it is a version itself, unless versionSyntax looks for another one.
    """
    if spec.follow is not None and tag and not spec.version_syntax:
        return tag
    return pick_version([*tags, label] if label else tags, spec.version_syntax, followed=tag)


def shown_rule(spec: Spec) -> str:
    """What is followed, for people: a tag, or a rule."""
    return described(spec.follow) if spec.follow else spec.tag
