"""Commands against a real registry of the distribution project: what a user sees who has no ECR."""

import base64
import json

import pytest

from gitcd.cli.main import run
from tests.support.distribution import LOGIN, push, registry, skopeo

VERSION = "org.opencontainers.image.version"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with registry(tmp_path_factory.mktemp("registry"), password=True) as running:
        for version in ("1.0.0", "1.1.0", "1.2.0", "2.0.0", "1.3.0-rc.1"):
            push(running, "team/app", version, labels={VERSION: version})
        push(running, "team/web", "env-dev", labels={VERSION: "3.1.0"}, platforms=("amd64", "arm64"))
        push(running, "team/old", "env-dev")
        yield running


@pytest.fixture(autouse=True)
def logged_in(server, monkeypatch, tmp_path):
    auth = base64.b64encode(":".join(LOGIN).encode()).decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {server.host: {"auth": auth}}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))


@pytest.fixture
def gitcd(capfd):
    def call(*arguments):
        code = run(list(arguments))
        out, err = capfd.readouterr()
        return code, out, err

    return call


def app(folder, host, name, followed, image="1.0.0", more=""):
    (folder / f"{name}.yaml").write_text(f"""\
apiVersion: gitcd.io/v1
kind: ContainerVersion
metadata: {{name: {name}, namespace: team}}
spec:
  imageRepo: {host}/team/{name}
  {followed}
  selector: {{app: {name}}}
{more}---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: team}}
spec:
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      containers:
      - {{name: main, image: '{host}/team/{name}:{image}'}}
""")


def lines(text, start):
    return [line for line in text.splitlines() if line.startswith(start) and not line.startswith(start * 2)]


def test_a_diff_of_what_follows_rules_tags_and_labels(gitcd, server, tmp_path):
    folder = tmp_path / "repo"
    folder.mkdir()
    app(folder, server.host, "app", "follow: {semver: '>=1.1, <2'}")
    app(folder, server.host, "web", "tag: env-dev")
    app(folder, server.host, "old", "tag: env-dev")
    code, out, err = gitcd("diff", str(folder))
    digests = {
        name: json.loads(skopeo(server, "inspect", f"docker://{server.host}/team/{name}"))["Digest"]
        for name in ("app:1.2.0", "web:env-dev", "old:env-dev")
    }
    assert code == 1, err
    assert lines(out, "+") == [
        f"+      - {{name: main, image: '{server.host}/team/{name}:{tag}@{digests[key]}'}}"
        for name, tag, key in (
            ("app", "1.2.0", "app:1.2.0"),
            ("old", "env-dev", "old:env-dev"),
            ("web", "3.1.0", "web:env-dev"),
        )
    ]


@pytest.mark.parametrize(
    ("name", "followed", "more", "reason"),
    [
        ("app", "follow: {newest: {match: '1[.].*'}}", "", "PushTimeUnknown"),
        ("app", "follow: {semver: '>=7'}", "", "NoTagFollowed"),
        ("web", "tag: env-dev", "  pin: Version\n", "VersionUnknown"),
        ("old", "tag: env-dev", "  pin: VersionAndDigest\n", "VersionUnknown"),
        ("app", "tag: env-prod", "", "ImageNotFound"),
        ("none", "follow: {semver: '*'}", "", "RepositoryNotFound"),
        ("app", "follow: {semver: '*'}", "  gates: {maxSeverity: LOW}\n", "GateUnchecked"),
        ("app", "follow: {semver: '*'}", "  gates: {minAge: 1h}\n", "AgeUnknown"),
        ("app", "follow: {semver: '*'}", "  gates: {allowDowngrade: false}\n", "DirectionUnknown"),
    ],
)
def test_what_cannot_be_done_is_said_with_its_reason(gitcd, server, tmp_path, name, followed, more, reason):
    folder = tmp_path / "repo"
    folder.mkdir()
    app(folder, server.host, name, followed, more=more)
    code, out, err = gitcd("diff", "-o", "json", str(folder))
    (outcome,) = json.loads(out)["outcomes"]
    assert outcome["reason"] == reason, err
    assert code in {0, 5}


def test_explain_status_and_doctor_speak_of_it(gitcd, server, tmp_path):
    folder = tmp_path / "repo"
    folder.mkdir()
    app(folder, server.host, "app", "follow: {semver: '^1.1'}")
    code, out, _ = gitcd("explain", "app", str(folder))
    assert code == 0
    assert f"{server.host}/team/app, the highest version in ^1.1, pin VersionAndDigest" in out
    assert "the highest version in ^1.1: 1.2.0 is sha256:" in out
    code, out, _ = gitcd("status", "--tags", str(folder))
    assert (code, "TagDrift: the highest version in ^1.1 is 1.2.0" in out) == (0, True)
    code, out, _ = gitcd("doctor", str(folder))
    assert (code, f"registry: {server.host}: 1 of 1 repositories answer" in out) == (0, True)


def test_tags_are_read_and_moved_and_not_removed(gitcd, server):
    repository = f"{server.host}/team/web"
    code, out, err = gitcd("ecr-tags", "get", "--ecr", repository, "--tag", "env-dev")
    assert (code, "linux/amd64,linux/arm64" in out) == (0, True), err
    digest = json.loads(skopeo(server, "inspect", f"docker://{repository}:env-dev"))["Digest"]
    code, out, _ = gitcd("ecr-tags", "add", "--ecr", repository, "--version", "env-dev", "--tags", "env-prod,3.1.0")
    assert (code, out.count("Added")) == (0, 2)
    assert json.loads(skopeo(server, "inspect", f"docker://{repository}:env-prod"))["Digest"] == digest
    code, out, _ = gitcd("ecr-tags", "list", "--ecr", repository, "-o", "json")
    (image,) = json.loads(out)["items"]
    assert (image["digest"], image["tags"]) == (digest, ["3.1.0", "env-dev", "env-prod"])
    code, out, err = gitcd("ecr-tags", "remove", "--ecr", repository, "--tags", "env-prod,never-there")
    assert (code, "TagsNotRemovable" in out, "Absent" in out) == (5, True, True)
    assert "deletes an image with all of its tags" in err
    assert json.loads(skopeo(server, "inspect", f"docker://{repository}:env-prod"))["Digest"] == digest


def test_a_user_whom_the_operator_names_needs_no_login(gitcd, server, tmp_path, monkeypatch):
    folder = tmp_path / "repo"
    folder.mkdir()
    app(folder, server.host, "app", "follow: {semver: '^1.1'}")
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    settings = tmp_path / "settings.yaml"
    settings.write_text(
        f"registries:\n- {{host: '{server.host}', username: {LOGIN[0]}, passwordEnv: REGISTRY_PASSWORD}}\n"
    )
    code, _, err = gitcd("diff", "--config", str(settings), str(folder))
    assert (code, "REGISTRY_PASSWORD, which is not set" in err) == (2, True)
    monkeypatch.setenv("REGISTRY_PASSWORD", "another-password")
    code, _, err = gitcd("diff", "--config", str(settings), str(folder))
    assert (code, f"does not accept the credentials of {LOGIN[0]}" in err, "another-password" in err) == (
        5,
        True,
        False,
    )
    monkeypatch.setenv("REGISTRY_PASSWORD", LOGIN[1])
    assert gitcd("diff", "--config", str(settings), str(folder))[0] == 1
