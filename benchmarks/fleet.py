"""A fleet of made-up applications: what their files hold, and what a registry says of their images.

Everything follows from an application's number and the seed, so the generator, the stand-in for the registry and the
baselines agree without sharing a file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

HOST = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
ENVIRONMENTS = ("dev", "staging", "prod")
TEAMS = 40
ASIDE = "seconds of the stand-in for the registry: "  # how a process says what is not its own time
LAYOUT = "apiVersion: gitcd.io/v1\nkind: ConfigRepository\nenvironments:\n" + "".join(
    f"- {{name: {name}, path: envs/{name}}}\n" for name in ENVIRONMENTS
)


@dataclass(frozen=True, slots=True)
class App:
    """One application; `behind`: its tag has moved on from what the manifests hold."""

    number: int
    seed: int
    behind: bool

    @property
    def name(self) -> str:
        return f"app-{self.number:05}"

    @property
    def namespace(self) -> str:
        return f"team-{self.number % TEAMS:02}"

    @property
    def environment(self) -> str:
        return ENVIRONMENTS[self.number % len(ENVIRONMENTS)]

    @property
    def folder(self) -> str:
        return f"envs/{self.environment}/{self.namespace}/{self.name}"

    @property
    def repository(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def image_repo(self) -> str:
        return f"{HOST}/{self.repository}"

    @property
    def tag(self) -> str:
        return f"env-{self.environment}"

    @property
    def flavour(self) -> str:
        """Seven in ten are plain manifests, two use kustomize, one is a Helm chart."""
        return ("plain", "plain", "kustomize", "plain", "plain", "helm", "plain", "kustomize", "plain", "plain")[
            self.number // len(ENVIRONMENTS) % 10
        ]

    def version(self, generation: int) -> str:
        """The version tag of the image that the manifests hold (generation 0), or of the one after it."""
        return f"{1 + self.number % 7}.{self.number % 31}.{generation}"

    def digest(self, generation: int) -> str:
        return "sha256:" + hashlib.sha256(f"{self.seed} {self.number} {generation}".encode()).hexdigest()

    def reference(self, generation: int) -> str:
        return f"{self.image_repo}:{self.version(generation)}@{self.digest(generation)}"


@dataclass(frozen=True, slots=True)
class Fleet:
    """`size` applications, of which `behind`, spread evenly, are to be bumped."""

    size: int
    behind: int = 0
    seed: int = 1

    def __iter__(self) -> Iterator[App]:
        return (self.app(number) for number in range(self.size))

    def app(self, number: int) -> App:
        step = self.size // self.behind if self.behind else 0
        nth, rest = divmod(number, step) if step else (0, -1)
        return App(number, self.seed, rest == nth % min(len(ENVIRONMENTS), step or 1) and nth < self.behind)


def files(app: App) -> dict[str, str]:
    """The seven files of an application, by path."""
    made = {
        "deployment.yaml": _chart_template(app) if app.flavour == "helm" else _deployment(app),
        "service.yaml": _service(app),
        "configmap.yaml": _config_map(app),
        "containerversion.yaml": _declaration(app),
        "kustomization.yaml": _kustomization(app),
        "values.yaml": _values(app),
        "README.md": _readme(app),
    }
    return {f"{app.folder}/{name}": text for name, text in made.items()}


def _deployment(app: App) -> str:
    from random import Random

    chance = Random(app.seed * 1_000_003 + app.number)
    image = app.name if app.flavour == "kustomize" else app.reference(0)
    head = f"""\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {app.name}
  namespace: {app.namespace}
  labels:
    app: {app.name}
    app.kubernetes.io/part-of: {app.namespace}
spec:
  replicas: {chance.randint(1, 6)}
  revisionHistoryLimit: 5
  selector:
    matchLabels:
      app: {app.name}
  template:
    metadata:
      labels:
        app: {app.name}
      annotations:
        prometheus.io/scrape: "true"
    spec:
      serviceAccountName: {app.name}
      # the application itself
      containers:
      - name: {app.name}
        image: {image}
        imagePullPolicy: IfNotPresent
        ports:
        - name: http
          containerPort: {8000 + app.number % 1000}
        readinessProbe:
          httpGet: {{path: /ready, port: http}}
          periodSeconds: 5
        livenessProbe:
          httpGet: {{path: /alive, port: http}}
        resources:
          requests: {{cpu: {chance.randint(1, 20) * 50}m, memory: {chance.randint(1, 16) * 64}Mi}}
          limits: {{memory: {chance.randint(16, 32) * 64}Mi}}
        env:
