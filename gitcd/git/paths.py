"""Which paths may be written, in a commit and in a folder."""

from __future__ import annotations

import re

from gitcd.errors import RefusedError

# Git's own folder, and what Windows takes for it; git 2.48 began to refuse these in a commit.
_OWN = re.compile(r"(\.git|git~\d+)[ .]*(:.*)?", re.IGNORECASE | re.DOTALL)


def check_path(path: str) -> str:
    """The path, if it is a normal relative path that no checkout of the tree could misuse.

    Raises:
        RefusedError: it is not.
    """
    parts = path.split("/")
    own = any(_OWN.fullmatch(part) for part in parts)
    if own or "\\" in path or re.search(r"[\x00-\x1f\x7f]", path) or {"", ".", ".."} & set(parts):
        raise RefusedError(f"{path!r} is not a path inside the repository", remedy="give a relative path without '..'")
    return path
