"""One apply at a time for each environment."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gitcd.cluster.api import Api, DeclinedError
from gitcd.cluster.lease import Lease, Place
from gitcd.errors import ConfigError, TransientError
from gitcd.usecases.apply_record import record_name

_POLL = 1.0  # seconds

Holds = Callable[[], bool]


@contextmanager
def held(api: Api, namespace: str, environment: str, holder: str, patience: float) -> Iterator[Holds]:
    """Hold the environment's Lease; what is given answers whether that is still so.

    `patience` is how many seconds to wait for whoever has it.

    Raises:
        ConfigError: it may not be had.
        TransientError: somebody else keeps it.
    """
    from gitcd.usecases.controller import Election

    lease = Lease(api, Place(namespace, record_name(environment)), holder)
    election = Election(lease)
    try:
        election.start()
    except DeclinedError as error:
        raise ConfigError(
            f"the Lease {lease.place.name} in namespace {namespace} cannot be held: {error.message}",
            remedy="Allow get, create and update on leases.coordination.k8s.io there.",
        ) from error
    try:
        end = time.monotonic() + patience
        while not election.leads:
            if time.monotonic() >= end:
                raise _kept(lease, environment)
            time.sleep(_POLL)
        yield lambda: election.leads
    finally:
        election.stop()


def _kept(lease: Lease, environment: str) -> TransientError:
    place = lease.place
    return TransientError(
        f"{environment} is being applied by {lease.seen_holder or 'somebody else'}, who keeps the Lease {place.name} "
        f"in namespace {place.namespace}",
        remedy="Run again once that is done; if nothing is being applied, free it with "
        f"`kubectl delete lease {place.name} --namespace {place.namespace}`.",
    )
