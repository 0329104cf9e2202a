"""The flags of the commands that work on repositories of ECR rather than on a config repository."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

Command = Callable[..., Any]
Decorator = Callable[[Command], Command]


def flag(name: str, *more: str, **how: Any) -> Decorator:
    """A flag that a variable may give too: `--tags` is GITCD_ECR_TAGS_TAGS, so that CI needs no shell to pass it."""
    variable = how.pop("variable", f"GITCD_ECR_TAGS_{name.removeprefix('--').replace('-', '_').upper()}")
    return click.option(name, *more, envvar=variable, show_envvar=True, **how)


def _role(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    if value and not (value.startswith("arn:") and ":role/" in value):
        raise click.BadParameter(f"{value!r} is not the Amazon Resource Name of a role")
    return value


def _region(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    if value and not (value.isascii() and value.replace("-", "").isalnum() and value == value.strip("-")):
        raise click.BadParameter(f"{value!r} is not a region")
    return value


def _access(command: Command) -> Command:
    for decorate in (
        flag("--role-arn", metavar="ARN", callback=_role, help="Assume this role for every request."),
        flag("--profile", metavar="NAME", variable="AWS_PROFILE", help="The profile of the AWS configuration."),
        flag("--region", metavar="REGION", variable="GITCD_ECR_REGION", callback=_region,
             help="Where a bare repository name is; else AWS_DEFAULT_REGION, AWS_REGION, or the profile's."),
    ):  # fmt: skip
        command = decorate(command)
    return command


access: Decorator = _access

repository = flag(
    "--ecr", "ecr", required=True, metavar="REPO",
    help="The repository: team/app in the account and region of the AWS environment, or with its registry's host.",
)  # fmt: skip


def _tags(_context: click.Context, _parameter: click.Parameter, value: tuple[str, ...]) -> list[str]:
    """All tags, each once, from `--tags a,b --tags c`."""
    from gitcd.model.reference import is_tag

    tags = list(dict.fromkeys(tag.strip() for each in value for tag in each.split(",") if tag.strip()))
    if not tags:
        raise click.BadParameter("a tag is needed")
    for tag in tags:
        if not is_tag(tag):
            raise click.BadParameter(f"{tag!r} is not a tag")
    return tags


tags = flag(
    "--tags", multiple=True, callback=_tags, metavar="TAG[,TAG...]", help="The tags; repeatable.",
)  # fmt: skip


def identifier(_context: click.Context, parameter: click.Parameter, value: str | None) -> str:
    """A tag or a digest."""
    from gitcd.model.reference import is_digest, is_tag

    if value and not (is_tag(value) or (is_digest(value) and parameter.name != "tag")):
        raise click.BadParameter(f"{value!r} is neither a tag nor a digest")
    return value or ""


def digest(_context: click.Context, parameter: click.Parameter, value: str | None) -> str:
    from gitcd.model.reference import is_digest

    if value and not is_digest(value) and not (parameter.name == "expect_current" and value == "none"):
        raise click.BadParameter(f"{value!r} is not a digest (sha256: and 64 hexadecimal characters)")
    return value or ""


def _several(command: Command) -> Command:
    for decorate in (
        flag("--ecr-file", metavar="FILE", type=click.File("r", encoding="utf-8-sig"),
             help="More repositories, one a line; # begins a comment. - is stdin."),
        flag("--ecr", "ecr", multiple=True, metavar="REPO",
             help="The repository: team/app in the account and region of the AWS environment, or with its registry's "
                  "host; repeatable."),
    ):  # fmt: skip
        command = decorate(command)
    return command


repositories: Decorator = _several

dry_run = click.option("--dry-run", is_flag=True, help="Look, and say what would be done; write nothing.")


def _journal(command: Command) -> Command:
    for decorate in (
        flag("--run", "run", metavar="NAME", help="How the journal names this run, such as the pipeline's address."),
        flag("--caller-identity", is_flag=True, help="Ask AWS STS who this is, for the journal."),
        flag("--by", metavar="NAME", help="Who moves the tags, for the journal; else what CI or the login say."),
        flag("--journal", metavar="FILE", help="Append every move to this file as a line of JSON; - is stdout."),
    ):
        command = decorate(command)
    return command


journal: Decorator = _journal
