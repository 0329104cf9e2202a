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

from gitcd.manifests import kustomizations
from gitcd.manifests.foreign import Object, as_list, as_map, find_sites, read_value
from gitcd.model.reference import ReferenceError as NotAReference
from gitcd.model.reference import Repository, with_host
from gitcd.model.site import Form, Site
from gitcd.planning.drafting import NoCounterpartError
from gitcd.planning.image_updater import Image, Watched

_DEFAULT_NAME, _DEFAULT_TAG = "image.name", "image.tag"
_STEP = re.compile(r"([^\[\]]+)|\[(\d+)\]")

_Place = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Spot:
    """Where an image stands in a file: `sites` are of forms that gitcd knows, `places` have to be named one by one."""

    path: str
    sites: tuple[Site, ...] = ()
    places: tuple[_Place, ...] = ()


def targets(watched: Watched) -> list[str]:
    """The files that the write-back may mean; the first one that is there counts."""
    target, folder = watched.write_back.target, str(source_in_git(watched.application).get("path", ""))
    if not watched.write_back.is_git:
        return [watched.application.origin.path]
    kind, _, place = target.partition(":")
    if kind == "kustomization":
        return [_joined(folder, place, name) for name in kustomizations.NAMES]
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
        raise NoCounterpartError(f"{candidates[0]} is not there, and with it no image that could be changed")
    sites = [site for site in find_sites(path, known[path]).sites if str(site.repository) == repository]
    kind = watched.write_back.target.partition(":")[0] if watched.write_back.is_git else "application"
    if kind == "kustomization":
        return _in_kustomization(path, image, sites)
    if kind == "helmvalues":
        return _by_keys(path, read_value(path, known[path]), _helm_keys(image), sites)
    if kind == "application":
        application = watched.application
        sites = [each for each in sites if each.owner.kind == "Application" and each.owner.name == application.name]
        return _in_parameters(path, application.value.get("spec"), application, image, sites)
    return _in_parameters(path, read_value(path, known[path]), None, image, sites)


def _in_kustomization(path: str, image: Image, sites: Iterable[Site]) -> Spot:
    """The entries that `kustomize edit set image` changes: those of the name that stands in the manifests."""
    name = image.targets.get("kustomize", {}).get("name") or image.name
    entries = [site for site in sites if site.form is Form.KUSTOMIZE]
    if meant := tuple(site for site in entries if _repository_in(site.spans["name"].value) == _repository_in(name)):
        return Spot(path, meant)
    newly = f", newName: {image.name}" if name != image.name else ""
    raise NoCounterpartError(f"{path} has no entry for it yet: add `{{name: {name}{newly}, newTag: …}}` to its images")


def _helm_keys(image: Image) -> dict[str, str]:
    """Under which keys of values or parameters the image stands, each with what the key holds."""
    helm = image.targets.get("helm", {})
    if spec := helm.get("spec"):
        return {spec: "reference"}
    return {helm.get("name") or _DEFAULT_NAME: "", helm.get("tag") or _DEFAULT_TAG: "tag"}


def _pointer(value: Any, key: str) -> str:
    """`images[1].tag` as a JSON pointer; where a key of just that name stands at the top, it is meant."""
    found = (name or number for part in key.split(".") for name, number in _STEP.findall(part))
    steps = [key] if key in as_map(value) else found
    return "".join(f"/{step.replace('~', '~0').replace('/', '~1')}" for step in steps)


def _by_keys(path: str, value: Any, keys: Mapping[str, str], sites: Sequence[Site]) -> Spot:
    """Under keys of Helm values, each with what it holds."""
    covered: list[Site] = []
    places: list[_Place] = []
    for key, form in ((key, form) for key, form in keys.items() if form):
        pointer = _pointer(value, key)
        if not isinstance(_at(value, pointer), str):
            raise NoCounterpartError(f"{path} has no text at {key}")
        site = _site_at(sites, 0, pointer, pointer.rpartition("/")[0])
        if site:
            covered.append(site)
        else:
            places.append({"file": path, "pointer": pointer, "format": form})
    return Spot(path, tuple(covered), tuple(places))


def _at(value: Any, pointer: str) -> Any:
    for step in (step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]):
        if isinstance(value, list):
            value = value[int(step)] if step.isdecimal() and int(step) < len(value) else None
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return value


def _site_at(sites: Iterable[Site], document: int, *pointers: str) -> Site | None:
    return next((site for site in sites if site.document == document and site.pointer in pointers), None)


def _in_parameters(path: str, value: Any, owner: Object | None, image: Image, sites: Sequence[Site]) -> Spot:
    """In lists of kustomize images or of Helm parameters: of an Application's source, or of a file of their own."""
    document = owner.document if owner else 0
    covered: list[Site] = []
    places: list[_Place] = []
    for pointer, form, is_renamed in _spots_in_parameters(value, owner, image):
        # Of parameters a site is known by the one that holds the tag.
        if site := _site_at(sites, document, pointer, pointer.removesuffix("/value")):
            covered.append(site)
        elif is_renamed:
            raise NoCounterpartError(f"{path} renames it at {pointer}, which cannot be owned there")
        else:
            number = {"document": document} if document else {}
            places.append({"file": path, "pointer": pointer, "format": form, **number})
    if not covered and not places:
        raise NoCounterpartError(f"{path} holds no image and no parameter for it, so it stands nowhere in git")
    return Spot(path, tuple(covered), tuple(places))


def _spots_in_parameters(value: Any, owner: Object | None, image: Image) -> Iterator[tuple[str, str, bool]]:
    """Pointer and format of each, and whether another name stands before the image, as in `old=new:tag`."""
    keys, repository = _helm_keys(image), with_host(image.name)
    for way, source in _sources(value, owner):
        for at, text in enumerate(as_list(as_map(source.get("kustomize")).get("images"))):
            old, _, new = str(text).rpartition("=")
            if _repository_in(new) == repository:
                yield f"{way}/kustomize/images/{at}", "reference", bool(old)
        for at, parameter in enumerate(as_list(as_map(source.get("helm")).get("parameters"))):
            if form := keys.get(str(as_map(parameter).get("name"))):
                yield f"{way}/helm/parameters/{at}/value", form, False


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


def _repository_in(text: str) -> str:
    name = text.partition("@")[0]
    head, slash, last = name.rpartition("/")
    try:
        return str(Repository.parse(f"{head}{slash}{last.partition(':')[0]}"))
    except NotAReference:
        return ""


def surplus(known: Mapping[str, bytes], repository: str, spot: Spot) -> Iterator[str]:
    """What gitcd would change in the same file besides."""
    for site in find_sites(spot.path, known[spot.path]).sites:
        if str(site.repository) == repository and not site.workload and site not in spot.sites:
            yield f"{site.where} holds {site.shown} too, and gitcd changes it as well"
