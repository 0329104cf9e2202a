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
    digest: Digest
    version: Line = ""
    reason: Line = ""
    by: Line = ""
    time: Moment = ""


@dataclass(frozen=True, slots=True)
class Allow:
    digest: Digest
    reason: Line = ""
    by: Line = ""
    time: Moment = ""


@dataclass(frozen=True, slots=True)
class Hold:
    reject: Annotated[tuple[Reject, ...], Items(max=100), Doc("Digests that are refused.")] = ()
    allow: Annotated[
        tuple[Allow, ...], Items(max=100), Doc("Digests let in again although somebody took them back.")
    ] = ()
    freeze: Annotated[bool, Doc("Every move stops until released or until `until`.")] = False
    until: Moment = ""
    reason: Line = ""
    by: Line = ""


def hold_path(identity: Identity) -> str:
    """Path of a declaration's hold file in the config repository."""
    return f"{FOLDER}/{identity.environment}/{identity.namespace}.{identity.name}.yaml"


def identity_of(path: str) -> Identity | None:
    """The declaration that a hold file's path names; None when the path is not of that form."""
    match = re.fullmatch(rf"{re.escape(FOLDER)}/([^/]+)/([^/.]+)\.([^/]+)\.yaml", path)
    return Identity(match[1], match[2], match[3]) if match else None
