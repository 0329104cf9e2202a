"""Nothing secret and nothing that steers a terminal leaves the process: the last stop before every output.

Secrets are known in two ways: values that were registered, in every spelling in which they may turn up, and shapes that
are well known to be secret wherever they stand.
"""

from __future__ import annotations

import base64
import json
import logging
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from urllib.parse import quote, quote_plus

MASK = "***"
MIN_LENGTH = 8  # shorter values turn up by chance, and masking them would garble the output

# Libraries whose debug output holds signed requests and session tokens.
TALKATIVE_LOGGERS = ("boto3", "botocore", "s3transfer", "urllib3", "git", "kubernetes")

_SECRET_NAME = re.compile(
    r"(.*_)?(TOKEN|PASSWORD|PASSWD|PASSPHRASE|SECRET|SECRET_ACCESS_KEY|API_?KEY|PRIVATE_KEY)(_.*)?", re.IGNORECASE
)
# Names like those above whose values are paths, addresses, or names of other variables.
_HARMLESS_NAME = re.compile(r".*_(FILE|PATH|ENV|URL|URI|NAME|TYPE|ENDPOINT)", re.IGNORECASE)
_USERINFO = re.compile(r"[a-z][a-z0-9+.-]{1,20}://([^\s/'\"<>?#]+)@", re.IGNORECASE)

# Each with a word that must stand in the text (in lower case) for it to match: looking for that is far cheaper.
# A match is masked from the end of its group `a` on; one in masked text must give that text again.
_SHAPES = tuple(
    (needle, re.compile(shape, re.IGNORECASE))
    for needle, shape in (
        ("private key", r"(?P<a>-----BEGIN [A-Z ]*PRIVATE KEY-----)(?:[A-Za-z0-9+/=\s\\:,*]|-(?!----))*"),
        (
            "authorization",
            r"(?P<a>authorization['\"]?[ \t]*[:=][ \t]*b?['\"]?(?:basic|bearer|token|aws4[a-z0-9-]+)[ \t]+)[^'\"\r\n]+",
        ),
        ("authorization", r"(?P<a>authorization(?:_?token)?['\"]?[ \t]*[:=][ \t]*b?['\"]?)[A-Za-z0-9+/=_.:-]{16,}"),
        (
            "x-",
            r"(?P<a>x-(?:amz-(?:security-token|signature)|api-key)['\"]?[ \t]*(?:[:=]|%3d)[ \t]*b?['\"]?)[^\s'\"&,]+",
        ),
        ("-token", r"(?P<a>(?:private|job)-token['\"]?[ \t]*[:=][ \t]*b?['\"]?)[^\s'\"&,]{8,}"),
        ("key", r"(?P<a>secret_?access_?key['\"]?[ \t]*[:=>][ \t]*['\"]?)[^\s'\",&<]{16,}"),
        ("token", r"(?P<a>(?:session|security)_?token['\"]?[ \t]*[:=>][ \t]*['\"]?)[^\s'\",&<]{16,}"),
        ("://", r"(?P<a>\bhttps?://)[^\s/'\"<>?#]+(?=@)"),
        ("://", r"(?P<a>\b[a-z][a-z0-9+.-]{1,20}://[^\s/'\"<>?#:@*]*:)[^\s/'\"<>?#]+(?=@)"),
    )
)
# Tokens that carry their own mark: GitHub, GitLab, AWS key ids, ECR passwords, Slack, JSON Web Tokens.
_MARKED = tuple(
    re.compile(token)
    for token in (
        r"gh[pousr]_[A-Za-z0-9]{16,}",
        r"github_pat_[A-Za-z0-9_]{16,}",
        r"gl(?:pat|ptt|dt|rt|cbt|ft|soat|imt|agent)-[A-Za-z0-9_-]{16,}",
        r"A(?:KIA|SIA)[A-Z0-9]{16}",
        r"QVdTOi[A-Za-z0-9+/=]{16,}",
        r"xox[abeprs]-[A-Za-z0-9-]{10,}",
        r"eyJ[A-Za-z0-9_-]{8,400}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*",
    )
)

