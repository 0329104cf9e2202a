"""What a declaration is to be moved to: the image, and the names by which it is written."""

from __future__ import annotations

from gitcd.model.declaration import Pin, Spec
from gitcd.model.plan import Resolved
from gitcd.model.reference import EcrRegistry
from gitcd.model.registry import Answers, Failure, Image
from gitcd.model.version import VersionProblem
from gitcd.planning.followed import followed_tag, followed_version
from gitcd.planning.promotion import Aim

MISSING = frozenset({"ImageNotFound", "RepositoryNotFound"})


def resolve(spec: Spec, answers: Answers, aim: Aim | None = None) -> Resolved | Failure:
    """What the followed tag names, or the image that is aimed at, with the version where the pin needs one."""
    tag = followed_tag(spec, answers) if aim is None else _name_of(spec, aim)
    if isinstance(tag, Failure):
        return tag
    image = answers.get(spec.repository, aim.digest if aim else tag)
    if isinstance(image, Failure):
        return aim.absent if aim and aim.absent and image.reason in MISSING else image
    name = f"@{aim.digest}" if aim else f":{tag}"
    if image.archived:
        message = f"{spec.image_repo}{name} is archived in the registry and cannot be pulled"
        return Failure("ImageArchived", message, "Restore the image, or choose another one.")
    version = _known_name(spec, image, aim, answers) or followed_version(spec, tag, image.tags, image.label)
    if isinstance(version, VersionProblem):
        if _needs_version(spec):
            return Failure("VersionUnknown", f"{spec.image_repo}{name}: {version.message}", version.remedy)
        version = ""
    if spec.pin == "Version" and not _is_named(spec, version, image, answers):
        return _unnamed(spec, name, version)
    return Resolved(tag or version, version, image.digest, image.pushed_at)


def _name_of(spec: Spec, aim: Aim) -> str:
    """The tag that stands for the image that is aimed at."""
    return spec.tag if spec.follow is None else aim.name


def _known_name(spec: Spec, image: Image, aim: Aim | None, answers: Answers) -> str:
    """What git calls the image that is aimed at, where that is a version and names this image still, or by digest."""
    if aim is None or aim.name in {"", spec.tag} or followed_version(spec, aim.name, (aim.name,)) != aim.name:
        return ""
    return aim.name if pin_of(spec) != "Version" or _is_named(spec, aim.name, image, answers) else ""


def _is_named(spec: Spec, version: str, image: Image, answers: Answers) -> bool:
    """Whether the registry knows the image by this tag."""
    known = answers.get(spec.repository, version)
    return version in image.tags or (isinstance(known, Image) and known.digest == image.digest)


def _unnamed(spec: Spec, name: str, version: str) -> Failure:
    return Failure(
        "VersionUnknown",
        f"{spec.image_repo}{name} says that it is {version}, and the registry has no such tag on it",
        "Push it under that tag too, or choose a pin with the digest.",
    )


def _needs_version(spec: Spec) -> bool:
    written = {each.format for each in spec.places}
    return pin_of(spec) in {"VersionAndDigest", "Version"} or "version" in written or spec.config is not None


def pin_of(spec: Spec, version: str = "") -> Pin:
    """The pin in force: outside private ECR an image need not have a `version`, and then the default keeps the tag."""
    if spec.pin:
        return spec.pin
    known = version or spec.follow or EcrRegistry.parse(spec.repository.registry)
    return "VersionAndDigest" if known else "TagAndDigest"
