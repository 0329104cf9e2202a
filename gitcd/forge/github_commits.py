"""What GitHub makes of commits and shows at them. Source: the OpenAPI description of its REST API."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

from gitcd.forge.adapter import dig, text
from gitcd.forge.http import Client
from gitcd.model.plan import FileChange
from gitcd.model.pull import CommitStatus, StatusState

# Of a check that is over; only the first lets a rule of the branch pass.
_CONCLUSIONS = {StatusState.SUCCESS: "success", StatusState.FAILURE: "failure", StatusState.ERROR: "timed_out"}


def make_commit(client: Client, root: str, parent: str, message: str, files: Sequence[FileChange]) -> str:
    """A commit by the Git database: nobody is named as author, or GitHub would not sign it."""
    base = dig(client.get(f"{root}/git/commits/{parent}"), "tree", "sha")
    wanted = {"base_tree": base, "tree": [_leaf(client, root, file) for file in files]}
    tree = dig(client.send("POST", f"{root}/git/trees", wanted, repeat=True).body, "sha")
    commit = {"message": message, "tree": tree, "parents": [parent]}
    return text(dig(client.send("POST", f"{root}/git/commits", commit, repeat=True).body, "sha"))


def _leaf(client: Client, root: str, file: FileChange) -> Mapping[str, object]:
    """One file of a tree; a text goes along in it, anything else is sent beforehand."""
    leaf = {"path": file.path, "mode": file.mode.value, "type": "blob"}
    if file.after is None:
        return {**leaf, "sha": None}
    try:
        return {**leaf, "content": file.after.decode()}
    except UnicodeDecodeError:
        blob = {"content": base64.b64encode(file.after).decode(), "encoding": "base64"}
        return {**leaf, "sha": dig(client.send("POST", f"{root}/git/blobs", blob, repeat=True).body, "sha")}


def show_status(client: Client, root: str, commit: str, status: CommitStatus) -> None:
    """A commit status, which any token may be allowed to set."""
    wanted = {"state": status.state.value, "context": status.context, "description": status.description[:140]}
    if status.url:
        wanted["target_url"] = status.url
    client.send("POST", f"{root}/statuses/{commit}", wanted)


def show_check(client: Client, root: str, commit: str, status: CommitStatus) -> None:
    """A check run, which only an App may make."""
    conclusion = _CONCLUSIONS.get(status.state)
    stand = {"status": "completed", "conclusion": conclusion} if conclusion else {"status": "in_progress"}
    words = status.description or status.state.value
    wanted = {"name": status.context, "head_sha": commit, **stand, "output": {"title": words[:255], "summary": words}}
    if status.url:
        wanted["details_url"] = status.url
    client.send("POST", f"{root}/check-runs", wanted)
