"""Declarations from a real API server: what is read, how far they reach, and what happens when the cluster is in trouble."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import HTTPServer
from pathlib import Path

import pytest

from gitcd.cli import main
from gitcd.cluster import access, api, containerversions
from gitcd.cluster.api import Api, DeclinedError
from gitcd.errors import ConfigError, TransientError
from gitcd.model.plan import OutcomeKind, plan_exit_code
from gitcd.model.settings import EnvironmentCluster, NamespaceScope, Settings
from gitcd.usecases.cluster_source import Asked, read_cluster
from tests.support import faultproxy
from tests.support.containerversions import BASE, definition, deployment, manifest, outcomes, scene, settings_file
from tests.support.controlplane_files import kubeconfig
from tests.support.ecr import StandIn
from tests.support.listening import Quiet
from tests.support.scenes import reference, run

__all__ = ["definition", "scene"]


def declare_both(scene):
    for name in ("app", "other"):
        scene.declare(name)


class TestThePlan:
    def test_it_is_the_one_from_the_repository(self, scene):
        declare_both(scene)
        cluster = scene.plan()
        folder = "envs/dev/{}/cv.yaml"
        files = {folder.format(name): json.dumps(manifest(name, scene.namespace)).encode() for name in ("app", "other")}
        scene.remote.commit(files)
        repository = run(scene.remote.url, scene.tags).work
        assert cluster.plan.files == repository.plan.files
        assert [each.message for each in cluster.plan.commits] == [each.message for each in repository.plan.commits]
        same = [replace(each, origin=None) for each in repository.plan.outcomes]
        assert [replace(each, origin=None) for each in cluster.plan.outcomes] == same
        assert {str(each.origin) for each in cluster.plan.outcomes} == {
            f"containerversions/{name} in namespace {scene.namespace}" for name in ("app", "other")
        }

    def test_what_it_commits_is_what_it_shows(self, scene):
        declare_both(scene)
        planned = scene.plan()
        published = scene.run()
        assert len(published.commits) == 1
        assert published.work.plan.files == planned.plan.files
        for name in ("app", "other"):
            assert reference(name, "1.1.0") in scene.remote.show(f"envs/dev/{name}/deployment.yaml")

    def test_only_the_namespace_of_the_context_is_acted_on(self, scene):
        declare_both(scene)
        assert scene.plan().plan.outcomes != ()
        elsewhere = replace(scene, asked=replace(scene.asked, namespace="default"))
        assert elsewhere.plan().plan.outcomes == ()

    def test_a_selector_is_heeded_as_kubectl_does(self, scene):
        declare_both(scene)
        scene.patch("app", {"metadata": {"labels": {"tier": "web"}}})
        for selector, names in [("tier=web", ["app"]), ("tier!=web", ["other"]), ("tier in (web, x)", ["app"])]:
            chosen = replace(scene, asked=replace(scene.asked, selector=selector))
            assert [name for name, _, _ in outcomes(chosen.plan())] == names
        everywhere = replace(scene.asked, selector="tier=web", all_namespaces=True)
        assert [name for name, _, _ in outcomes(replace(scene, asked=everywhere).plan())] == ["app"]
        with pytest.raises(ConfigError, match="--selector"):
            replace(scene, asked=replace(scene.asked, selector="tier in web")).plan()

    def test_half_a_group_does_not_move(self, scene):
        declare_both(scene)
        for name in ("app", "other"):
            scene.patch(name, {"spec": {"strategy": {"group": "g"}}})
        scene.patch("other", {"spec": {"versionSyntax": "("}})
        kinds = {name: (kind, reason) for name, kind, reason in outcomes(scene.plan())}
        assert kinds["other"] == ("Failed", "InvalidDeclaration")
        assert kinds["app"][0] == "Blocked"

    @pytest.mark.parametrize("name", ["../pods", "a/b", "a?limit=1", "A"])
    def test_a_namespace_is_a_name_and_no_path(self, scene, name):
        with pytest.raises(ConfigError, match="is no name of a namespace"):
            replace(scene, asked=replace(scene.asked, namespace=name)).plan()

    def test_nor_does_half_of_one_whose_other_half_is_in_a_namespace_that_is_not_chosen(self, scene):
        other = f"{scene.namespace}-b"
        scene.plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": other}})
        scene.scopes.append(NamespaceScope(other, ("dev",)))
        scene.remote.commit(deployment("other", other))
        scene.declare("app", strategy={"group": "g"})
        replace(scene, namespace=other).declare("other", strategy={"group": "g"})
        assert {(name, kind) for name, kind, _ in outcomes(scene.plan())} == {("app", "Blocked")}
        everywhere = replace(scene, asked=replace(scene.asked, all_namespaces=True))
        kinds = {each.kind for each in everywhere.plan().plan.outcomes if each.identity.environment}
        assert kinds == {"Bumped"}


class TestTheSameInBoth:
    def test_equal_is_fine(self, scene):
        declare_both(scene)
        path = "envs/dev/app/cv.yaml"
        scene.remote.commit({path: json.dumps(manifest("app", scene.namespace)).encode()})
        assert {kind for _, kind, _ in outcomes(scene.plan())} == {"Bumped"}

    @pytest.mark.parametrize("spec", [{"pin": "Digest"}, {"pin": "nonsense"}])
    def test_different_is_an_error_that_names_both(self, scene, spec):
        declare_both(scene)
        scene.remote.commit(
            {"envs/dev/app/cv.yaml": json.dumps(manifest("app", scene.namespace, **spec), indent=1).encode()}
        )
        found = {each.identity.name: each for each in scene.plan().plan.outcomes}
        assert found["other"].kind is OutcomeKind.BUMPED
        assert found["app"].reason == "DuplicateDeclaration"
        assert f"containerversions/app in namespace {scene.namespace}" in found["app"].message
        assert "envs/dev/app/cv.yaml:" in found["app"].message


class TestTheMap:
    def test_without_one_nothing_is_read(self, scene):
        with pytest.raises(ConfigError, match="no namespace of the cluster is mapped") as refused:
            read_cluster(Settings(), Asked(kubeconfig="/no/such/file"))
        assert "namespaces:" in refused.value.remedy

    def test_T13_a_declaration_reaches_no_file_of_another_namespace(self, scene):
        """By its places, its paths, its environment, or for want of a map: refused, Stalled, and told by an event."""
        scene.scopes[0] = replace(scene.scopes[0], paths=("envs/dev/other",))
        outside = [{"file": "envs/dev/app/deployment.yaml", "pointer": "/spec/template/spec/containers/0/image", "format": "reference"}]  # fmt: skip
        scene.declare("app", selector={}, places=outside)
        scene.declare("other", environment="prod")
        planned = scene.run().work
        assert {kind for _, kind, _ in outcomes(planned)} == {"Failed"}
        assert not planned.plan.files
        for name in ("app", "other"):
            states = scene.conditions(name)
            assert (states["Ready"][0], states["Stalled"][0]) == ("False", "True")
            (event,) = scene.events(name)
            assert (event["type"], event["reason"]) == ("Warning", states["Stalled"][1])
        scene.scopes[0] = replace(scene.scopes[0], name="somebody-else")
        assert {reason for _, _, reason in outcomes(scene.plan())} == {"NamespaceNotAllowed"}

    def test_T14_a_declaration_follows_no_registry_of_another_account(self, scene):
        scene.scopes[0] = replace(scene.scopes[0], registries=("123456789012",))
        scene.declare("app")
        scene.declare("other", imageRepo="210987654321.dkr.ecr.us-east-1.amazonaws.com/team/other")
        kinds = {name: (kind, reason) for name, kind, reason in outcomes(scene.plan())}
        assert kinds == {"app": ("Bumped", "Bumped"), "other": ("Failed", "RegistryNotAllowed")}

    def test_an_environment_of_another_cluster_is_not_reached(self, scene):
        declare_both(scene)
        uid = scene.plane.get("/api/v1/namespaces/kube-system")["metadata"]["uid"]
        scope = replace(scene.scopes[0], environments=("dev", "prod"), paths=())
        other = EnvironmentCluster("prod", "00000000-0000-0000-0000-000000000000")
        settings = Settings(namespaces=(scope,), environments=(EnvironmentCluster("dev", uid), other))
        assert read_cluster(settings, scene.asked).mapped.elsewhere == {"prod"}


def plugged(folder: Path, script: str) -> Path:
    """A kubeconfig whose user gets credentials from a plugin."""
    (folder / "ca").touch()
    text = json.loads(kubeconfig("http://127.0.0.1:1", folder / "ca", "x"))
    words = {"command": "sh", "args": ["-c", script], "interactiveMode": "Never"}
    text["users"][0]["user"] = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", **words}}
    path = folder / "exec.kubeconfig"
    path.write_text(json.dumps(text))
    return path


class TestTheWayIn:
    def test_T25_a_kubeconfig_in_the_repository_is_ignored(self, scene, tmp_path, monkeypatch, capfd):
        """Only a flag or the environment names one: what it says may start programs."""
        traces = tmp_path / "started"
        plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "touch", "args": [str(traces)]}
        text = json.loads(kubeconfig(scene.plane.server, scene.plane.ca, "x"))
        text["users"][0]["user"] = {"exec": {**plugin, "interactiveMode": "Never"}}
        checkout = tmp_path / "checkout"
        for name in ("kubeconfig", "config", ".kube/config", "kubeconfig.yaml", ".gitcd/kubeconfig"):
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            (checkout / name).write_text(json.dumps(text))
        monkeypatch.chdir(checkout)
        code = main.run(["diff", "--from", "cluster", "--config", str(settings_file(scene, tmp_path)), "."])
        assert code == 2
        assert "no cluster is configured" in capfd.readouterr().err
        assert not traces.exists()

    def test_an_exec_plugin_of_the_operator_is_asked(self, scene, tmp_path):
        credential = {
            "apiVersion": "client.authentication.k8s.io/v1",
            "kind": "ExecCredential",
            "status": {"token": scene.plane.admin.token},
        }
        text = json.loads(kubeconfig(scene.plane.server, scene.plane.ca, "x"))
        text["users"][0]["user"] = {
            "exec": {
                "apiVersion": credential["apiVersion"],
                "command": "echo",
                "args": [json.dumps(credential)],
                "interactiveMode": "Never",
            }
        }
        path = tmp_path / "exec.kubeconfig"
        path.write_text(json.dumps(text))
        scene.declare("app")
        assert [
            name for name, _, _ in outcomes(replace(scene, asked=replace(scene.asked, kubeconfig=str(path))).plan())
        ]

    @pytest.mark.parametrize(
        ("script", "message"),
        [
            ("echo nobody is logged in >&2; exit 3", "gave none: exec: process returned 3. nobody is logged in"),
            ("echo no json", "gave none: exec: failed to decode process output"),
            ("exec /no/such/plugin", "gave none: exec: process returned 127"),
            (
                """echo '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {}}'""",
                "gave none: exec: missing token or clientCertificateData",
            ),
        ],
    )
    def test_an_exec_plugin_that_fails_ends_it(self, tmp_path, caplog, script, message):
        """The library would go on as nobody, and the API server blame permissions."""
        path = plugged(tmp_path, script)
        with pytest.raises(ConfigError, match=message) as refused:
            access.find_access(str(path))
        assert refused.value.remedy.startswith("Run by hand what `exec` of its user says")
        assert not caplog.records

    def test_an_exec_plugin_that_fails_later_ends_it_too(self, tmp_path):
        """Credentials that have run out are asked for anew before a request."""
        credential = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential"}
        credential |= {"status": {"token": "short-lived", "expirationTimestamp": "2020-01-01T00:00:00Z"}}
        (tmp_path / "answer").write_text(json.dumps(credential))
        found = access.find_access(str(plugged(tmp_path, f"cat {tmp_path}/answer")))
        assert found.authorize() == {"Authorization": "Bearer short-lived"}
        (tmp_path / "answer").unlink()
        with pytest.raises(ConfigError, match="gave none: exec: process returned 1"):
            found.authorize()

    def test_an_exec_plugin_is_asked_once_for_all_who_wait_for_it(self, tmp_path):
        """Sixteen workers may find the credentials run out at the same time; a plugin may open a browser."""
        for name, year in (("first", 2020), ("next", 2999)):
            credential = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential"}
            credential |= {"status": {"token": name, "expirationTimestamp": f"{year}-01-01T00:00:00Z"}}
            (tmp_path / name).write_text(json.dumps(credential))
        script = f"cd {tmp_path}; echo >> asked; if mv first used 2>&-; then cat used; else sleep 0.1; cat next; fi"
        found = access.find_access(str(plugged(tmp_path, script)))
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: found.authorize(), range(8)))
        assert answers == [{"Authorization": "Bearer next"}] * 8
        assert (tmp_path / "asked").read_text() == "\n\n"

    def test_a_pods_token_is_read_anew(self, scene, tmp_path, monkeypatch):
        account = tmp_path / "serviceaccount"
        account.mkdir()
        (account / "token").write_text("stale-token-of-a-pod")
        (account / "ca.crt").write_bytes(scene.plane.ca.read_bytes())
        (account / "namespace").write_text(scene.namespace)
        monkeypatch.setattr(access, "SERVICE_ACCOUNT", account)
        host, port = scene.plane.server.removeprefix("https://").split(":")
        environ = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}
        client = Api(access.find_access(environ=environ))
        assert client.namespace == scene.namespace
        with pytest.raises(ConfigError, match="does not accept these credentials"):
            client.get("/api/v1/namespaces")
        (account / "token").write_text(scene.plane.admin.token)
        assert client.get("/api/v1/namespaces")["items"]

    @pytest.mark.parametrize(
        ("text", "context", "message"),
        [("]", "", "cannot be used"), ("{}", "", "cannot be used"), ("", "", "cannot be used"), (None, "none", "none")],
    )
    def test_a_faulty_kubeconfig_is_named(self, scene, tmp_path, text, context, message):
        path = tmp_path / "faulty"
        path.write_text(scene.plane.admin.kubeconfig.read_text() if text is None else text)
        with pytest.raises(ConfigError, match=message) as refused:
            access.find_access(str(path), context)
        assert str(path) in refused.value.message
        assert scene.plane.admin.token not in str(refused.value)

    def test_a_server_with_another_certificate_is_not_trusted(self, scene, tmp_path):
        text = json.loads(scene.plane.admin.kubeconfig.read_text())
        text["clusters"][0]["cluster"].pop("certificate-authority-data")
        path = tmp_path / "untrusting"
        path.write_text(json.dumps(text))
        with pytest.raises(ConfigError, match="certificate that is not trusted"):
            Api(access.find_access(str(path))).get("/version")

    @pytest.mark.parametrize("server", ["ftp://127.0.0.1:1", "127.0.0.1:1"])
    def test_a_server_that_is_no_web_address_is_said_at_once(self, scene, tmp_path, server):
        text = json.loads(scene.plane.admin.kubeconfig.read_text())
        text["clusters"][0]["cluster"]["server"] = server
        path = tmp_path / "odd"
        path.write_text(json.dumps(text))
        with pytest.raises(ConfigError, match="is no http or https address"):
            access.find_access(str(path))


class TestTrouble:
    def test_F40_a_list_whose_page_expires_is_read_anew_and_misses_nothing(self, scene, monkeypatch):
        declare_both(scene)
        monkeypatch.setattr(api, "PAGE", 1)
        with faultproxy.before(scene.plane) as proxy:
            proxy.answer(410, path="continue=", times=2)
            assert [name for name, _, _ in outcomes(scene.through(proxy.plane).plan())] == ["app", "other"]
            proxy.answer(410, path="continue=", times=100)
            with pytest.raises(TransientError, match="expire"):
                scene.through(proxy.plane).read()

    @pytest.mark.parametrize("status", [429, 500, 503, 504])
    def test_F41_passing_trouble_is_waited_out(self, scene, status):
        scene.declare("app")
        with faultproxy.before(scene.plane) as proxy:
            proxy.answer(status, path="/containerversions", times=2, retry_after=0)
            assert [name for name, _, _ in outcomes(scene.through(proxy.plane).plan())] == ["app"]

    def test_F41_retry_after_is_heeded(self, scene):
        pauses = []
        with faultproxy.before(scene.plane) as proxy:
            proxy.answer(429, path="/version", times=1, retry_after=7)
            Api(access.find_access(str(proxy.plane.admin.kubeconfig)), sleep=pauses.append).get("/version")
            proxy.answer(429, path="/version", times=1, retry_after=7000)
            with pytest.raises(TransientError, match="429"):
                Api(access.find_access(str(proxy.plane.admin.kubeconfig)), sleep=pauses.append).get("/version")
        assert pauses == [7]

    def test_F41_a_cut_answer_is_asked_for_again(self, scene):
        scene.declare("app")
        with faultproxy.before(scene.plane) as proxy:
            proxy.cut(path="/containerversions", after=100)
            assert [name for name, _, _ in outcomes(scene.through(proxy.plane).plan())] == ["app"]

    def test_F41_lasting_trouble_is_exit_3_and_no_commit(self, scene, tmp_path, capfd):
        scene.declare("app")
        config, tip = settings_file(scene, tmp_path), scene.remote.tip
        with faultproxy.before(scene.plane) as proxy:
            proxy.answer(503, path="/containerversions", times=1000)
            kube = str(proxy.plane.admin.kubeconfig)
            words = [
                "reconcile",
                "--from",
                "cluster",
                "-A",
                "--kubeconfig",
                kube,
                "--config",
                str(config),
                scene.remote.url,
            ]
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("GITCD_DEADLINES_RUN", "2s")
                begun = time.monotonic()
                assert main.run(words) == 3
        assert time.monotonic() - begun < 20
        assert "503" in capfd.readouterr().err
        assert scene.remote.tip == tip

    @pytest.mark.parametrize(
        "body",
        [
            b"{}",
            b"[]",
            b"<html>",
            b"",
            b'{"kind": "List", "items": null, "metadata": {}}',
            b'{"items": [], "metadata": {}}',
            b'{"kind": "List", "items": [1], "metadata": {}}',
            b'{"kind": "List", "items": [{"metadata": {"name": "a"}}], "metadata": {}}',
        ],
    )
    def test_F41_an_answer_that_is_no_list_is_never_taken_for_no_declarations(self, body, tmp_path):
        class Odd(Quiet):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        server = HTTPServer(("127.0.0.1", 0), Odd)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        path = tmp_path / "odd"
        text = {
            "apiVersion": "v1", "kind": "Config", "current-context": "x", "users": [],
            "clusters": [{"name": "x", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
            "contexts": [{"name": "x", "context": {"cluster": "x", "user": ""}}],
        }  # fmt: skip
        path.write_text(json.dumps(text))
        with pytest.raises(TransientError):
            containerversions.list_all(Api(access.find_access(str(path)), patience=0.3), [])
        server.shutdown()
        server.server_close()

    def test_F41_a_server_that_is_not_there_is_transient(self, scene, tmp_path):
        path = tmp_path / "gone"
        path.write_text(kubeconfig("https://127.0.0.1:1", scene.plane.ca, "a-token-of-nobody"))
        with pytest.raises(TransientError, match="cannot be reached") as raised:
            Api(access.find_access(str(path)), patience=0.5).get("/version")
        assert "a-token-of-nobody" not in str(raised.value)

    @pytest.mark.parametrize(
        "body",
        [
            b'{"kind": "Status", "status": "Failure", "reason": "Invalid", "message": "Bearer %s"}',
            b"<html>%s</html>",
            b'{"kind": "Secret", "message": "%s"}',
        ],
    )
    def test_no_answer_brings_a_secret_into_a_message(self, body, tmp_path):
        token = b"a-token-that-nobody-may-see-0123456789"

        class Telling(Quiet):
            def do_GET(self):
                assert self.headers["Authorization"] == f"Bearer {token.decode()}"
                self.send_response(422 if "invalid" in self.path else 503)
                self.end_headers()
                self.wfile.write(body % token)

        server = HTTPServer(("127.0.0.1", 0), Telling)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        path = tmp_path / "telling"
        text = {
            "apiVersion": "v1", "kind": "Config", "current-context": "x",
            "users": [{"name": "u", "user": {"token": token.decode()}}],
            "clusters": [{"name": "x", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
            "contexts": [{"name": "x", "context": {"cluster": "x", "user": "u"}}],
        }  # fmt: skip
        path.write_text(json.dumps(text))
        client = Api(access.find_access(str(path)), patience=0.2)
        for place in ("/invalid", "/trouble"):
            with pytest.raises((TransientError, DeclinedError)) as raised:
                client.get(place)
            assert token.decode() not in str(raised.value)
        server.shutdown()
        server.server_close()

    def test_F42_without_the_definition_the_remedy_installs_it(self, scene, monkeypatch):
        monkeypatch.setattr(containerversions, "_PATH", "/apis/absent.gitcd.io/v1")
        monkeypatch.setattr(containerversions, "GROUP_PATH", "/apis/absent.gitcd.io")
        with pytest.raises(ConfigError, match=r"has no ContainerVersion of gitcd.io/v1\n") as refused:
            scene.read()
        assert refused.value.remedy == "Install it: gitcd schema crd | kubectl apply --server-side -f -"
        assert refused.value.exit_code == 2

    def test_F42_another_version_is_named(self, scene, monkeypatch):
        monkeypatch.setattr(containerversions, "_PATH", "/apis/gitcd.io/v1alpha0")
        with pytest.raises(ConfigError, match="it serves v1 of that group"):
            scene.read()

    def test_F42_an_object_that_only_the_server_takes_stops_nobody_else(self, scene):
        declare_both(scene)
        scene.patch("app", {"spec": {"versionSyntax": "(?=x)"}})
        planned = scene.run().work
        assert {name: kind for name, kind, _ in outcomes(planned)} == {"app": "Failed", "other": "Bumped"}
        assert scene.conditions("app")["Stalled"] == ("True", "InvalidDeclaration")

    def test_F42_what_the_server_warns_of_is_passed_on_once(self, scene, caplog):
        client = Api(access.find_access(scene.asked.kubeconfig))
        path = f"{BASE}/namespaces/{scene.namespace}/containerversions"
        for name in ("one", "two"):
            made = manifest(name, scene.namespace)
            client.create(path, {**made, "spec": {**made["spec"], "fieldOfTomorrow": 1}})
        (record,) = [each for each in caplog.records if "warns" in each.message]
        assert 'unknown field "spec.fieldOfTomorrow"' in record.message

    def test_F42_a_field_that_the_definition_does_not_have_is_warned_of_and_dropped(self, scene):
        """By the API server, when the object is written: whoever reads it never sees the field."""
        made = manifest("app", scene.namespace)
        text = json.dumps({**made, "spec": {**made["spec"], "fieldOfTomorrow": 1}})
        for words in (["create"], ["apply"], ["apply", "--server-side"]):
            strict = scene.plane.kubectl(*words, "-f", "-", stdin=text, check=False)
            assert (strict.returncode, "spec.fieldOfTomorrow" in strict.stderr) == (1, True)
        lenient = scene.plane.kubectl("create", "--validate=warn", "-f", "-", stdin=text)
        assert 'Warning: unknown field "spec.fieldOfTomorrow"' in lenient.stderr
        assert "fieldOfTomorrow" not in scene.get("app")["spec"]
        assert [kind for _, kind, _ in outcomes(scene.plan())] == ["Bumped"]

    def test_F42_a_field_of_a_newer_definition_fails_its_declaration_alone(self, scene, monkeypatch):
        """What it asks for is not known, so nothing is done as if it were not there; nor is it in a file."""
        declare_both(scene)
        collect = Api.collect

        def of_tomorrow(self, path, take, *rest, **more):
            def extended(item):
                if item["metadata"]["name"] == "app":
                    item["spec"]["fieldOfTomorrow"] = 1
                return take(item)

            return collect(self, path, extended, *rest, **more)

        monkeypatch.setattr(Api, "collect", of_tomorrow)
        planned = scene.plan()
        assert {(name, kind, reason) for name, kind, reason in outcomes(planned)} == {
            ("app", "Failed", "InvalidDeclaration"),
            ("other", "Bumped", "Bumped"),
        }
        (failed,) = [each for each in planned.plan.outcomes if each.identity.name == "app"]
        assert "fieldOfTomorrow" in failed.message

    def test_F43_one_forbidden_namespace_does_not_stop_the_rest(self, scene):
        declare_both(scene)
        other = f"{scene.namespace}-b"
        scene.plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": other}})
        role = f"""\
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: gitcd, namespace: {scene.namespace}}}
rules:
  - {{apiGroups: [gitcd.io], resources: [containerversions], verbs: [get, list]}}
  - {{apiGroups: [gitcd.io], resources: [containerversions/status], verbs: [patch]}}
  - {{apiGroups: [events.k8s.io], resources: [events], verbs: [create]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: gitcd, namespace: {scene.namespace}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: gitcd}}
