"""Hold files: what must not move, why, and who said so."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from gitcd.model.declaration import Identity
from gitcd.model.fields import Digest, Doc, Items, Line, Moment

FOLDER = ".gitcd/holds"


@dataclass(frozen=True, slots=True)
class Reject:
    digest: Annotated[Digest, Doc("The digest that is refused.")]
    version: Annotated[Line, Doc("What people call it.")] = ""
    reason: Annotated[Line, Doc("Why, for people.")] = ""
    by: Annotated[Line, Doc("Who says so.")] = ""
    time: Annotated[Moment, Doc("When that was.")] = ""
    until: Annotated[Moment, Doc("End of this rejection; absent: no end.")] = ""


@dataclass(frozen=True, slots=True)
class Allow:
    digest: Annotated[Digest, Doc("The digest that is let in again.")]
    reason: Annotated[Line, Doc("Why, for people.")] = ""
    by: Annotated[Line, Doc("Who says so.")] = ""
    time: Annotated[Moment, Doc("When that was.")] = ""


@dataclass(frozen=True, slots=True)
class Hold:
    """`until`, `reason`, `by` and `time` belong to the freeze; what is rejected has its own."""

    reject: Annotated[tuple[Reject, ...], Items(max=100), Doc("Digests that are refused.")] = ()
    allow: Annotated[
        tuple[Allow, ...], Items(max=100), Doc("Digests let in again although somebody took them back.")
    ] = ()
    freeze: Annotated[bool, Doc("Every move stops until released or until `until`.")] = False
    until: Annotated[Moment, Doc("End of the freeze; absent: no end.")] = ""
    reason: Annotated[Line, Doc("Why it is frozen.")] = ""
    by: Annotated[Line, Doc("Who froze it.")] = ""
    time: Annotated[Moment, Doc("When the freeze was written down.")] = ""


def hold_path(identity: Identity) -> str:
    """Path of a declaration's hold file in the config repository."""
    return f"{FOLDER}/{identity.environment}/{identity.namespace}.{identity.name}.yaml"


def is_hold(path: str) -> bool:
    """Whether a file of the config repository lies where hold files do."""
    return path.startswith(f"{FOLDER}/")


def identity_of(path: str) -> Identity | None:
    """The declaration that a hold file's path names; None when the path is not of that form."""
    return meant_by(path) if path.endswith(".yaml") else None


def meant_by(path: str) -> Identity | None:
    """The same for a file that may have been given the other ending of YAML, `.yml`."""
    match = re.fullmatch(rf"{re.escape(FOLDER)}/([^/]+)/([^/.]+)\.([^/]+)\.ya?ml", path)
    return Identity(match[1], match[2], match[3]) if match else None
