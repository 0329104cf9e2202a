"""Names that are spelled with the escapes of double-quoted scalars, in raw bytes."""

from __future__ import annotations

import re

# YAML 1.2, chapter 5.7: the escapes of double-quoted scalars that can spell a name otherwise, besides `\\/`.
_CODE = re.compile(rb"\\(?:x|u00|U000000)(2[D-Fd-f]|3[0-9Aa]|[46][0-9A-Fa-f]|[57][0-9AFaf])")
_FOLD = re.compile(rb"\\(?:\r\n?|\n)[ \t]*")


def spelled_out(data: bytes) -> bytes:
    """The bytes with escapes resolved that may stand in a name: to search in beside the bytes themselves.

    Backslashes that are no escapes, as in a plain scalar, are taken for some too: the search finds rather too much.
    """
    if b"\\" not in data:
        return data
    return _FOLD.sub(b"", _CODE.sub(lambda code: bytes.fromhex(code[1].decode()), data.replace(b"\\/", b"/")))
