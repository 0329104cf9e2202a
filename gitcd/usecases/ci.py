"""Say at a commit what gitcd would do with it: for a job of a pipeline that runs on a pull request.

Sources: "Variables reference" of GitHub Actions, which those of Gitea and Forgejo follow; "Predefined CI/CD variables
reference" of GitLab.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from gitcd.errors import ConfigError, ExitCode
from gitcd.model.pull import CommitStatus, ForgeFailure, StatusState
from gitcd.usecases.credentials import forge_token
from gitcd.usecases.workspace import Workspace

CONTEXT = "gitcd diff"
_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_STATES = {ExitCode.OK: StatusState.SUCCESS, ExitCode.TRANSIENT: StatusState.ERROR}


@dataclass(frozen=True, slots=True)
class Job:
    """A job: the repository and commit that it is about, the address of its log, and the forge that runs it."""

    remote: str
    commit: str
    url: str
    kind: Literal["github", "gitlab", "gitea"]
    forge: str


def job_of(environ: Mapping[str, str]) -> Job:
    """The job that this process is part of.

    Raises:
        ConfigError: it is part of none that is known, or the job is about no commit.
    """
    if environ.get("GITLAB_CI") == "true":
        job = _gitlab(environ)
    elif environ.get("GITHUB_ACTIONS") == "true" or environ.get("GITEA_ACTIONS") == "true":
        job = _actions(environ)
    else:
        raise ConfigError(
            "--ci is for a job of GitHub Actions, of Gitea or Forgejo Actions, or of GitLab CI, and this is none",
            remedy="Leave --ci out.",
        )
    if not _COMMIT.fullmatch(job.commit):
        raise ConfigError("the job does not say which commit it is about")
    return job


def announce(run: Workspace, job: Job, code: ExitCode, text: str, environ: Mapping[str, str]) -> ForgeFailure | None:
    """Show a status at the commit; `code` is what the job ends with, `text` what it says in a few words.

    Raises:
        ConfigError: the forge is not known, or there is no token.
    """
    from gitcd.forge.opening import open_forge

    wanted = run.settings.forge
    if not wanted.kind:
        wanted = replace(wanted, kind=job.kind, url=wanted.url or job.forge)
    token = forge_token(run.settings, environ)
    forge = open_forge(job.remote, wanted, token, deadline=time.time() + max(0.0, run.deadline - time.monotonic()))
    state = _STATES.get(code, StatusState.FAILURE)
    return forge.set_status(job.commit, CommitStatus(state, CONTEXT, text, job.url))


def _gitlab(environ: Mapping[str, str]) -> Job:
    """A pipeline of merged results runs on a commit that no branch has; the one of the source branch is meant."""
    commit = environ.get("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA") or environ.get("CI_COMMIT_SHA", "")
    url = environ.get("CI_PROJECT_URL", "")
    return Job(url, commit, environ.get("CI_JOB_URL", ""), "gitlab", environ.get("CI_SERVER_URL", ""))


def _actions(environ: Mapping[str, str]) -> Job:
    """A job on a pull request runs on a merge that no branch has; the head of the pull request is meant."""
    server, name = environ.get("GITHUB_SERVER_URL", ""), environ.get("GITHUB_REPOSITORY", "")
    head = _head(environ.get("GITHUB_EVENT_PATH", ""))
    url = f"{server}/{name}/actions/runs/{environ.get('GITHUB_RUN_ID', '')}"
    kind: Literal["gitea", "github"] = "gitea" if environ.get("GITEA_ACTIONS") == "true" else "github"
    return Job(f"{server}/{name}", head or environ.get("GITHUB_SHA", ""), url, kind, server)


def _head(path: str) -> str:
    """The head of the pull request that the event is about; empty if it is about none."""
    try:
        event = json.loads(Path(path).read_bytes()) if path else {}
        return str(event["pull_request"]["head"]["sha"])
    except (OSError, ValueError, LookupError, TypeError):
        return ""
