"""What an API server says against an object, in the words of whoever wrote the manifest."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http import HTTPStatus

from gitcd.cluster.api import Cause, DeclinedError
from gitcd.errors import HinderedError, RefusedError, TransientError
from gitcd.model.applied import NOWHERE, Applied, Fate
from gitcd.model.live import Json, Manifest, Ref
from gitcd.planning.applying_fields import lacks
from gitcd.planning.applying_rules import IRREPLACEABLE, SECRET
from gitcd.rollout.health.creation import DENIED

_OWNER = re.compile(r'conflict with "((?:[^"\\]|\\.)*)"')
_RIGHTS = re.compile(r" cannot \w+ (resource|path) ")
_CONFLICT = "FieldManagerConflict"
_IMMUTABLE = (
    *("immutable", "updates to statefulset spec", "may not be changed", "may not change once set"),
    "is forbidden after creation",
)
_SHOWN = 5
_ENDING = "NamespaceTerminating"
_VALUE = re.compile(r"Invalid value: .*: (?=[^:]+$)")  # a whole pod template may stand there
REPLACE = "gitcd/replace"  # the annotation by which an object may be deleted and made anew


def owners(answer: DeclinedError) -> list[str]:
    """The managers who own what an apply would change."""
    return sorted({_owner(each) for each in answer.causes})


def is_set_by_hand(answer: DeclinedError) -> bool:
    """Whether what an apply would change is what a Service selects, and a person at a terminal set that."""
    is_selector = all(each.field == ".spec.selector" for each in answer.causes)
    return is_selector and bool(answer.causes) and all(each.startswith("kubectl") for each in owners(answer))


def is_immutable_alone(answer: DeclinedError) -> bool:
    """Whether nothing stands against it but that fields were to change that never may."""
    return _is_immutable(answer) and all(_says_so(each.message) for each in answer.causes)


def _is_immutable(answer: DeclinedError) -> bool:
    texts = [answer.words, *(each.message for each in answer.causes)]
    is_invalid = answer.status == HTTPStatus.UNPROCESSABLE_ENTITY and not _is_denied(answer)
    return is_invalid and any(map(_says_so, texts))


def _is_denied(answer: DeclinedError) -> bool:
    """Whether a webhook or a policy of the cluster says no, in whatever words its author chose."""
    return any(words in answer.words for words in DENIED)


def _unadmitted(manifest: Manifest, answer: DeclinedError) -> Applied:
    remedy = "Change the manifest so that it passes, or ask whoever keeps the rules of this cluster."
    return Applied(manifest.ref, Fate.FAILED, manifest.origin, f"not admitted: {_said(manifest, answer)}", remedy)


def _says_so(text: str) -> bool:
    return any(word in text for word in _IMMUTABLE)


def explained(manifest: Manifest, answer: DeclinedError, live: Json | None = None, *, is_dry_run: bool) -> Applied:
    """What became of a manifest that the server did not take; `live` was there. Of Secrets no value is repeated."""
    ref, origin = manifest.ref, manifest.origin
    match answer.status:
        case HTTPStatus.CONFLICT if answer.causes:
            fields = "; ".join(f"{each.field.lstrip('.')} is {_owner(each)}'s" for each in answer.causes[:_SHOWN])
            remedy = "Take these fields out of the manifest, or let their owner let go of them"
            is_about_images = all(each.field.endswith(".image") for each in answer.causes)
            images = "; for images alone, spec.apply.takeOver takes them" if is_about_images else ""
            return Applied(ref, Fate.REFUSED, origin, f"conflict: {fields}", f"{remedy}{images}.")
        case _ if _is_denied(answer):
            return _unadmitted(manifest, answer)
        case HTTPStatus.UNPROCESSABLE_ENTITY if _is_immutable(answer):
            return Applied(ref, Fate.REFUSED, origin, _unchangeable(manifest, answer, live), _anew(ref))
        case HTTPStatus.FORBIDDEN if any(each.reason == _ENDING for each in answer.causes):
            message = f"the namespace {ref.namespace} is being deleted, and nothing new comes into it"
            return Applied(ref, Fate.FAILED, origin, message, still_there(ref.namespace), transient=True, alone=True)
        case HTTPStatus.FORBIDDEN if not _lacks_rights(answer):
            return _unadmitted(manifest, answer)
        case HTTPStatus.FORBIDDEN:
            remedy = "A server-side dry run needs the right to patch; --dry-run=client does not." if is_dry_run else ""
            return Applied(ref, Fate.FAILED, origin, f"forbidden: {_said(manifest, answer)}", remedy or _ALLOW)
        case HTTPStatus.NOT_FOUND if ref.namespace:
            return Applied(ref, Fate.FAILED, origin, f"there is no namespace {ref.namespace}", "Make it first.")
        case _:
            return Applied(ref, Fate.FAILED, origin, _said(manifest, answer))


def still_there(namespace: str) -> str:
    """What to do about a namespace that does not go."""
    return f"Run again once it has gone; `kubectl get namespace {namespace} -o yaml` says what it waits for."


def _unchangeable(manifest: Manifest, answer: DeclinedError, live: Json | None) -> str:
    fields = dict.fromkeys(each.field for each in answer.causes if each.field)
    if set(fields) == {"spec"} and live:
        fields = dict.fromkeys(_changing(manifest, live, answer)) or fields
    named = ", ".join(fields)
    message = f"it may not be changed in {named}" if named else "it may not be changed so"
    said = "; ".join(dict.fromkeys(_VALUE.sub("", each.message.partition("\n")[0]) for each in answer.causes[:_SHOWN]))
    return f"{message}: {said}" if said and manifest.ref.kind != SECRET else message


def _changing(manifest: Manifest, live: Json, answer: DeclinedError) -> Iterator[str]:
    """The fields of the spec that would change, but for those that the answer names as free to change."""
    free = " ".join(each.message for each in answer.causes)
    for each in lacks(live, manifest.value):
        field = re.split(r"[.\[]", each.path)
        if field[0] == "spec" and len(field) > 1 and not re.search(rf"\b{field[1]}\b", free):
            yield f"spec.{field[1]}"


def _anew(ref: Ref) -> str:
    if ref.kind in IRREPLACEABLE:
        return "Take the change back, or give it another name: what it holds would go with it."
    return f'Give it another name, or let gitcd delete and make it anew: annotation {REPLACE}: "true".'


def troubled(manifest: Manifest, error: RefusedError | TransientError) -> Applied:
    """What became of a manifest that nobody refused, and that could not be written all the same."""
    message = error.message if manifest.ref.kind != SECRET else "the API server is in trouble"
    return Applied(
        manifest.ref,
        Fate.FAILED,
        manifest.origin,
        message,
        error.remedy,
        transient=isinstance(error, TransientError),
        alone=isinstance(error, HinderedError),
    )


def unseen(manifest: Manifest, error: DeclinedError | TransientError) -> Applied:
    """What became of a manifest whose object cannot be looked at."""
    if isinstance(error, DeclinedError):
        return explained(manifest, error, is_dry_run=False)
    return troubled(manifest, error)


def undeleted(ref: Ref, answer: DeclinedError) -> Applied:
    """What became of an object that was to be deleted, and that the server keeps."""
    match answer.status:
        case HTTPStatus.FORBIDDEN if _lacks_rights(answer):
            remedy = f"Give gitcd's ServiceAccount the verb delete on {ref.kind}, {_ROLE}, or delete it by hand."
            return Applied(ref, Fate.FAILED, NOWHERE, f"it may not be deleted: {answer.words}", remedy)
        case HTTPStatus.CONFLICT:
            message = "somebody changed it just when it was to be deleted"
            return Applied(ref, Fate.FAILED, NOWHERE, message, "Run again.", transient=True)
        case _:
            return Applied(ref, Fate.FAILED, NOWHERE, f"it is not deleted: {answer.words or answer.reason}")


def _lacks_rights(answer: DeclinedError) -> bool:
    """Whether it is about rights: quotas and admission refuse by the same code.

    Source: responsewriters/errors.go in apiserver.
    """
    return bool(_RIGHTS.search(answer.words))


_ROLE = "as `gitcd install --prune` renders it"
_ALLOW = "Give gitcd's ServiceAccount the verbs get, list, create and patch there; `gitcd install` renders a Role."


def _said(manifest: Manifest, answer: DeclinedError) -> str:
    if manifest.ref.kind != SECRET:
        return answer.words or answer.reason
    fields = ", ".join(each.field for each in answer.causes if each.field)
    return f"{answer.reason}{f' ({fields})' if fields else ''}"


def _owner(cause: Cause) -> str:
    match = _OWNER.match(cause.message)
    return match[1] if match and cause.reason == _CONFLICT else "another manager"
