from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from gitcd.errors import ConfigError
from gitcd.usecases.aside import begin


def test_the_work_goes_on_beside_what_follows() -> None:
    may_end = threading.Event()

    def work() -> str:
        assert may_end.wait(10)
        return "done"

    begun = begin(work)
    assert not begun.done()
    may_end.set()
    assert begun.result(10) == "done"


def test_what_it_raises_is_raised_where_the_result_is_asked_for() -> None:
    def work() -> str:
        raise ConfigError("no cluster is configured", remedy="Give --kubeconfig.")

    begun = begin(work)
    with pytest.raises(ConfigError, match="no cluster is configured") as caught:
        begun.result(10)
    assert caught.value.remedy == "Give --kubeconfig."


def test_the_process_does_not_wait_for_what_hangs() -> None:
    script = "import threading; from gitcd.usecases.aside import begin; begin(threading.Event().wait); print('end')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "end\n"
