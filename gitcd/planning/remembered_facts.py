"""What files hold, as lines of text that can be remembered, and back; the path of the file is left out.

Unpacking checks the shape of a fact only as far as building from it does: what is odd raises one of `ODD`, and the
caller looks at the bytes again.
"""

from __future__ import annotations

import json
from typing import Any, TypeVar

from gitcd.manifests.reading import ReadResult
from gitcd.model import schema
from gitcd.model.declaration import API_VERSION, KIND, ContainerVersion, Document, Metadata, Origin, Spec
from gitcd.model.object_shape import Field
from gitcd.model.problem import Problem
from gitcd.model.reference import Repository
from gitcd.model.shapes import TextShape
from gitcd.model.site import Form, Found, Owner, Service, Site, Span

T = TypeVar("T")

ODD = (ValueError, LookupError, TypeError, AttributeError)

_dump = json.JSONEncoder(separators=(",", ":")).encode


def pack_declarations(result: ReadResult) -> str:
    """Each declaration as its document, with its line. Only for results without problems."""
    declarations = [
        [each.origin.line, schema.plain(Document(API_VERSION, KIND, each.metadata, each.spec))]
        for each in result.declarations
    ]
    return _dump([result.alone, declarations])


def unpack_declarations(path: str, fact: str) -> ReadResult:
    declarations = []
    alone, packed = json.loads(fact)
    for line, plain in packed:
        metadata, spec = _build(Metadata, plain["metadata"]), _build(Spec, plain["spec"])
        declarations.append(ContainerVersion(metadata, spec, Origin(path, line)))
    return ReadResult(tuple(declarations), alone=alone)


def _build(cls: type[T], plain: dict[str, Any]) -> T:
    """The instance of a document that was valid when it was packed; only what is no plain text is read anew."""
    table = schema.table(cls)
    values = dict(table.shared)
    for key, value in plain.items():
        field = table.fields[key]
        is_text = type(field.shape) is TextShape and isinstance(value, str)
        values[field.name] = value if is_text else _read(field, value)
    return cls(**values)


def _read(field: Field, value: object) -> Any:
    problems: list[Problem] = []
    read = field.shape.read(value, (field.key,), problems)
    if problems:
        raise ValueError(str(problems[0]))
    return read


def pack_found(found: Found) -> str:
    """Sites and Services, empty for none. Only for what was found without refusals."""
    if not (found.sites or found.services):
        return ""
    owners = list({id(site.owner): site.owner for site in found.sites}.values())
    places = {id(owner): at for at, owner in enumerate(owners)}
    return _dump(
        [
            [_pack_owner(owner) for owner in owners],
            [[places[id(site.owner)], _pack_site(site)] for site in found.sites],
            [[each.line, each.name, each.namespace, dict(each.selector)] for each in found.services],
        ]
    )


def unpack_found(path: str, fact: str) -> Found:
    if not fact:
        return Found()
    owners, sites, services = json.loads(fact)
    known = [Owner(*owner) for owner in owners]
    return Found(
        tuple(_unpack_site(path, known[owner], fact) for owner, fact in sites),
        tuple(Service(path, *service) for service in services),
    )


def _pack_owner(owner: Owner) -> list[Any]:
    labels, pod_labels = dict(owner.labels), dict(owner.pod_labels)
    return [owner.kind, owner.name, owner.namespace, owner.api_version, labels, pod_labels]


def _pack_site(site: Site) -> list[Any]:
    return [
        [site.document, site.pointer, str(site.form), site.line],
        [site.repository.registry, site.repository.path] if site.repository else None,
        [site.tag, site.digest, site.value, site.format],
        [site.container, site.init, site.workload, site.marker],
        {key: [span.start, span.end, span.line, span.value] for key, span in site.spans.items()},
    ]


def _unpack_site(path: str, owner: Owner, fact: Any) -> Site:
    (document, pointer, form, line), repository, content, (container, init, workload, marker), spans = fact
    tag, digest, value, value_format = content
    return Site(
        path,
        document,
        pointer,
        _FORMS[form],
        line,
        Repository(*repository) if repository else None,
        tag,
        digest,
        value,
        owner,
        container,
        init,
        workload,
        marker,
        {key: Span(*span) for key, span in spans.items()},
        value_format,
    )


_FORMS = {str(form): form for form in Form}
