from pathlib import Path

import pytest

from gitcd.errors import ConfigError, ExitCode
from gitcd.redact import MASK, redact
from gitcd.usecases.apply_release import prometheus
from gitcd.usecases.credentials import git_token
from gitcd.usecases.settings import Row, load

CANARY = "forge-canary-0123456789"


@pytest.fixture
def write(tmp_path):
    def write(text: str, mode: int = 0o600, name: str = "settings.yaml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path

    return write


def fault(flags, environ, file=None) -> str:
    with pytest.raises(ConfigError) as error:
        load(flags, environ, file)
    assert error.value.exit_code is ExitCode.USAGE
    return str(error.value)


def test_flag_beats_environment_beats_file_beats_default(write):
    file = write("branch: file\nauthor:\n  name: file\n  email: file@example.com\necr: {workers: 4}\n")
    environ = {"GITCD_BRANCH": "variable", "GITCD_AUTHOR_NAME": "variable"}
    loaded = load({"branch": "flag"}, environ, file)
    settings = loaded.settings
    assert (settings.branch, settings.author.name, settings.author.email) == ("flag", "variable", "file@example.com")
    assert settings.git.username == "x-access-token"
    origins = loaded.origins
    assert origins["branch"] == "--branch"
    assert origins["author.name"] == "GITCD_AUTHOR_NAME"
    assert origins["author.email"] == f"{file}:4"
    assert origins["ecr.workers"] == f"{file}:5"
    assert origins["git.username"] == "default"


def test_rows_show_every_field_once_and_no_secret():
    loaded = load({}, {"GITCD_GIT_TOKEN": CANARY, "GITCD_ALLOW_REGISTRIES": "123456789012, registry.example.com/team"})
    rows = loaded.rows()
    assert len({row.key for row in rows}) == len(rows) == len(loaded.origins)
    assert Row("git.token", MASK, "GITCD_GIT_TOKEN") in rows
    assert Row("allow.registries", ["123456789012", "registry.example.com/team"], "GITCD_ALLOW_REGISTRIES") in rows
    assert Row("deadlines.run", "15m", "default") in rows
    assert CANARY not in f"{rows} {loaded!r}"


def test_T10_a_token_is_registered_for_redaction():
    token = "settings-canary-9876"
    load({}, {"GITCD_GIT_TOKEN": token})
    assert redact(f"got {token}") == f"got {MASK}"
    load({}, {"GITCD_REPO": "https://bot:settings-canary-userinfo@git.example.com/x"})
    assert "canary" not in redact("settings-canary-userinfo")


def test_all_faults_come_at_once_each_with_its_source(write):
    file = write("git:\n  knwnHosts: x\necr: {workers: many}\nregistries:\n- {roleArn: x}\nbranch: main\nbranch: dev\n")
    message = fault({"branch": "a\nb"}, {"GITCD_ECR_REGION": "mars", "GITCD_DEADLINES_RUN": "soon"}, file)
    for expected in (
        f"{file}:2:3: git.knwnHosts: is not a known field\n  Did you mean knownHosts?",
        f"{file}:3:7: ecr.workers: a whole number is wanted",
        f"{file}:5:3: registries[0].host: give either host or account",
        f"{file}:5:4: registries[0].roleArn: 'x' is not the ARN of a role",
        f"{file}:7:1: the key 'branch' stands here a second time",
        "--branch: branch: 'a\\nb' is not one line of text",
        "GITCD_ECR_REGION: ecr.region: 'mars' is not an AWS region",
        "GITCD_DEADLINES_RUN: deadlines.run: 'soon' is not a duration",
    ):
        assert expected in message


@pytest.mark.parametrize("text", ["- x\n", "x", "a: [", "\xff"])
def test_a_file_that_is_no_map_is_refused(write, text):
    assert "settings.yaml" in fault({}, {}, write(text))


def test_a_named_file_must_exist(tmp_path):
    missing = tmp_path / "none.yaml"
    for flags, environ, file in (
        ({"config": str(missing)}, {}, None),
        ({}, {"GITCD_CONFIG": str(missing)}, None),
        ({}, {}, missing),
    ):
        assert f"the settings file {missing} cannot be read" in fault(flags, environ, file)


def test_the_users_file_is_found(write, tmp_path):
    write("branch: xdg", name="xdg/gitcd/config.yaml")
    write("branch: home", name="home/.config/gitcd/config.yaml")
    environ = {"HOME": str(tmp_path / "home")}
    assert load({}, environ).settings.branch == "home"
    assert load({}, {**environ, "XDG_CONFIG_HOME": str(tmp_path / "xdg")}).settings.branch == "xdg"
    assert load({}, {}).settings.branch == ""


def test_T10_a_file_with_a_token_may_not_be_readable_by_all(write):
    text = f"git: {{token: {CANARY}}}\n"
    message = fault({}, {}, write(text, 0o644))
    assert "everybody may read this token" in message
    assert CANARY not in message
    assert load({}, {}, write(text, 0o640)).settings.git.token == CANARY
    assert load({}, {}, write("git: {tokenEnv: X}\n", 0o644)).settings.git.token_env == "X"


def test_token_and_token_env_exclude_each_other_within_one_source(write):
    assert "give either token or tokenEnv" in fault({}, {}, write(f"git: {{token: {CANARY}, tokenEnv: X}}"))
    assert "give either token or tokenEnv" in fault({}, {"GITCD_GIT_TOKEN": CANARY, "GITCD_GIT_TOKEN_ENV": "X"})


def test_a_higher_source_decides_between_token_and_token_env(write):
    environ = {"GITCD_GIT_TOKEN": CANARY}
    loaded = load({}, environ, write("git: {tokenEnv: X}"))
    assert (git_token(loaded.settings, environ), loaded.origins["git.tokenEnv"]) == (CANARY, "default")
    environ = {"GITCD_GIT_TOKEN_ENV": "FORGE", "FORGE": "other-canary-token\n"}
    loaded = load({}, environ, write(f"git: {{token: {CANARY}}}"))
    assert git_token(loaded.settings, environ) == "other-canary-token"


def test_a_token_variable_that_is_not_set_is_named():
    settings = load({}, {"GITCD_GIT_TOKEN_ENV": "FORGE"}).settings
    with pytest.raises(ConfigError, match="the variable FORGE, which is not set"):
        git_token(settings, {})
    assert git_token(load({}, {}).settings, {}) == ""


def test_T12_a_prometheus_is_not_asked_without_the_token_that_is_set_up():
    named = {"GITCD_PROMETHEUS_URL": "https://prometheus.example.com", "GITCD_PROMETHEUS_TOKEN_ENV": "METRICS"}
    with pytest.raises(ConfigError, match="the variable METRICS, which is not set"):
        prometheus(load({}, named).settings)
    assert prometheus(load({}, {}).settings) is None


@pytest.mark.parametrize(
    ("environ", "region", "origin"),
    [
        ({"AWS_REGION": "eu-west-1"}, "eu-west-1", "AWS_REGION"),
        ({"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "us-east-1"}, "us-east-1", "AWS_DEFAULT_REGION"),
        ({"AWS_REGION": "eu-west-1", "GITCD_ECR_REGION": "us-west-2"}, "us-west-2", "GITCD_ECR_REGION"),
        ({"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": ""}, "eu-west-1", "AWS_REGION"),
        ({}, "", "default"),
    ],
)
def test_the_region_comes_from_the_aws_environment(environ, region, origin):
    loaded = load({}, environ)
    assert (loaded.settings.ecr.region, loaded.origins["ecr.region"]) == (region, origin)


def test_the_endpoint_comes_from_flag_or_environment():
    environ = {"AWS_ENDPOINT_URL_ECR": "http://localhost:4566"}
    assert load({}, environ).settings.ecr.endpoint_url == "http://localhost:4566"
    assert load({"ecr_endpoint_url": "http://x:1"}, environ).settings.ecr.endpoint_url == "http://x:1"
    assert "ecr.endpointUrl" in fault({"ecr_endpoint_url": "localhost"}, {})


def test_aws_keys_are_never_read():
    keys = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "aws-canary-in-settings"}
    loaded = load({}, keys)
    assert loaded == load({}, {})


def test_paths_of_the_file_begin_at_its_folder_or_at_home(write, tmp_path):
    file = write("git: {knownHosts: hosts, sshKey: ~/.ssh/id}\ntemplates: /etc/templates\n", name="conf/s.yaml")
    git = load({}, {"HOME": "/home/ann"}, file)
    assert git.settings.git.known_hosts == str(tmp_path / "conf" / "hosts")
    assert git.settings.git.ssh_key == "/home/ann/.ssh/id"
    assert git.settings.templates == "/etc/templates"
    assert load({}, {"GITCD_TEMPLATES": "mine"}, file).settings.templates == "mine"


def test_the_cache_lies_in_the_users_cache_folder():
    assert load({}, {"HOME": "/home/ann"}).settings.cache_dir == "/home/ann/.cache/gitcd"
    assert load({}, {"HOME": "/home/ann", "XDG_CACHE_HOME": "/c"}).settings.cache_dir == "/c/gitcd"
    assert load({"cache_dir": "/d"}, {"HOME": "/home/ann"}).settings.cache_dir == "/d"
    assert load({}, {}).settings.cache_dir == ""


def test_a_map_in_the_place_of_a_value_is_refused_although_a_variable_is_set(write):
    assert "git: a map is wanted" in fault({}, {"GITCD_GIT_USERNAME": "x"}, write("git: 5"))


def test_lists_of_maps_stand_in_the_file_alone(write):
    file = write(
        "namespaces: [{name: tiles, environments: [prod], paths: [envs/prod/tiles]}]\n"
        "environments: [{name: prod, cluster: 01234567-89ab-cdef-0123-456789abcdef}]\n"
        "registries: [{account: '123456789012', roleArn: 'arn:aws:iam::123456789012:role/gitcd'}]\n"
    )
    settings = load({}, {"GITCD_NAMESPACES": "x", "GITCD_REGISTRIES": "y"}, file).settings
    assert settings.namespaces[0].environments == ("prod",)
    assert settings.registries[0].account == "123456789012"
    assert settings.environments[0].name == "prod"


@pytest.mark.parametrize(
    ("repo", "expected"),
    [
        ("config.git", "{folder}/config.git"),
        ("./config", "{folder}/config"),
        ("../config", "{folder}/../config"),
        ("~/config", "/home/ada/config"),
        ("/srv/config.git", "/srv/config.git"),
        ("https://git.example.com/team/config.git", "https://git.example.com/team/config.git"),
        ("git@git.example.com:team/config.git", "git@git.example.com:team/config.git"),
    ],
)
def test_a_relative_repository_begins_at_the_folder_of_the_file(write, tmp_path, repo, expected):
    file = write(f"repo: {repo}\n", name="etc/settings.yaml")
    loaded = load({}, {"HOME": "/home/ada"}, file)
    assert loaded.settings.repo == expected.format(folder=tmp_path / "etc")
    assert load({"repo": "x"}, {"HOME": "/home/ada"}, file).settings.repo == "x"
