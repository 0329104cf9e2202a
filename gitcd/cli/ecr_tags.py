"""`gitcd ecr-tags`: tags of images in ECR, looked at and moved, from a pipeline or by hand.

Nothing here loads a YAML library or git: these commands start often, and have to start fast. (`protect` and `unprotect`
start less often, and are a module of their own.)
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO, cast

import click

from gitcd.cli import ecr_changes, options
from gitcd.cli import ecr_options as flags
from gitcd.cli.terminal import Console
from gitcd.errors import ConfigError

if TYPE_CHECKING:
    from gitcd.model.reference import Repository
    from gitcd.registry.tags import EcrTags
    from gitcd.usecases.tagging import Record, TagChange

    Work = Callable[[EcrTags, Repository, Record], Sequence[TagChange]]


# What others call it. The nearest of our names by spelling would be `remove`.
_MOVING = frozenset({"move", "promote", "retag", "set", "tag"})


class Commands(click.Group):
    """Loads the commands that need a config repository only where one of them, or the list of all, is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*super().list_commands(ctx), "protect", "unprotect"]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] in _MOVING:
            raise click.UsageError(f"{args[0]!r} is `gitcd ecr-tags add`: a tag that is on another image moves", ctx)
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in {"protect", "unprotect"}:
            return super().get_command(ctx, cmd_name)
        from gitcd.cli import ecr_protect

        return ecr_protect.protect if cmd_name == "protect" else ecr_protect.unprotect


@click.group("ecr-tags", cls=Commands)
def command() -> None:
    """Read and move the tags of images in Amazon ECR.

    --ecr takes a name such as team/app, in the account and region of the AWS environment, or a full name such as
    123456789012.dkr.ecr.us-east-1.amazonaws.com/team/app. By its full name it may be in any other registry, too, where
    get, list and add work, with the credentials of `docker login`.
    """


@command.command("get", short_help="Show an image: its tags, digest and size.")
@flags.repository
@flags.flag("--version", "version", metavar="VERSION", callback=flags.identifier, help="The image with this tag.")
@flags.flag("--tag", metavar="TAG", callback=flags.identifier, help="The same, for a tag that moves.")
@flags.flag("--digest", metavar="DIGEST", callback=flags.digest, help="The image with this digest.")
@flags.access
@options.registry
@options.output("table", "json", "yaml", "name")
@options.verb
def get(console: Console, *, form: Any, ecr: str, version: str, tag: str, digest: str, **arguments: Any) -> None:
    """Show an image: all its tags, its digest, when it was pushed, its size.

    For its platforms its manifest is read, and the configuration of an image for a single platform. Where that is not
    allowed they are shown as -, with a warning; -o name needs neither.
    """
    from gitcd.cli import ecr_report
    from gitcd.usecases.tag_reading import get as get_image

    named = [each for each in (version, tag, digest) if each]
    if len(named) != 1:
        raise click.UsageError("name the image by one of --version, --tag and --digest")
    repository = _repository(ecr)
    shown = get_image(_registry(arguments), repository, named[0], platforms=form != "name")
    ecr_report.show_image(console.out, form, repository, shown)
    if shown.hindrance:
        console.warn(f"the platforms are not known: {shown.hindrance.message}")


@command.command("list", short_help="List the images that have a tag.")
@flags.repository
@flags.flag("--filter", "pattern", metavar="REGEX", default="", help="Only tags in which this is found.")
@flags.flag("--limit", metavar="N", type=click.IntRange(min=1), help="Only the N images that were pushed last.")
@flags.access
@options.registry
@options.output("table", "json", "yaml", "name")
@options.verb
def list_images(console: Console, form: Any, ecr: str, pattern: str, limit: int | None, **arguments: Any) -> None:
    """List the images that have a tag, the one pushed last first.

    The whole repository is read, 1000 images with each request.
    """
    import re

    from gitcd.cli import ecr_report
    from gitcd.usecases.tag_reading import Shown, listed

    repository = _repository(ecr)
    try:
        images = listed(_registry(arguments), repository, pattern, limit)
    except re.error as error:
        raise click.BadParameter(f"{pattern!r}: {error}", param_hint="--filter") from None
    ecr_report.show_images(console.out, form, repository, list(map(Shown, images)))


@command.command(
    "add",
    short_help="Let tags name the image of a version; they move there.",
    epilog=options.examples(
        "ecr-tags add --ecr team/app --version 1.4.2 --tags env-staging,env-prod",
        "ecr-tags add --ecr team/app --version 1.4.2 --tags env-prod --expect-current DIGEST",
    ),
)
@flags.repositories
@flags.flag("--version", "version", metavar="VERSION", required=True, callback=flags.identifier,
            help="The image: one of its tags, or its digest.")  # fmt: skip
