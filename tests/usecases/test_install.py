"""The manifests of an installation: what flags and settings make of them. tests/cluster has them applied."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitcd.errors import ConfigError, ExitCode
from gitcd.model.crd import custom_resource_definition
from gitcd.model.settings import Settings
from gitcd.planning.applying_rules import ALWAYS, SECRET
from gitcd.usecases.install import install, kustomization, objects, write
from gitcd.usecases.install_rights import OTHERS, USUAL

HTTPS = "https://git.example.com/atlas/config.git"
SSH = "ssh://git@git.example.com:2222/atlas/config.git"
MAPPED = """\
branch: live
deadlines: {run: 30m}
namespaces:
  - {name: tiles, environments: [prod]}
  - {name: maps, environments: [prod]}
environments: [{name: prod, cluster: 01234567-89ab-cdef-0123-456789abcdef}]
"""


def rendered(repo: str = HTTPS, config: Path | None = None, **flags: Any) -> dict[tuple[str, str, str], Any]:
    """The objects by kind, namespace and name."""
    settings = {"repo": repo} | ({"config": str(config)} if config else {})
    found = objects(install({"crd": False} | flags, settings))
    return {(each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"]): each for each in found}


def job(objects: dict[tuple[str, str, str], Any], name: str = "gitcd-reconcile") -> Any:
    return objects["CronJob", "gitcd", name]["spec"]["jobTemplate"]["spec"]


def pod(objects: dict[tuple[str, str, str], Any], name: str = "gitcd-reconcile") -> Any:
    return job(objects, name)["template"]["spec"]


def environ(objects: dict[tuple[str, str, str], Any]) -> dict[str, str]:
    return {each["name"]: each.get("value", "") for each in pod(objects)["containers"][0]["env"]}


@pytest.fixture
def mapped(tmp_path: Path) -> Path:
    path = tmp_path / "settings.yaml"
    path.write_text(MAPPED)
    return path


def test_declarations_of_the_repository_need_nothing_of_the_cluster() -> None:
    found = rendered()
    assert {kind for kind, _, _ in found} == {"ServiceAccount", "NetworkPolicy", "CronJob"}
    assert pod(found)["automountServiceAccountToken"] is False
    assert pod(found)["containers"][0]["args"] == ["reconcile"]


def test_each_mapped_namespace_gets_a_role_and_nothing_is_wide_open(mapped: Path) -> None:
    found = rendered(config=mapped, declarations_from="cluster")
    roles = {key: each["rules"] for key, each in found.items() if key[0] == "Role"}
    assert {namespace for _, namespace, _ in roles} == {"tiles", "maps", "kube-system"}
    assert not [kind for kind, _, _ in found if kind.startswith("Cluster")]
    words = {word for rules in roles.values() for rule in rules for words in rule.values() for word in words}
    assert not words & {"*", "secrets", "watch", "update", "delete"}
    assert roles["Role", "kube-system", "gitcd-gitcd-which-cluster"] == [
        {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"], "resourceNames": ["kube-system"]}
    ]
    assert pod(found)["automountServiceAccountToken"] is True


def test_one_cluster_role_where_that_is_wished(mapped: Path) -> None:
    found = rendered(config=mapped, declarations_from="cluster", cluster_wide=True)
    assert [key for key in found if key[0] == "ClusterRole"] == [("ClusterRole", "", "gitcd-gitcd")]
    assert [namespace for kind, namespace, _ in found if kind == "Role"] == ["kube-system"]


def test_of_old_kinds_it_may_list_the_objects_where_that_is_wished(mapped: Path) -> None:
    plain, more = (rendered(config=mapped, declarations_from="cluster", old_kinds=each) for each in (False, True))
    key = ("Role", "tiles", "gitcd-gitcd")
    assert more[key]["rules"][len(plain[key]["rules"]) :] == [
        {"apiGroups": ["custom.k8s.io"], "resources": [each], "verbs": ["list"]} for each in ("containerversions", "kcds")
    ]  # fmt: skip


def test_the_settings_file_goes_along(mapped: Path) -> None:
    found = rendered(config=mapped)
    assert found["ConfigMap", "gitcd", "gitcd"]["data"] == {"config.yaml": MAPPED}
    assert environ(found)["GITCD_CONFIG"] == "/etc/gitcd/settings/config.yaml"
    assert environ(found)["GITCD_BRANCH"] == "live"
    assert job(found)["activeDeadlineSeconds"] == 35 * 60
    mounts = {each["name"]: each["mountPath"] for each in pod(found)["containers"][0]["volumeMounts"]}
    assert mounts["settings"] == "/etc/gitcd/settings"


def test_the_settings_file_can_be_read_and_reviewed_there(mapped: Path) -> None:
    text = install({"crd": False}, {"repo": HTTPS, "config": str(mapped)})["settings.yaml"]
    assert text.endswith("  config.yaml: |\n" + "".join(f"    {line}\n" for line in MAPPED.splitlines()))


@pytest.mark.parametrize("section", ["git", "forge"])
def test_a_token_never_goes_into_a_config_map(tmp_path: Path, section: str) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(f"{section}: {{token: hush}}\n")
    path.chmod(0o600)
    with pytest.raises(ConfigError, match=rf"settings.yaml:1: {section}.token would be readable"):
        rendered(config=path)


def test_nor_does_one_in_the_address_of_a_settings_file(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("repo: https://someone:hush@git.example.com/a/b\n")
    with pytest.raises(ConfigError, match="must not carry a user name or a token") as refused:
        rendered(config=path)
    assert "hush" not in str(refused.value)


def test_exit_codes_decide_whether_a_job_tries_again() -> None:
    rules = job(rendered())["podFailurePolicy"]["rules"]
    codes = {rule["action"]: rule["onExitCodes"]["values"] for rule in rules if "onExitCodes" in rule}
    assert codes == {
        "FailJob": [ExitCode.USAGE, ExitCode.ITEMS_FAILED, ExitCode.BUG],
        "Count": [ExitCode.TRANSIENT],
    }
    assert rules[0]["action"] == "Ignore"
    assert pod(rendered())["restartPolicy"] == "Never"


def test_apply_has_its_own_schedule_and_role(mapped: Path) -> None:
    found = rendered(config=mapped, apply="all", environment=("prod",))
    applying = job(found, "gitcd-apply-prod")
    (container,) = applying["template"]["spec"]["containers"]
    assert container["args"] == ["apply", "--environment", "prod", "--namespace", "gitcd", "--all"]
    assert applying["podFailurePolicy"]["rules"][1]["onExitCodes"]["values"] == [2, 4, 5, 70]
    assert applying["template"]["spec"]["automountServiceAccountToken"] is True
    roles = {key[1:]: each for key, each in found.items() if key[0] == "Role"}
    assert set(roles) == {
        ("kube-system", "gitcd-gitcd-which-cluster"),
        ("tiles", "gitcd-gitcd-apply"),
        ("maps", "gitcd-gitcd-apply"),
        ("gitcd", "gitcd-gitcd-records"),
    }
    rules = roles["tiles", "gitcd-gitcd-apply"]["rules"]
    assert {resource for rule in rules if "delete" in rule["verbs"] for resource in rule["resources"]} == {
        "deployments",
        "jobs",
        "pods",
    }
    assert "secrets" not in {resource for rule in rules for resource in rule["resources"]}
    assert not any(key[0] == "ClusterRole" for key in found)
    names = [rule.get("resourceNames") for rule in roles["gitcd", "gitcd-gitcd-records"]["rules"]]
    assert names == [None, None, ["gitcd-prod"], ["gitcd-prod"]]


def apply_rules(objects: dict[tuple[str, str, str], Any], namespace: str = "tiles") -> dict[str, list[str]]:
    """The verbs of apply's Role there, by resource and group."""
    rules = objects["Role", namespace, "gitcd-gitcd-apply"]["rules"]
    return {f"{each['resources'][0]}.{each['apiGroups'][0]}".rstrip("."): each["verbs"] for each in rules}


