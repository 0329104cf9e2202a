"""The way to an API server: from a kubeconfig that the operator names, or from the pod that this process runs in."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from gitcd import redact
from gitcd.errors import ConfigError

if TYPE_CHECKING:
    import urllib3

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_DEFAULT = "~/.kube/config"
_SHOWN = 256
Send = Callable[..., "urllib3.BaseHTTPResponse"]
_WORKERS = 16  # connections kept open: as many as objects are applied at a time


@dataclass(frozen=True, slots=True)
class Access:
    """An API server, and how to send requests there.

    `namespace` is the one that counts where none is named. `send` takes a method, a path with its query, and what else
    a pool of connections takes. `authorize` answers the headers of one request: a service account's token is read anew
    each time, as it changes while the process runs.
    """

    server: str
    namespace: str
    send: Send
    authorize: Callable[[], Mapping[str, str]]


def load() -> None:
    """Load what finding the way takes, which is most of its time."""
    import_module("kubernetes.config.kube_config")
    import_module("kubernetes.client.rest")


def find_access(kubeconfig: str = "", context: str = "", environ: Mapping[str, str] = os.environ) -> Access:
    """The cluster as kubectl finds it: the file named, KUBECONFIG, the user's own file, or that of this pod.

    Raises:
        ConfigError: there is none, or what is said about it is not valid.
    """
    files = kubeconfig or environ.get("KUBECONFIG", "")
    default = Path(_DEFAULT).expanduser()
    if not files and default.is_file():
        files = str(default)
    if files:
        return _from_kubeconfig(files, context, named=bool(kubeconfig))
    if environ.get("KUBERNETES_SERVICE_HOST") and not context:
        return _from_pod(environ)
    raise ConfigError(
        "no cluster is configured", remedy="Give --kubeconfig, set KUBECONFIG, or run in a pod with a service account."
    )


def _from_kubeconfig(files: str, context: str, *, named: bool) -> Access:
    kube_config: Any = import_module("kubernetes.config.kube_config")
    if named and not Path(files).expanduser().is_file():
        raise ConfigError(f"the kubeconfig {files} does not exist")
    configuration = _blank()
    try:
        with _plugin_heard():
            kube_config.load_kube_config(files, context or None, configuration, persist_config=False)
        contexts, current = kube_config.list_kube_config_contexts(files)
    except (
        kube_config.ConfigException,
        kube_config.yaml.YAMLError,
        OSError,
        ValueError,
        TypeError,
        AttributeError,
    ) as error:
        raise _unusable(files, error) from error
    if not configuration.host.lower().startswith(("https://", "http://")):
        raise _unusable(files, ValueError(f"its server {configuration.host} is no http or https address"))
    chosen = next((each for each in contexts if each["name"] == context), current)
    return _access(configuration, chosen["context"].get("namespace") or "default")


@contextmanager
def _plugin_heard() -> Iterator[None]:
    """Raise what becomes of a plugin for credentials: the library logs it and goes on with none.

    Raises:
        ConfigError: the plugin failed, or answered no credentials.
    """
    said: list[str] = []

    def hear(record: logging.LogRecord) -> bool:
        said.append(record.getMessage())
        return False

    root = logging.getLogger()
    root.addFilter(hear)
    try:
        yield
    finally:
        root.removeFilter(hear)
    if said:
        shown = " ".join(said[0].split())[:_SHOWN]
        raise ConfigError(
            f"the plugin that the kubeconfig names for credentials gave none: {shown}",
            remedy="Run by hand what `exec` of its user says; it prints an ExecCredential where all is well.",
        )


def _unusable(files: str, error: Exception) -> ConfigError:
    lines = str(error).splitlines() or [type(error).__name__]
    return ConfigError(
        f"the kubeconfig {files} cannot be used: {lines[0][:_SHOWN]}",
        remedy="`kubectl config get-contexts` shows what it holds; choose one with --context.",
    )


def _from_pod(environ: Mapping[str, str]) -> Access:
    in_cluster: Any = import_module("kubernetes.config.incluster_config")
    token, authority = SERVICE_ACCOUNT / "token", SERVICE_ACCOUNT / "ca.crt"
    configuration = _blank()
    try:
        in_cluster.InClusterConfigLoader(str(token), str(authority), environ=environ).load_and_set(configuration)
    except (in_cluster.ConfigException, OSError) as error:
        raise ConfigError(
            f"this pod's service account cannot be used: {error}",
            remedy="Let the pod mount its token (automountServiceAccountToken), or give --kubeconfig.",
        ) from error

    def read_anew(asked: Any) -> None:
        asked.api_key["BearerToken"] = f"Bearer {token.read_text().strip()}"

    configuration.refresh_api_key_hook = read_anew
    own = SERVICE_ACCOUNT / "namespace"
    return _access(configuration, own.read_text().strip() if own.is_file() else "default")


def _blank() -> Any:
    """A configuration that is nobody's default: calling the class would copy the one that some other code set up."""
    from kubernetes.client import Configuration

    return type.__call__(Configuration)


def _access(configuration: Any, namespace: str) -> Access:
    from kubernetes.client.rest import RESTClientObject

    configuration.connection_pool_maxsize = _WORKERS
    send = sender(RESTClientObject(configuration).pool_manager, configuration.host)
    return Access(configuration.host, namespace, send, _authorizer(configuration))


def sender(manager: urllib3.PoolManager, server: str) -> Send:
    """Sends to one server: which connections lead there is found out once, and not anew for each request."""
    url = urlsplit(server)
    if manager.proxy and url.scheme == "http":  # a proxy that no tunnel leads through wants to see the whole address
        return lambda method, path, **how: manager.urlopen(method, f"{server}{path}", redirect=False, **how)
    pool = manager.connection_from_url(server)
    return lambda method, path, **how: pool.urlopen(method, f"{url.path}{path}", redirect=False, **how)


def _authorizer(configuration: Any) -> Callable[[], Mapping[str, str]]:
    renew = configuration.refresh_api_key_hook
    # It sets everything anew before each request; on a configuration that would look for proxies, too, each time.
    bearer = SimpleNamespace(api_key=dict(configuration.api_key))
    registered: set[str] = set()
    lock = threading.Lock()  # a plugin is asked once, and not by every worker

    def authorize() -> Mapping[str, str]:
        with lock:
            try:
                if renew:
                    with _plugin_heard():
                        renew(bearer)
            except OSError as error:
                raise ConfigError(f"the token for the cluster cannot be read: {error}") from error
            key = bearer.api_key.get("BearerToken") or bearer.api_key.get("authorization")  # as older releases have it
            if not key:
                return {}
            if key not in registered:
                redact.register(key.split()[-1])
                registered.add(key)
            return {"Authorization": key}

    return authorize
