"""`gitcd completion`: what a shell reads to complete commands, flags and names."""

from __future__ import annotations

import click
from click.shell_completion import ShellComplete, get_completion_class

from gitcd.cli import options
from gitcd.cli.terminal import Console
from gitcd.errors import ConfigError

VARIABLE = "_GITCD_COMPLETE"


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]), help="The shell that shall complete.")
@options.verb
def command(console: Console, shell: str) -> None:
    """Print what makes SHELL complete commands, flags, and the names of apps and environments.

    \b
    bash:  eval "$(gitcd completion bash)"      in ~/.bashrc (bash 4.4 or newer)
    zsh:   eval "$(gitcd completion zsh)"       in ~/.zshrc, after compinit
    fish:  gitcd completion fish | source       in ~/.config/fish/config.fish

    Names come from the repository that the command would work on: the work tree, GITCD_REPO, or what the last run has
    fetched of a remote, which is not asked.
    """  # noqa: D301 - click reads this escape: the paragraph keeps its lines
    shells = get_completion_class(shell)
    if shells is None:
        raise ConfigError(f"there is no completion for {shell}")
    # Not the class's own `source`: that of bash starts one, to say that it is too old.
    script = ShellComplete.source(shells(click.get_current_context().find_root().command, {}, "gitcd", VARIABLE))
    console.out.write_data(f"{script.strip()}\n")
