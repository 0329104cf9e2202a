"""What `gitcd ecr-tags` prints: images, changes of tags, and the journal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from gitcd.cli import output
from gitcd.cli.terminal import Console, Stream
from gitcd.model.reference import Repository, short

if TYPE_CHECKING:
    from gitcd.model.journal import Entry
    from gitcd.model.registry import Failure
    from gitcd.usecases.tag_reading import Shown
    from gitcd.usecases.tagging import TagChange

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_STEP = 1024


def show_image(stream: Stream, form: Any, repository: Repository, shown: Shown) -> None:
    if form == "name":
        output.write_names(stream, shown.image.tags)
    elif form == "table":
        stream.write(output.table(("TAG", "DIGEST", "PUSHED", "SIZE", "PLATFORMS"), _rows(shown)))
    else:
        output.write_document(stream, output.document("EcrImage", repository=str(repository), **_image(shown)), form)


def show_images(stream: Stream, form: Any, repository: Repository, images: Sequence[Shown]) -> None:
    if form == "name":
        output.write_names(stream, (tag for shown in images for tag in shown.image.tags))
    elif form == "table":
        rows = [row[:-1] for shown in images for row in _rows(shown)]
        stream.write(output.table(("TAG", "DIGEST", "PUSHED", "SIZE"), rows))
    else:
        items = list(map(_image, images))
        for item in items:
            del item["platforms"]
        output.write_document(stream, output.document("EcrImageList", repository=str(repository), items=items), form)


def show_changes(
    console: Console,
    stream: Stream,
    form: Any,
    changes: Sequence[TagChange],
    details: dict[str, Any],
    *,
    problems: Sequence[Failure] = (),
) -> None:
    """What became of each tag; what failed is told in full on stderr."""
    if form == "name":
        output.write_names(stream, (f"{change.repository}:{change.tag}" for change in changes if change.writes))
    elif form == "table":
        stream.write(changes_table(changes))
    else:
        items = list(map(_change, changes))
        output.write_document(
            stream, output.document("TagChanges", **details, changes=items, **_problems(problems)), form
        )
    for change in changes:
        if change.note:
            console.warn(f"{change.repository}:{change.tag}: {change.note}")
    failures = [*problems, *(each.failure for each in changes if each.failure)]
    for message, remedy in dict.fromkeys((each.message, each.remedy) for each in failures):
        console.error(message, remedy)
    console.say(closing_line(changes, dry_run=details["dryRun"]))


def changes_table(changes: Iterable[TagChange]) -> str:
    return output.table(("REPOSITORY", "TAG", "FROM", "TO", "RESULT", "REASON"), map(_row, changes))


def closing_line(changes: Iterable[TagChange], *, dry_run: bool) -> str:
    """How many of each: `2 moved, 1 unchanged`."""
    counts = Counter(change.action.value.lower() for change in changes)
    text = ", ".join(f"{number} {word}" for word, number in counts.items()) or "nothing to do"
    return f"dry run, nothing was written: {text}" if dry_run else text


def show_entries(stream: Stream, form: Any, entries: Sequence[Entry]) -> None:
    if form == "table":
        rows = [
            (moment(entry.time), entry.caller or entry.by or "-", entry.repository, entry.tag,
             short(entry.old) or "-", short(entry.new) or "-", entry.run or "-")
            for entry in entries
        ]  # fmt: skip
        stream.write(output.table(("TIME", "BY", "REPOSITORY", "TAG", "FROM", "TO", "RUN"), rows))
    else:
        items = list(map(_entry, entries))
        output.write_document(stream, output.document("TagMoveList", items=items), form)


def moment(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def size(number: int) -> str:
    """Bytes for people: `31.9 MiB`."""
    value, unit = float(number), 0
    while value >= _STEP and unit < len(_UNITS) - 1:
        value, unit = value / _STEP, unit + 1
    return f"{value:.1f} {_UNITS[unit]}" if unit else f"{number} B"


def _rows(shown: Shown) -> list[tuple[str, ...]]:
    image = shown.image
    rest = (
        image.digest,
        moment(image.pushed_at) if image.pushed_at else "-",
        size(image.size) if image.size is not None else "-",
        ",".join(shown.platforms or ()) or "-",
    )
    return [(tag, *rest) for tag in image.tags or ("-",)]


def _image(shown: Shown) -> dict[str, Any]:
    image = shown.image
    return {
        "digest": image.digest,
        "tags": list(image.tags),
        "pushedAt": moment(image.pushed_at) if image.pushed_at else None,
        "size": image.size,
        "mediaType": image.media_type,
        "platforms": None if shown.platforms is None else list(shown.platforms),
    }


def _row(change: TagChange) -> tuple[str, ...]:
    reason = change.failure.reason if change.failure else "-"
    old, new = short(change.old) or "-", short(change.new) or "-"
    return str(change.repository), change.tag, old, new, change.action, reason


def _why(failure: Failure) -> dict[str, str]:
    return {"reason": failure.reason, "message": failure.message, "remedy": failure.remedy}


def _problems(problems: Sequence[Failure]) -> dict[str, Any]:
    return {"problems": list(map(_why, problems))} if problems else {}


def _change(change: TagChange) -> dict[str, Any]:
    return {
        "repository": str(change.repository),
        "tag": change.tag,
        "action": change.action.value,
        "old": change.old or None,
        "new": change.new or None,
        **(_why(change.failure) if change.failure else {}),
        **({"note": change.note} if change.note else {}),
    }


def _entry(entry: Entry) -> dict[str, Any]:
    return {
        "time": moment(entry.time),
        "run": entry.run,
        "by": entry.by,
        "caller": entry.caller or None,
        "repository": entry.repository,
        "tag": entry.tag,
        "old": entry.old or None,
        "new": entry.new or None,
    }
