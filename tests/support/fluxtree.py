"""A config repository that Flux's image automation works on, as its documentation describes such."""

import re
from collections.abc import Mapping

WEB, JOBS = (f"123456789012.dkr.ecr.us-east-1.amazonaws.com/shop/{name}" for name in ("web", "jobs"))

IMAGES = f"""\
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {{name: fleet, namespace: flux-system}}
spec: {{interval: 1m, url: "https://git.example.com/shop/fleet", ref: {{branch: main}}}}
---
apiVersion: image.toolkit.fluxcd.io/v1beta2
kind: ImageRepository
metadata: {{name: web, namespace: flux-system}}
spec: {{image: {WEB}, interval: 10m}}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageRepository
metadata: {{name: jobs, namespace: flux-system}}
spec: {{image: {JOBS}, interval: 1h, secretRef: {{name: regcred}}, exclusionList: ['^wip-']}}
---
apiVersion: image.toolkit.fluxcd.io/v1beta2
kind: ImagePolicy
metadata: {{name: web, namespace: flux-system}}
spec:
  imageRepositoryRef: {{name: web}}
  policy: {{semver: {{range: ">=1.0.0 <2.0.0"}}}}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImagePolicy
metadata: {{name: jobs, namespace: flux-system}}
spec:
  imageRepositoryRef: {{name: jobs, namespace: flux-system}}
  filterTags: {{pattern: '^main-[0-9a-f]+-(?P<ts>[0-9]+)$', extract: $ts}}
  policy: {{numerical: {{order: asc}}}}
"""
AUTOMATION = """\
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageUpdateAutomation
metadata: {name: NAME, namespace: flux-system}
spec:
  interval: 30m
  sourceRef: {kind: GitRepository, name: fleet}
  git:
    checkout: {ref: {branch: main}}
    commit: {author: {email: flux@example.com, name: flux}}
    push: {branch: PUSH}
  update: {path: PATH, strategy: Setters}
"""


def automation(name: str, path: str, push: str = "main") -> str:
    return AUTOMATION.replace("NAME", name).replace("PATH", path).replace("PUSH", push)


def mark(policy: str) -> str:
    return f'# {{"$imagepolicy": "flux-system:{policy}"}}'


DEPLOYMENT = f"""\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, namespace: shop}}
spec:
  template:
    spec:
      initContainers:
        - name: migrate
          image: {WEB}:1.0.0
      containers:
        - name: web
          image: {WEB}:1.0.0 {mark("web")}
"""
RELEASE = f"""\
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {{name: web, namespace: shop}}
spec:
  values:
    image:
      repository: {WEB} {mark("web:name")}
      tag: 1.0.0  {mark("web:tag")}
"""
TASK = f"""\
apiVersion: tekton.dev/v1
kind: Task
metadata: {{name: nightly, namespace: ci}}
spec:
  steps:
    - name: run
      image: {JOBS}:main-abc-1 {mark("jobs")}
"""
KUSTOMIZATION = f"""\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
images:
  - name: jobs
    newName: {JOBS} {mark("jobs:name")}
    newTag: main-abc-1 {mark("jobs:tag")}
"""
SETTINGS = f"""\
versions:
  web: "1.0.0" {mark("web:tag")}
  api: "1.0.0"
"""
FILES = {
    "clusters/main/images.yaml": IMAGES,
    "clusters/main/automation.yaml": automation("prod", "./apps/prod") + "---\n" + automation("dev", "apps/dev/", "updates"),
    "apps/prod/web.yaml": DEPLOYMENT,
    "apps/prod/release.yaml": RELEASE,
    "apps/prod/settings.yaml": SETTINGS,
    "apps/dev/task.yaml": TASK,
    "apps/dev/kustomization.yaml": KUSTOMIZATION,
    "other/web.yaml": DEPLOYMENT,
}  # fmt: skip


_MARKED = re.compile(
    r"""(?P<quote>["']?)[^\s"']+(?P=quote)(?P<mark> +# {"\$imagepolicy": "flux-system:(?P<policy>\w+)"""
    r"""(?::(?P<part>\w+))?"})"""
)


def by_setters(text: str, latest: Mapping[str, tuple[str, str]]) -> str:
    """What Flux's setters make of a file: beside each mark the repository, the tag or both that its policy chose.

    Quotes, white space and all else stay. `latest` is what each policy chose.
    """

    def chosen(match: re.Match[str]) -> str:
        repository, tag = latest[match["policy"]]
        value = {"tag": tag, "name": repository}.get(match["part"] or "", f"{repository}:{tag}")
        return f"{match['quote']}{value}{match['quote']}{match['mark']}"

    return _MARKED.sub(chosen, text)
