"""The HTTP side of a Service: asked through the API server, or inside the cluster at the Service's own address.

Only Services of the declaration's own namespace that select pods are asked, at no address but that of the Service or of
such a pod: nothing that a declaration says leads anywhere else.
"""

from __future__ import annotations

import ipaddress
import json
import time
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

from gitcd import redact
from gitcd.cluster.api import Json
from gitcd.cluster.asking import Heard, Unheard, Why, ask
from gitcd.cluster.objects import Objects
from gitcd.model.live import Ref
from gitcd.model.strategy import Verify
from gitcd.model.verdict import Verdict
from gitcd.rollout.looks import Look, of_status

if TYPE_CHECKING:
    import urllib3

_SECONDS = 10.0
_LAG, _LAGS = 0.25, 12  # seconds, and how often
_STATUS_BYTES = 1 << 14
_SHOWN = 256
_HTTP = "http"
_JSON = "application/json"
_SAFE = "/?&=+:@!$'()*,;%-._~"
# What the API server says where it reached nobody, besides that a connection was refused or broken.
_UNREACHED = ("i/o timeout", "no route to host", "network is unreachable", "no such host", "tls:", "x509:")


class Services:
    """Looks at Services. `inside`: this process runs in the cluster, so that their addresses lead to them."""

    def __init__(self, objects: Objects, *, inside: bool, seconds: float = _SECONDS) -> None:
        self._objects = objects
        self._inside = inside
        self._seconds = seconds
        self._pool: urllib3.PoolManager | None = None

    def look(self, namespace: str, verify: Verify) -> Look:
        """What a Service answers.

        Raises:
            DeclinedError: it may not be read.
            TransientError: the cluster is in trouble.
        """
        ref = Ref("Service", namespace, verify.service)
        if not is_plain(verify.path):
            return Look.unclear(f"path {verify.path} is not asked for: it leads out of what stands before it")
        service = self._objects.get(ref)
        if service is None:
            return Look.unclear(f"{ref} is not there")
        if why := _unfit(service):
            return Look.unclear(f"{ref} is not asked: {why}")
        slices = self._objects.slices(ref)
        if not list(_ready(slices)):
            return Look.unclear(f"{ref} has no ready endpoint")
        port = _port(service)
        where = f"{ref}{verify.path or '/'} (port {port.get('name') or port['port']})"
        answer = self._direct(service, slices, port, verify) if self._inside else self._forwarded(ref, port, verify)
        return _of_answer(verify, answer, where)

    def _forwarded(self, ref: Ref, port: Json, verify: Verify) -> Heard | Unheard:
        service = f"{_HTTP}:{ref.name}:{port.get('name') or port['port']}"
        path = f"/api/v1/namespaces/{ref.namespace}/services/{service}/proxy{_escaped(verify.path)}"
        answer = self._objects.api.knock(path, self._seconds, _of_its_own)
        for _ in range(_LAGS):
            if not _lags(answer):
                break
            time.sleep(_LAG)
            answer = self._objects.api.knock(path, self._seconds, _of_its_own)
        return answer

    def _direct(self, service: Json, slices: list[Json], port: Json, verify: Verify) -> Heard | Unheard:
        address = _address(service, slices, port)
        if isinstance(address, Unheard):
            return address
        name = f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc"
        return ask(
            lambda timeout: self._connections().request(
                "GET",
                f"{_HTTP}://{address}{_escaped(verify.path)}",
                headers={"Host": name, "User-Agent": "gitcd", "Accept": "*/*"},
                timeout=timeout,
                retries=False,
                redirect=False,
                preload_content=False,
            ),
            self._seconds,
        )

    def _connections(self) -> urllib3.PoolManager:
        """One pool, without the proxies of the environment: a Service stands behind none."""
        import urllib3

        if self._pool is None:
            self._pool = urllib3.PoolManager()
        return self._pool


def is_plain(path: str) -> bool:
    r"""Whether a path stays below what stands before it, however it is escaped: no `..`, no `\`, no fragment."""
    bare = unquote(urlsplit(f"//host{path}").path).replace("\\", "/")
    return "#" not in path and not {".", ".."} & set(bare.split("/"))


def _unfit(service: Json) -> str:
    spec = service.get("spec") or {}
    if spec.get("type") == "ExternalName":
        return "it is an ExternalName, which leads out of the cluster"
    if not spec.get("selector"):
        return "it selects no pods, so its addresses are whatever somebody wrote"
    return "" if spec.get("ports") else "it has no port"


def _port(service: Json) -> Json:
    """The port for HTTP: the one that is called so, or else the first."""
    ports = service["spec"]["ports"]
    return next((each for each in ports if each.get("name") == _HTTP), ports[0])


def _ready(slices: list[Json]) -> Iterator[tuple[str, Json]]:
    """Addresses that take traffic, each with its slice. A condition that is not known is met, as the API has it."""
    for each in slices:
        for endpoint in each.get("endpoints") or ():
            if (endpoint.get("conditions") or {}).get("ready") is not False:
                yield from ((address, each) for address in endpoint.get("addresses") or ())


def _address(service: Json, slices: list[Json], port: Json) -> str | Unheard:
    """Host and port: the Service's own, or where it has none those of a ready pod."""
    host, number = str(service["spec"].get("clusterIP") or ""), port["port"]
    if host in {"", "None"}:
        host, each = next(_ready(slices))
        names: Mapping[str, Any] = {one.get("name") or "": one.get("port") for one in each.get("ports") or ()}
        number = names.get(port.get("name") or "") or number
    address = ipaddress.ip_address(host)
    if address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified:
        return Unheard(Why.UNREACHABLE, f"{host} is no address of a Service")
    return f"[{host}]:{number}" if address.version == 6 else f"{host}:{number}"  # noqa: PLR2004


def _escaped(path: str) -> str:
    return quote(path or "/", safe=_SAFE)


def _of_answer(verify: Verify, answer: Heard | Unheard, where: str) -> Look:
    if isinstance(answer, Unheard):
        verdict = Verdict.INCONCLUSIVE if answer.why is Why.UNREACHABLE else Verdict.FAIL
        return Look(verdict, f"{where} {answer.why.value}" + (f": {answer.words}" if answer.words else ""))
    if (said := _own_words(answer)) is None:
        return of_status(verify, answer.status, where)
    is_heard = "error trying to reach service" in said and not any(each in said for each in _UNREACHED)
    verdict = Verdict.FAIL if is_heard else Verdict.INCONCLUSIVE
    return Look(verdict, f"{where} is not heard by way of the API server: {redact.clean(said)[:_SHOWN]}")


def _of_its_own(status: int, content_type: str) -> int:
    """How many bytes an answer may have that could be the API server's own: of all others none is read."""
    return _STATUS_BYTES if status >= HTTPStatus.BAD_REQUEST and content_type.startswith(_JSON) else 0


def _lags(answer: Heard | Unheard) -> bool:
    """Whether the API server does not know yet, where it forwards, what it has just said of Service and endpoints."""
    said = _own_words(answer) if isinstance(answer, Heard) else None
    return said is not None and any(each in said for each in ("not found", "no endpoints available"))


def _own_words(answer: Heard) -> str | None:
    """What the API server says itself, where it has nothing to forward; None where the answer is the Service's."""
    if not answer.body:
        return None
    try:
        value = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or (value.get("kind"), value.get("apiVersion")) != ("Status", "v1"):
        return None
    return str(value.get("message", ""))
