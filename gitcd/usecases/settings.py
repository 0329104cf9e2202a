"""The operator's settings of this run: flag, then environment, then file, then default; and which of them it was."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gitcd import redact
from gitcd.errors import ConfigError
from gitcd.model import schema
from gitcd.model.object_shape import Field, ObjectShape
from gitcd.model.problem import Problem, Steps, pointer
from gitcd.model.settings import Settings
from gitcd.model.shapes import FlagShape, ListShape, NumberShape

PREFIX = "GITCD_"
SYSTEM_FILE = Path("/etc/gitcd/config.yaml")
DEFAULT = "default"

# What the AWS tools call the same thing; the first that is set counts, after gitcd's own variable.
_ALIASES = {
    "ecr.endpointUrl": ("AWS_ENDPOINT_URL_ECR",),
    "ecr.region": ("AWS_DEFAULT_REGION", "AWS_REGION"),
}
_TOKENS: tuple[Steps, ...] = (("git", "token"), ("forge", "token"), ("prometheus", "token"), ("git", "extraHeader"))
_TOKEN_ENVS: tuple[Steps, ...] = (
    ("git", "tokenEnv"),
    ("forge", "tokenEnv"),
    ("prometheus", "tokenEnv"),
    ("git", "extraHeaderEnv"),
)
# Where one is given, a lower source's other one no longer counts.
_RIVALS: Mapping[Steps, Steps] = dict(zip(_TOKENS + _TOKEN_ENVS, _TOKEN_ENVS + _TOKENS, strict=True))
_LOCAL_PATHS = frozenset(
    {
        ("cacheDir",),
        ("templates",),
        ("signing", "keyFile"),
        ("git", "sshKey"),
        ("git", "knownHosts"),
        ("git", "caBundle"),
        ("forge", "app", "keyFile"),
    }
)
_OTHERS_MAY_READ = 0o004


@dataclass(frozen=True, slots=True)
class Row:
    """One line of `config show`."""

    key: str
    value: object
    origin: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, and for each field, by its path as `git.knownHosts`, where its value came from."""

    settings: Settings
    origins: Mapping[str, str]

    def rows(self) -> list[Row]:
        """All fields in the order of the schema; secrets are masked."""
        return [_row(self, leaf) for leaf in _leaves()]


@dataclass(frozen=True, slots=True)
class _Leaf:
    """A field that holds a value and no further fields: its path in documents, and in snake case, `git_known_hosts`."""

    steps: Steps
    name: str
    field: Field

    @property
    def key(self) -> str:
        return pointer(self.steps)


@dataclass(frozen=True, slots=True)
class _Given:
    """A value from a flag or a variable."""

    steps: Steps
    value: object
    source: str


def load(flags: Mapping[str, object], environ: Mapping[str, str], file: Path | None = None) -> Loaded:
    """Read the settings.

    `flags` holds the flags that were given, by their path in snake case (`ecr_endpoint_url`). `file`, or the flag
    `config`, or GITCD_CONFIG, names a settings file that must exist; otherwise the user's and then the system's is
    read, if there is one. Every secret met is registered for redaction.

    Raises:
        ConfigError: a value is not valid (all such are listed), the file is not there, or it shows a token to others.
    """
    path, value, problems = _read_file(_find_file(flags, environ, file))
    _resolve_paths(value, path, environ)
    sources: dict[Steps, str] = {}
    for given in (*_from_environment(environ), *_from_flags(flags)):
        _set(value, given, sources)
    settings, faults = schema.read(Settings, value)
    problems += [_sourced(problem, path, value, sources) for problem in faults]
    if problems or settings is None:
        lines = "\n".join(str(problem) for problem in problems)
        raise ConfigError(f"the settings are not valid:\n{lines}")
    for token in (settings.git.token, settings.forge.token, settings.prometheus.token, settings.git.extra_header):
        redact.register(token)
    redact.register_environment({"repo": settings.repo})
    origins = {leaf.key: _origin(leaf.steps, path, value, sources) for leaf in _leaves()}
    cache = settings.cache_dir or _default_cache(environ)
    return Loaded(replace(settings, cache_dir=cache), origins)


def _find_file(flags: Mapping[str, object], environ: Mapping[str, str], file: Path | None) -> Path | None:
    if named := file or flags.get("config") or environ.get(f"{PREFIX}CONFIG"):
        return Path(str(named))
    home = environ.get("HOME")
    folder = environ.get("XDG_CONFIG_HOME") or (f"{home}/.config" if home else "")
    candidates = [*([Path(folder, "gitcd", "config.yaml")] if folder else []), SYSTEM_FILE]
    return next((each for each in candidates if each.is_file()), None)


def _read_file(path: Path | None) -> tuple[Path | None, dict[str, Any], list[Problem]]:
    if path is None:
        return None, {}, []
    from gitcd.manifests.files import placed, read_plain

    try:
        with path.open("rb") as stream:
            mode, data = os.fstat(stream.fileno()).st_mode, stream.read()
    except OSError as error:
        raise ConfigError(f"the settings file {path} cannot be read: {error.strerror}") from None
    value, faults = read_plain(str(path), data)
    problems = list(faults)
    if value is not None and not isinstance(value, dict):
        problems.append(Problem("a map is wanted", path=str(path)))
    if not isinstance(value, dict):
        value = {}
    if mode & _OTHERS_MAY_READ:
        problems += [
            placed(str(path), value, Problem("everybody may read this token", f"chmod o-r {path}", token))
            for token in _TOKENS
            if _get(value, token)
        ]
    return path, value, problems


