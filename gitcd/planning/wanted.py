"""What each site of a declaration shall hold: the table of docs/places.md as code."""

from __future__ import annotations

from dataclasses import dataclass

from gitcd.model.declaration import Pin, Spec
from gitcd.model.layout import Environment
from gitcd.model.plan import Resolved
from gitcd.model.reference import suffix
from gitcd.model.registry import Failure
from gitcd.model.site import Form, Site, SiteEdit

_WITHOUT_VERSION = frozenset({"Digest", "TagAndDigest"})


@dataclass(frozen=True, slots=True)
class Wanted:
    """A site and what it shall hold."""

    edit: SiteEdit

    @property
    def site(self) -> Site:
        return self.edit.site

    @property
    def met(self) -> bool:
        """Whether the site holds it already."""
        if self.site.repository is None:
            return self.site.value == self.edit.value
        return (self.site.tag, self.site.digest) == (self.edit.tag, self.edit.digest)

    @property
    def text(self) -> str:
        """What will stand there, as a person would write it."""
        if self.site.repository is None:
            return self.edit.value
        return f"{self.site.repository.familiar}{suffix(self.edit.tag, self.edit.digest)}"

    @property
    def spot(self) -> tuple[str, int, str]:
        """Where it stands; two declarations with one spot share it or are in conflict."""
        pointer = self.site.pointer
        if self.site.form is Form.CONFIG and self.edit.key:
            pointer = f"{pointer}/{self.edit.key}"
        return self.site.path, self.site.document, pointer


def wanted(site: Site, spec: Spec, pin: Pin, resolved: Resolved, environment: Environment) -> Wanted | Failure:
    """What the pin asks for at this site."""
    match site.form:
        case Form.CONFIG:
            key = spec.config.key if spec.config and site.value is None else ""
            return Wanted(SiteEdit(site, value=_config_value(pin, resolved), key=key))
        case Form.PLACE if site.marked and site.format == "tag" and pin in _WITHOUT_VERSION and not spec.follow:
            return _bare_part(site, pin)
        case Form.PLACE:
            return Wanted(SiteEdit(site, value=_place_value(site, spec, pin, resolved)))
        case Form.HELM if not site.has_digest_key:
            return _bare_helm(site, spec, pin, resolved, environment)
        case Form.HELM if pin == "Digest":  # the chart prefers the digest; the tag is not ours then
            return Wanted(SiteEdit(site, tag=site.tag, digest=resolved.digest))
        case _:
            tag, digest = _content(pin, resolved)
            return Wanted(SiteEdit(site, tag=tag, digest=digest))


def _content(pin: Pin, resolved: Resolved) -> tuple[str, str]:
    match pin:
        case "VersionAndDigest":
            return resolved.version, resolved.digest
        case "Digest":
            return "", resolved.digest
        case "Version":
            return resolved.version, ""
        case "TagAndDigest":
            return resolved.tag, resolved.digest


def _bare_helm(site: Site, spec: Spec, pin: Pin, resolved: Resolved, environment: Environment) -> Wanted | Failure:
    """A Helm map without a `digest` key: the chart joins repository and tag with a colon."""
    if pin == "Digest":
        return Failure(
            "DigestKeyMissing",
            f"{site.where}: pin is Digest, but the map has no digest key, and a chart would join a digest wrongly",
            'Add `digest: ""` beside the tag if the chart reads it, or choose another pin.',
        )
    bare = environment.helm_tag == "Version"
    if bare and pin == "TagAndDigest" and spec.follow is None:
        return Failure(
            "HelmTagMoves",
            f"{site.where}: pin is TagAndDigest, but environment {environment.name} says helmTag: Version and the map "
            f"has no digest key: {resolved.tag} would stand alone, and what it names would change unseen",
            'Add `digest: ""` beside the tag if the chart reads it, or choose another pin.',
        )
    tag, digest = _content(pin, resolved)
    return Wanted(SiteEdit(site, tag=tag, digest="" if bare else digest))


def _bare_part(site: Site, pin: Pin) -> Failure:
    return Failure(
        "PlaceTagMoves",
        f"{site.where}: pin is {pin}, but the setter comment marks a tag alone: the moving tag would stand there, and "
        "what it names would change unseen",
        "Choose a pin with Version, or take the comment away.",
    )


def bare_tag(spec: Spec, pin: Pin) -> Failure | None:
    """A place for a tag alone, where the pin has no version for it and no place beside it takes the digest."""
    if pin not in _WITHOUT_VERSION or spec.follow:
        return None
    digests = {place.file for place in spec.places if place.format == "digest"}
    bare = next((place for place in spec.places if place.format == "tag" and place.file not in digests), None)
    if bare is None:
        return None
    return Failure(
        "PlaceTagMoves",
        f"pin is {pin}, but spec.places writes a tag alone to {bare.file} {bare.pointer}: {spec.tag} would stand "
        "there, and what it names would change unseen",
        "Choose format: reference or format: digest, add a place for the digest to the same file, or choose a pin with "
        "Version.",
    )


def _config_value(pin: Pin, resolved: Resolved) -> str:
    match pin:
        case "VersionAndDigest" | "Version":
            return resolved.version
        case "Digest":
            return resolved.digest
        case "TagAndDigest":
            return f"{resolved.tag}@{resolved.digest}"


def _place_value(site: Site, spec: Spec, pin: Pin, resolved: Resolved) -> str:
    tag, digest = _content(pin, resolved)
    match site.format:
        case "reference":
            return f"{spec.repository.familiar}{suffix(tag, digest)}"
        case "tag":
            return tag or resolved.tag
        case "digest":
            return resolved.digest
        case _:
            return resolved.version