_BIDI = [0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
_STEERING: dict[int, str] = (
    dict.fromkeys([*range(0x20), *range(0x7F, 0xA0), *_BIDI], "")
    | dict.fromkeys(range(0xD800, 0xE000), "\ufffd")  # lone surrogates, which no output could encode
    | {ord(kept): kept for kept in "\n\t\r"}
)
_CARRIAGE_RETURN = re.compile(r"\r+(?!\n)")
_LINE_BREAK = re.compile(r"\r?\n")


class Redactor:
    """Knows secrets and takes them out of text."""

    def __init__(self) -> None:
        self._spellings: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def register(self, secret: str) -> None:
        """Mask this value from now on, as it is, base64, URL-encoded, escaped, and broken by line ends."""
        found = {spelling for value in {secret, secret.strip()} for spelling in _spellings(value)}
        self._spellings |= {
            joined
            for spelling in found
            if len(joined := _LINE_BREAK.sub("", spelling)) >= MIN_LENGTH and joined.strip("*")
        }
        longest_first = sorted(self._spellings, key=lambda spelling: (-len(spelling), spelling))
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def redact(self, text: str) -> str:
        """The text without secrets; applied to its own result it changes nothing."""
        while (masked := self._mask(text)) != text:
            text = masked
        return text

    def _mask(self, text: str) -> str:
        if self._pattern:
            text = self._mask_broken(self._pattern.sub(MASK, text))
        lowered = text.lower()
        for needle, shape in _SHAPES:
            if needle in lowered:
                text = shape.sub(rf"\g<a>{MASK}", text)
        for token in _MARKED:
            text = token.sub(MASK, text)
        return text

    def _mask_broken(self, text: str) -> str:
        """Mask secrets that line ends interrupt: they are sought in the text without line ends."""
        if self._pattern is None or "\n" not in text:
            return text
        lines = _LINE_BREAK.split(text)
        matches = list(self._pattern.finditer("".join(lines)))
        if not matches:
            return text
        breaks = [match.span() for match in _LINE_BREAK.finditer(text)]
        starts = [0, *accumulate(map(len, lines))][: len(lines)]
        shifts = [0, *accumulate(end - start for start, end in breaks)]
        pieces, done = [], 0
        for match in matches:
            first = match.start() + shifts[bisect_right(starts, match.start()) - 1]
            last = match.end() - 1 + shifts[bisect_right(starts, match.end() - 1) - 1] + 1
            pieces += [text[done:first], MASK]
            done = last
        return "".join(pieces) + text[done:]


def printable(text: str) -> str:
    r"""The text without characters that steer a terminal: C0 and C1 controls and those of text direction.

    Line ends (also `\r\n`, which a diff of such a file needs) and tabs stay.
    """
    return _CARRIAGE_RETURN.sub("", text.translate(_STEERING))


_redactor = Redactor()
register = _redactor.register
redact = _redactor.redact


def clean(text: str) -> str:
    """What may be shown: printable and without secrets. Controls go first, as they may split a secret."""
    return redact(printable(text))


def register_environment(environ: Mapping[str, str]) -> None:
    """Register the values of variables that are named like secrets, and what stands before the host in addresses."""
    for name, value in environ.items():
        if _SECRET_NAME.fullmatch(name) and not _HARMLESS_NAME.fullmatch(name):
            register(value)
        for userinfo in _USERINFO.findall(value):
            register(userinfo.partition(":")[2] or userinfo)


class CleanFilter(logging.Filter):
    """Cleans every record: its message with arguments filled in, its traceback, its stack."""

    _formatter = logging.Formatter()

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = clean(record.getMessage()), None
        if record.exc_info:
            record.exc_text = clean(record.exc_text or self._formatter.formatException(record.exc_info))
        if record.stack_info:
            record.stack_info = clean(record.stack_info)
        return True


def guard(handler: logging.Handler) -> None:
    """Let only clean records through this handler, and keep the wire logs of libraries off at any verbosity."""
    handler.addFilter(CleanFilter())
    for name in TALKATIVE_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)


def _spellings(secret: str) -> Iterator[str]:
    yield secret
    yield printable(secret)
    yield from (line for line in secret.splitlines() if not line.startswith("-----"))
    for escaped in (json.dumps(secret), json.dumps(secret, ensure_ascii=False), repr(secret)):
        yield escaped[1:-1]
    data = secret.encode("utf-8", "surrogateescape")
    yield from _url_encoded(data)
    yield from _base64(data)


def _url_encoded(data: bytes) -> Iterator[str]:
    for encoded in (quote(data, safe=""), quote(data), quote_plus(data)):
        yield encoded
        yield re.sub("%..", lambda match: match[0].lower(), encoded)


def _base64(data: bytes) -> Iterable[str]:
    """The characters that these bytes alone decide, at each of the three places where they may start in a group."""
    for offset in range(3):
        text = base64.b64encode(bytes(offset) + data).decode()
        sure = text[(offset * 8 + 5) // 6 : (offset + len(data)) * 8 // 6]
        yield from (sure, sure.replace("+", "-").replace("/", "_"))
