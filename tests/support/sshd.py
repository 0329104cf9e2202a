"""A real sshd on loopback, that serves git to the user who runs the tests."""

from __future__ import annotations

import os
import pwd
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.keys import SshKey, ssh_key
from tests.support.programs import find

_CONFIG = """\
ListenAddress 127.0.0.1:{port}
HostKey {host}
PidFile none
AuthorizedKeysFile {folder}/authorized_keys
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
PrintMotd no
LogLevel VERBOSE
"""


@dataclass(frozen=True)
class Sshd:
    """`client` is the key that is let in, `known_hosts` a file with the server's host key."""

    port: int
    host: SshKey
    client: SshKey
    log: Path

    def url(self, path: Path) -> str:
        user = pwd.getpwuid(os.getuid()).pw_name
        return f"ssh://{user}@127.0.0.1:{self.port}{path}"

    def known_hosts(self, file: Path, key: SshKey | None = None) -> Path:
        """A file that pins the server to its own host key, or to another's."""
        file.write_text(f"[127.0.0.1]:{self.port} {(key or self.host).public}\n")
        return file


@contextmanager
def sshd(folder: Path) -> Iterator[Sshd]:
    """Start the server in the foreground, as a child that is ended at the end."""
    find("ssh")
    program = find("sshd")
    folder.mkdir()
    client = ssh_key(folder / "client")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Sshd(port, ssh_key(folder / "host"), client, folder / "log")
    config = folder / "sshd_config"
    config.write_text(_CONFIG.format(port=port, host=server.host.file, folder=folder))
    (folder / "authorized_keys").write_text(f"{client.public}\n")
    if os.getuid() == 0:  # where privileges are parted; a service manager would make it
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    process = subprocess.Popen([program, "-D", "-f", config, "-E", server.log])
    try:
        _await(process, server)
        yield server
    finally:
        process.terminate()
        process.wait()


def _await(process: subprocess.Popen[bytes], server: Sshd) -> None:
    while process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
                connection.recv(1)
                return
        except OSError:
            continue
    raise AssertionError(f"sshd did not start: {server.log.read_text()}")
