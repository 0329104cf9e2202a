"""A small config repository, a registry that answers from a table, and runs over real git."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gitcd.git.commit import Author
from gitcd.git.history import ensure_history
from gitcd.git.mirror import Mirror, open_mirror
from gitcd.git.remote import Remote
from gitcd.model.reference import Repository
from gitcd.model.registry import Answer, Answers, Candidate, Failure, Image, Query
from gitcd.usecases.context import Context, Planned, Selection
from gitcd.usecases.history import recall_from
from gitcd.usecases.publish import Published
from gitcd.usecases.reconcile import reconcile
from tests.support.follows import with_follows

HOST = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
AUTHOR = Author("gitcd", "gitcd@example.com")


def digest(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


@dataclass
class Tags:
    """A registry: for each repository its versions, oldest first, and the version that each moving tag names."""

    versions: dict[str, list[str]] = field(default_factory=dict)
    moving: dict[tuple[str, str], str] = field(default_factory=dict)

    def move(self, name: str, tag: str, version: str) -> None:
        known = self.versions.setdefault(name, [])
        if version not in known:
            known.append(version)
        self.moving[name, tag] = version

    def __call__(self, queries: Sequence[Query]) -> Answers:
        answers = {
            (query.repository, each): self._answer(query.repository.path, each)
            for query in queries
            for each in query.tags | query.digests
        }
        return with_follows(answers, queries, self._listed)

    def _listed(self, repository: Repository) -> list[Candidate]:
        images = [self._answer(repository.path, version) for version in self.versions.get(repository.path, [])]
        return [Candidate(tag, image) for image in images if isinstance(image, Image) for tag in image.tags]

    def _answer(self, name: str, asked: str) -> Answer:
        for age, version in enumerate(reversed(self.versions.get(name, []))):
            tags = [version, *(tag for (owner, tag), at in self.moving.items() if owner == name and at == version)]
            image = Image(digest(f"{name}:{version}"), tuple(tags), NOW - timedelta(days=age + 1))
            if asked in tags or asked == image.digest:
                return image
        return Failure("TagNotFound", f"{name} has no {asked}")


def app_files(name: str, version: str = "1.0.0", environment: str = "dev") -> dict[str, bytes]:
    """A declaration and a Deployment, commented as people do."""
    declaration = f"""\
apiVersion: gitcd.io/v1
kind: ContainerVersion
metadata: {{name: {name}, namespace: team}}
spec:
  imageRepo: {HOST}/team/{name}
  tag: env-{environment}
  selector: {{app: {name}}}
"""
    deployment = f"""\
# {name}, as deployed
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
  namespace: team
  labels: {{app: {name}}}
spec:
  template:
    metadata:
      labels: {{app: {name}}}
    spec:
      containers:
        - name: main
          image: {HOST}/team/{name}:{version}  # moves
"""
    folder = f"envs/{environment}/{name}"
    return {f"{folder}/cv.yaml": declaration.encode(), f"{folder}/deployment.yaml": deployment.encode()}


LAYOUT = b"""\
apiVersion: gitcd.io/v1
kind: ConfigRepository
environments:
  - {name: dev, path: envs/dev}
  - {name: prod, path: envs/prod}
"""


def reference(name: str, version: str) -> bytes:
    """What gitcd writes by default."""
    return f"{HOST}/team/{name}:{version}@{digest(f'team/{name}:{version}')}".encode()


@contextmanager
def mirror_of(url: str, cache_dir: Path | None = None, branch: str = "main") -> Iterator[Mirror]:
    with open_mirror(Remote.parse(url), branch, cache_dir=cache_dir) as mirror:
        yield mirror


def context(mirror: Mirror, tags: Tags, now: datetime = NOW, selection: Selection | None = None) -> Context:
    """A context that asks the mirror's own history."""
    recall = recall_from(lambda: ensure_history(mirror, mirror.tip or mirror.fetch()))
    return Context(tags, recall, now, selection or Selection(), line=mirror.line)


def run(url: str, tags: Tags, cache_dir: Path | None = None, now: datetime = NOW) -> Published[Planned]:
    """One whole reconcile."""
    with mirror_of(url, cache_dir) as mirror:
        return reconcile(mirror, context(mirror, tags, now), AUTHOR)
