"""What a rollout does to the cluster, one action at a time."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from gitcd.cluster.api import DeclinedError
from gitcd.cluster.objects import ROLLOUT_MANAGER
from gitcd.errors import TransientError
from gitcd.model.live import Manifest, Ref
from gitcd.rollout.actions import Action, Apply, CommitSwitch, Delete, Scale, Select, Weigh
from gitcd.rollout.facts import Facts
from gitcd.rollout.table import Do
from gitcd.usecases.rollout_means import Means

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Meeting:
    """What a run is to do now that all of its group do at a time, and what it saw."""

    do: Do
    facts: Facts

    @property
    def switches(self) -> bool:
        """Whether a switch is to be committed."""
        return CommitSwitch() in self.do.actions


def act(action: Action, means: Means) -> None:
    """Carry out one action; what is measured, or committed, is no matter of the cluster's.

    Raises:
        RefusedError: the cluster does not let it be done.
        TransientError: it is in trouble.
    """
    match action:
        case Apply(manifest):
            means.carry(manifest)
        case Scale(ref, replicas, manager):
            means.objects.scale(ref, replicas, manager=manager or ROLLOUT_MANAGER)
        case Select(manifest, version):
            _select(manifest, version, means)
        case Weigh(ref, patch, version):
            _weigh(ref, patch, version, means)
        case Delete(ref, uid, version):
            means.objects.delete(ref, uid=uid, resource_version=version)
        case _:
            raise AssertionError(f"{action} is done elsewhere")


def _select(manifest: Manifest, version: str, means: Means) -> None:
    """Server-side apply to the very version that was looked at. Of another one nothing is known: look again."""
    try:
        means.carry(manifest, version)
    except (DeclinedError, TransientError) as error:
        if isinstance(error, DeclinedError) and (error.status != HTTPStatus.CONFLICT or error.causes):
            raise
        _log.info("%s has changed meanwhile: %s", manifest.ref, error)


def _weigh(ref: Ref, patch: Iterable[Mapping[str, Any]], version: str, means: Means) -> None:
    """Patch the very version that was looked at. Of another one nothing is known: look again."""
    try:
        means.objects.patch(ref, patch, manager=ROLLOUT_MANAGER, resource_version=version)
    except DeclinedError as error:
        if error.status not in {HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY}:
            raise
        _log.info("%s has changed meanwhile: %s", ref, error)
