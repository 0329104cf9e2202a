"""`gitcd ecr-sync` without a repository: a Deployment of the cluster follows a tag, and goes back where that fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

from gitcd.cluster.api import DeclinedError, Json
from gitcd.cluster.objects import Objects
from gitcd.errors import ConfigError, ExitCode, GitcdError, RefusedError, TransientError
from gitcd.model.declaration import ContainerVersion, Origin
from gitcd.model.health import Health, State
from gitcd.model.live import Manifest, Ref
from gitcd.model.plan import Resolved
from gitcd.model.registry import Answers, Failure, Query
from gitcd.planning.applying_rules import tracker
from gitcd.planning.direct_deployment import Author, Change, Notes
from gitcd.planning.resolving import pin_of, resolve
from gitcd.usecases.evidence import Onlooker, with_log
from gitcd.usecases.tagging import as_error

NOTICE = "GITCD_REPO names no config repository: the cluster is changed directly, and nothing is recorded in git"
_POLL = timedelta(seconds=1)
_ATTEMPTS = 4
_ORIGIN = Origin("the command line")
_OVER = frozenset({State.CURRENT, State.FAILED, State.MISSING, State.SUSPENDED})

Ask = Callable[[Sequence[Query]], Answers]


class RolloutFailedError(GitcdError):
    """The new image did not become healthy; the message says whether the old one runs again."""

    exit_code = ExitCode.ROLLOUT_FAILED


@dataclass(frozen=True, slots=True)
class Synced:
    """What one poll found, or did. `changes`: the images that were changed, or in a dry run would be.

    `held`: why the image that the tag names is not taken; empty: it is.
    """

    ref: Ref
    resolved: Resolved
    changes: tuple[Change, ...] = ()
    held: str = ""


@dataclass(frozen=True, slots=True)
class Direct:
    """One Deployment, by the declaration that the flags amount to. `ask` asks the registry."""

    declaration: ContainerVersion
    objects: Objects
    ask: Ask
    tell: Callable[[Synced], None] = field(default=lambda _: None)
    poll_every: timedelta = _POLL

    @property
    def ref(self) -> Ref:
        return Ref("Deployment", self.declaration.namespace, self.declaration.metadata.name, "apps")

    @property
    def author(self) -> Author:
        return Author(self.declaration.spec)

    def look(self) -> Synced:
        """What a poll would do.

        Raises:
            GitcdError: the registry has no such image, or the Deployment no such container.
        """
        resolved = self._resolved()
        return self._compared(self._live(), resolved)

    def poll(self) -> Synced:
        """Bring the Deployment to what the tag names, and wait until it is healthy; back to what ran before if not.

        Raises:
            RolloutFailedError: it did not become healthy.
            GitcdError: as `look` does, or the cluster refuses.
        """
        resolved = self._resolved()
        found = self._changed(resolved)
        if found.held:
            return found
        if self.author.notes(self._live()).before:
            if found.changes:
                self.tell(found)
            self._await(resolved)
        self._write_version(resolved)
        return found

    def _resolved(self) -> Resolved:
        spec = self.declaration.spec
        answers = self.ask([Query(spec.repository, tags=frozenset({spec.tag}))])
        resolved = resolve(spec, answers)
        if isinstance(resolved, Failure):
            raise as_error(resolved)
        return resolved

    def _live(self) -> Json:
        live = self.objects.get(self.ref)
        if live is None:
            raise RefusedError(f"{self.ref} is not there", remedy="Correct --deployment or --namespace.")
        if owner := tracker(live):
            raise RefusedError(
                f"{self.ref} is kept by {owner}, which would take the change back",
                remedy="Name the config repository in GITCD_REPO, so that the image is changed there.",
            )
        return live

    def _images(self, live: Json, resolved: Resolved) -> list[Change]:
        images = self.author.changes(live, resolved, pin_of(self.declaration.spec, resolved.version))
        if isinstance(images, Failure):
            raise RefusedError(f"{self.ref}: {images.message}", remedy=images.remedy)
        return images

    def _compared(self, live: Json, resolved: Resolved) -> Synced:
        changes = tuple(each for each in self._images(live, resolved) if each.old != each.new)
        if changes and self.author.notes(live).rejected == resolved.digest:
            why = f"{resolved.version or resolved.digest} failed here before, and waits for another image"
            return Synced(self.ref, resolved, held=why)
        return Synced(self.ref, resolved, changes)

    def _changed(self, resolved: Resolved) -> Synced:
        """Write the images that differ, with a note of what ran before, unless an earlier one says that already."""
        for _ in range(_ATTEMPTS):
            live = self._live()
            found = self._compared(live, resolved)
            if not found.changes:
                return found
            images, notes = self._images(live, resolved), self.author.notes(live)
            before = notes.before or {each.container: each.old for each in images}
            if self._write(live, images, Notes(before)):
                return found
        raise TransientError(f"{self.ref} changes faster than it can be written", remedy="Run again.")

    def _await(self, resolved: Resolved) -> None:
        health = self._healthy()
        if health.state is State.CURRENT:
            self._note(Notes({}))
            return
        if health.state is State.SUSPENDED:
            raise RefusedError(health.message, remedy="Resume it; the next poll goes on from there.")
        health = with_log(self.objects, health)
        old = self._go_back(resolved)
        again = self._healthy()
        told = "".join(f"\n  {line}" for line in health.log)
        name = resolved.version or resolved.digest
        if again.state is State.CURRENT:
            raise RolloutFailedError(f"{name} failed, and {old} runs again: {health.message}{told}")
        raise RolloutFailedError(
            f"{name} failed: {health.message}{told}\n{old} was put back, and is not healthy either: {again.message}",
            remedy="Look after the Deployment by hand.",
        )

    def _healthy(self) -> Health:
        """How the Deployment is in the end, or when the time is over."""
        timeouts = self.declaration.spec.timeouts
        eye = Onlooker(self.objects, timeouts.unschedulable)
        until = time.monotonic() + timeouts.rollout.total_seconds()
        while True:
            health = eye.look(self.ref, datetime.now(UTC))
            if health.state in _OVER:
                return health
            if time.monotonic() >= until:
                return replace(health, message=f"not healthy in time: {health.message}")
            time.sleep(self.poll_every.total_seconds())

    def _go_back(self, resolved: Resolved) -> str:
        """Put back what ran before, and note what failed; answers the images."""
        for _ in range(_ATTEMPTS):
            live = self._live()
            before = self.author.notes(live).before
            images = [replace(each, new=before.get(each.container, each.old)) for each in self._images(live, resolved)]
            if self._write(live, images, Notes({}, resolved.digest)):
                return ", ".join(dict.fromkeys(each.new for each in images))
        raise TransientError(f"{self.ref} changes faster than it can be written", remedy="Run again.")

    def _note(self, notes: Notes) -> None:
        """Write notes, and leave the images as they are."""
        for _ in range(_ATTEMPTS):
            live = self._live()
            mine = self.author.changes(live, _NOTHING, "Digest")
            images = [] if isinstance(mine, Failure) else [replace(each, new=each.old) for each in mine]
            if self._write(live, images, notes):
                return

    def _write(self, live: Json, images: Sequence[Change], notes: Notes) -> bool:
        """Server-side apply to the version that was read; False where it has changed since."""
        manifest = Manifest(self.ref, "v1", self.author.body(live, images, notes), _ORIGIN)
        try:
            self.objects.apply(manifest, manager=self.author.manager, force=True)
        except DeclinedError as answer:
            if answer.status == HTTPStatus.CONFLICT:
                return False
            raise
        return True

    def _write_version(self, resolved: Resolved) -> None:
        """Bring the key of the ConfigMap to the version that runs, where one is named."""
        config = self.declaration.spec.config
        if config is None:
            return
        ref = Ref("ConfigMap", self.declaration.namespace, config.name)
        live = self.objects.get(ref)
        if live is None:
            raise ConfigError(f"{ref} is not there", remedy="Make it, or leave --configKey out.")
        version = resolved.version or resolved.digest
        if (live.get("data") or {}).get(config.key) == version:
            return
        metadata = {"name": ref.name, "namespace": ref.namespace, "uid": live["metadata"]["uid"]}
        value = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {config.key: version}}
        self.objects.apply(Manifest(ref, "v1", value, _ORIGIN), manager=self.author.manager, force=True)


_NOTHING = Resolved("", "", "")
