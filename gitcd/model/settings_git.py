"""Operator settings of git: who commits, with which signature, and the ways in to remotes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from gitcd.model.fields import (
    Doc,
    HostName,
    Items,
    LocalPath,
    Rule,
    Secret,
    Text,
    Variable,
    given,
    not_both,
)


@dataclass(frozen=True, slots=True)
class Author:
    name: Annotated[
        str,
        Text(r"[^\x00-\x1f\x7f<>]+", min=1, max=255, hint="a name without < and >"),
        Doc("Who commits."),
    ] = "gitcd"
    email: Annotated[
        str,
        Text(r"[^\x00-\x20\x7f<>]+", min=1, max=255, hint="an email address"),
        Doc("The address in its commits."),
    ] = "gitcd@localhost"


@dataclass(frozen=True, slots=True)
class Git:
    token: Annotated[str, Text(r"[^\x00-\x20\x7f]*", max=8192, hint="a token"), Secret(), Doc("For https.")] = field(
        default="", repr=False
    )
    token_env: Annotated[Variable, Doc("The environment variable that holds the token.")] = ""
    username: Annotated[str, Text(r"[^\x00-\x20\x7f:]+", min=1, max=255, hint="a user name"), Doc("For https.")] = (
        "x-access-token"
    )
    ssh_key: Annotated[LocalPath, Doc("File of the private key; empty: the agent's.")] = ""
    known_hosts: Annotated[LocalPath, Doc("File of the known hosts, without which no ssh remote is reached.")] = ""
    allowed_hosts: Annotated[tuple[HostName, ...], Items(max=100), Doc("Hosts of remotes; empty: any.")] = ()
    extra_header: Annotated[
        str,
        Text(r"([A-Za-z0-9-]+: ?[^\x00-\x1f\x7f]+)?", max=8192, hint="a header, as Name: value"),
        Secret(),
        Doc("A header for https, such as Authorization: Bearer and a token."),
    ] = field(default="", repr=False)
    extra_header_env: Annotated[Variable, Doc("The environment variable that holds the header.")] = ""
    credential_helper: Annotated[
        str,
        Text(r"([^\x00-\x1f\x7f]*)", max=4096, hint="a credential helper, on one line"),
        Doc("For https: asked for user name and password, as git's credential.helper is."),
    ] = ""
    ca_bundle: Annotated[LocalPath, Doc("File of the certificates that https trusts; empty: the system's.")] = ""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!(has(self.token) && self.token != '' && has(self.tokenEnv) && self.tokenEnv != '')",
            "give either token or tokenEnv",
            lambda git: not (git.token and git.token_env),
            "tokenEnv",
            not_both("token", "tokenEnv"),
        ),
        Rule(
            "!(has(self.extraHeader) && self.extraHeader != '' && has(self.extraHeaderEnv)"
            " && self.extraHeaderEnv != '')",
            "give either extraHeader or extraHeaderEnv",
            lambda git: not (git.extra_header and git.extra_header_env),
            "extraHeaderEnv",
            not_both("extraHeader", "extraHeaderEnv"),
        ),
    )


_KEYS = ("agentKey", "keyFile", "keyEnv")


@dataclass(frozen=True, slots=True)
class Signing:
    """What commits are signed with: one key, and its format; without both they are not signed."""

    format: Annotated[Literal["", "gpg", "ssh"], Doc("Kind of the key; empty: commits are not signed.")] = ""
    agent_key: Annotated[
        str,
        Text(
            r"((ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/=]+( [^\x00-\x1f\x7f]*)?|[0-9A-Fa-f]{16,64})?",
            max=16384,
            hint="a public key as ssh writes it, or a fingerprint as gpg does",
        ),
        Doc("A key that an agent holds: its public key for ssh, its fingerprint for gpg."),
    ] = ""
    key_file: Annotated[LocalPath, Doc("File of the private key.")] = ""
    key_env: Annotated[Variable, Doc("The environment variable that holds the private key.")] = ""
    passphrase_env: Annotated[Variable, Doc("The environment variable that holds its passphrase.")] = ""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "(has(self.format) && self.format != '' ? 1 : 0) == (has(self.agentKey) && self.agentKey != '' ? 1 : 0)"
            " + (has(self.keyFile) && self.keyFile != '' ? 1 : 0) + (has(self.keyEnv) && self.keyEnv != '' ? 1 : 0)",
            "give format and one of agentKey, keyFile and keyEnv, or none of them",
            lambda signing: (
                sum(map(bool, (signing.agent_key, signing.key_file, signing.key_env))) == bool(signing.format)
            ),
            "format",
            {
                "oneOf": [
                    {"not": {"anyOf": [given("format"), *map(given, _KEYS)]}},
                    {"allOf": [given("format"), {"oneOf": [given(key) for key in _KEYS]}]},
                ]
            },
        ),
    )
