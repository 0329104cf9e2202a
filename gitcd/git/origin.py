"""Talks to one remote: its tips, fetch, push."""

from __future__ import annotations

import re
from collections.abc import Iterable

from gitcd.errors import ConfigError, GitcdError, TransientError
from gitcd.git.remote import Kind, Remote, check_branch
from gitcd.git.runner import ANY, CorruptError, Git, Means, Result, disk_trouble

NETWORK_TIMEOUT = 600.0  # seconds, for one fetch or push
ASK_TIMEOUT = 60.0  # seconds, for one ls-remote
_IDENTITY = re.compile(
    r"authentication failed|could not read (username|password)|permission denied \(|returned error: 40[13]|"
    r"host key verification failed|no such identity|terminal prompts disabled",
    re.IGNORECASE,
)
_NO_SSH = re.compile(r"\bssh: (command )?not found")
_STRANGER = re.compile(r"remote host identification has changed|host key for .* has changed", re.IGNORECASE)
_ABSENT = re.compile(
    r"repository .*not found|does not appear to be a git repository|returned error: 404|project you were looking for",
    re.IGNORECASE,
)
_FOREIGN = re.compile(r"dubious ownership|safe\.directory", re.IGNORECASE)
_SHALLOW = "shallow roots are not allowed"
_CORRUPT = re.compile(
    r"bad object|corrupt|not a git repository|unable to read|does not match index|index-pack failed|"
    r"necessary objects|missing (blob|tree|commit)|unable to create '.*\.lock'|cannot lock ref|unable to lock",
    re.IGNORECASE,
)
_PUSH = ("--porcelain", "--no-verify", "--no-follow-tags", "--recurse-submodules=no", "--no-signed")
_OID = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


