"""Where Argo CD Image Updater writes an image: in forms that gitcd knows, or in places to be named.

By its write-back, those are entries of a kustomization, keys of a Helm values file, the file of parameters beside the
manifests, or the Application itself.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gitcd.manifests.foreign import Object, as_list, as_map, find_sites, read_value
from gitcd.model.reference import ReferenceError as NotAReference
from gitcd.model.reference import Repository
from gitcd.model.site import Form, Site
from gitcd.planning.drafting import NoCounterpartError, repository_of
from gitcd.planning.image_updater import Image, Watched

_KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_DEFAULT_NAME, _DEFAULT_TAG = "image.name", "image.tag"
_STEP = re.compile(r"([^\[\]]+)|\[(\d+)\]")

_Place = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Spot:
    """Where an image stands: by a form that gitcd knows, which needs no `places`, or named one by one."""

    path: str
    places: tuple[_Place, ...] = ()


def targets(watched: Watched) -> list[str]:
    """The files that the write-back may mean; the first one that is there counts."""
    target, folder = watched.write_back.target, str(source_in_git(watched.application).get("path", ""))
    if not watched.write_back.is_git:
        return [watched.application.origin.path]
    kind, _, place = target.partition(":")
    if kind == "kustomization":
        return [_joined(folder, place, name) for name in _KUSTOMIZATIONS]
    if kind == "helmvalues":
        return [_joined(folder, place or "values.yaml")]
    application = watched.application
    names = (application.name, f"{application.namespace}_{application.name}")
    return [_joined(folder, f".argocd-source-{name}.yaml") for name in names]


def source_in_git(application: Object) -> Mapping[str, Any]:
    """The source that lies in git: the only one, the one for kustomize, or the first."""
    sources = [application.at("spec", "source"), *application.items("spec", "sources")]
    given = [each for each in sources if isinstance(each, dict) and isinstance(each.get("path"), str)]
    return next((each for each in given if "kustomize" in each), given[0] if given else {})


def _joined(folder: str, *parts: str) -> str:
    path = posixpath.normpath(posixpath.join("/", folder, *parts))
    return path.lstrip("/")


def find_spot(known: Mapping[str, bytes], watched: Watched, image: Image, repository: str) -> Spot:
    """Where the image stands in git.

    Raises:
        NoCounterpartError: it stands nowhere, or in a form that cannot be owned.
    """
    candidates = targets(watched)
    path = next((each for each in candidates if each in known), "")
    if not path:
        raise NoCounterpartError(f"{candidates[0]} is not there, so the image stands nowhere in git")
    sites = [site for site in find_sites(path, known[path]).sites if str(site.repository) == repository]
    kind = watched.write_back.target.partition(":")[0] if watched.write_back.is_git else "application"
    if kind == "kustomization":
        return _in_kustomization(path, image, sites)
    if kind == "helmvalues":
        value, places = read_value(path, known[path]), _helm_keys(image)
        return _by_keys(path, value, {key: _pointer(key) for key in places}, places, sites)
    if kind == "application":
        application = watched.application
        sites = [each for each in sites if each.owner.kind == "Application" and each.owner.name == application.name]
        return _in_parameters(path, application.value.get("spec"), application, image, sites)
    return _in_parameters(path, read_value(path, known[path]), None, image, sites)


def _in_kustomization(path: str, image: Image, sites: Iterable[Site]) -> Spot:
    if any(site.form is Form.KUSTOMIZE for site in sites):
        return Spot(path)
    name = image.targets.get("kustomize", {}).get("name") or image.name
    newly = f", newName: {image.name}" if name != image.name else ""
    raise NoCounterpartError(f"{path} has no entry for it yet: add `{{name: {name}{newly}, newTag: …}}` to its images")


def _helm_keys(image: Image) -> dict[str, str]:
    """Under which keys of values or parameters the image stands, each with what the key holds."""
    helm = image.targets.get("helm", {})
    if spec := helm.get("spec"):
        return {spec: "reference"}
    return {helm.get("name") or _DEFAULT_NAME: "", helm.get("tag") or _DEFAULT_TAG: "tag"}


def _pointer(key: str) -> str:
    """`images[1].tag` as a JSON pointer."""
    return "".join(f"/{name or number}" for part in key.split(".") for name, number in _STEP.findall(part))


def _by_keys(
    path: str, value: Any, pointers: Mapping[str, str], formats: Mapping[str, str], sites: Sequence[Site]
) -> Spot:
    places: list[_Place] = []
    for key, form in formats.items():
        if not form:
            continue
        pointer = pointers[key]
        if not isinstance(_at(value, pointer), str):
            raise NoCounterpartError(f"{path} has no text at {key}")
        if not any(site.pointer in {pointer, pointer.rpartition("/")[0]} for site in sites):
            places.append({"file": path, "pointer": pointer, "format": form})
    return Spot(path, tuple(places))


def _at(value: Any, pointer: str) -> Any:
    for step in pointer.split("/")[1:]:
        if isinstance(value, list):
            value = value[int(step)] if step.isdecimal() and int(step) < len(value) else None
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return value


def _in_parameters(path: str, value: Any, owner: Object | None, image: Image, sites: Sequence[Site]) -> Spot:
    """In lists of kustomize images or of Helm parameters: of an Application's source, or of a file of their own."""
    places: list[_Place] = []
    for pointer, source in _sources(value, owner):
        for at, text in enumerate(as_list(as_map(source.get("kustomize")).get("images"))):
            if _repository_in(str(text).rpartition("=")[2]) == repository_of(image.name):
                places.append({"file": path, "pointer": f"{pointer}/kustomize/images/{at}", "format": "reference"})
                if "=" in str(text) and not _is_known(sites, places[-1]):
                    raise NoCounterpartError(f"{path} renames it by {text!r}, which cannot be owned there")
        keys = _helm_keys(image)
        for at, parameter in enumerate(as_list(as_map(source.get("helm")).get("parameters"))):
            if form := keys.get(str(as_map(parameter).get("name"))):
                places.append({"file": path, "pointer": f"{pointer}/helm/parameters/{at}/value", "format": form})
    if not places:
        raise NoCounterpartError(f"{path} holds no image and no parameter for it, so it stands nowhere in git")
    if owner and owner.document:
        places = [each | {"document": owner.document} for each in places]
    return Spot(path, tuple(each for each in places if not _is_known(sites, each)))


