"""What Argo CD Image Updater is told: by annotations (v0.x, and v1 with `useAnnotations`), and by ImageUpdaters (v1).

Sources: its documentation of applications, images, update strategies, update methods and of the migration to v1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from gitcd.manifests.foreign import Object, as_list, as_map
from gitcd.planning.drafting import matches_selector

GROUP = "argocd-image-updater.argoproj.io"
_APPLICATIONS = "argoproj.io"
_PREFIX = f"{GROUP}/"
_LIST = f"{_PREFIX}image-list"
_WILD = frozenset("*?[]")
_EXACT = 1_000_000
_OF_APPLICATIONS = (
    "image-list",
    "write-back-method",
    "write-back-target",
    "git-branch",
    "git-repository",
    "pull-request",
)
# Settings of an image, under their names in annotations.
_SETTINGS = {
    "update-strategy": "updateStrategy",
    "allow-tags": "allowTags",
    "ignore-tags": "ignoreTags",
    "force-update": "forceUpdate",
    "pull-secret": "pullSecret",
    "platforms": "platforms",
}
_TARGETS = {
    "kustomize.image-name": ("kustomize", "name"),
    "helm.image-name": ("helm", "name"),
    "helm.image-tag": ("helm", "tag"),
    "helm.image-spec": ("helm", "spec"),
}

Settings = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Image:
    """An image to keep up to date: `name` is the repository, `constraint` what follows its colon."""

    alias: str
    name: str
    constraint: str
    settings: Settings = field(default_factory=dict)
    targets: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WriteBack:
    """How changes are written. `target` is empty for a file of parameters beside the manifests."""

    method: str = "argocd"
    target: str = ""
    branch: str = ""
    repository: str = ""
    by_pull_request: bool = False

    @property
    def is_git(self) -> bool:
        return self.method.partition(":")[0] == "git"


@dataclass(frozen=True, slots=True)
class Watched:
    """An Application whose images are kept up to date, and by whose word; `remarks` are about it as a whole."""

    application: Object
    images: tuple[Image, ...]
    write_back: WriteBack
    remarks: tuple[str, ...] = ()


def read_watched(objects: Iterable[Object]) -> list[Watched]:
    """The Applications that annotations or ImageUpdaters name."""
    known = list(objects)
    updaters = [each for each in known if each.group == GROUP and each.kind == "ImageUpdater"]
    applications = [each for each in known if each.group == _APPLICATIONS and each.kind == "Application"]
    return [found for each in applications if (found := _watched(each, updaters))]


def unread(objects: Iterable[Object]) -> list[Object]:
    """What generates Applications with annotations: they are not written down, so nothing is known of them."""
    sets = (each for each in objects if each.group == _APPLICATIONS and each.kind == "ApplicationSet")
    return [each for each in sets if _LIST in each.map("spec", "template", "metadata", "annotations")]


def _watched(application: Object, updaters: Sequence[Object]) -> Watched | None:
    refs = sorted(_refs(application, updaters), key=lambda ref: -_specificity(ref[1]))
    if not refs:
        if _LIST not in application.map("metadata", "annotations"):
            return None
        unselected = ("no ImageUpdater of this repository selects it; its annotations are taken",) if updaters else ()
        return _by_annotations(application, unselected)
    updater, ref = refs[0]
    others = dict.fromkeys(each.title for each, _ in refs if each is not updater)
    remarks = tuple(f"{title} selects it too, and is passed over" for title in others)
    if _verified(updater.map("spec"), ref):
        remarks += (
            "imagesVerification: signatures of cosign are not verified; gates.requireSigned is about ECR's own",
        )
    if ref.get("useAnnotations") is True:
        return _by_annotations(application, remarks)
    common = [updater.map("spec", "commonUpdateSettings"), as_map(ref.get("commonUpdateSettings"))]
    images = tuple(_image(each, common) for each in as_list(ref.get("images")) if isinstance(each, dict))
    return Watched(application, images, _configured(updater.map("spec", "writeBackConfig"), ref), remarks)


def _refs(application: Object, updaters: Iterable[Object]) -> Iterator[tuple[Object, Mapping[str, Any]]]:
    labels = application.map("metadata", "labels")
    for updater in updaters:
        searched = updater.text("spec", "namespace") or updater.namespace  # a field of the first releases
        together = {application.namespace, searched} - {""}
        for ref in (each for each in updater.items("spec", "applicationRefs") if isinstance(each, dict)):
            named = fnmatchcase(application.name, str(ref.get("namePattern", "")))
            if named and len(together) <= 1 and matches_selector(as_map(ref.get("labelSelectors")), labels):
                yield updater, ref


def _specificity(ref: Mapping[str, Any]) -> int:
    pattern = str(ref.get("namePattern", ""))
    literal = sum(char not in _WILD for char in pattern)
    return (_EXACT if literal == len(pattern) else literal) + (100 if ref.get("labelSelectors") else 0)


def _verified(*scopes: Mapping[str, Any]) -> bool:
    return any(scope.get("imagesVerification") for scope in scopes)


def _image(value: Mapping[str, Any], common: Iterable[Mapping[str, Any]]) -> Image:
    settings: dict[str, Any] = {}
    for scope in (*common, as_map(value.get("commonUpdateSettings"))):
        settings |= {key: item for key, item in scope.items() if item not in (None, "", [])}
    targets = {
        name: {key: str(item) for key, item in as_map(target).items() if item}
        for name, target in as_map(value.get("manifestTargets")).items()
    }
    return Image(str(value.get("alias") or ""), *_parts(str(value.get("imageName") or "")), settings, targets)


def _by_annotations(application: Object, remarks: tuple[str, ...]) -> Watched:
    annotations = application.map("metadata", "annotations")
    own = {
        key.removeprefix(_PREFIX): str(value).strip() for key, value in annotations.items() if key.startswith(_PREFIX)
    }
    images = tuple(_annotated(own))
    aliases = {image.alias.replace("/", "_") for image in images}
    known = {*_OF_APPLICATIONS, *_SETTINGS}
    known |= {f"{alias}.{name}" for alias in aliases for name in (*_SETTINGS, *_TARGETS)}
    if ":" in own.get("write-back-method", ""):
        remarks += ("write-back-method: credentials are the operator's; see docs/settings.md",)
    remarks += tuple(f"the annotation {_PREFIX}{key} is not known here" for key in own if key not in known)
    return Watched(application, images, _written_back(own), remarks)


def _annotated(own: Mapping[str, str]) -> Iterator[Image]:
    everywhere = _settings(own, "")
    for text in (each.strip() for each in own.get("image-list", "").split(",")):
        alias, equals, name = text.partition("=") if "=" in text.partition(":")[0] else ("", "", text)
        if name:
            key = alias.replace("/", "_")
            settings = everywhere | (_settings(own, f"{key}.") if equals else {})
            yield Image(alias, *_parts(name), settings, _targets(own, key) if equals else {})


def _settings(own: Mapping[str, str], prefix: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, key in _SETTINGS.items():
        if value := own.get(f"{prefix}{name}"):
            found[key] = [each.strip() for each in value.split(",")] if key in {"ignoreTags", "platforms"} else value
    return found


def _targets(own: Mapping[str, str], alias: str) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for name, (kind, key) in _TARGETS.items():
        if value := own.get(f"{alias}.{name}"):
            found.setdefault(kind, {})[key] = value
    return found


def _parts(text: str) -> tuple[str, str]:
    """Repository and constraint: what follows the colon behind the last slash."""
    path, slash, last = text.rpartition("/")
    name, _, constraint = last.partition(":")
    return f"{path}{slash}{name}", constraint.strip()


def _written_back(own: Mapping[str, str]) -> WriteBack:
    branch, colon, _ = own.get("git-branch", "").partition(":")
    return WriteBack(
        own.get("write-back-method", "argocd"),
        own.get("write-back-target", ""),
        branch,
        own.get("git-repository", ""),
        bool(colon) or "pull-request" in own,
    )


def _configured(common: Mapping[str, Any], ref: Mapping[str, Any]) -> WriteBack:
    own = as_map(ref.get("writeBackConfig"))
    method = own.get("method") or common.get("method") or "argocd"
    git = {**as_map(common.get("gitConfig")), **as_map(own.get("gitConfig"))}
    branch, colon, _ = str(git.get("branch") or "").partition(":")
    by_pull_request = bool(colon) or bool(git.get("pullRequest"))
    target, repository = (str(git.get(key) or "") for key in ("writeBackTarget", "repository"))
    return WriteBack(str(method), target, branch, repository, by_pull_request)
