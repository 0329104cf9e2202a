"""What a pull request's body tells besides its plan: whose pods restart, and where the images come from."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from gitcd.errors import ConfigError
from gitcd.git.mirror import Mirror
from gitcd.git.tree import CommitTree
from gitcd.model.declaration import Identity
from gitcd.model.journal import Entry
from gitcd.model.memory import Memory
from gitcd.model.plan import Outcome, OutcomeKind, PlannedPull
from gitcd.model.reference import Repository
from gitcd.model.site import Form
from gitcd.registry.labels import ImageSource
from gitcd.rendering.pull import Details, Provenance
from gitcd.usecases import journal
from gitcd.usecases.context import Planned
from gitcd.usecases.deliver_render import Rendered, render
from gitcd.usecases.workspace import Workspace

_SUBJECT = "source"
_MOST = 50  # moves whose sources are looked up: each takes a few requests
Image = tuple[Repository, str]


def details(
    run: Workspace, mirror: Mirror, planned: Planned, pull: PlannedPull, journals: Sequence[str] = ()
) -> Details:
    """All that can be had; what cannot is left out.

    Raises:
        ConfigError: a journal cannot be read.
    """
    bumped = [each for each in pull.commit.outcomes if each.kind is OutcomeKind.BUMPED]
    known = [each for each in bumped if each.old_digest][:_MOST]
    sources = _sources(run, mirror.memory, [image for each in known for image in _images(each)])
    provenance = {each.identity: _provenance(each, sources) for each in known}
    for identity, mover in _movers(journals, bumped).items():
        provenance[identity] = replace(provenance.get(identity, Provenance()), moved_by=mover)
    rendered = render(CommitTree(mirror.git, mirror.tip), pull)
    found = restarts(planned, pull)
    found |= {root or ".": list(names) for root, names in (rendered.restarts or {}).items() if names}
    said = [rendered.note] if rendered.note else []
    return Details(provenance, found, rendered.objects, said or notes(planned, pull, rendered))


def _movers(journals: Sequence[str], outcomes: Sequence[Outcome]) -> dict[Identity, str]:
    """Who moved the followed tag to the image that comes, as far as a journal knows; the newest entry counts."""
    asked = {
        (str(Repository.parse(each.image_repo)), each.resolved.tag, each.resolved.digest): each.identity
        for each in outcomes
        if each.resolved
    }
    found: dict[tuple[str, str, str], Entry] = {}
    for path in journals:
        for entry in _entries(path):
            key = entry.repository, entry.tag, entry.new
            if key in asked and (key not in found or found[key].time < entry.time):
                found[key] = entry
    return {asked[key]: entry.by or entry.caller for key, entry in found.items()}


def _entries(path: str) -> Iterator[Entry]:
    try:
        with Path(path).open("rb") as stream:
            yield from (each for each in journal.read(path, stream, journal.Wanted()) if isinstance(each, Entry))
    except OSError as error:
        raise ConfigError(f"the journal {path} cannot be read: {error.strerror}") from error


def restarts(planned: Planned, pull: PlannedPull) -> dict[str, list[str]]:
    """The workloads whose pod templates change, by the file that they stand in."""
    movers = {outcome.identity for outcome in pull.commit.outcomes}
    found: defaultdict[str, set[str]] = defaultdict(set)
    for decision in planned.decisions:
        for edit in decision.edits if decision.outcome.identity in movers else ():
            if edit.site.workload and (name := str(edit.site.owner)):
                found[edit.site.path].add(name)
    return {path: sorted(names) for path, names in sorted(found.items())}


def notes(planned: Planned, pull: PlannedPull, rendered: Rendered) -> list[str]:
    """What the body cannot show: files that something renders which was not run here."""
    movers: set[Identity] = {outcome.identity for outcome in pull.commit.outcomes}
    edits = [edit for each in planned.decisions if each.outcome.identity in movers for edit in each.edits]
    built = () if rendered.restarts is None else (Form.KUSTOMIZE, Form.IMAGE)
    hidden = {
        edit.site.path for edit in edits if not edit.site.workload and edit.site.form not in (*built, Form.CONFIG)
    }
    if not hidden:
        return []
    files = "1 file is" if len(hidden) == 1 else f"{len(hidden)} files are"
    return [f"{files} rendered by Helm or the like: which pods restart for that is not known here."]


def _images(outcome: Outcome) -> list[Image]:
    repository = Repository.parse(outcome.image_repo)
    digests = [outcome.old_digest, outcome.resolved.digest if outcome.resolved else ""]
    return [(repository, digest) for digest in digests if digest]


def _provenance(outcome: Outcome, sources: Mapping[Image, ImageSource]) -> Provenance:
    """Where both images come from, if that is one place."""
    old, new = (sources.get(image, ImageSource()) for image in _images(outcome))
    if not new or old.repository != new.repository:
        return Provenance()
    return Provenance(new.repository, old.revision, new.revision)


def _sources(run: Workspace, memory: Memory, images: Sequence[Image]) -> dict[Image, ImageSource]:
    """What the registry says, asked once for ever: a digest's labels do not change."""
    known = {image: found for image in images if (found := _remembered(memory, image)) is not None}
    for image, source in run.sources([each for each in images if each not in known]).items():
        if isinstance(source, ImageSource):
            known[image] = source
            memory.note(_SUBJECT, _key(image), json.dumps([source.repository, source.revision]))
    return known


def _remembered(memory: Memory, image: Image) -> ImageSource | None:
    fact = memory.recall(_SUBJECT, _key(image))
    return None if fact is None else ImageSource(*json.loads(fact))


def _key(image: Image) -> str:
    return f"{image[0]}@{image[1]}"
