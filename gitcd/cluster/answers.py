"""What an API server answers: an object, a list, or a no, which becomes an exception that says what to do."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

from gitcd import redact
from gitcd.errors import ConfigError, GitcdError, HinderedError, RefusedError, TransientError

if TYPE_CHECKING:
    import urllib3

_AGAIN = frozenset({429, 500, 502, 503, 504})  # the states of HTTP after which asking once more may help
# What an API server answers with 500, although the object is at fault: server-side apply of what its schema lacks.
# Source: managedfields/internal/structuredmerge.go in apimachinery.
_AT_FAULT = ("failed to create typed patch object", "error decoding from json", "denied the request")
# What it answers where a webhook that has to let every request pass does not answer.
# Source: webhook/errors.go in apiserver, and the dispatchers.
_WEBHOOK = re.compile(r'failed calling webhook "([^"]*)": (?:failed to call webhook: )?(.*)')
_LONGEST_LINE = 1 << 24  # bytes
# bytes; an object has 3 MiB at most, a page of usual ones has as much, and one of the largest would not fit into memory
_LONGEST_ANSWER = 1 << 23
_SHOWN, _TAIL = 256, 80  # characters
_MOST_CAUSES = 100

Json = dict[str, Any]


class Cause(NamedTuple):
    """One of several things that the API server has against a request: one word, the field, and a sentence."""

    reason: str
    field: str
    message: str


class DeclinedError(RefusedError):
    """The API server's no. `status` is that of HTTP, `reason` the one word in which it says why, such as NotFound.

    `causes` are the single fields that it is about, as far as the server names them.
    """

    def __init__(self, status: int, reason: str, message: str, causes: tuple[Cause, ...] = ()) -> None:
        super().__init__(f"the cluster says {reason or status}: {message}")
        self.status = status
        self.reason = reason
        self.words = message
        self.causes = causes


class TooLongError(TransientError):
    """An answer that is not read to its end."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    value: Json
    retry_after: float

    @property
    def is_good(self) -> bool:
        return is_good(self.status)


def whole(response: urllib3.BaseHTTPResponse, server: str) -> bytes:
    """The body, after which the connection is free for the next request.

    Raises:
        TooLongError: there is more of it than is read.
    """
    data = response.read(_LONGEST_ANSWER + 1)
    if len(data) > _LONGEST_ANSWER:
        response.close()
        raise TooLongError(f"{server} answers with more than {_LONGEST_ANSWER} bytes", remedy="Run again.")
    response.release_conn()
    return data


def lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of a body that comes bit by bit; what has no end yet is none.

    Raises:
        ValueError: one is longer than any object of an API server.
    """
    rest = b""
    for chunk in chunks:
        *done, rest = (rest + chunk).split(b"\n")
        yield from filter(None, done)
        if len(rest) > _LONGEST_LINE:
            raise ValueError("a line of the answer is too long")


def event(line: bytes) -> Json:
    return value(line, HTTPStatus.OK)


def may_pass(answer: Answer) -> bool:
    """Whether asking once more may help."""
    text = _message(answer)
    return answer.status in _AGAIN and not any(words in text for words in _AT_FAULT)


def stuck_webhook(answer: Answer | Exception) -> re.Match[str] | None:
    """The webhook that the server, which is well, cannot ask, and why; None: that is not what it says."""
    return _WEBHOOK.search(_message(answer)) if isinstance(answer, Answer) else None


def no(answer: Answer, server: str) -> Exception:
    return trouble(answer, server) if may_pass(answer) else refusal(answer, server)


def is_good(status: int) -> bool:
    return HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES


def value(data: bytes, status: int) -> Json:
    """The object that an answer holds. A good answer has to be one; what else a bad one holds is passed over."""
    try:
        read = json.loads(data)
    except ValueError:
        read = None
    if isinstance(read, dict):
        return read
    if is_good(status):
        raise ValueError("the answer is no object")
    return {}


def is_list(page: Json, *, namespaced: bool) -> bool:
    """Whether it is a list of objects as an API server has them, so that an empty one can be believed."""
    items, metadata = page.get("items"), page.get("metadata")
    wanted = ("namespace", "name") if namespaced else ("name",)
    return (
        str(page.get("kind", "")).endswith("List")
        and isinstance(metadata, dict)
        and isinstance(items, list)
        and all(isinstance(item, dict) and _has(item.get("metadata"), wanted) for item in items)
    )


def _has(metadata: object, keys: tuple[str, ...]) -> bool:
    return isinstance(metadata, dict) and all(isinstance(metadata.get(key), str) for key in keys)


def seconds(headers: Mapping[str, str]) -> float:
    """What Retry-After asks for; API servers give whole seconds."""
    text = headers.get("Retry-After", "")
    return float(text) if text.isdecimal() else 0.0


def wish(answer: Answer | Exception) -> float:
    return answer.retry_after if isinstance(answer, Answer) else 0.0


def words(answer: Answer | Exception) -> str:
    """What went wrong, in short, and without a body that is no Status: it may hold anything."""
    if isinstance(answer, Exception):
        return redact.clean(f"{type(answer).__name__}: {answer}")[:_SHOWN]
    return f"{answer.status} {_message(answer)}".strip()


def _message(answer: Answer) -> str:
    text = answer.value.get("message") if answer.value.get("kind") == "Status" else ""
    return _short(redact.clean(text)) if isinstance(text, str) else ""


def _short(text: str) -> str:
    """The beginning, and the end: a value may stand between what it is about and what is wrong with it."""
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - _TAIL - 3]} … {text[-_TAIL:]}"


def refusal(answer: Answer, server: str) -> Exception:
    if answer.status == HTTPStatus.UNAUTHORIZED:
        return ConfigError(
            f"{server} does not accept these credentials", remedy="Sign in again, or choose another --context."
        )
    reason = answer.value.get("reason")
    return DeclinedError(answer.status, reason if isinstance(reason, str) else "", _message(answer), _causes(answer))


def _causes(answer: Answer) -> tuple[Cause, ...]:
    """Source: StatusDetails in the API reference, meta/v1."""
    details = answer.value.get("details")
    told = details.get("causes") if isinstance(details, dict) else None
    return tuple(
        Cause(*(_short(redact.clean(str(each.get(key, "")))) for key in ("reason", "field", "message")))
        for each in (told if isinstance(told, list) else ())[:_MOST_CAUSES]
        if isinstance(each, dict)
    )


def trouble(answer: Answer | Exception, server: str) -> TransientError:
    if found := stuck_webhook(answer):
        message = f"the admission webhook {found[1]} cannot be asked, and nothing passes without it: {found[2]}"
        return HinderedError(message, remedy="See that what stands behind it runs, then run again.")
    what = "answers" if isinstance(answer, Answer) else "cannot be reached:"
    return TransientError(f"{server} {what} {words(answer)}", remedy="Run again.")


def is_untrusted(error: Exception) -> bool:
    """Whether TLS fails for the certificates' sake, and not because the connection merely broke off."""
    from urllib3.exceptions import SSLError

    told = (*error.args, error.__cause__, error.__context__)
    has_ended = any(isinstance(each, ssl.SSLEOFError | ssl.SSLZeroReturnError) for each in told)
    return isinstance(error, SSLError) and not has_ended


def unanswered(error: Exception, server: str) -> GitcdError:
    """What is wrong where there was no answer."""
    if not is_untrusted(error):
        return trouble(error, server)
    return ConfigError(
        f"{server} shows a certificate that is not trusted: {redact.clean(str(error))[:_SHOWN]}",
        remedy="Correct the certificate authority or the client certificate in the kubeconfig.",
    )
