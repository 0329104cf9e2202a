"""Programs of the system that some tests run against: where one is missing they are skipped, and say so.

Set GITCD_REQUIRE_SSHD or GITCD_REQUIRE_GPG where a test must not be skipped for want of one.
"""

from __future__ import annotations

import os
import shutil

import pytest

_PACKAGES = {
    "gpg": "gnupg",
    "gpgconf": "gnupg",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "ssh-agent": "openssh-client",
    "sshd": "openssh-server",
}
_SYSTEM = "/usr/local/sbin:/usr/sbin:/sbin"  # where the programs of an administrator are


def find(name: str) -> str:
    """The path of a program; the test is skipped, or fails, where there is none."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:{_SYSTEM}")
    if found:
        return found
    variable = "GITCD_REQUIRE_GPG" if name in {"gpg", "gpgconf"} else "GITCD_REQUIRE_SSHD"
    message = f"{name} is not installed: apt-get install {_PACKAGES[name]}"
    if _REQUIRED[variable]:
        pytest.fail(f"{message}. {variable} is set, so this is no reason to skip.", pytrace=False)
    pytest.skip(message)


# Read before a test's environment is emptied of them.
_REQUIRED = {name: bool(os.environ.get(name)) for name in ("GITCD_REQUIRE_SSHD", "GITCD_REQUIRE_GPG")}