subjects: [{{kind: ServiceAccount, name: gitcd, namespace: {scene.namespace}}}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: gitcd, namespace: {scene.namespace}}}
"""
        scene.plane.apply(role)
        scene.scopes.append(NamespaceScope(other, ("dev",)))
        account = scene.plane.account(scene.namespace, "gitcd")
        everywhere = replace(scene.by(account), asked=Asked(str(account.kubeconfig), all_namespaces=True))
        published = everywhere.run()
        plan = published.work.plan
        assert {kind for _, kind, _ in outcomes(published.work)} == {"Bumped"}
        assert len(published.commits) == 1
        assert plan_exit_code(plan) == 5
        (failure,) = plan.failures
        assert f"namespace {other}" in failure.message
        assert 'cannot list resource "containerversions"' in failure.message
        assert failure.remedy.startswith("Allow the verb list on containerversions.gitcd.io")
        assert scene.conditions("app")["Ready"] == ("True", "Current")
        scene.patch("app", {"metadata": {"labels": {"tier": "web"}}})
        chosen = replace(everywhere, asked=replace(everywhere.asked, selector="tier=web"))
        assert [name for name, _, _ in outcomes(chosen.plan())] == ["app"]
        mark = scene.plane.audit.mark()
        assert plan_exit_code(scene.by(account).run().work.plan) == 0  # the other namespace is none of what was asked
        asked = [each for each in scene.plane.audit.since(mark, user=account.name) if each.resource]
        assert {each.verb for each in asked} == {"list"}


def test_what_is_being_deleted_declares_nothing(scene):
    declare_both(scene)
    scene.patch("app", {"metadata": {"finalizers": ["example.com/wait"]}})
    scene.delete("app")
    assert [name for name, _, _ in outcomes(scene.run().work)] == ["other"]
    assert "status" not in scene.get("app")
    scene.patch("app", {"metadata": {"finalizers": None}})


def test_nothing_declared_is_said_with_the_place(scene):
    (warning,) = scene.run().work.plan.warnings
    assert warning.startswith(f"there is no such ContainerVersion in namespace {scene.namespace} of https://")


def test_a_plan_from_a_cluster_can_be_reviewed_and_committed(scene, tmp_path, capfd):
    declare_both(scene)
    config, file = str(settings_file(scene, tmp_path)), str(tmp_path / "plan.json")
    with StandIn() as ecr, pytest.MonkeyPatch.context() as patch:
        for name in ("app", "other"):
            ecr.put(f"team/{name}", tags=["1.0.0"])
            ecr.put(f"team/{name}", tags=["1.1.0", "env-dev"])
        patch.setenv("GITCD_ECR_ENDPOINT_URL", ecr.url)
        words = ["--from", "cluster", "-n", scene.namespace, "--kubeconfig", scene.asked.kubeconfig, "--config", config]
        assert main.run(["reconcile", "--dry-run", "--out", file, *words, scene.remote.url]) == 0
        assert scene.get("app").get("status") is None
        assert main.run(["reconcile", "--plan", file, *words, scene.remote.url]) == 0
        assert main.run(["explain", "app", *words, scene.remote.url]) == 0
    out = capfd.readouterr().out
    assert f"containerversions/app in namespace {scene.namespace}" in out
    assert "the operator bounds it to envs/dev" in out
    assert b":1.1.0@sha256:" in scene.remote.show("envs/dev/app/deployment.yaml")
    assert scene.conditions("app")["Ready"] == ("True", "Current")


def test_what_the_cluster_declares_can_be_held_and_released(scene, tmp_path):
    declare_both(scene)
    flags = [
        "--from",
        "cluster",
        "--kubeconfig",
        scene.asked.kubeconfig,
        "--config",
        str(settings_file(scene, tmp_path)),
    ]
    assert main.run(["hold", "app", *flags, "--reason", "a look first", scene.remote.url]) == 0
    assert b"a look first" in scene.remote.show(f".gitcd/holds/dev/{scene.namespace}.app.yaml")
    assert {name: kind for name, kind, _ in outcomes(scene.run().work)} == {"app": "Held", "other": "Bumped"}
    assert scene.conditions("app")["Ready"][0] == "True"
    assert main.run(["release", "app", *flags, scene.remote.url]) == 0
    assert {name: kind for name, kind, _ in outcomes(scene.plan())} == {"app": "Bumped", "other": "Current"}
