"""One object to the cluster: compared first, written only where something really differs, never against its owner."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus

from gitcd.cluster.api import DeclinedError, Json
from gitcd.cluster.objects import MANAGER, Objects, ref_of
from gitcd.errors import HinderedError, RefusedError, TransientError
from gitcd.model.applied import Applied, Difference, Entry, Fate
from gitcd.model.live import Manifest, Ref
from gitcd.planning.applying_fields import differs, fingerprint, holds_all, lacks, owned
from gitcd.planning.applying_parts import (
    ENVIRONMENT,
    drops_replicas,
    images_alone,
    is_ended_by_taking_over,
    is_image,
    marked,
    owns_more_than_images,
    taken_over,
    without_replicas,
)
from gitcd.planning.applying_rules import IRREPLACEABLE, tracker
from gitcd.planning.applying_scope import Part
from gitcd.rollout.facts import images, is_alike
from gitcd.usecases.apply_answers import (
    REPLACE,
    explained,
    is_immutable_alone,
    is_set_by_hand,
    owners,
    still_there,
    troubled,
)
from gitcd.usecases.apply_wish import DryRun

HANDOVER = "gitcd-handover"  # owns the replicas between gitcd's leaving them and the autoscaler's taking them
_ATTEMPTS = 4
_GONE_WITHIN, _POLL = 30.0, 0.2  # seconds

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Writer:
    """Takes manifests of one environment to the cluster.

    `parts` are the declarations of workloads; `scaled` those workloads whose replicas an autoscaler sets. `renamed` is
    what admission has made of images, as far as this writer has come to know it. `prints` are the fingerprints of
    manifests, each with what it was made of.
    """

    objects: Objects
    environment: str
    parts: Mapping[Ref, Part] = field(default_factory=dict)
    scaled: Collection[Ref] = frozenset()
    dry_run: DryRun = DryRun.NONE
    renamed: dict[tuple[Ref, str], str] = field(default_factory=dict)
    prints: dict[Ref, tuple[object, str]] = field(default_factory=dict)

    def prepare(self, manifest: Manifest) -> Manifest:
        """What of a manifest is written."""
        part = self.parts.get(manifest.ref)
        if part and self._images_only(manifest.ref):
            return images_alone(manifest, part.declared.declaration.spec)
        # How many pods each of two slots has is a matter of rollouts.
        is_slot = part is not None and part.declared.declaration.spec.strategy.blue_green is not None
        ours = without_replicas(manifest) if is_slot or manifest.ref in self.scaled else manifest
        return marked(ours, self.environment)

    def is_unchanged(self, manifest: Manifest, live: Json | None, entry: Entry | None) -> bool:
        """Whether a prepared manifest was written before, and all of it is as it was then."""
        return (
            live is not None
            and entry is not None
            and not _is_ending(live)
            and (entry.uid, entry.manifest) == (live["metadata"].get("uid"), self._print(manifest))
            and entry.owned == owned(live, MANAGER)
        )

    def learn(self, manifest: Manifest, then: Json) -> None:
        """Remember what admission made of the images of a manifest, by the object that came of it."""
        there = images(then)
        for name, image in images(manifest.value).items():
            if (other := there.get(name, image)) != image:
                _log.info("%s: admission makes %s of %s", manifest.ref, other, image)
                self.renamed[manifest.ref, image] = other

    def carry(self, manifest: Manifest, version: str = "") -> None:
        """Write a manifest as it stands in git; with a version, to that version of the object or not at all.

        Raises:
            RefusedError: it must not be written, or the cluster does not take it.
            HinderedError: something stands in the way of this one alone.
            TransientError: the cluster is in trouble.
        """
        self.carried(manifest, version)

    def carried(self, manifest: Manifest, version: str = "") -> tuple[Applied, Entry]:
        """The same, with what came of it. Raises as `carry` does."""
        prepared = self.prepare(manifest)
        if version:
            metadata = {**prepared.value["metadata"], "resourceVersion": version}
            prepared = replace(prepared, value={**prepared.value, "metadata": metadata})
        applied, entry = self.write(prepared, self.objects.get(manifest.ref))
        if entry is None:
            kind = HinderedError if applied.alone else TransientError if applied.transient else RefusedError
            raise kind(f"{applied.ref}: {applied.message}", remedy=applied.remedy)
        for image in images(prepared.value).values():
            if not is_alike(image, there := self.renamed.get((manifest.ref, image), image)):
                message = f"{manifest.ref}: admission makes {there} of {image}, so what the commit says does not run"
                raise RefusedError(message, remedy="See which webhook or policy of the cluster changes it, and why.")
        return applied, entry

    def write(self, manifest: Manifest, live: Json | None) -> tuple[Applied, Entry | None]:
        """Write a prepared manifest; `live` is the object as it was read. No entry: it is not as it shall be.

        Raises:
            ConfigError: the cluster does not accept the credentials any more, or cannot be trusted.
        """
        if refusal := self._refusal(manifest, live):
            return refusal, None
        try:
            return self._write(manifest, live)
        except DeclinedError as answer:
            return explained(manifest, answer, live, is_dry_run=self.dry_run is not DryRun.NONE), None
        except (RefusedError, TransientError) as error:
            return troubled(manifest, error), None

    def _write(self, manifest: Manifest, live: Json | None) -> tuple[Applied, Entry]:
        if self.dry_run is DryRun.CLIENT:
            return self._told(manifest, live, lacks(live, manifest.value) if live else ()), Entry(manifest.ref)
        if self.dry_run is DryRun.NONE:
            live = self._adopted(manifest, live)
        if live and (self.dry_run is DryRun.SERVER or holds_all(live, manifest.value)):
            then = self._sent(manifest, live, dry_run=True)
            if found := differs(live, then, MANAGER):
                _log.debug("%s: %s", manifest.ref, ", ".join(each.path for each in found))
            if not found or self.dry_run is DryRun.SERVER:
                return self._told(manifest, live, found), self._entry(manifest, live)
        self._hand_over(manifest, live)
        then = self._sent(manifest, live, dry_run=self.dry_run is DryRun.SERVER)
        self.learn(manifest, then)
        return self._told(manifest, live, differs(live, then, MANAGER) if live else ()), self._entry(manifest, then)

    def _sent(self, manifest: Manifest, live: Json | None, *, dry_run: bool = False) -> Json:
        """Server-side apply; the image of a container is taken from its owner where the declaration says so."""
        for _ in range(_ATTEMPTS):
            try:
                return self.objects.apply(self._bound(manifest, live), dry_run=dry_run)
            except DeclinedError as answer:
                if is_immutable_alone(answer) and live and self._may_be_replaced(manifest, dry_run=dry_run):
                    self._removed(live)
                    live = None
                elif answer.status != HTTPStatus.CONFLICT or live is None:
                    raise
                elif not answer.causes:  # it has changed since it was read
                    live = self.objects.get(manifest.ref)
                    if live is None and self._images_only(manifest.ref):
                        gone = f"{manifest.ref} went when it was to be written"
                        raise TransientError(gone, remedy="Run again.") from answer
                elif is_set_by_hand(answer) and "resourceVersion" in manifest.value["metadata"]:
                    # A switch, of what was looked at: it agreed with git, so nothing that a person wants is lost.
                    return self.objects.apply(manifest, force=True, dry_run=dry_run)
                elif all(is_image(each.field) for each in answer.causes) and self._takes_over(manifest.ref):
                    _log.info("%s: taking the image over from %s", manifest.ref, ", ".join(owners(answer)))
                    return self.objects.apply(self._bound(manifest, live, exactly=True), force=True, dry_run=dry_run)
                elif dry_run and is_ended_by_taking_over(owners(answer), live, MANAGER):
                    return self.objects.apply(manifest, force=True, dry_run=True)
                else:
                    raise
        raise TransientError(f"{manifest.ref} changes faster than it can be written", remedy="Run again.")

    def _bound(self, manifest: Manifest, live: Json | None, *, exactly: bool = False) -> Manifest:
        """The manifest for this very object, where nothing shall be made in its place; `exactly`: as it was read."""
        if live is None or not (exactly or self._images_only(manifest.ref)):
            return manifest
        names = {"uid": live["metadata"]["uid"]}
        if exactly:
            names["resourceVersion"] = live["metadata"]["resourceVersion"]
        metadata = {**manifest.value["metadata"], **names}
        return replace(manifest, value={**manifest.value, "metadata": metadata})

    def _adopted(self, manifest: Manifest, live: Json | None) -> Json | None:
        """The object, with what client-side apply owned of it made gitcd's own."""
        if live is None or self._images_only(manifest.ref) or not (patch := taken_over(live, MANAGER)):
            return live
        _log.info("%s: what kubectl apply owned is gitcd's from now on", manifest.ref)
        return self.objects.patch(ref_of(live), patch, resource_version=live["metadata"]["resourceVersion"])

    def _hand_over(self, manifest: Manifest, live: Json | None) -> None:
        """Let somebody else own the replicas before gitcd leaves them: without any owner they would fall to 1."""
        if live and not self._images_only(manifest.ref) and drops_replicas(live, manifest, MANAGER):
            replicas = (live.get("spec") or {}).get("replicas", 1)
            self.objects.scale(manifest.ref, replicas, manager=HANDOVER, uid=live["metadata"]["uid"])

    def _refusal(self, manifest: Manifest, live: Json | None) -> Applied | None:
        ref, only_images = manifest.ref, self._images_only(manifest.ref)
        if live is None:
            if not only_images:
                return None
            message = "it does not exist, and with ownership Image nothing but images is written"
            return Applied(ref, Fate.FAILED, manifest.origin, message, "Let whoever owns it make it first.")
        if _is_ending(live):
            message = "it is being deleted, and all that is in it"
            return Applied(ref, Fate.FAILED, manifest.origin, message, still_there(ref.name), transient=True)
        if only_images and owns_more_than_images(live, MANAGER):
            message = "gitcd owns more of it than its image, and would remove that with ownership Image"
            return Applied(
                ref, Fate.REFUSED, manifest.origin, message, "Let its new owner take those fields first (server-side)."
            )
        if self._takes_over(ref):
            return None
        keeper = self._keeper(live)
        return Applied(ref, Fate.REFUSED, manifest.origin, f"{keeper[0]} keeps it", keeper[1]) if keeper else None

    def _keeper(self, live: Json) -> tuple[str, str] | None:
        """Who else keeps an object, and what is to be done about it."""
        leave = ", or set spec.apply.takeOver in its declaration" if ref_of(live) in self.parts else ""
        if who := tracker(live):
            return who, f"Let go of it there, and take that tool's label or annotation off it{leave}."
        other = (live["metadata"].get("annotations") or {}).get(ENVIRONMENT, self.environment)
        if other != self.environment:
            gone = f"if {other} is no more, take the annotation {ENVIRONMENT} off it"
            return f"the environment {other}", f"Take it out of one of the two; {gone}{leave}."
        return None

    def _images_only(self, ref: Ref) -> bool:
        part = self.parts.get(ref)
        return part is not None and part.declared.declaration.spec.apply.ownership == "Image"

    def _takes_over(self, ref: Ref) -> bool:
        part = self.parts.get(ref)
        return part is not None and part.declared.declaration.spec.apply.take_over

    def _may_be_replaced(self, manifest: Manifest, *, dry_run: bool) -> bool:
        annotations = manifest.value["metadata"].get("annotations") or {}
        return not dry_run and annotations.get(REPLACE) == "true" and manifest.ref.kind not in IRREPLACEABLE

    def _removed(self, live: Json) -> None:
        ref, uid = ref_of(live), live["metadata"]["uid"]
        _log.warning("%s: deleting it to make it anew, as its annotation %s says", ref, REPLACE)
        self.objects.delete(ref, uid=uid)
        end = time.monotonic() + _GONE_WITHIN
        while (there := self.objects.get(ref)) and there["metadata"]["uid"] == uid:
            if time.monotonic() > end:
                raise TransientError(f"{ref} is deleted, but not gone after {_GONE_WITHIN:.0f} s", remedy="Run again.")
            time.sleep(_POLL)

    def _told(self, manifest: Manifest, live: Json | None, found: tuple[Difference, ...]) -> Applied:
        if live is None:
            return Applied(manifest.ref, Fate.CREATED, manifest.origin)
        fate = Fate.CHANGED if found else Fate.UNCHANGED
        return Applied(manifest.ref, fate, manifest.origin, differences=found)

    def _entry(self, manifest: Manifest, then: Json) -> Entry:
        return Entry(manifest.ref, then["metadata"].get("uid", ""), self._print(manifest), owned(then, MANAGER))

    def _print(self, manifest: Manifest) -> str:
        """The fingerprint of a manifest, which is asked for twice."""
        value, found = self.prints.get(manifest.ref, (None, ""))
        if value is not manifest.value:
            found = fingerprint(manifest.value)
            self.prints[manifest.ref] = manifest.value, found
        return found


def _is_ending(live: Json) -> bool:
    """Whether it is a namespace that goes, with all that is written into it."""
    return live.get("kind") == "Namespace" and "deletionTimestamp" in live["metadata"]
