"""Random small config repositories for property tests: apps, environments, shapes, tags, and mistakes among them."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from tests.support.scenes import HOST, Tags, digest

REPOSITORIES = ("team/one", "team/two", "team/one-more")
FOLLOWED = ("blue", "green")
VERSIONS = ("1.0.0", "1.1.0", "2.0.0")
SHAPES = ("deployment", "cronjob", "list", "kustomize", "flow-kustomize", "values", "values-digest", "values-split")
ENVIRONMENTS = ("dev", "prod", "qa")


@dataclass(frozen=True)
class App:
    """One declaration with the manifest that it is about."""

    name: str
    environment: str
    repository: str
    shape: str
    tag: str
    present: str
    quote: str
    spec: tuple[tuple[str, Any], ...]
    apart: bool  # whether it looks at its own folder only

    @property
    def folder(self) -> str:
        return f"envs/{self.environment}/{self.name}"

    @property
    def path(self) -> str:
        return f"{self.folder}/{'kustomization' if 'kustomize' in self.shape else 'manifest'}.yaml"

    @property
    def declaration(self) -> str:
        spec = {"imageRepo": f"{HOST}/{self.repository}", "tag": self.tag, "environment": self.environment}
        if self.shape in {"deployment", "cronjob", "list"}:
            spec["selector"] = {"app": self.name}
        if self.apart:
            spec["paths"] = [self.folder]
        head = f"apiVersion: gitcd.io/v1\nkind: ContainerVersion\nmetadata: {{name: {self.name}, namespace: team}}\n"
        return f"---\n# of {self.name}\n{head}spec: {json.dumps(spec | dict(self.spec))}\n"

    @property
    def manifest(self) -> str:
        tag, _, at = self.present.partition("@")
        image = f"{self.quote}{HOST}/{self.repository}{':' + tag if tag else ''}{'@' + at if at else ''}{self.quote}"
        quoted = f"{self.quote}{tag or 'latest'}{self.quote}"
        labels = f"{{name: {self.name}, labels: {{app: {self.name}}}}}"
        container = f"{{name: main, image: {image}, args: [-v]}}"
        match self.shape:
            case "deployment":
                return (
                    f"# {self.name}\nkind: Deployment\napiVersion: apps/v1\nmetadata: {labels}\nspec:\n  template:\n"
                    f"    spec:\n      containers:\n      - name: main\n        image: {image}  # moves\n"
                )
            case "cronjob":
                spec = f"{{jobTemplate: {{spec: {{template: {{spec: {{containers: [{container}]}}}}}}}}}}"
                return f"kind: CronJob\napiVersion: batch/v1\nmetadata: {labels}\nspec: {spec}\n"
            case "list":
                pod = f"kind: Pod\n  apiVersion: v1\n  metadata: {labels}\n  spec: {{containers: [{container}]}}\n"
                return f"kind: List\napiVersion: v1\nitems:\n- {pod}- kind: Secret\n  apiVersion: v1\n"
            case "kustomize":
                at_line = f"\n  digest: {at}" if at else ""
                return f"resources: [x.yaml]\nimages:\n- name: {HOST}/{self.repository}\n  newTag: {quoted}{at_line}\n"
            case "flow-kustomize":
                return f"images: [{{name: app, newName: {HOST}/{self.repository}, newTag: {quoted}}}]\n"
            case "values":
                return f"image:\n  repository: {HOST}/{self.repository}\n  tag: {quoted} # moves\nreplicas: 2\n"
            case "values-digest":
                return f"a:\n  img: {{repository: {HOST}/{self.repository}, tag: {quoted}, digest: '{at}'}}\n"
            case _:
                return f"image:\n  registry: {HOST}\n  repository: {self.repository}\n  tag: {quoted}\n"


@dataclass(frozen=True)
class Config:
    """A whole repository. `together`: all declarations of an environment stand in one file, in this order."""

    apps: tuple[App, ...]
    granularity: str
    together: bool
    holds: tuple[tuple[str, str], ...]
    moving: tuple[tuple[str, str, str], ...]

    @property
    def files(self) -> dict[str, bytes]:
        environments = "".join(f"  - {{name: {name}, path: envs/{name}}}\n" for name in ENVIRONMENTS)
        head = f"apiVersion: gitcd.io/v1\nkind: ConfigRepository\ncommits: {self.granularity}\n"
        files = {
            "gitcd.yaml": f"{head}environments:\n{environments}",
            "notes/x.yaml": f"image: {HOST}/team/one:1.0.0\n",
        }
        for app in self.apps:
            files[app.path] = app.manifest
            where = f".gitcd/declarations/{app.environment}.yaml" if self.together else f"{app.folder}/cv.yaml"
            files[where] = files.get(where, "") + app.declaration
        files |= {f".gitcd/holds/{path}.yaml": text for path, text in self.holds}
        return {path: text.encode() for path, text in files.items()}

    @property
    def tags(self) -> Tags:
        tags = Tags({repository: list(VERSIONS) for repository in REPOSITORIES})
        for move in self.moving:
            tags.move(*move)
        return tags

    def shuffled(self, apps: tuple[App, ...]) -> Config:
        return replace(self, apps=apps)


def _present(repository: str) -> st.SearchStrategy[str]:
    pinned = st.sampled_from(VERSIONS).map(lambda version: f"{version}@{digest(f'{repository}:{version}')}")
    return st.one_of(st.sampled_from([*VERSIONS, "latest", "0.9.0", "blue"]), pinned)


def _specs() -> st.SearchStrategy[tuple[tuple[str, Any], ...]]:
    optional = {
        "pin": st.sampled_from(["VersionAndDigest", "Digest", "Version", "TagAndDigest"]),
        "adopt": st.sampled_from(["Now", "OnChange"]),
        "suspend": st.just(value=True),
        "strategy": st.just({"group": "g"}),
        "gates": st.sampled_from([{"allowDowngrade": False}, {"minAge": "36h"}]),
        "tag": st.just("missing"),
    }
    usual = st.just({})
    return st.one_of(usual, usual, st.fixed_dictionaries({}, optional=optional)).map(lambda spec: tuple(spec.items()))


@st.composite
def _apps(draw: st.DrawFn, number: int) -> App:
    repository = draw(st.sampled_from(REPOSITORIES))
    return App(
        name=f"app{number}",
        environment=draw(st.sampled_from(ENVIRONMENTS)),
        repository=repository,
        shape=draw(st.sampled_from(SHAPES)),
        tag=draw(st.sampled_from(FOLLOWED)),
        present=draw(_present(repository)),
        quote=draw(st.sampled_from(["", "'", '"'])),
        spec=draw(_specs()),
        apart=draw(st.booleans()),
    )


@st.composite
def configs(draw: st.DrawFn) -> Config:
    apps = tuple(draw(_apps(number)) for number in range(draw(st.integers(1, 5))))
    held = draw(st.lists(st.sampled_from(apps), unique_by=lambda app: app.name, max_size=2))
    reject = "reject: [{digest: %s}]\n"
    holds = tuple(
        (
            f"{app.environment}/team.{app.name}",
            draw(st.sampled_from(["freeze: true\n", reject % digest(f"{app.repository}:1.1.0")])),
        )
        for app in held
    )
    moving = tuple(
        (repository, tag, draw(st.sampled_from(VERSIONS))) for repository in REPOSITORIES for tag in FOLLOWED
    )
    return Config(apps, draw(st.sampled_from(["run", "environment", "app"])), draw(st.booleans()), holds, moving)
