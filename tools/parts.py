"""Build the servers and programs that the tests run against, from their Go modules.

    python3 tools/parts.py control-plane    # etcd, the four programs of Kubernetes, kwok
    python3 tools/parts.py forge            # Gitea, without the styles of its web pages
    python3 tools/parts.py github-api       # the published description of GitHub's REST API, by npm
    python3 tools/parts.py helm
    python3 tools/parts.py --path helm      # print the folder and build nothing

Needed: Go (the version that tools/parts/*/go.mod names, or newer) and a module proxy. Each go.mod pins the versions
and each go.sum their hashes. The binaries go to $GITCD_PARTS, else to gitcd-parts in the user's cache folder, there
into a folder named after what was built; where that folder is, it is complete and nothing is done. A build that was
stopped goes on from there when it is started again; --seconds stops it by itself.
"""

from __future__ import annotations

import argparse
import base64
import fcntl
import hashlib
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

MODULES = Path(__file__).parent / "parts"
KUBERNETES = "v1.36.4"


class BuildError(Exception):
    """The parts cannot be built; the message says why and what to do."""


@dataclass(frozen=True)
class Module:
    """One module of tools/parts: which commands of it are built, by binary name."""

    name: str
    commands: dict[str, str]
    stamps: tuple[str, ...] = ()  # arguments of the linker's -X
    tags: tuple[str, ...] = field(default=(), repr=False)  # build tags
    cgo: bool = field(default=False, repr=False)  # whether it holds C, and so needs a C compiler
    # By Go module, folders of its source that are kept in `share`.
    assets: dict[str, tuple[str, ...]] = field(default_factory=dict, repr=False)

    @property
    def folder(self) -> Path:
        return MODULES / self.name


@dataclass(frozen=True)
class Part:
    """What one target of the Makefile builds into one folder."""

    name: str
    modules: tuple[Module, ...]
    minutes: int = field(repr=False)

    @property
    def binaries(self) -> tuple[str, ...]:
        return tuple(binary for module in self.modules for binary in module.commands)

    def identity(self) -> str:
        """Name of the folder: it changes with every version, dependency and build flag."""
        digest = hashlib.sha256(repr(self).encode())
        for module in self.modules:
            digest.update(
                repr((module.tags, module.cgo, module.assets)).encode() if module.tags or module.assets else b""
            )
            digest.update((module.folder / "go.mod").read_bytes())
            digest.update((module.folder / "go.sum").read_bytes())
        return f"{self.name}-{digest.hexdigest()[:12]}"

    def bin(self) -> Path:
        return store() / self.identity() / "bin"


def _kubernetes_stamps() -> tuple[str, ...]:
    """Unstamped, /version has no minor, and clients that compare versions stumble over it."""
    _, minor, _ = KUBERNETES.split(".")
    values = {"gitVersion": KUBERNETES, "gitMajor": "1", "gitMinor": minor, "gitTreeState": "clean"}
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return tuple(f"{package}.{name}={value}" for package in packages for name, value in values.items())


# The published go.mod of Kubernetes and of etcd only works inside their own repositories; as a dependency of a module
# of ours, with the staging modules replaced by their released versions, both build.
_KUBERNETES = Module(
    "kubernetes",
    {
        name: f"k8s.io/kubernetes/cmd/{name}"
        for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
    },
    _kubernetes_stamps(),
)
_ETCD = Module("etcd", {"etcd": "go.etcd.io/etcd/server/v3"})
_KWOK = Module("kwok", {"kwok": "sigs.k8s.io/kwok/cmd/kwok"})
_HELM = Module("helm", {"helm": "helm.sh/helm/v4/cmd/helm"})

# Replacements that Gitea's own go.mod asks for count only in the main module, so ours repeats them.
_GITEA = Module(
    "gitea",
    {"gitea": "code.gitea.io/gitea"},
    tags=("sqlite", "sqlite_unlock_notify"),
    cgo=True,
    assets={"code.gitea.io/gitea": ("options", "templates", "public")},
)