def _from_environment(environ: Mapping[str, str]) -> Iterator[_Given]:
    for leaf in _leaves():
        names = (f"{PREFIX}{leaf.name.upper()}", *_ALIASES.get(leaf.key, ()))
        name = next((name for name in names if environ.get(name)), None)
        if name and not _holds_maps(leaf.field):
            yield _Given(leaf.steps, _parsed(environ[name], leaf.field), name)


def _from_flags(flags: Mapping[str, object]) -> Iterator[_Given]:
    for leaf in _leaves():
        value = flags.get(leaf.name)
        if value is not None:
            plain = _parsed(value, leaf.field) if isinstance(value, str) else value
            yield _Given(leaf.steps, plain, f"--{leaf.name.replace('_', '-')}")


def _parsed(text: str, field: Field) -> object:
    """The plain value that a text stands for; what does not parse is left for the schema to refuse."""
    match field.shape:
        case ListShape():
            return [part.strip() for part in text.split(",") if part.strip()]
        case NumberShape() if text.isdecimal():
            return int(text)
        case FlagShape():
            return {"true": True, "1": True, "false": False, "0": False}.get(text.lower(), text)
        case _:
            return text


def _set(value: dict[str, Any], given: _Given, sources: dict[Steps, str]) -> None:
    *above, last = map(str, given.steps)
    target: Any = value
    for step in above:
        target = target.setdefault(step, {})
        if not isinstance(target, dict):
            return  # the file has something else there, which the schema refuses
    rival = _RIVALS.get(given.steps)
    if rival and rival not in sources:
        target.pop(str(rival[-1]), None)
    target[last] = given.value
    sources[given.steps] = given.source


def _resolve_paths(value: dict[str, Any], path: Path | None, environ: Mapping[str, str]) -> None:
    """Make the paths of the file absolute: from its folder, or from the home where they begin with `~`."""
    home = environ.get("HOME", "~")
    repo = _get(value, ("repo",))
    is_path = isinstance(repo, str) and ":" not in repo
    for steps in _LOCAL_PATHS | ({("repo",)} if is_path else set()):
        text = _get(value, steps)
        if path and isinstance(text, str) and text:
            target = _get(value, steps[:-1]) if steps[:-1] else value
            expanded = home + text[1:] if text == "~" or text.startswith("~/") else text
            target[steps[-1]] = str(path.parent.absolute() / expanded)


def _get(value: Any, steps: Steps) -> Any:
    for step in steps:
        value = value.get(str(step)) if isinstance(value, dict) else None
    return value


def _sourced(problem: Problem, path: Path | None, value: dict[str, Any], sources: Mapping[Steps, str]) -> Problem:
    """The problem with the flag, the variable or the spot in the file that it comes from."""
    for steps, source in sources.items():
        if problem.steps[: len(steps)] == steps:
            return replace(problem, path=source)
    if path is None:
        return problem
    from gitcd.manifests.files import placed

    return placed(str(path), value, problem)


def _origin(steps: Steps, path: Path | None, value: dict[str, Any], sources: Mapping[Steps, str]) -> str:
    if steps in sources:
        return sources[steps]
    if path is None or _get(value, steps) is None:
        return DEFAULT
    from gitcd.manifests.documents import locate

    return f"{path}:{locate(value, steps)[0] + 1}"


def _default_cache(environ: Mapping[str, str]) -> str:
    """The user's cache folder, as the XDG Base Directory Specification has it; empty where there is no home."""
    if folder := environ.get("XDG_CACHE_HOME"):
        return str(Path(folder, "gitcd"))
    return str(Path(home, ".cache", "gitcd")) if (home := environ.get("HOME")) else ""


def _leaves(shape: ObjectShape | None = None, steps: Steps = (), name: str = "") -> Iterator[_Leaf]:
    for key, field in (shape or schema.table(Settings)).fields.items():
        if isinstance(field.shape, ObjectShape):
            yield from _leaves(field.shape, (*steps, key), f"{name}{field.name}_")
        else:
            yield _Leaf((*steps, key), f"{name}{field.name}", field)


def _holds_maps(field: Field) -> bool:
    return isinstance(field.shape, ListShape) and isinstance(field.shape.item, ObjectShape)


def _row(loaded: Loaded, leaf: _Leaf) -> Row:
    value = _get_plain(schema.plain(loaded.settings), leaf)
    return Row(leaf.key, redact.MASK if leaf.field.secret and value else value, loaded.origins[leaf.key])


def _get_plain(document: Any, leaf: _Leaf) -> object:
    """The value as a document holds it, the default where the document leaves it out."""
    for step in leaf.steps:
        if step not in document:
            return leaf.field.shape.plain(leaf.field.default)
        document = document[step]
    return document
