"""Run processes in turn and compare how long they took."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.fleet import ASIDE

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "benchmarks" / ".data"
_DROPPED = ("GIT", "AWS_", "PYTHONDONTWRITEBYTECODE")  # a program that is installed has its bytecode
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(_DROPPED)} | {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "AWS_ACCESS_KEY_ID": "AKIABENCHMARK",
    "AWS_SECRET_ACCESS_KEY": "not-a-secret",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
GITCD = [str(Path(sys.executable).with_name("gitcd"))]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One line of the report."""

    what: str
    ok: bool

    def __str__(self) -> str:
        return f"{'OK  ' if self.ok else 'OVER'}  {self.what}"


@dataclass(frozen=True, slots=True)
class Contender:
    """A command with what is done before each of its runs; `codes` are the exit codes it may end with."""

    name: str
    command: Sequence[str]
    prepare: Callable[[], object] = lambda: None
    codes: Sequence[int] = (0,)


def python(*arguments: str) -> list[str]:
    return [sys.executable, "-m", *arguments]


def run(contender: Contender) -> tuple[float, str]:
    """Seconds, without those that the process says are not its own, and what was printed."""
    contender.prepare()
    start = time.perf_counter()
    done = subprocess.run(contender.command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode not in contender.codes:
        raise SystemExit(f"{contender.name} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    aside = sum(float(line.removeprefix(ASIDE)) for line in done.stderr.splitlines() if line.startswith(ASIDE))
    return seconds - aside, done.stdout


def compare(ours: Contender, other: Contender, rounds: int) -> tuple[float, float]:
    """Medians of both, after one round that does not count."""
    pairs = [(run(ours)[0], run(other)[0]) for _ in range(rounds + 1)][1:]
    return median(pair[0] for pair in pairs), median(pair[1] for pair in pairs)


def ratio(what: str, ours: Contender, other: Contender, *, budget: float, rounds: int, grace: float = 0) -> Verdict:
    """Budget: so many times the other, and `grace` seconds more."""
    mine, theirs = compare(ours, other, rounds)
    times = f"{mine:.3f} s against {theirs:.3f} s ({other.name}), {mine / theirs:.2f} x"
    allowed = f"budget {budget:g} x" + (f" + {grace:g} s" if grace else "")
    return Verdict(f"{what}: {times}, {allowed}", mine <= budget * theirs + grace)


def floor(what: str, least: Contender, other: Contender, rounds: int) -> Verdict:
    """How far down anybody could come; nothing to be held against."""
    mine, theirs = compare(least, other, rounds)
    return Verdict(f"{what}: {mine:.3f} s ({least.name}) against {theirs:.3f} s, {mine / theirs:.2f} x", ok=True)


def peak(contender: Contender) -> int:
    """Peak memory of one run, in MiB: of the largest process that it started, git included."""
    contender.prepare()
    code = (
        "import resource, subprocess, sys; done = subprocess.run(sys.argv[1:], capture_output=True); "
        "print(done.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *contender.command],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    status, kibibytes = map(int, done.stdout.split())
    if status not in contender.codes:
        raise SystemExit(f"{contender.name} ended with {status}")
    return kibibytes >> 10