CONTROL_PLANE = Part("control-plane", (_ETCD, _KWOK, _KUBERNETES), minutes=6)
GITEA = Part("forge", (_GITEA,), minutes=4)
HELM = Part("helm", (_HELM,), minutes=2)
PARTS = {part.name: part for part in (CONTROL_PLANE, GITEA, HELM)}


@dataclass(frozen=True)
class Document:
    """One file of an npm package; `integrity` is the package's hash as npm has it (Subresource Integrity)."""

    name: str
    package: str
    version: str
    integrity: str
    member: str

    def bin(self) -> Path:
        return store() / f"{self.name}-{self.version}"


GITHUB_API = Document(
    "github-api",
    "@octokit/openapi",
    "23.0.2",
    "sha512-pV8M7L9GY23AybNvTmo2nyjmpmnt6+2sRE/tqr0ZLQcPS4lnw7u5eZGNmwRNkBC3D7gZXbFx5AHzLUVRBXGDhg==",
    "package/generated/api.github.com.json",
)


def store() -> Path:
    """The folder that holds every built part, outside of any checkout."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("GITCD_PARTS") or Path(cache) / "gitcd-parts").absolute()


def build(part: Part, seconds: float | None = None) -> Path:
    """Build `part` unless it is there; return its folder of binaries.

    Raises:
        BuildError: without a Go that is new enough, without a C compiler where one is needed, when Go fails, or when
            `seconds` have passed.
    """
    ends = None if seconds is None else time.monotonic() + seconds
    if part.bin().is_dir():
        return part.bin()
    go = find_go(part)
    if any(module.cgo for module in part.modules) and not (shutil.which("gcc") or shutil.which("clang")):
        raise BuildError(f"building {part.name} needs a C compiler too (Debian: apt install gcc libc6-dev)")
    with _alone(store()):
        if not part.bin().is_dir():
            _build(part, go, ends)
    return part.bin()


def fetch(document: Document) -> Path:
    """Have npm fetch the package unless the file is there; return its folder.

    Raises:
        BuildError: without npm, when npm fails, or when the package is another one.
    """
    if document.bin().is_dir():
        return document.bin()
    npm = shutil.which("npm")
    if npm is None:
        raise BuildError(f"fetching {document.package} needs npm, and there is none in PATH (Debian: apt install npm)")
    with _alone(store()), tempfile.TemporaryDirectory(prefix=".building-", dir=store()) as scratch:
        command = [npm, "pack", "--silent", "--ignore-scripts", f"{document.package}@{document.version}"]
        if subprocess.run(command, cwd=scratch, stdout=subprocess.DEVNULL, check=False).returncode != 0:
            raise BuildError(f"`{' '.join(command)}` failed; its messages stand above")
        (package,) = Path(scratch).glob("*.tgz")
        found = base64.b64encode(hashlib.sha512(package.read_bytes()).digest()).decode()
        if document.integrity != f"sha512-{found}":
            raise BuildError(f"{document.package} {document.version} has the hash sha512-{found}, which is another one")
        done = Path(scratch) / "done"
        done.mkdir()
        with tarfile.open(package) as archive, (done / Path(document.member).name).open("wb") as target:
            shutil.copyfileobj(archive.extractfile(document.member) or io.BytesIO(), target)
        if not document.bin().is_dir():
            done.rename(document.bin())
    return document.bin()


def _build(part: Part, go: str, ends: float | None) -> None:
    started = time.monotonic()
    say(f"Building {', '.join(part.binaries)} into {part.bin()}; once, about {part.minutes} minutes on two cores.")
    scratch = _scratch(part)
    scratch.mkdir(exist_ok=True)
    for module in part.modules:
        _build_module(module, go, scratch, ends)
    done = scratch / "done"
    done.mkdir(exist_ok=True)
    for kept in ("bin", "share"):
        if (scratch / kept).exists():
            (scratch / kept).rename(done / kept)
    done.rename(part.bin().parent)  # the one step that makes it exist
    shutil.rmtree(scratch)
    say(f"Done in {time.monotonic() - started:.0f} s.")


def _scratch(part: Part) -> Path:
    """Where a part is built: its binaries so far, and Go's caches, by which a stopped build goes on."""
    return store() / f".building-{part.identity()}"


