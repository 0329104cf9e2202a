"""From settings to a remote that is reached: what the operator writes down is what git is given, and nobody is shown."""

import pytest

from gitcd.cli import main
from gitcd.errors import ConfigError
from gitcd.git.remote import Remote
from gitcd.usecases import identity
from gitcd.usecases.settings import load
from tests.conftest import CANARIES, leaks
from tests.support.githttp import serve
from tests.support.repos import make_bare
from tests.support.scenes import LAYOUT, app_files
from tests.support.tls import self_signed

TOKEN = CANARIES["GITCD_GIT_TOKEN"]
HEADER = f"Authorization: Bearer {CANARIES['GITHUB_TOKEN']}"


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    return self_signed(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def served(tmp_path):
    return make_bare(
        tmp_path / "served/config.git", {"gitcd.yaml": LAYOUT} | app_files("app") | app_files("b", "1", "prod")
    )


def validate(url, capfd, **variables):
    """The exit code of a run on this remote, and all that it said."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("GITCD_GIT_TOKEN", raising=False)
        for name, value in variables.items():
            patch.setenv(name, value)
        code = main.run(["validate", "-vv", url])
    said = "".join(capfd.readouterr())
    assert leaks(said) == []
    return code, said


def test_T10_a_token_and_a_ca_bundle(served, tls, capfd):
    with serve(served.path.parent, tls=tls, token=TOKEN) as server:
        url = server.url(served.path)
        assert validate(url, capfd, GITCD_GIT_TOKEN=TOKEN, GITCD_GIT_CA_BUNDLE=str(tls[0]))[0] == 0
        code, said = validate(url, capfd, GITCD_GIT_TOKEN=TOKEN)
        assert code == 2
        assert "GITCD_GIT_CA_BUNDLE" in said


@pytest.mark.parametrize(
    "variables", [{"GITCD_GIT_EXTRA_HEADER": HEADER}, {"GITCD_GIT_EXTRA_HEADER_ENV": "H", "H": HEADER}]
)
def test_T10_a_header_by_value_or_by_variable(variables, served, tls, capfd):
    with serve(served.path.parent, tls=tls, authorization=HEADER.partition(": ")[2]) as server:
        url, bundle = server.url(served.path), {"GITCD_GIT_CA_BUNDLE": str(tls[0])}
        assert validate(url, capfd, **bundle, **variables)[0] == 0
        assert validate(url, capfd, **bundle)[0] == 2


def test_T10_a_helper_from_the_settings_file(served, tls, capfd, tmp_path):
    helper = '!f() { echo username=x-access-token; echo "password=$AWS_SESSION_TOKEN"; }; f'
    file = tmp_path / "settings.yaml"
    file.write_text(f"git:\n  caBundle: {tls[0]}\n  credentialHelper: '{helper}'\n")
    with serve(served.path.parent, tls=tls, token=CANARIES["AWS_SESSION_TOKEN"]) as server:
        assert validate(server.url(served.path), capfd, GITCD_CONFIG=str(file))[0] == 0


def test_a_header_that_is_none_is_refused(monkeypatch, tmp_path):
    with pytest.raises(ConfigError, match="not a header") as caught:
        load({}, {"GITCD_GIT_EXTRA_HEADER": TOKEN})
    assert leaks(str(caught.value)) == []
    for value, words in (("plain-7f31", "holds no header"), ("A: b\nC: d", "holds no header"), ("", "is not set")):
        monkeypatch.setenv("MY_HEADER", value)
        with pytest.raises(ConfigError, match=words) as caught:
            identity.https(load({}, {"GITCD_GIT_EXTRA_HEADER_ENV": "MY_HEADER"}).settings)
        assert not value or value not in str(caught.value)
    with pytest.raises(ConfigError, match="give either extraHeader or extraHeaderEnv"):
        load({}, {"GITCD_GIT_EXTRA_HEADER": HEADER, "GITCD_GIT_EXTRA_HEADER_ENV": "X"})


def test_T10_a_file_with_a_header_may_not_be_readable_by_all(tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_text(f"git: {{extraHeader: '{HEADER}'}}\n")
    file.chmod(0o644)
    with pytest.raises(ConfigError, match="everybody may read this token") as caught:
        load({}, {}, file)
    assert leaks(str(caught.value)) == []
    file.chmod(0o640)
    loaded = load({}, {"GITCD_GIT_EXTRA_HEADER_ENV": "X"}, file)  # the higher source counts alone
    assert (loaded.settings.git.extra_header, loaded.settings.git.extra_header_env) == ("", "X")
    assert leaks(f"{loaded.rows()} {loaded!r}") == []


def test_files_of_the_settings_are_found_from_its_folder(tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_text("git: {caBundle: ca.pem}\nsigning: {format: ssh, keyFile: key}\n")
    settings = load({}, {}, file).settings
    assert identity.https(settings).ca_bundle == tmp_path / "ca.pem"
    assert settings.signing.key_file == str(tmp_path / "key")


def test_without_settings_nothing_is_given():
    settings = load({}, {}).settings
    https = identity.https(settings)
    assert (https.ca_bundle, https.header, https.helper) == (None, "", "")
    assert identity.credentials(settings, Remote.parse("https://example.com/a/b")) is None
    assert identity.author(settings).key is None