"""
    tail = f"""\
      - name: proxy
        image: docker.io/envoyproxy/envoy:v1.31.2
        args: [--config-path, /etc/envoy/envoy.yaml, --log-level, warning]
      volumes:
      - name: config
        configMap: {{name: {app.name}-config}}
"""
    room = chance.randint(80, 300) - head.count("\n") - tail.count("\n")
    return head + "".join(_variables(app, chance, max(room, 4))) + tail


def _variables(app: App, chance: Random, lines: int) -> Iterator[str]:
    while lines > 0:
        name = f"{chance.choice(_WORDS)}_{chance.choice(_WORDS)}_{lines}".upper()
        if not lines % 5:
            yield f"        - name: {name}\n          valueFrom:\n            configMapKeyRef:\n"
            yield f"              name: {app.name}-config\n              key: {name.lower()}\n"
            lines -= 5
        else:
            yield f'        - name: {name}\n          value: "{chance.choice(_WORDS)}"\n'
            lines -= 2


def _chart_template(app: App) -> str:
    return f"""\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{{{ include "{app.name}.fullname" . }}}}
  labels: {{{{- include "{app.name}.labels" . | nindent 4 }}}}
spec:
  replicas: {{{{ .Values.replicas }}}}
  template:
    spec:
      containers:
      - name: {app.name}
        image: "{{{{ .Values.image.repository }}}}:{{{{ .Values.image.tag }}}}"
        {{{{- with .Values.resources }}}}
        resources: {{{{- toYaml . | nindent 10 }}}}
        {{{{- end }}}}
"""


def _service(app: App) -> str:
    return f"""\
apiVersion: v1
kind: Service
metadata:
  name: {app.name}
  namespace: {app.namespace}
spec:
  selector: {{app: {app.name}}}
  ports:
  - {{name: http, port: 80, targetPort: http}}
"""


def _config_map(app: App) -> str:
    entries = "".join(f"  {word}-{app.number % 97}: {word}\n" for word in _WORDS)
    return f"""\
apiVersion: v1
kind: ConfigMap
metadata:
  name: {app.name}-config
  namespace: {app.namespace}
data:
{entries}"""


def _declaration(app: App) -> str:
    return f"""\
# which image {app.name} follows
apiVersion: gitcd.io/v1
kind: ContainerVersion
metadata:
  name: {app.name}
  namespace: {app.namespace}
spec:
  imageRepo: {app.image_repo}
  tag: {app.tag}
  selector:
    app: {app.name}
"""


def _kustomization(app: App) -> str:
    text = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
    text += f"namespace: {app.namespace}\nresources:\n- deployment.yaml\n- service.yaml\n- configmap.yaml\n"
    if app.flavour == "kustomize":
        text += f"images:\n- name: {app.name}\n  newName: {app.image_repo}\n"
        text += f"  newTag: {app.version(0)}\n  digest: {app.digest(0)}\n"
    return text


def _values(app: App) -> str:
    text = f"replicas: 2\nresources:\n  requests:\n    cpu: 100m\n    memory: 128Mi\nservice:\n  port: {app.number}\n"
    if app.flavour == "helm":
        text += f"image:\n  repository: {app.image_repo}\n  tag: {app.version(0)}\n  digest: {app.digest(0)}\n"
    return text


def _readme(app: App) -> str:
    return f"# {app.name}\n\nOwned by {app.namespace}, runs in {app.environment}.\n" + "\n".join(_WORDS) + "\n"


_WORDS = (
    "cache",
    "queue",
    "store",
    "index",
    "search",
    "render",
    "tile",
    "route",
    "login",
    "audit",
    "batch",
    "event",
    "frame",
    "graph",
    "image",
    "limit",
    "metric",
    "night",
    "order",
    "price",
    "quota",
    "ready",
    "shard",
    "token",
    "usage",
    "value",
    "watch",
    "yield",
    "zone",
    "alpha",
)
