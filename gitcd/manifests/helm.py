"""The shape of Helm values, wherever it stands: a map of repository, tag and maybe registry and digest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from yaml.nodes import ScalarNode

from gitcd.manifests.chunks import EditRefused
from gitcd.manifests.collect import Collector, text_of
from gitcd.manifests.cursor import Cursor
from gitcd.manifests.texts import Text
from gitcd.model.site import Form, Site

_ARGO_CD = frozenset({"Application", "ApplicationSet"})
_KEYS = ("registry", "repository", "tag", "digest")


def find(item: Cursor, collector: Collector) -> None:
    owner, raw = collector.owner, item.document.raw
    # Some charts have a value named `kind`; an object has an apiVersion too.
    is_object = bool(owner.kind and owner.api_version)
    if b"repository" in raw or (not is_object and b"image" in raw):
        _tree(item, collector, has_images=not is_object)
    application = item.at("spec", "template") if owner.kind == "ApplicationSet" else item
    if application and owner.kind in _ARGO_CD:
        for source in _sources(application):
            _argo(source, collector)


def in_text(text: Text, collector: Collector) -> list[tuple[Site, Site]]:
    """What a text of values holds, each as a site of the file, and as one of the text by itself.

    Raises:
        EditRefused: the text is no YAML.
    """
    inner, document = Collector(collector.needles, owner=collector.owner), text.composed()
    _tree(Cursor(document, document.root), inner, has_images=True)
    collector.refusals += [replace(each, line=text.line(each.line)) for each in inner.refusals]
    return [(text.outer(site), site) for site in inner.sites]


def _tree(root: Cursor, collector: Collector, *, has_images: bool) -> None:
    """All values of a tree. `has_images`: an `image` may be one by itself, as in a file of values."""
    for mapping in root.mappings():
        _values(mapping, collector)
        if has_images and (image := mapping.get("image")):
            collector.image(image, image.text)


def _values(mapping: Cursor, collector: Collector) -> None:
    parts = {key: _scalar(mapping, key) for key in _KEYS}
    repository = parts["repository"]
    if repository and (parts["tag"] or parts["digest"]):
        collector.entry(mapping, Form.HELM, parts, _name(parts))


def _scalar(mapping: Cursor, key: str) -> Cursor | None:
    found = mapping.get(key)
    return found if found and isinstance(found.node, ScalarNode) else None


def _sources(item: Cursor) -> Iterator[Cursor]:
    if single := item.at("spec", "source"):
        yield single
    if several := item.at("spec", "sources"):
        yield from several.items()


def _argo(source: Cursor, collector: Collector) -> None:
    """Argo CD's own spellings: kustomize image strings, and Helm parameters one by one."""
    if images := source.at("kustomize", "images"):
        for image in images.items():
            collector.image(image, image.text.rpartition("=")[2])
    if (values := source.at("helm", "values")) and values.text:
        _text(values, collector)
    parameters = source.at("helm", "parameters")
    if parameters is None:
        return
    by_name = {each.value("name"): each for each in parameters.items()}
    for name in by_name:
        if name.endswith("image.repository"):
            _prefixed(name.removesuffix("repository"), by_name, collector)


def _text(values: Cursor, collector: Collector) -> None:
    text = Text.of(values)
    try:
        if text and not values.doubt:
            collector.sites += [site for site, _ in in_text(text, collector)]
        else:
            collector.pass_by(values, values.doubt.reason if values.doubt else "is a text, but no plain block of YAML")
    except EditRefused as error:
        collector.pass_by(values, f"is a text that {error.refusal.reason}")


def _prefixed(prefix: str, by_name: Mapping[str, Cursor], collector: Collector) -> None:
    """The parameters of one image. It stands where its tag (else its digest) does, for one list may hold several."""
    items = {key: by_name.get(prefix + key) for key in _KEYS}
    parts = {key: item and item.get("value") for key, item in items.items()}
    spot = items["tag"] if parts["tag"] else items["digest"]
    if spot and parts["repository"] and (parts["tag"] or parts["digest"]):
        collector.entry(spot, Form.HELM, parts, _name(parts))


def _name(parts: Mapping[str, Cursor | None]) -> str:
    """The repository as a chart joins it."""
    registry, repository = text_of(parts["registry"]), text_of(parts["repository"])
    return f"{registry}/{repository}" if registry else repository
