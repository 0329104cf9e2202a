"""The program that builds kustomizations, and how little it is given of this process."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

_PROGRAMS = (("kustomize", "build"), ("kubectl", "kustomize"))
# What a kustomization names stands in the repository: nothing is fetched for it, by http or by git.
_NOWHERE = "http://127.0.0.1:9"
_CUT_OFF = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), _NOWHERE)


def build_command() -> tuple[str, ...]:
    """The words that a folder follows; none where neither kustomize nor kubectl is installed."""
    return next(((found, verb) for name, verb in _PROGRAMS if (found := shutil.which(name))), ())


def environment(home: Path) -> dict[str, str]:
    """All that the program knows: no credentials, no proxy that answers, no protocol of git."""
    path = os.environ.get("PATH", os.defpath)
    return {"PATH": path, "HOME": str(home), "NO_PROXY": "", "GIT_ALLOW_PROTOCOL": "none", **_CUT_OFF}