class Origin:
    """A remote, as reached from one local repository."""

    def __init__(self, git: Git, remote: Remote, access: Means, *, timeout: float = NETWORK_TIMEOUT) -> None:
        """`access` is what git reaches the remote by; `timeout`, in seconds, is for one command."""
        self.remote = remote
        self.local = git
        self._access = access
        self._timeout = timeout
        self._git = git.with_means(access, timeout=timeout)
        self._asking = Git(means=access, timeout=min(timeout, ASK_TIMEOUT))

    def seen_from(self, git: Git) -> Origin:
        """The same remote for another local repository."""
        return Origin(git, self.remote, self._access, timeout=self._timeout)

    def tip(self, branch: str) -> str:
        """The commit that the branch names at the remote now; empty if there is no such branch.

        Raises:
            ConfigError: no such repository, or no permission.
            TransientError: the remote cannot be reached.
        """
        return self.heads(branch).get(branch, "")

    def heads(self, *branches: str) -> dict[str, str]:
        """Branches and their commits; all of them where none is named. Raises as `tip` does."""
        return self._heads([f"refs/heads/{check_branch(branch)}" for branch in branches] or ["refs/heads/*"])

    def heads_below(self, folder: str) -> dict[str, str]:
        """The branches whose names begin with `folder` (which ends in a slash), and their commits."""
        return self._heads([f"refs/heads/{check_branch(f'{folder}x')[:-1]}*"])

    def _heads(self, refs: Iterable[str]) -> dict[str, str]:
        result = self._ask("ls-remote", "--quiet", "--", self.remote.address, *refs)
        lines = (line.partition("\t") for line in result.stdout.decode(errors="surrogateescape").splitlines())
        return {ref.removeprefix("refs/heads/"): oid for oid, _, ref in lines if _OID.fullmatch(oid)}

    def head(self) -> tuple[str, str]:
        """The branch that the remote's HEAD names, and its commit; empty as far as it does not say. Raises as `tip`."""
        answer = self._ask("ls-remote", "--quiet", "--symref", "--", self.remote.address, "HEAD").stdout.decode()
        branch = re.match(r"ref: refs/heads/(\S+)\tHEAD$", answer, re.MULTILINE)
        commit = re.search(rf"^({_OID.pattern})\tHEAD$", answer, re.MULTILINE)
        return branch[1] if branch else "", commit[1] if commit else ""

    def fetch(self, branch: str, *options: str) -> None:
        """Bring the branch into the local `refs/heads/<branch>`, wherever that stood.

        Raises:
            ConfigError: no such repository, or no permission.
            TransientError: the remote cannot be reached, or the disk is full.
            CorruptError: the local repository is not fit to fetch into.
        """
        ref = f"refs/heads/{check_branch(branch)}"
        self._fetch(*options, "--", self.remote.address, f"+{ref}:{ref}")

    def fetch_objects(self, oids: Iterable[str]) -> None:
        """Bring single objects, where the remote allows to name them. Raises as `fetch` does."""
        names = "".join(f"{oid}\n" for oid in oids).encode()
        self._fetch("--filter=blob:none", "--stdin", "--", self.remote.address, stdin=names)

    def fetch_tips(self, branches: Iterable[str]) -> None:
        """Bring the commits that the branches name, without their past; no ref is changed. Raises as `fetch` does."""
        refs = [f"refs/heads/{check_branch(branch)}" for branch in branches]
        self._fetch("--depth=1", "--", self.remote.address, *refs)

    def push_leased(self, moves: Iterable[tuple[str, str, str]]) -> Result:
        """One attempt to make branches name other commits, each only if it names the expected one.

        A move is (branch, commit, expected commit): no commit deletes the branch, none expected creates it.

        Raises:
            TransientError: it took too long and was ended; it may still land.
        """
        refs = [(f"refs/heads/{check_branch(branch)}", oid, expected) for branch, oid, expected in moves]
        leases = [f"--force-with-lease={ref}:{expected}" for ref, _, expected in refs]
        refspecs = [f"{oid}:{ref}" for ref, oid, _ in refs]
        return self._git.run("push", *_PUSH, *leases, "--", self.remote.address, *refspecs, ok=ANY)

    def push(self, oid: str, branch: str, *options: str) -> Result:
        """One attempt, never forced; what became of it is for the caller to find out.

        Raises:
            TransientError: it took too long and was ended; it may still land.
        """
        refspec = f"{oid}:refs/heads/{check_branch(branch)}"
        return self._git.run("push", *_PUSH, *options, "--", self.remote.address, refspec, ok=ANY)

    def failure(self, doing: str, result: Result) -> GitcdError:
        """Our error for what git said when it talked to the remote."""
        message = f"cannot {doing} {self.remote}: {result.last_words}"
        if disk_trouble(result):
            return TransientError(message, remedy=f"make room for {self.local.git_dir}, then run again")
        if _FOREIGN.search(result.stderr):
            return ConfigError(
                f"{self.remote} belongs to another user, and git reads no such repository",
                remedy="run gitcd as its owner, or let its owner be the user that runs gitcd (chown -R)",
            )
        if _NO_SSH.search(result.stderr):
            return ConfigError(
                f"cannot {doing} {self.remote}: ssh is not installed, or not on PATH",
                remedy="install it (Debian, Ubuntu: openssh-client)",
            )
        if _STRANGER.search(result.stderr):
            return ConfigError(
                f"cannot {doing} {self.remote}: its host key is another than in the file of known hosts",
                remedy="somebody may pose as it: compare with what its owner publishes before changing that file",
            )
        if remedy := next((remedy for sign, remedy in _WAY if sign.search(result.stderr)), ""):
            return ConfigError(message, remedy=remedy)
        if _IDENTITY.search(result.stderr):
            return ConfigError(message, remedy=_IDENTITY_REMEDY[self.remote.kind])
        if _ABSENT.search(result.stderr):
            return ConfigError(message, remedy="check the URL, and that the credentials may read it")
        return TransientError(message, remedy="check that the remote is reachable, then run again")

    def _fetch(self, *args: str, stdin: bytes = b"") -> None:
        quiet = ("--quiet", "--no-tags", "--no-write-fetch-head", "--recurse-submodules=no", "--no-auto-maintenance")
        result = self._git.run("fetch", *quiet, *args, stdin=stdin, ok=ANY)
        if result.status and _CORRUPT.search(result.stderr) and not disk_trouble(result):
            raise CorruptError(f"cannot fetch from {self.remote}: {result.last_words}", remedy="run again")
        if result.status:
            raise self.failure("fetch from", result)
        if _SHALLOW in result.stderr:
            raise ConfigError(
                f"{self.remote} is a shallow copy and lacks the history that is needed",
                remedy="run `git fetch --unshallow` in it, or name the repository that it was made from",
            )

    def _ask(self, *args: str) -> Result:
        result = self._asking.run(*args, ok=ANY)
        if result.status:
            raise self.failure("read", result)
        return result


_WAY = (
    (
        re.compile(r"certificate has expired", re.IGNORECASE),
        "its owner has to renew it; check the clock of this machine, too",
    ),
    (
        re.compile(r"certificate subject", re.IGNORECASE),
        "reach the server by the name that it was made out to",
    ),
    (
        # OpenSSL and GnuTLS say it in words of their own, and those change with the version of curl.
        re.compile(
            r"certificate (problem|verif|signer|is not trusted)|server (certificate|verification)|"
            r"trust anchors|SSL CA cert",
            re.IGNORECASE,
        ),
        "name a file of the certificates to trust as GITCD_GIT_CA_BUNDLE",
    ),
    (
        re.compile(r"(response|code) 407\b", re.IGNORECASE),
        "correct user and password in the address of the proxy (https_proxy)",
    ),
    (
        re.compile(r"returned error: 30[1278]\b", re.IGNORECASE),
        "it has moved, and redirects are not followed: give the address that a browser ends up at",
    ),
)
_IDENTITY_REMEDY = {
    Kind.HTTP: "give a token that may read and write the repository as GITCD_GIT_TOKEN",
    Kind.SSH: "check the ssh key, and that the file of known hosts names this host",
    Kind.LOCAL: "check the owner and mode of the repository",
}
