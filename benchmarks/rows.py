"""The rows of the report, one for each budget."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import IO

from benchmarks.fleet import Fleet
from benchmarks.following import TAGS, declare
from benchmarks.generate import generate
from benchmarks.measure import DATA, GITCD, Contender, Verdict, floor, peak, python, ratio, run
from gitcd.git.memory import rules

LARGE, SMALL, BEHIND = 10_000, 1_000, 300


@dataclass(frozen=True, slots=True)
class Scene:
    """A remote and, before each run, fresh copies of it and of what an earlier run left behind."""

    apps: int
    behind: int

    @property
    def kept(self) -> Path:
        return DATA / f"{self.apps}-{self.behind}"

    @property
    def remote(self) -> Path:
        return DATA / "run" / "remote.git"

    @property
    def cache(self) -> Path:
        return DATA / "run" / "cache"

    @property
    def mirror(self) -> Path:
        return DATA / "run" / "mirror.git"

    def make(self) -> Scene:
        """The remote, and what earlier runs left: gitcd's and the baseline's mirrors of the commit before the last."""
        complete = self.kept / "complete"
        if complete.exists() and complete.read_text() == rules():  # what gitcd remembers is its own program's
            return self
        shutil.rmtree(self.kept, ignore_errors=True)
        shutil.rmtree(self.remote.parent, ignore_errors=True)
        remote = generate(self.kept / "remote.git", Fleet(self.apps, self.behind))
        for options in ((), ("--still",)):  # the first brings history; the second leaves all as it was before
            shutil.rmtree(self.remote, ignore_errors=True)
            shutil.copytree(remote, self.remote)
            subprocess.run(["git", "-C", str(self.remote), "update-ref", "refs/heads/main", "before"], check=True)
            run(self.gitcd(*options))
        run(Contender("plumbing", self._plumbing(0)))
        shutil.move(self.cache, self.kept / "cache")
        shutil.move(self.mirror, self.kept / "mirror.git")
        complete.write_text(rules())
        return self

    def warm(self) -> None:
        self.cold()
        shutil.copytree(self.kept / "cache", self.cache)
        shutil.copytree(self.kept / "mirror.git", self.mirror)

    def cold(self) -> None:
        shutil.rmtree(self.remote.parent, ignore_errors=True)
        shutil.copytree(self.kept / "remote.git", self.remote)

    def gitcd(self, *options: str, prepare: Callable[[], None] = lambda: None) -> Contender:
        fleet = ["--apps", str(self.apps), "--behind", str(self.behind), *options]
        arguments = ["--", str(self.remote), "--cache-dir", str(self.cache)]
        return Contender("gitcd", python("benchmarks.cycle", *fleet, *arguments), prepare)

    def plumbing(self) -> Contender:
        return Contender("git plumbing that scans every manifest", self._plumbing(self.behind), self.warm)

    def _plumbing(self, behind: int) -> list[str]:
        fleet = ["--apps", str(self.apps), "--behind", str(behind)]
        return python("benchmarks.plumbing", str(self.remote), "--mirror", str(self.mirror), *fleet)


def warm(rounds: int) -> Iterator[Verdict]:
    scene = Scene(LARGE, BEHIND).make()
    what = f"{BEHIND} bumps in {LARGE} apps, warm, commit and push"
    yield ratio(what, scene.gitcd(prepare=scene.warm), scene.plumbing(), budget=1.5, rounds=rounds)


def cold(rounds: int) -> Iterator[Verdict]:
    scene = Scene(LARGE, BEHIND).make()
    clone = ["git", "clone", "-q", "--bare", "--depth=1", f"file://{scene.remote}", str(scene.mirror)]
    other = Contender("git clone --bare --depth=1", clone, scene.cold)
    what = f"{BEHIND} bumps in {LARGE} apps, cold, commit and push"
    yield ratio(what, scene.gitcd(prepare=scene.cold), other, budget=1.3, rounds=rounds)
    bare = Contender("git plumbing that scans every manifest", scene.plumbing().command, scene.cold)
    yield ratio("the same by bare plumbing, for comparison", bare, other, budget=1.3, rounds=rounds)


def idle(rounds: int) -> Iterator[Verdict]:
    """The second of two runs with nothing to do."""
    scene = Scene(LARGE, BEHIND).make()
    scene.warm()
    run(scene.gitcd("--still"))
    asking = f"{GITCD[0]} --version && git ls-remote -q {scene.remote} refs/heads/main"
    other = Contender("gitcd --version and git ls-remote", ["sh", "-c", asking])
    what = f"nothing to do, {LARGE} apps, warm"
    yield ratio(what, scene.gitcd("--still"), other, budget=1, grace=0.5, rounds=rounds)


def memory(_rounds: int) -> Iterator[Verdict]:
    scene = Scene(LARGE, BEHIND).make()
    for name, prepare in (("cold", scene.cold), ("on a new commit", scene.warm), ("warm", lambda: None)):
        used = peak(scene.gitcd("--still", prepare=prepare))
        yield Verdict(f"nothing to do, {LARGE} apps, {name}: peak {used} MiB, budget 150 MiB", used < 150)  # noqa: PLR2004


def growth(rounds: int) -> Iterator[Verdict]:
    small, large = Scene(SMALL, BEHIND).make(), Scene(LARGE, BEHIND).make()
    other = small.gitcd(prepare=small.warm)
    other = Contender(f"{SMALL} apps", other.command, other.prepare)
    what = f"{BEHIND} bumps in {LARGE} apps, warm"
    yield ratio(what, large.gitcd(prepare=large.warm), other, budget=2, rounds=rounds)


@contextmanager
def registry(*program: str) -> Iterator[tuple[str, Callable[[], dict[str, int]]]]:
    """A filled stand-in for ECR: its address, and how many requests came since one last asked."""
    command = python(*program)
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=DATA.parent.parent, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin
        assert process.stdout
        url = process.stdout.readline().strip()
        try:
            yield url, lambda: _requests(process.stdin, process.stdout)
        finally:
            process.stdin.close()


def _requests(asking: IO[str] | None, answers: IO[str] | None) -> dict[str, int]:
    assert asking
    assert answers
    asking.write("\n")
    asking.flush()
    counted: dict[str, int] = json.loads(answers.readline())
    return counted


def resolving(rounds: int) -> Iterator[Verdict]:
    scene = Scene(SMALL, BEHIND).make()
    scene.warm()
    with registry("benchmarks.standin", str(scene.apps), str(scene.behind)) as (url, requests):
        command = [*GITCD, "diff", str(scene.remote), "--cache-dir", str(scene.cache), "--ecr-endpoint-url", url]
        ours = Contender("gitcd", command, codes=(1,))
        bare = Contender("bare boto3 script", python("benchmarks.bareboto", url, str(scene.apps), str(scene.behind)))
        what = f"{scene.apps} tags of as many repositories resolved, planned, diff printed"
        yield ratio(what, ours, bare, budget=2, grace=1, rounds=rounds)
        used = peak(ours)
        yield Verdict(f"{what}: peak {used} MiB, budget 120 MiB", used < 120)  # noqa: PLR2004
        requests()
        run(ours)
        counted = requests()
        yield Verdict(f"{what}: requests {counted}, budget {scene.apps}", counted == {"DescribeImages": scene.apps})


def following(rounds: int) -> Iterator[Verdict]:
    with TemporaryDirectory() as folder, registry("benchmarks.following", "serve") as (url, requests):
        declare(Path(folder))
        ours = Contender("gitcd", [*GITCD, "diff", folder, "--ecr-endpoint-url", url], codes=(1,))
        bare = Contender("bare boto3 script", python("benchmarks.following", "bare", url))
        what = f"the highest of {TAGS} versions in one repository, planned, diff printed"
        yield ratio(what, ours, bare, budget=1.5, grace=0.5, rounds=rounds)
        used = peak(ours)
        yield Verdict(f"{what}: peak {used} MiB, budget 120 MiB", used < 120)  # noqa: PLR2004
        requests()
        run(ours)
        counted = requests()
        yield Verdict(f"{what}: requests {counted}, budget 10", counted == {"DescribeImages": TAGS // 1000})


def splicing(rounds: int) -> Iterator[Verdict]:
    """These two time themselves: start-up is not the matter."""
    contenders = [Contender(name, python("benchmarks.splicing", name)) for name in ("ours", "compose")]
    pairs = [[float(run(each)[1]) for each in contenders] for _ in range(rounds)]
    mine, theirs = (median(pair[at] for pair in pairs) for at in (0, 1))
    times = f"{mine:.3f} s against {theirs:.3f} s (one PyYAML compose), {mine / theirs:.2f} x, budget 3 x"
    yield Verdict(f"find, splice and re-parse of 1000 deployments: {times}", mine <= 3 * theirs)


def applying(rounds: int) -> Iterator[Verdict]:
    """The same Deployments with other images, and then with nothing new."""
    from benchmarks.applying import DEPLOYMENTS, ROUND_TRIP, cluster

    with cluster() as plane:
        kubectl = plane.kubectl_apply()
        what = f"{DEPLOYMENTS} Deployments changed, taken to a control plane"
        yield ratio(what, plane.gitcd(changed=True), kubectl, budget=0.4, rounds=rounds)
        what = f"{DEPLOYMENTS} Deployments, nothing changed"
        mark = plane.audit.mark()
        yield ratio(what, plane.gitcd(changed=False), kubectl, budget=0.2, rounds=rounds)
        written = plane.written(mark)
        yield Verdict(f"{what}: {written} requests that write", written == 0)
        what = f"{DEPLOYMENTS} Deployments changed"
        yield floor(what, plane.bare(), kubectl, rounds)
    with cluster(is_complete=False) as plane:
        what = f"{DEPLOYMENTS} Deployments changed, controllers at rest"
        yield ratio(what, plane.gitcd(changed=True), plane.kubectl_apply(), budget=0.4, rounds=rounds)
        with plane.far_away() as far:
            what = f"{what}, the API server {ROUND_TRIP} ms away"
            yield ratio(what, far.gitcd(changed=True), far.kubectl_apply(), budget=0.4, rounds=rounds)


def help_text(rounds: int) -> Iterator[Verdict]:
    hello = "import click\n@click.command()\ndef hello():\n    'Say hello.'\nhello()"
    other = Contender("click hello", [*python("benchmarks")[:1], "-c", hello, "--help"])
    yield ratio("--help", Contender("gitcd", [*GITCD, "--help"]), other, budget=1.5, rounds=4 * rounds)


def tags(rounds: int) -> Iterator[Verdict]:
    """One image looked up: the start of the process is nearly all of it."""
    app = Fleet(1, 0).app(0)
    with registry("benchmarks.standin", "1", "0") as (url, requests):
        named = ["--ecr", app.repository, "--tag", app.tag, "--region", "us-east-1", "--ecr-endpoint-url", url]
        for what, form, more in (("ecr-tags get", "table", ["platform"]), ("ecr-tags get -o name", "name", [])):
            bare = Contender("bare boto3 script", python("benchmarks.bareget", url, app.repository, app.tag, *more))
            ours = Contender("gitcd", [*GITCD, "ecr-tags", "get", *named, "-o", form])
            requests()
            run(ours)
            mine = requests()
            run(bare)
            yield Verdict(f"{what}: requests {mine}, those of the bare script", mine == requests())
            yield ratio(what, ours, bare, budget=1.25, rounds=2 * rounds)


ROWS: dict[str, Callable[[int], Iterator[Verdict]]] = {
    "help": help_text,
    "tags": tags,
    "splicing": splicing,
    "resolving": resolving,
    "following": following,
    "idle": idle,
    "warm": warm,
    "cold": cold,
    "growth": growth,
    "memory": memory,
    "applying": applying,
}