def test_apply_writes_only_into_the_namespaces_of_what_it_applies(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(
        "namespaces:\n"
        "  - {name: tiles, environments: [prod]}\n"
        "  - {name: maps, environments: [dev, prod]}\n"
        "  - {name: toys, environments: [dev]}\n"
        "environments:\n"
        "  - {name: prod, cluster: 01234567-89ab-cdef-0123-456789abcdef}\n"
        "  - {name: dev, cluster: 76543210-89ab-cdef-0123-456789abcdef}\n"
        "prometheus: {url: 'http://prometheus.monitoring:9090'}\n"
    )
    for asked, wanted in ((("prod",), ["tiles", "maps"]), ((), ["tiles", "maps", "toys"])):
        found = rendered(config=path, apply="images", environment=asked)
        assert [key[1] for key in found if key[::2] == ("Role", "gitcd-gitcd-apply")] == wanted
        ports, checked = found["NetworkPolicy", "gitcd", "gitcd"]["spec"]["egress"][1:]
        assert [each["port"] for each in ports["ports"]] == [443, 6443, 9090]
        names = [each["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] for each in checked["to"]]
        assert (names, "ports" in checked) == (wanted, False)
    everywhere = rendered(config=path, apply="images", cluster_wide=True)
    assert everywhere["NetworkPolicy", "gitcd", "gitcd"]["spec"]["egress"][2]["to"] == [{"namespaceSelector": {}}]


def test_what_is_deleted_is_allowed_only_where_that_is_asked_for(mapped: Path) -> None:
    plain, pruning = (rendered(config=mapped, apply="images", prune=each) for each in (False, True))
    (container,) = job(pruning, "gitcd-apply")["template"]["spec"]["containers"]
    assert container["args"] == ["apply", "--namespace", "gitcd", "--prune"]
    before, after = apply_rules(plain), apply_rules(pruning)
    assert {name for name, verbs in before.items() if "delete" in verbs} == {"deployments.apps", "jobs.batch", "pods"}
    kept = {name for name, verbs in after.items() if "patch" in verbs and "delete" not in verbs}
    assert kept == {"persistentvolumeclaims", "containerversions.gitcd.io", "containerversions/status.gitcd.io"}


def test_kinds_that_the_operator_allows_are_allowed_by_the_roles_too(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(MAPPED + "allow: {kinds: [Gizmo, Secret, Namespace, Service]}\n")
    with pytest.raises(ConfigError, match="has Gizmo, and it is not known how the cluster serves that"):
        rendered(config=path, apply="all")
    with pytest.raises(ConfigError, match="--kind Gadget: apply may not write that kind"):
        rendered(config=path, apply="all", kind=("Gadget=gadgets.example.com", "Gizmo=gizmos.example.com"))
    found = rendered(config=path, apply="all", kind=("Gizmo=gizmos.example.com",))
    rules = apply_rules(found)
    assert rules["secrets"] == rules["gizmos.example.com"] == ["get", "list", "create", "patch"]
    assert "namespaces" not in rules
    (whole,) = found["ClusterRole", "", "gitcd-gitcd-apply-cluster"]["rules"]
    assert whole == {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "list", "create", "patch"]}


def test_how_every_usual_kind_is_served_is_known() -> None:
    assert set(USUAL) == ALWAYS
    assert not USUAL.keys() & OTHERS.keys()
    assert SECRET in OTHERS


def test_apply_writes_everywhere_only_when_that_is_said(mapped: Path, tmp_path: Path) -> None:
    found = rendered(config=mapped, apply="images", cluster_wide=True)
    assert ("ClusterRole", "", "gitcd-gitcd-apply") in found
    bare = tmp_path / "bare.yaml"
    bare.write_text("environments: [{name: prod, cluster: 01234567-89ab-cdef-0123-456789abcdef}]\n")
    with pytest.raises(ConfigError, match="which namespaces may be written"):
        rendered(config=bare, apply="images")
    with pytest.raises(ConfigError, match="which cluster each environment is"):
        rendered(apply="images")
    with pytest.raises(ConfigError, match="which cluster dev is"):
        rendered(config=mapped, apply="images", environment=("prod", "dev"))


def test_a_controller_applies_by_itself(mapped: Path) -> None:
    found = rendered(config=mapped, apply="images", controller=True)
    (container,) = found["Deployment", "gitcd", "gitcd-run"]["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["run", "--apply", "images", "--apply-namespace", "gitcd"]
    assert ("Role", "tiles", "gitcd-gitcd-apply") in found
    assert not any(key[0] == "CronJob" for key in found)


def test_a_controller_stands_in_place_of_cron_jobs(mapped: Path) -> None:
    found = rendered(config=mapped, declarations_from="cluster", controller=True, environment=("dev", "prod"))
    assert not [kind for kind, _, _ in found if kind == "CronJob"]
    template = found["Deployment", "gitcd", "gitcd-run"]["spec"]["template"]
    (container,) = template["spec"]["containers"]
    chosen = ["--environment", "dev", "--environment", "prod"]
    assert container["args"] == ["run", *chosen, "--from", "cluster", "--all-namespaces"]
    assert {each["name"]: each["containerPort"] for each in container["ports"]} == {"http": 8081}
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
    service = found["Service", "gitcd", "gitcd-run"]["spec"]
    assert service["selector"].items() <= template["metadata"]["labels"].items()
    lease = found["Role", "gitcd", "gitcd-gitcd-lease"]["rules"]
    assert [(rule["verbs"], rule.get("resourceNames")) for rule in lease] == [
        (["create"], None),
        (["get", "update"], ["gitcd"]),
    ]


def test_a_controller_for_the_repository_needs_its_lease_alone() -> None:
    found = rendered(controller=True)
    assert [key for key in found if key[0].endswith("Role")] == [("Role", "gitcd", "gitcd-gitcd-lease")]
    pod = found["Deployment", "gitcd", "gitcd-run"]["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is True
    assert [each["port"] for each in found["NetworkPolicy", "gitcd", "gitcd"]["spec"]["egress"][1]["ports"]] == [
        443,
        6443,
    ]


def test_its_pod_is_that_of_a_cron_job_but_for_what_it_serves() -> None:
    (controlled,) = rendered(controller=True)["Deployment", "gitcd", "gitcd-run"]["spec"]["template"]["spec"][
        "containers"
    ]
    (job,) = pod(rendered())["containers"]
    assert controlled.keys() - job.keys() == {"ports", "livenessProbe", "readinessProbe"}
    assert {name for name in job if job[name] != controlled[name]} == {"args"}


def test_one_at_a_time_where_a_claim_keeps_the_cache() -> None:
    spec = {
        name: rendered(controller=True, cache_claim=name)["Deployment", "gitcd", "gitcd-run"]["spec"]
        for name in ("", "m")
    }
    assert (spec[""]["replicas"], "strategy" in spec[""]) == (2, False)
    assert (spec["m"]["replicas"], spec["m"]["strategy"]) == (1, {"type": "Recreate"})


def test_who_may_connect_is_said_by_namespace_and_by_token() -> None:
    policy = rendered(controller=True)["NetworkPolicy", "gitcd", "gitcd"]["spec"]
    assert "ingress" not in policy
    found = rendered(controller=True, http_auth=True, metrics_from=("monitoring",))
    (rule,) = found["NetworkPolicy", "gitcd", "gitcd"]["spec"]["ingress"]
    (reader,) = rule["from"]
    assert reader == {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    assert rule["ports"] == [{"protocol": "TCP", "port": 8081}]
    review = found["ClusterRole", "", "gitcd-gitcd-review"]["rules"]
    assert [rule["resources"] for rule in review] == [["tokenreviews"], ["subjectaccessreviews"]]


def test_one_cron_job_for_each_environment() -> None:
    found = rendered(environment=("dev", "prod", "dev"))
    names = [name for kind, _, name in found if kind == "CronJob"]
    assert names == ["gitcd-reconcile-dev", "gitcd-reconcile-prod"]
    assert pod(found, names[1])["containers"][0]["args"] == ["reconcile", "--environment", "prod"]
    assert found["CronJob", "gitcd", names[0]]["spec"]["concurrencyPolicy"] == "Forbid"


@pytest.mark.parametrize(
    ("repo", "ports"),
    [
        (HTTPS, [443]),
        ("https://git.example.com:3000/a/b", [443, 3000]),
        ("git@git.example.com:a/b.git", [443, 22]),
        (SSH, [443, 2222]),
    ],
)
def test_pods_reach_what_they_need(repo: str, ports: list[int]) -> None:
    policy = rendered(repo)["NetworkPolicy", "gitcd", "gitcd"]["spec"]
    assert "ingress" not in policy
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    names, others = policy["egress"]
    assert {each["port"] for each in names["ports"]} == {53}
    assert [each["port"] for each in others["ports"]] == ports


def test_pod_identity_opens_its_agent_and_irsa_names_the_role() -> None:
    found = rendered(pod_identity=True, role_arn="arn:aws:iam::123456789012:role/gitcd")
    agent = found["NetworkPolicy", "gitcd", "gitcd"]["spec"]["egress"][2]
    assert {each["ipBlock"]["cidr"] for each in agent["to"]} == {"169.254.170.23/32", "fd00:ec2::23/128"}
    annotations = found["ServiceAccount", "gitcd", "gitcd"]["metadata"]["annotations"]
    assert annotations["eks.amazonaws.com/role-arn"] == "arn:aws:iam::123456789012:role/gitcd"


def test_credentials_come_from_a_secret_by_reference() -> None:
    https, ssh, none = rendered(), rendered(SSH), rendered(git_secret="")
    token = [each for each in pod(https)["containers"][0]["env"] if each["name"] == "GITCD_GIT_TOKEN"]
    assert token[0]["valueFrom"] == {"secretKeyRef": {"name": "gitcd-git", "key": "token"}}
    assert environ(ssh)["GITCD_GIT_SSH_KEY"] == "/etc/gitcd/git/ssh-privatekey"
    assert environ(ssh)["GITCD_GIT_KNOWN_HOSTS"] == "/etc/gitcd/git/known_hosts"
    assert "GITCD_GIT_TOKEN" not in environ(ssh)
    assert "secret" not in str(pod(none)).lower()


def test_the_cache_is_memory_or_a_claim() -> None:
    volumes = {each["name"]: each for each in pod(rendered(cache_size="2Gi"))["volumes"]}
    assert volumes["cache"]["emptyDir"] == {"medium": "Memory", "sizeLimit": "2Gi"}
    volumes = {each["name"]: each for each in pod(rendered(cache_claim="mirrors"))["volumes"]}
    assert volumes["cache"]["persistentVolumeClaim"] == {"claimName": "mirrors"}


def test_the_definition_comes_first(tmp_path: Path) -> None:
    files = install({"create_namespace": True}, {"repo": HTTPS})
    assert objects(files)[0] == custom_resource_definition()
    assert list(files)[:2] == ["crd.yaml", "namespace.yaml"]
    write(tmp_path / "base", files)
    assert sorted(path.name for path in (tmp_path / "base").iterdir()) == sorted([*files, "kustomization.yaml"])
    assert objects({"": kustomization(files)})[0]["resources"] == list(files)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"image": "two words"}, "--image: 'two words' is not an image reference"),
        ({"schedule": "often"}, "--schedule: 'often' is not five cron fields"),
        ({"namespace": "Up"}, "--namespace: 'Up' is not"),
        ({"environment": ("a_b",)}, "--environment: 'a_b' is not"),
        ({"environment": ("x" * 60,)}, "name of more than 52 characters"),
        ({"role_arn": "gitcd"}, "--role-arn: 'gitcd' is not the ARN of a role"),
        ({"cluster_wide": True}, "--cluster-wide goes with --from cluster"),
        ({"old_kinds": True}, "--old-kinds goes with --from cluster"),
        ({"http_auth": True}, "--http-auth and --metrics-from go with --controller"),
        ({"prune": True}, "--prune and --kind go with --apply"),
        ({"apply": "images", "controller": True, "prune": True}, "--prune goes with CronJobs"),
        ({"apply": "images", "kind": ("Gizmo",)}, "--kind: 'Gizmo' is not KIND=PLURAL.GROUP"),
        ({"controller": True, "metrics_from": ("Up",)}, "--metrics-from: 'Up' is not"),
        ({"declarations_from": "cluster"}, "unless the operator maps their namespaces"),
    ],
)
def test_what_is_not_valid_is_refused(flags: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        rendered(**flags)


@pytest.mark.parametrize(
    ("repo", "message"),
    [("", "no config repository is named"), ("/srv/config.git", "no pod reaches"), ("https://t@h/x", "user name")],
)
def test_the_repository_is_an_address(repo: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        rendered(repo)


@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=40))
def test_every_value_comes_through_as_text(text: str) -> None:
    """YAML makes nothing else of it, nor of what follows: quotes, braces, colons, `on`, `012`."""
    found = rendered(image=text)
    assert pod(found)["containers"][0]["image"] == text
    assert pod(found)["restartPolicy"] == "Never"


def test_settings_are_defaults_without_a_file() -> None:
    assert job(rendered())["activeDeadlineSeconds"] == Settings().deadlines.run.total_seconds() + 300