def _build_module(module: Module, go: str, scratch: Path, ends: float | None) -> None:
    flags = " ".join(["-s", "-w", *(f"-X {stamp}" for stamp in module.stamps)])
    environment = {**_environment(scratch), "CGO_ENABLED": str(int(module.cgo))}
    for binary, package in module.commands.items():
        say(f"  {binary}")
        building = [go, "build", "-trimpath", "-buildvcs=false", "-tags", ",".join(module.tags), "-ldflags", flags]
        status = _run([*building, "-o", str(scratch / "bin" / binary), package], module.folder, environment, ends)
        if status != 0:
            raise BuildError(f"go build {package} failed with exit status {status}; its messages stand above")
    for source, folders in module.assets.items():
        _copy_assets(module, go, scratch, source, folders)


def _run(command: list[str], folder: Path, environment: dict[str, str], ends: float | None) -> int:
    """Run a command with all that it starts, until it ends or has to.

    Raises:
        BuildError: the time was up.
    """
    with subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True) as process:
        try:
            return process.wait(None if ends is None else max(0.0, ends - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise BuildError("the time for it is up; started again, it goes on from there") from None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _copy_assets(module: Module, go: str, scratch: Path, source: str, folders: tuple[str, ...]) -> None:
    listed = [go, "list", "-m", "-f", "{{.Dir}}", source]
    done = subprocess.run(
        listed, cwd=module.folder, env=_environment(scratch), capture_output=True, text=True, check=True
    )
    for folder in folders:
        shutil.copytree(Path(done.stdout.strip()) / folder, scratch / "share" / folder, dirs_exist_ok=True)


def _environment(scratch: Path) -> dict[str, str]:
    """Go with caches of its own, 5 GB that go when the build ends, and nothing of the user's flags."""
    own = {
        "GOCACHE": str(scratch / "cache"),
        "GOMODCACHE": str(scratch / "modules"),
        "GOFLAGS": "-mod=readonly -modcacherw",
        "GOWORK": "off",
        "GOTOOLCHAIN": "local",
    }
    return {**os.environ, **own}


def find_go(part: Part) -> str:
    """The Go program, checked to be new enough for every module of `part`.

    Raises:
        BuildError: when there is none.
    """
    wanted = max(_wanted_go(module) for module in part.modules)
    text = ".".join(map(str, wanted))
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if go is None:
        raise BuildError(
            f"building {part.name} needs Go {text} or newer, and there is no `go` in PATH (https://go.dev/dl)"
        )
    answer = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=True).stdout.strip()
    found = re.match(r"go(\d+)\.(\d+)", answer)
    if found is None or (int(found[1]), int(found[2])) < wanted[:2]:
        raise BuildError(f"building {part.name} needs Go {text} or newer; {go} is {answer} (https://go.dev/dl)")
    return go


def _wanted_go(module: Module) -> tuple[int, ...]:
    line = re.search(r"^go ([\d.]+)$", (module.folder / "go.mod").read_text(), re.MULTILINE)
    if line is None:
        raise BuildError(f"{module.folder}/go.mod has no go line")
    return tuple(map(int, line[1].split(".")))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One build at a time; under the lock, what was left behind by builds of other versions is nobody's any more."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = {_scratch(part) for part in PARTS.values()}
        for left in set(folder.glob(".building-*")) - wanted:
            shutil.rmtree(left)
        yield


def say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def main() -> None:
    """Build the named part, or print where it lies or would lie."""
    parser = argparse.ArgumentParser(description="Build what the tests run against.")
    parser.add_argument("part", choices=[*PARTS, GITHUB_API.name])
    parser.add_argument("--path", action="store_true", help="print the folder of the binaries and build nothing")
    parser.add_argument("--seconds", type=float, help="stop a build that takes longer")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started ends too
    try:
        if given.part == GITHUB_API.name:
            print(GITHUB_API.bin() if given.path else fetch(GITHUB_API))
        else:
            print(PARTS[given.part].bin() if given.path else build(PARTS[given.part], given.seconds))
    except BuildError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
