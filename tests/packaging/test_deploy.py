"""The kustomize base and the Helm chart of deploy/ render what `gitcd install` does: judged by kubectl and helm."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gitcd import __version__
from gitcd.manifests.documents import compose
from gitcd.manifests.dump import to_yaml
from gitcd.model.crd import custom_resource_definition
from gitcd.usecases.install import install, kustomization, objects
from gitcd.usecases.install_rights import table
from tests.support.controlplane import program
from tests.support.manifests import by_name
from tools.parts import HELM

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy/helm/gitcd"
BASE = ROOT / "deploy/kustomize/base"
REMAKE = "run `make deploy`"
_HELM = HELM.bin() / "helm"
_REQUIRED = bool(os.environ.get("GITCD_REQUIRE_HELM"))

HTTPS = "https://git.example.com/atlas/config.git"
SETTINGS = {
    "author": {"name": "atlas: 'gitcd' #1"},
    "namespaces": [{"name": "tiles", "environments": ["prod"]}, {"name": "007", "environments": ["dev", "prod"]}],
    "environments": [{"name": "prod", "cluster": "01234567-89ab-cdef-0123-456789abcdef"}],
}
APPLYING = SETTINGS | {
    "environments": [{"name": each, "cluster": "01234567-89ab-cdef-0123-456789abcdef"} for each in ("dev", "prod")],
    "prometheus": {"url": "http://prometheus.monitoring:9090/base"},
    "allow": {"kinds": ["Secret", "Namespace", "Gizmo", "Deployment", "Role"]},
}
ARN = "arn:aws:iam::123456789012:role/gitcd"
# Flags of `gitcd install` (with the repository and settings), and the values of the chart that say the same.
SAME: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain": ({"repo": HTTPS}, {"repo": HTTPS}),
    "ssh": ({"repo": "git@git.example.com:a/b.git"}, {"repo": "git@git.example.com:a/b.git"}),
    "ssh by its address": (
        {"repo": "ssh://git@git.example.com:2222/a/b.git", "git_secret": ""},
        {"repo": "ssh://git@git.example.com:2222/a/b.git", "gitSecret": ""},
    ),
    "environments": (
        {"repo": "https://git.example.com:3000/a/b", "branch": "live", "environment": ("dev", "prod")},
        {"repo": "https://git.example.com:3000/a/b", "branch": "live", "environments": ["dev", "prod"]},
    ),
    "cluster": (
        {"repo": HTTPS, "settings": SETTINGS, "declarations_from": "cluster"},
        {"repo": HTTPS, "settings": SETTINGS, "from": "cluster"},
    ),
    "cluster-wide": (
        {"repo": HTTPS, "settings": SETTINGS, "declarations_from": "cluster", "cluster_wide": True},
        {"repo": HTTPS, "settings": SETTINGS, "from": "cluster", "clusterWide": True},
    ),
    "old kinds": (
        {"repo": HTTPS, "settings": SETTINGS, "declarations_from": "cluster", "old_kinds": True, "controller": True},
        {"repo": HTTPS, "settings": SETTINGS, "from": "cluster", "oldKinds": True, "controller": True},
    ),
    "settings": (
        {"repo": "", "settings": {"repo": HTTPS, "branch": "main"}, "schedule": "@hourly", "image": "a/b@sha256:0"},
        {"settings": {"repo": HTTPS, "branch": "main"}, "schedule": "@hourly", "image": "a/b@sha256:0"},
    ),
    "aws": (
        {"repo": HTTPS, "role_arn": ARN, "pod_identity": True, "create_namespace": True},
        {"repo": HTTPS, "roleArn": ARN, "podIdentity": True, "createNamespace": True},
    ),
    "cache": (
        {"repo": HTTPS, "cache_claim": "mirrors", "memory": "2Gi", "git_secret": "other"},
        {"repo": HTTPS, "cacheClaim": "mirrors", "memory": "2Gi", "gitSecret": "other"},
    ),
    "controller": (
        {"repo": HTTPS, "settings": SETTINGS, "declarations_from": "cluster", "controller": True},
        {"repo": HTTPS, "settings": SETTINGS, "from": "cluster", "controller": True},
    ),
    "controller of some environments": (
        {"repo": HTTPS, "controller": True, "environment": ("dev", "prod"), "cache_claim": "mirrors"},
        {"repo": HTTPS, "controller": True, "environments": ["dev", "prod"], "cacheClaim": "mirrors"},
    ),
    "controller with readers": (
        {
            "repo": HTTPS,
            "settings": SETTINGS,
            "declarations_from": "cluster",
            "cluster_wide": True,
            "controller": True,
            "http_auth": True,
            "metrics_from": ("monitoring", "007"),
        },
        {
            "repo": HTTPS,
            "settings": SETTINGS,
            "from": "cluster",
            "clusterWide": True,
            "controller": True,
            "httpAuth": True,
            "metricsFrom": ["monitoring", "007"],
        },
    ),
    "apply": (
        {"repo": HTTPS, "settings": SETTINGS, "apply": "images"},
        {"repo": HTTPS, "settings": SETTINGS, "apply": "images"},
    ),
    "apply with all there is": (
        {
            "repo": HTTPS,
            "settings": APPLYING,
            "declarations_from": "cluster",
            "environment": ("dev",),
            "apply": "all",
            "prune": True,
            "kind": ("Gizmo=gizmos.example.com", "Service=services.serving.knative.dev"),
        },
        {
            "repo": HTTPS,
            "settings": APPLYING,
            "from": "cluster",
            "environments": ["dev"],
            "apply": "all",
            "prune": True,
            "kinds": {"Service": "services.serving.knative.dev", "Gizmo": "gizmos.example.com"},
        },
    ),
    "apply everywhere": (
        {"repo": HTTPS, "settings": SETTINGS, "apply": "all", "cluster_wide": True},
        {"repo": HTTPS, "settings": SETTINGS, "apply": "all", "clusterWide": True},
    ),
    "controller that applies": (
        {"repo": HTTPS, "settings": SETTINGS, "apply": "images", "controller": True, "environment": ("prod",)},
        {"repo": HTTPS, "settings": SETTINGS, "apply": "images", "controller": True, "environments": ["prod"]},
    ),
    "memory": (
        {"repo": HTTPS, "cache_size": "2Gi", "memory": "4Gi"},
        {"repo": HTTPS, "cacheSize": "2Gi", "memory": "4Gi"},
    ),
}


def with_read_settings(found: dict[tuple[str, str, str], Any]) -> dict[tuple[str, str, str], Any]:
    """The same with the settings file as what it says: the chart writes it in another style."""
    for (kind, _, _), each in found.items():
        if kind == "ConfigMap":
            each["data"] = {name: next(iter(compose(text))) for name, text in each["data"].items()}
    return found


@pytest.fixture
def helm(tmp_path: Path) -> Any:
    if not _HELM.is_file():
        message = f"NO HELM: {_HELM} is not there; run `make helm` once (it needs Go)"
        if _REQUIRED:
            pytest.fail(f"{message}. GITCD_REQUIRE_HELM is set, so this is no reason to skip.", pytrace=False)
        pytest.skip(message)

    def run(command: str, values: dict[str, Any], *flags: str) -> "subprocess.CompletedProcess[str]":
        (tmp_path / "values.json").write_text(json.dumps(values))
        words = [str(_HELM), command, *flags, str(CHART), "-f", str(tmp_path / "values.json")]
        return subprocess.run(words, capture_output=True, text=True, check=False)

    return run


@pytest.mark.parametrize("name", SAME)
def test_the_chart_renders_what_install_renders(helm: Any, tmp_path: Path, name: str) -> None:
    flags, values = ({**each} for each in SAME[name])
    given = {"repo": flags.pop("repo")} | ({"branch": flags.pop("branch")} if "branch" in flags else {})
    if settings := flags.pop("settings", None):
        (tmp_path / "settings.yaml").write_text(to_yaml(settings))
        given["config"] = str(tmp_path / "settings.yaml")
    wanted = objects(install({"namespace": "1e3", **flags}, {key: value for key, value in given.items() if value}))
    done = helm("template", values, "--namespace", "1e3", "--include-crds", "any-name")
    assert done.returncode == 0, done.stderr
    found = [each for each in compose(done.stdout) if each]
    assert with_read_settings(by_name(found)) == with_read_settings(by_name(wanted))
    assert len(found) == len(wanted)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "the address of the config repository is missing"),
        ({"repo": HTTPS, "from": "cluster"}, "say which namespaces may reach which environments"),
        ({"repo": HTTPS, "settings": {"git": {"token": "x"}}}, "settings.git.token would be readable"),
        ({"repo": "https://user:word@git.example.com/a.git"}, "a user or token in the address would be readable"),
        (
            {"repo": HTTPS, "settings": {"repo": "https://word@git.example.com/a.git"}},
            "in the address would be readable",
        ),
        ({"repo": HTTPS, "httpAuth": True}, "httpAuth and metricsFrom go with controller"),
        ({"repo": HTTPS, "prune": True}, "prune and kinds go with apply"),
        ({"repo": HTTPS, "apply": "some"}, "value must be one of '', 'images', 'all'"),
        ({"repo": HTTPS, "apply": "all"}, "apply needs to know which cluster each environment is"),
        (
            {"repo": HTTPS, "apply": "all", "settings": SETTINGS, "environments": ["dev"]},
            "apply needs to know which cluster dev is",
        ),
        (
            {"repo": HTTPS, "apply": "all", "settings": SETTINGS | {"namespaces": []}},
            "which namespaces may be written",
        ),
        (
            {"repo": HTTPS, "apply": "all", "settings": SETTINGS, "controller": True, "prune": True},
            "prune goes with CronJobs",
        ),
        (
            {"repo": HTTPS, "apply": "all", "settings": SETTINGS, "kinds": {"Gizmo": "gizmos.example.com"}},
            "apply may not write Gizmo",
        ),
        ({"repo": HTTPS, "apply": "all", "settings": APPLYING}, "not known how the cluster serves that"),
        ({"repo": HTTPS, "shedule": "@daily"}, "additional properties 'shedule' not allowed"),
    ],
)
def test_the_chart_refuses_what_install_refuses(helm: Any, values: dict[str, Any], message: str) -> None:
    done = helm("template", values)
    assert done.returncode != 0
    assert message in done.stderr


def test_a_long_deadline_is_a_whole_number(helm: Any) -> None:
    """Helm reads the numbers of a file as floats, which it writes with an exponent from a million on."""
    done = helm("template", {"repo": HTTPS, "deadline": 1_200_000})
    assert "activeDeadlineSeconds: 1200000\n" in done.stdout


def test_the_chart_is_tidy(helm: Any) -> None:
    done = helm("lint", {"repo": HTTPS}, "--strict")
    assert done.returncode == 0, done.stdout
    chart = next(iter(compose((CHART / "Chart.yaml").read_text())))
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)
    values = next(iter(compose((CHART / "values.yaml").read_text())))
    assert values["image"] == f"gitcd:{__version__}"


def test_the_chart_carries_the_definition_and_what_apply_may_do() -> None:
    text = (CHART / "crds/containerversions.yaml").read_text()
    assert text == to_yaml(custom_resource_definition()), REMAKE
    assert (CHART / "files/rights.json").read_text() == json.dumps(table(), indent=1) + "\n", REMAKE


@pytest.mark.parametrize(
    ("folder", "flags", "settings"),
    [
        ("base", {}, {}),
        ("controller", {"controller": True}, {}),
        ("apply", {"apply": "images"}, {"config": str(BASE.parent / "settings.yaml")}),
    ],
)
def test_the_bases_are_what_install_writes(folder: str, flags: dict[str, Any], settings: dict[str, str]) -> None:
    files = install(
        {"create_namespace": True, "image": "gitcd", **flags},
        {"repo": "https://git.example.com/platform/config.git", **settings},
    )
    wanted = files | {"kustomization.yaml": kustomization(files)}
    found = {path.name: path.read_text() for path in (BASE.parent / folder).iterdir()}
    assert found == wanted, REMAKE


def test_the_base_builds_and_an_overlay_says_the_rest() -> None:
    built = [_kustomize(folder) for folder in (BASE, BASE.parent / "example")]
    assert by_name(built[0]) == by_name(objects({path.name: path.read_text() for path in BASE.glob("[!k]*.yaml")}))
    changed = by_name(built[1])
    assert changed.keys() == by_name(built[0]).keys()
    cronjob = changed["CronJob", "gitcd", "gitcd-reconcile"]["spec"]
    (container,) = cronjob["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert cronjob["schedule"] == "*/10 * * * *"
    assert container["image"].startswith("registry.example.com/platform/gitcd@sha256:")
    environ = {each["name"]: each.get("value") for each in container["env"]}
    assert environ["GITCD_REPO"] == "https://git.example.com/atlas/config.git"
    assert environ["GITCD_CACHE_DIR"] == "/var/cache/gitcd"


def test_an_overlay_of_the_base_that_applies_is_what_install_writes(tmp_path: Path) -> None:
    """Settings, namespace, repository and image are said in the overlay; nothing else differs."""
    overlay = BASE.parent / "apply-example"
    patches = next(iter(compose((overlay / "kustomization.yaml").read_text())))["patches"]
    said = next(iter(compose(patches[0]["patch"])))["data"]["config.yaml"]
    (tmp_path / "settings.yaml").write_text(said)
    image = "registry.example.com/platform/gitcd@sha256:" + 64 * "0"
    wanted = {"create_namespace": True, "image": image, "apply": "images"}
    files = install(wanted, {"repo": HTTPS, "config": str(tmp_path / "settings.yaml")})
    assert with_read_settings(by_name(_kustomize(overlay))) == with_read_settings(by_name(objects(files)))


def _kustomize(folder: Path) -> list[Any]:
    done = subprocess.run([program("kubectl"), "kustomize", str(folder)], capture_output=True, text=True, check=True)
    return list(compose(done.stdout))
