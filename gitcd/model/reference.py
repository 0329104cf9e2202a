"""Image references: registry, repository, tag, digest.

The grammar is that of the distribution project (`reference/regexp.go`, the `reference` production), with sha256 as the
only digest algorithm. `nginx` and `docker.io/library/nginx` name the same repository.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

DOCKER_HUB = "docker.io"

_DOMAIN_PART = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_IPV6 = r"\[(?:[a-fA-F0-9:]+)\]"
HOST_PATTERN = rf"(?:{_DOMAIN_PART}(?:\.{_DOMAIN_PART})*|{_IPV6})(?::[0-9]+)?"
_PATH_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
PATH_PATTERN = rf"{_PATH_PART}(?:/{_PATH_PART})*"
TAG_PATTERN = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"
DIGEST_PATTERN = r"sha256:[0-9a-f]{64}"
_MAX_NAME = 255

_HOST = re.compile(HOST_PATTERN)
_PATH = re.compile(PATH_PATTERN)
_IMAGE_ID = re.compile(r"[0-9a-f]{64}")
_TAG = re.compile(TAG_PATTERN)
_DIGEST = re.compile(DIGEST_PATTERN)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHOWN = 12


class ReferenceError(ValueError):  # noqa: A001 - the field's own word, always used qualified
    """The text is not an image reference; the message says which part is wrong."""


@dataclass(frozen=True, slots=True, order=True)
class Repository:
    """A repository in a registry, in normal form: `docker.io/library/nginx`, never `nginx`.

    An empty registry stands for the private ECR registry of whoever asks; no text parses to it.
    """

    registry: str
    path: str

    def __str__(self) -> str:
        return f"{self.registry}/{self.path}" if self.registry else self.path

    @property
    def familiar(self) -> str:
        """The short spelling that the field allows for Docker Hub, else the full one."""
        if self.registry != DOCKER_HUB:
            return str(self)
        short = self.path.removeprefix("library/")
        return short if _split_host(short) == (self.registry, self.path) else str(self)

    @classmethod
    @lru_cache(maxsize=65_536)
    def parse(cls, text: str) -> Repository:
        """Read a repository name as it may stand in a manifest.

        Raises:
            ReferenceError: the text is no repository name, or carries a tag or a digest.
        """
        if _IMAGE_ID.fullmatch(text):
            raise ReferenceError(f"{text!r} is an image id, not a repository")
        host, path = _split_host(text)
        if not _HOST.fullmatch(host):
            raise ReferenceError(f"{host!r} is not a registry host")
        if not _PATH.fullmatch(path):
            raise ReferenceError(f"{path!r} is not a repository path (lower case, digits and . _ - / only)")
        if len(path) > _MAX_NAME:
            raise ReferenceError(f"the repository path is longer than {_MAX_NAME} characters")
        return cls(host.lower() if _is_host(host.lower()) else host, path)


def with_host(repository: str) -> str:
    """The repository as it is spelled, and with the registry's host where that says none: it is Docker Hub then.

    Raises:
        ReferenceError: the text is no repository name.
    """
    parsed = Repository.parse(repository)
    return str(parsed) if parsed.registry == DOCKER_HUB else repository


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """An image reference: a repository with a tag, a digest, both or neither."""

    repository: Repository
    tag: str = ""
    digest: str = ""

    def __str__(self) -> str:
        return f"{self.repository}{self.suffix}"

    @property
    def suffix(self) -> str:
        """What follows the repository: `:tag`, `@digest`, `:tag@digest` or nothing."""
        return suffix(self.tag, self.digest)

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read a reference as it may stand in a manifest.

        Raises:
            ReferenceError: the text is no image reference.
        """
        name, tag, digest = split_reference(text)
        return cls(Repository.parse(name), tag, digest)


def suffix(tag: str, digest: str) -> str:
    return (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")


def split_reference(text: str) -> tuple[str, str, str]:
    """Cut a reference into (name as written, tag, digest); tag and digest may be empty.

    Raises:
        ReferenceError: the text is no image reference.
    """
    head, at, digest = text.partition("@")
    if not head or (at and not is_digest(digest)):
        raise ReferenceError(f"{text!r} is not an image reference")
    name, colon, tag = head.rpartition(":")
    if not (name and colon and is_tag(tag)):  # what follows may be the port of a registry
        name, tag = head, ""
    Repository.parse(name)
    return name, tag, digest


def is_tag(text: str) -> bool:
    return bool(_TAG.fullmatch(text))


def is_digest(text: str) -> bool:
    return bool(_DIGEST.fullmatch(text))


def short(digest: str) -> str:
    """The first 12 hexadecimal characters, for people; machines get the whole digest."""
    return digest.removeprefix("sha256:")[:_SHOWN]


def brief(version: str) -> str:
    """A version for people: one that is the whole hash of a commit is shortened, as git does."""
    return version[:_SHOWN] if _COMMIT.fullmatch(version) else version


def _split_host(text: str) -> tuple[str, str]:
    head, slash, rest = text.partition("/")
    if not slash or not _is_host(head):
        return DOCKER_HUB, text if slash else f"library/{text}"
    if head.lower() in {DOCKER_HUB, "index.docker.io"}:
        return DOCKER_HUB, rest if "/" in rest else f"library/{rest}"
    return head, rest


def _is_host(head: str) -> bool:
    return "." in head or ":" in head or head == "localhost" or head != head.lower()


@dataclass(frozen=True, slots=True)
class EcrRegistry:
    """What the host name of a private ECR registry says."""

    account: str
    region: str
    fips: bool = False
    dual_stack: bool = False

    @classmethod
    def parse(cls, host: str) -> EcrRegistry | None:
        """Read an ECR host in any of its forms; None when the host is not private ECR.

        Source: "Amazon ECR endpoints and quotas" and "Amazon ECR private registries" of the AWS documentation.
        """
        for pattern in _ECR_HOSTS:
            if match := pattern.fullmatch(host):
                return cls(match["account"], match["region"], bool(match["fips"]), "dkr-ecr" in host)
        return None


_REGION = r"(?P<region>[a-z]{2}(?:-[a-z]+)+-[0-9]+)"
_ECR_HOSTS = (
    re.compile(
        rf"(?P<account>[0-9]{{12}})\.dkr\.ecr(?P<fips>-fips)?\.{_REGION}"
        r"\.(?:amazonaws\.com(?:\.cn)?|amazonaws\.eu|c2s\.ic\.gov|sc2s\.sgov\.gov|cloud\.adc-e\.uk|csp\.hci\.ic\.gov)",
    ),
    re.compile(
        rf"(?P<account>[0-9]{{12}})\.dkr-ecr(?P<fips>-fips)?\.{_REGION}\.on\.(?:aws|amazonwebservices\.(?:com\.cn|eu))",
    ),
)
