"""Which cluster it is that one talks to."""

from __future__ import annotations

from gitcd.cluster.api import Api, DeclinedError
from gitcd.errors import ConfigError


def cluster_uid(api: Api) -> str:
    """What tells this cluster from all others.

    Raises:
        ConfigError: it may not be asked.
    """
    try:
        return str(api.get("/api/v1/namespaces/kube-system")["metadata"]["uid"])
    except (DeclinedError, KeyError) as error:
        raise ConfigError(
            f"it cannot be told which cluster this is: {error}",
            remedy="Allow the verb get on the namespace kube-system, or leave the setting environments out.",
        ) from error
