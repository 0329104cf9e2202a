"""What Argo CD Image Updater keeps up to date, as declarations that own the places which it writes.

Those are entries of a kustomization, keys of a Helm values file, the file of parameters beside the manifests, or the
Application itself, as its write-back says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gitcd.manifests.foreign import Object, as_list
from gitcd.model.migration import Draft, Drafted, Note
from gitcd.model.reference import ReferenceError as NotAReference
from gitcd.model.reference import with_host
from gitcd.planning.drafting import (
    Followed,
    NoCounterpartError,
    about_branches,
    any_of,
    free_name,
    in_range,
    newest,
    slug,
    whole,
)
from gitcd.planning.image_updater import Image, Watched, read_watched, unread
from gitcd.planning.image_updater_places import Spot, find_spot, source_in_git, surplus, targets
from gitcd.planning.scopes import DEFAULT_ENVIRONMENT

_WITHOUT = {
    "pullSecret": "credentials are the operator's; see docs/settings.md",
    "platforms": "has no counterpart: the digest of a multi-platform image is that of all its platforms",
    "forceUpdate": "is not needed: gitcd looks at what stands in git, and not at what runs",
}


@dataclass(slots=True)
class _Work:
    """What is known while drafting; `files` are those of the tree that were read."""

    files: Mapping[str, bytes]
    drafts: dict[str, Draft] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)

    def note(self, each: Object, *messages: str) -> None:
        self.notes += [Note(each.origin, each.title, message) for message in messages]


def files(objects: Iterable[Object]) -> set[str]:
    """The files in which the images may stand."""
    return {path for each in read_watched(objects) for path in (each.application.origin.path, *targets(each))}


def draft(objects: Sequence[Object], known: Mapping[str, bytes]) -> Drafted:
    """The declarations that follow the same images. `known` are the bytes of `files`, as far as these are there."""
    work = _Work(known)
    watched = read_watched(objects)
    for each in watched:
        _application(work, each)
    for generator in unread(objects):
        work.note(generator, "what it generates is not known here: write a declaration for each folder")
    work.notes += about_branches((each.application, _branch(each)) for each in watched if each.write_back.is_git)
    made: dict[str, Any] = {"name": DEFAULT_ENVIRONMENT, "path": ".", "applier": "external"}
    return Drafted(tuple(work.drafts.values()), (made,) if work.drafts else (), tuple(work.notes))


def _branch(watched: Watched) -> tuple[str, str]:
    source = source_in_git(watched.application)
    place = watched.write_back
    return place.repository or str(source.get("repoURL", "")), place.branch or str(source.get("targetRevision", ""))


def _application(work: _Work, watched: Watched) -> None:
    application = watched.application
    work.note(application, *watched.remarks)
    for image in watched.images:
        what = f"{image.name}: "
        work.note(application, *(f"{what}{key}: {text}" for key, text in _WITHOUT.items() if image.settings.get(key)))
        if "plugin" in image.targets:
            work.note(
                application, f"{what}manifestTargets.plugin: has no counterpart: name where it stands in spec.places"
            )
        try:
            repository = with_host(image.name)
            followed = _followed(image, repository)
            spot = find_spot(work.files, watched, image, repository)
        except (NoCounterpartError, NotAReference) as error:
            work.note(application, f"{what}{error}, so nothing is declared")
            continue
        work.note(application, *(f"{what}{each}" for each in (*followed.notes, *surplus(work.files, repository, spot))))
        _add(work, watched, image, {"imageRepo": repository, **followed.spec, **_where(watched, spot)})


def _where(watched: Watched, spot: Spot) -> dict[str, Any]:
    delivery = {"delivery": {"mode": "PullRequest"}} if watched.write_back.by_pull_request else {}
    places = {"places": list(spot.places)} if spot.places else {}
    return {**places, "environment": DEFAULT_ENVIRONMENT, "paths": [spot.path], **delivery}


def _add(work: _Work, watched: Watched, image: Image, spec: Mapping[str, Any]) -> None:
    application = watched.application
    alone = len(watched.images) == 1
    alias = image.alias or image.name.rpartition("/")[2]
    name = free_name(slug(application.name if alone else f"{application.name}-{alias}"), work.drafts)
    namespace = application.text("spec", "destination", "namespace") or application.namespace or "default"
    source = Note(application.origin, application.title, image.alias)
    work.drafts[name] = Draft(namespace, name, spec, source)


def _followed(image: Image, repository: str) -> Followed:
    """What an update strategy chooses, in gitcd's words.

    Raises:
        NoCounterpartError: gitcd cannot choose so.
    """
    strategy = str(image.settings.get("updateStrategy", "semver"))
    allow, deny = _allowed(image), _ignored(image)
    match strategy:
        case "digest":
            return Followed({"tag": image.constraint or "latest", "pin": "TagAndDigest"})
        case "newest-build" | "latest":
            what = "it took the image that was built last"
        case "alphabetical" | "name":
            what = "it took the last tag of the alphabet"
        case _:
            text, notes = in_range(image.constraint)
            bounds = {key: bound for key, bound in (("allow", allow), ("deny", deny)) if bound}
            return Followed({"follow": {"semver": text, **bounds}, "pin": "Version"}, notes)
    followed = newest(allow or ".*", repository, what, deny=deny)
    return Followed({**followed.spec, "pin": "Version"}, followed.notes)


def _allowed(image: Image) -> str:
    kind, _, expression = str(image.settings.get("allowTags", "any")).partition(":")
    if kind not in {"any", "regexp"}:
        raise NoCounterpartError(f"allowTags {kind!r} is not known")
    return whole(expression) if kind == "regexp" else ""


def _ignored(image: Image) -> str:
    given = image.settings.get("ignoreTags")
    globs = given.split(",") if isinstance(given, str) else map(str, as_list(given))
    return any_of(_globbed(each.strip()) for each in globs if each)


def _globbed(glob: str) -> str:
    """A pattern of Go's filepath.Match as an expression."""
    parts = re.split(r"(\[\^?[^\]]+\]|\*|\?)", glob)
    known = {"*": ".*", "?": "."}
    return "".join(known.get(part, part if part.startswith("[") else re.escape(part)) for part in parts)
