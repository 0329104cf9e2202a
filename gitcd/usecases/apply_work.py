"""What a run of apply does about an environment where a glance is not enough. All that work needs is loaded with it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from gitcd.errors import GitcdError
from gitcd.git.runner import CorruptError
from gitcd.rollout.facts import Release
from gitcd.usecases.apply import How, Keep, Roll, apply_environment
from gitcd.usecases.apply_course import Course
from gitcd.usecases.apply_live import Ahead
from gitcd.usecases.apply_newer import Newer
from gitcd.usecases.apply_reading import Asked, Reading, read
from gitcd.usecases.apply_release import Say, absent, means
from gitcd.usecases.apply_report import Report
from gitcd.usecases.apply_want import want_of
from gitcd.usecases.apply_wanted import NOTHING
from gitcd.usecases.apply_wish import Note
from gitcd.usecases.apply_write import Writer
from gitcd.usecases.rollout_end import Rolled
from gitcd.usecases.switch_aims import recollected


def reading_of(course: Course, environment: str) -> Reading:
    """All that the repository says of an environment. Raises as `read` does."""
    run, mirror = course.run, course.mirror
    recollect = recollected(mirror, course.commit)
    asked = Asked(course.wish.selection, run.now, run.limits, mirror.memory, recollect)
    return read(course.driven.tree, course.inputs, environment, asked)


def report_of(course: Course, reading: Reading, ahead: Ahead | None, note: Note, say: Say) -> Report:
    """Take an environment to what was read of it; whatever goes wrong with it is in the report."""
    try:
        want = want_of(reading, course.objects, course.bounds, everything=course.wish.everything)
        how = replace(_how(course, note, say), ahead=ahead)
        return apply_environment(course.objects, reading.environment, course.commit, want, how)
    except CorruptError:  # not the environment is at fault, but the copy of the repository, which goes
        raise
    except GitcdError as error:
        return Report(reading.environment, course.commit, NOTHING, error=error)


def _how(course: Course, note: Note, say: Say) -> How:
    wish, run = course.wish, course.run
    return How(
        wish.namespace,
        run.run,
        _rolling(course, say),
        course.until,
        partial(absent, run.ask),
        wish.dry_run,
        wait=wish.wait,
        prune=wish.prune,
        prune_many=wish.prune_many,
        narrowed=bool(wish.selection.apps),
        state=course.state,
        kinds=course.bounds.kinds,
        note=note,
        is_changing=(lambda _: False) if wish.revision else Newer(course.mirror, course.tip).changes,
    )


def _rolling(course: Course, say: Say) -> Roll:
    """How releases are taken live; what is asked is only looked up once there are any."""

    def roll(releases: Sequence[Release], writer: Writer, keep: Keep) -> list[Rolled]:
        from gitcd.usecases.rollout import roll_out

        def sleep(seconds: float) -> None:
            keep()
            time.sleep(seconds)

        tip = "" if course.wish.revision else course.tip
        made = means(course.run, course.mirror, course.objects, writer, say, until=course.until, tip=tip)
        return roll_out(releases, replace(made, sleep=sleep))

    return roll