def _sources(value: Any, owner: Object | None) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The sources with the way to them: the file itself, or those of the Application's spec."""
    if not isinstance(value, dict):
        return
    if owner is None:
        yield "", value
        return
    way = f"{owner.pointer}/spec"
    if isinstance(single := value.get("source"), dict):
        yield f"{way}/source", single
    for at, source in enumerate(as_list(value.get("sources"))):
        if isinstance(source, dict):
            yield f"{way}/sources/{at}", source


def _is_known(sites: Iterable[Site], place: _Place) -> bool:
    """Whether gitcd finds the place by its form; of parameters it is known by the one that holds the tag."""
    pointer = place["pointer"]
    return any(site.pointer in {pointer, pointer.removesuffix("/value")} for site in sites)


def _repository_in(text: str) -> str:
    name = text.partition("@")[0]
    head, slash, last = name.rpartition("/")
    try:
        return str(Repository.parse(f"{head}{slash}{last.partition(':')[0]}"))
    except NotAReference:
        return ""


def surplus(known: Mapping[str, bytes], repository: str, spot: Spot) -> Iterator[str]:
    """What gitcd would change in the same file besides."""
    sites = [site for site in find_sites(spot.path, known[spot.path]).sites if str(site.repository) == repository]
    owned = [site for site in sites if not site.workload]
    expected = 0 if spot.places else 1
    for site in owned[expected:]:
        yield f"{site.where} holds {site.shown} too, and gitcd changes it as well"
