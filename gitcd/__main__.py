"""Where the process begins: whoever stops it while the command line is being loaded is shown no traceback."""

import os
import signal
from functools import partial

_INTERRUPTED = 130  # gitcd.errors.ExitCode, which would have to be loaded for it


def main() -> None:
    """Load the command line, and run it."""
    is_heeded = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # else somebody said to ignore it
    if is_heeded:
        signal.signal(signal.SIGINT, _quit)
    from gitcd.cli.main import main as begin

    begin(partial(signal.signal, signal.SIGINT, signal.default_int_handler) if is_heeded else lambda: None)


def _quit(*_: object) -> None:
    """Nothing has begun, so there is nothing to clean up, or to say."""
    os._exit(_INTERRUPTED)


if __name__ == "__main__":
    main()