@flags.tags
@flags.flag("--expect-current", metavar="DIGEST", callback=flags.digest,
            help="Move a tag only if it names this digest now; `none`: only if there is no such tag.")  # fmt: skip
@flags.dry_run
@flags.journal
@flags.access
@options.registry
@options.output("table", "json", "yaml", "name")
@options.verb
def add(console: Console, form: Any, version: str, tags: list[str], expect_current: str, **arguments: Any) -> int:
    """Let tags name the image of a version; a tag that is on another image moves.

    The image stays what it is, a multi-platform one too. A tag that is there already is a success. Everything that can
    be done is done; exit code 5 says that something could not.

    ECR has no compare-and-set: --expect-current looks, moves, and looks again. A move by somebody else after ours is
    reported; one in the moment between the look and the move is overwritten, and nobody is told.
    """
    from gitcd.usecases import tagging

    request = tagging.Add(version, tags, expect_current, arguments["dry_run"])
    return _change(console, form, arguments, partial(tagging.add, request))


@command.command("remove")
@flags.repositories
@flags.tags
@flags.flag("--version", "version", metavar="VERSION", callback=flags.identifier,
            help="Only tags of this image: one of its tags, or its digest.")  # fmt: skip
@click.option("--delete-untagged", is_flag=True, help="Remove the last tag of an image too, which deletes the image.")
@flags.dry_run
@flags.journal
@flags.access
@options.registry
@options.output("table", "json", "yaml", "name")
@options.verb
def remove(console: Console, form: Any, version: str, tags: list[str], delete_untagged: bool, **arguments: Any) -> int:
    """Take tags away. A tag that is not there is a success.

    ECR deletes an image with its last tag, so removing that is refused unless --delete-untagged says otherwise. The
    check cannot be one with the removal: if somebody else takes an image's other tags away in the same moment, the
    image is gone for that moment, and is put back from its manifest as far as ECR still has its layers.
    """
    from gitcd.usecases import untagging

    request = untagging.Remove(tags, version, delete_untagged, arguments["dry_run"])
    return _change(console, form, arguments, partial(untagging.remove, request))


@command.command("log", short_help="Say who moved a tag, from journals.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@flags.flag("--ecr", "ecr", multiple=True, metavar="REPO", help="Only this repository; repeatable.")
@flags.flag("--tag", multiple=True, metavar="TAG", help="Only this tag; repeatable.")
@options.output("table", "json", "yaml")
@options.verb
def log(console: Console, form: Any, files: Sequence[str], ecr: Sequence[str], tag: Sequence[str]) -> None:
    """Say who moved a tag from what to what, from files that --journal wrote.

    FILE may be -, which is stdin. What is no line of a journal is skipped, with a warning.
    """
    from gitcd.cli import ecr_report
    from gitcd.usecases.journal import Skipped, Wanted, read

    wanted = Wanted([_repository(each) for each in ecr], tag)
    entries = []
    for path in files:
        try:
            with click.open_file(path, "rb") as stream:
                for item in read(path, cast("BinaryIO", stream), wanted):
                    if isinstance(item, Skipped):
                        console.warn(f"{item.path}:{item.line}: skipped, as {item.reason}")
                    else:
                        entries.append(item)
        except OSError as error:
            raise ConfigError(f"the journal {path} cannot be read: {error.strerror}") from error
    ecr_report.show_entries(console.out, form, sorted(entries, key=lambda entry: entry.time))


def _registry(arguments: Mapping[str, Any]) -> EcrTags:
    from gitcd.registry.any_tags import AnyTags
    from gitcd.usecases.tagging import settings_for

    return AnyTags(settings_for(arguments, os.environ))


def _repository(text: str) -> Repository:
    from gitcd.usecases.tagging import parse_repository

    return parse_repository(text)


def _repositories(ecr: Iterable[str], file: TextIO | None) -> list[Repository]:
    try:
        lines = [line.partition("#")[0].strip() for line in file or ()]
    except ValueError as error:
        raise click.BadParameter(f"it is not UTF-8: {error}", param_hint="--ecr-file") from None
    names = dict.fromkeys([*ecr, *filter(None, lines)])
    if not names:
        raise click.UsageError("name a repository with --ecr")
    return [_repository(name) for name in names]


def _change(console: Console, form: Any, arguments: Mapping[str, Any], work: Work) -> int:
    """Carry out a change on every repository and report it."""
    repositories = _repositories(arguments["ecr"], arguments["ecr_file"])
    registry = _registry(arguments)
    orders = {repository: partial(work, registry, repository) for repository in repositories}
    return ecr_changes.carry_out(console, form, arguments, registry, orders)
