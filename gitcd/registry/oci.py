"""Registries that speak the distribution protocol: tag or digest → digest.

No request of it leads from a digest to its tags, or to the time of a push: an image knows only the names that it was
asked by. Source: the OCI distribution specification; the codes of errors are its own.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import TypeVar

from gitcd import redact
from gitcd.model.reference import DOCKER_HUB, Repository, is_digest
from gitcd.model.registry import Answer, Failure, Image
from gitcd.registry.docker_config import Login, find_login
from gitcd.registry.faults import clean
from gitcd.registry.oci_auth import Gate
from gitcd.registry.oci_http import MAX_DOCUMENT, Reply, Transport, UnreachedError, is_loopback
from gitcd.registry.parallel import in_parallel
from gitcd.registry.settings import Access, RegistrySettings
from gitcd.web import origin

MEDIA_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
ACCEPT = ", ".join((*MEDIA_TYPES, "*/*;q=0.1"))
_WORKERS = 8
_HUB_API = "registry-1.docker.io"
_DIGEST = "docker-content-digest"
OK, CREATED, _UNAUTHORIZED, _FORBIDDEN, NOT_FOUND, _TOO_MANY = 200, 201, 401, 403, 404, 429
_SERVER_ERROR = 500
_ROUNDS = 3  # without credentials, with those that were known, with fresh ones

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Document:
    """A manifest as the registry holds it, whose bytes are those of its digest."""

    digest: str
    data: bytes
    media_type: str


class Oci:
    """The registries of one run that are no private ECR. `calls` counts the requests. Safe to share by threads."""

    def __init__(self, settings: RegistrySettings | None = None) -> None:
        self._settings = settings or RegistrySettings()
        self._lock = Lock()
        self._gates: dict[str, Gate] = {}
        self.calls = 0

    def look_up(self, repository: Repository, ids: Sequence[str]) -> dict[str, Answer]:
        """Ask one repository about tags and digests; each gets an answer."""
        return self._each(repository, ids, self._look)

    def _each(
        self, repository: Repository, ids: Sequence[str], look: Callable[[Repository, str], Image]
    ) -> dict[str, Answer]:
        if not self._settings.allows(repository):
            return dict.fromkeys(ids, not_allowed(repository))

        def answer(name: str) -> Answer:
            return self._attempt(lambda: look(repository, name))

        return dict(in_parallel(answer, ids, _WORKERS, math.inf))

    def _look(self, repository: Repository, name: str, *, explained: bool = True) -> Image:
        """The image of a tag or a digest. `explained`: where there is none, the registry is asked why, by GET.

        Raises:
            UnreachedError: there is none.
        """
        reply = self.request("HEAD", repository, f"manifests/{name}", {"Accept": ACCEPT})
        digest = reply.headers.get(_DIGEST, "")
        if reply.status >= _TOO_MANY or (reply.status == NOT_FOUND and not explained):
            raise self._refused(reply, repository, name)
        if reply.status != OK or not digest:  # an answer to HEAD does not say why
            document = self.document(repository, name)
            return Image(document.digest, _names(name), media_type=document.media_type, partial=True)
        if not is_digest(digest) or (is_digest(name) and digest != name):
            raise UnreachedError(_mislabelled(repository, name, digest))
        media_type = reply.headers.get("content-type", "").partition(";")[0].strip()
        return Image(digest, _names(name), media_type=media_type, partial=True)

    def document(self, repository: Repository, name: str) -> Document:
        """The manifest that a tag or a digest names.

        Raises:
            UnreachedError: there is none, or it is not what the registry, or its digest, says.
        """
        reply = self.request("GET", repository, f"manifests/{name}", {"Accept": ACCEPT})
        if reply.status != OK:
            raise self._refused(reply, repository, name)
        digest = f"sha256:{hashlib.sha256(reply.data).hexdigest()}"
        said = reply.headers.get(_DIGEST, digest)
        wanted = name if is_digest(name) else said
        if digest != said or digest != wanted:
            raise UnreachedError(_mislabelled(repository, name, said))
        return Document(digest, reply.data, reply.headers.get("content-type", "").partition(";")[0].strip())

    def request(
        self,
        method: str,
        repository: Repository,
        path: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        push: bool = False,
        limit: int = MAX_DOCUMENT,
    ) -> Reply:
        """One exchange about a repository, after as many others as it takes to be let in.

        `path` is below the repository, or an absolute address of the registry's own origin.

        Raises:
            UnreachedError: there was no answer, or nobody is let in.
        """
        gate = self._gate(repository)
        base = gate.transport.base
        url = path if "://" in path else f"{base}/v2/{repository.path}/{path}"
        scope = f"repository:{repository.path}:{'pull,push' if push else 'pull'}"
        for last in (False,) * (_ROUNDS - 1) + (True,):
            sent = gate.headers(scope)
            reply = gate.transport.send(method, url, {**headers, **sent}, body, limit=limit)
            if reply.status != _UNAUTHORIZED or last:
                gate.note(reply.status, sent)
                return reply
            if origin(reply.url) != origin(base):
                raise UnreachedError(_strangers(repository, reply))
            if failure := gate.answer(reply, scope, sent):
                raise UnreachedError(_about(repository, failure))
        raise AssertionError("the last round returns")

    def _attempt(self, work: Callable[[], _T]) -> _T | Failure:
        try:
            return work()
        except UnreachedError as error:
            return error.failure

    def _refused(self, reply: Reply, repository: Repository, name: str = "") -> UnreachedError:
        """What an answer means that is no success, given about a tag, a digest, or the repository as a whole."""
        return UnreachedError(explain(reply, repository, name, anonymous=self._gate(repository).anonymous))

    def _gate(self, repository: Repository) -> Gate:
        host = repository.registry
        with self._lock:
            if host not in self._gates:
                access = self._settings.access.get(host, Access())
                transport = Transport(host, base_of(host, access), self._count)
                self._gates[host] = Gate(transport, lambda: _login(host, access))
            return self._gates[host]

    def _count(self) -> None:
        with self._lock:
            self.calls += 1


def base_of(host: str, access: Access) -> str:
    """Where a registry is asked: by https, save on this machine or where the operator says otherwise."""
    if access.endpoint_url:
        return access.endpoint_url.rstrip("/")
    scheme = "http" if access.plain_http or is_loopback(host) else "https"
    return f"{scheme}://{_HUB_API if host == DOCKER_HUB else host}"


def _login(host: str, access: Access) -> Login | Failure:
    return Login(access.username, access.password) if access.username else find_login(host)


def _names(name: str) -> tuple[str, ...]:
    return () if is_digest(name) else (name,)


def not_allowed(repository: Repository) -> Failure:
    return Failure(
        "RegistryNotAllowed",
        f"{repository} is not among the registries that the operator allows",
        "add its host or repository to the allowed registries in the operator settings",
    )


def _about(repository: Repository, failure: Failure) -> Failure:
    return Failure(failure.reason, f"{failure.message} (asking {repository})", failure.remedy, failure.transient)


def _strangers(repository: Repository, reply: Reply) -> Failure:
    """Another host that a redirect led to asks for credentials, and would say itself where these are to be sent."""
    found = origin(reply.url)
    message = f"{repository} is redirected to {found[1] if found else 'nowhere'}, which wants credentials of its own"
    return Failure("AccessDenied", message, "name the registry that it is redirected to")


def _mislabelled(repository: Repository, name: str, digest: str) -> Failure:
    message = f"{repository} answered for {name} with {clean(digest)!r}, which is not the sha256 of what it hands out"
    return Failure("InvalidDigest", message, "check the registry, and what stands between it and here")


def explain(reply: Reply, repository: Repository, name: str, *, anonymous: bool = False) -> Failure:
    """What an answer means that is no success."""
    codes, said = _errors(reply)
    what = f"the digest {name}" if is_digest(name) else f"the tag {name}"
    text = f": {said}" if said else ""
    if "NAME_UNKNOWN" in codes or (reply.status == NOT_FOUND and not name):
        return Failure("RepositoryNotFound", f"there is no repository {repository}", "check its host and its name")
    if reply.status == NOT_FOUND:
        remedy = "push an image under it, or correct the declaration"
        return Failure("ImageNotFound", f"{repository} has no image for {what}", remedy)
    if reply.status in {_UNAUTHORIZED, _FORBIDDEN}:
        who = "somebody without credentials" if anonymous else "these credentials"
        remedy = f"check the name; `docker login {repository.registry}` as somebody who may read it"
        return Failure("AccessDenied", f"{repository.registry} refuses {repository} to {who}{text}", remedy)
    if reply.status == _TOO_MANY:
        message = f"{repository.registry} throttled every attempt to ask {repository}{text}"
        return Failure("Throttled", message, "run again later, or log in: many registries let nobody ask often", True)
    if reply.status >= _SERVER_ERROR:
        message = f"{repository.registry} failed with {reply.status} when asking {repository}{text}"
        return Failure("RegistryUnavailable", message, "run again later", transient=True)
    message = f"{repository.registry} answered {reply.status} about {repository}{text}"
    return Failure("RequestRefused", message, "check that this is the address of a registry")


def _errors(reply: Reply) -> tuple[set[str], str]:
    """The codes and the words of an answer that is an error."""
    try:
        errors = [each for each in json.loads(reply.data)["errors"] if isinstance(each, dict)]
    except (ValueError, LookupError, TypeError, RecursionError):
        return set(), ""
    words = dict.fromkeys(str(each.get("message") or each.get("code") or "") for each in errors)
    return {str(each.get("code")) for each in errors}, clean(redact.clean(", ".join(filter(None, words))))
