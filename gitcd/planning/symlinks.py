"""Symbolic links to declarations: people take them for declarations, and nothing follows them."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable

from gitcd.model.tree import Mode, Tree, upward


def linked_declarations(tree: Tree, paths: Iterable[str]) -> tuple[str, ...]:
    """One warning for each link that leads to a file that declares something, or to a folder above one."""
    links = [entry for entry in tree.entries() if entry.mode is Mode.SYMLINK]
    if not links:
        return ()
    declaring = set(paths)
    above = {parent for path in declaring for parent in upward(posixpath.dirname(path))}
    warnings = []
    for entry, data in tree.read(links):
        target = posixpath.normpath(posixpath.join(posixpath.dirname(entry.path), data.decode(errors="replace")))
        if target in declaring or target in above:
            warnings.append(
                f"{entry.path} is a symbolic link to {target}, which is not followed: what is declared there counts "
                "there alone"
            )
    return tuple(warnings)
