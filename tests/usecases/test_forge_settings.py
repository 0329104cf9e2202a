"""The forge's settings: where its token comes from, and what excludes what."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitcd.errors import ConfigError
from gitcd.redact import MASK, redact
from gitcd.usecases.credentials import forge_token
from gitcd.usecases.settings import load

GITS, FORGES = "token-of-git-0123456789", "token-of-the-forge-0123456789"


def loaded(text: str, folder: Path, environ: dict[str, str] | None = None, mode: int = 0o600):
    path = folder / "settings.yaml"
    path.write_text(text)
    path.chmod(mode)
    return load({}, environ or {}, path)


def test_the_forge_has_the_token_of_git_unless_it_has_its_own(tmp_path: Path) -> None:
    assert forge_token(loaded(f"git: {{token: {GITS}}}", tmp_path).settings, {}) == GITS
    own = loaded(f"git: {{token: {GITS}}}\nforge: {{tokenEnv: OWN}}", tmp_path).settings
    assert forge_token(own, {"OWN": FORGES}) == FORGES
    with pytest.raises(ConfigError, match=r"forge\.tokenEnv names the variable OWN"):
        forge_token(own, {})


def test_a_variable_decides_over_the_file(tmp_path: Path) -> None:
    environ = {"GITCD_FORGE_TOKEN": FORGES}
    made = loaded("forge: {tokenEnv: OWN, kind: gitea, labels: [a, b]}", tmp_path, environ)
    assert forge_token(made.settings, environ) == FORGES
    assert (made.settings.forge.kind, made.settings.forge.labels) == ("gitea", ("a", "b"))


def test_T10_the_forges_token_is_a_secret_everywhere(tmp_path: Path) -> None:
    made = loaded(f"forge: {{token: {FORGES}}}", tmp_path)
    assert redact(f"it was {FORGES}") == f"it was {MASK}"
    assert {row.key: row.value for row in made.rows()}["forge.token"] == MASK
    assert FORGES not in repr(made)
    with pytest.raises(ConfigError, match="everybody may read this token"):
        loaded(f"forge: {{token: {FORGES}}}", tmp_path, mode=0o644)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"forge: {{token: {FORGES}, tokenEnv: X}}", "give either token or tokenEnv"),
        ("forge: {app: {id: '17'}}", "give both id and keyFile"),
        ("forge: {app: {keyFile: a.pem}}", "give both id and keyFile"),
        ("forge: {kind: gerrit}", "gerrit"),
        ("forge: {url: 'https://user:secret@git.example.com'}", "without a user"),
        ("forge: {app: {id: abc, keyFile: a.pem}}", "id or client id"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        loaded(text, tmp_path)


def test_the_key_of_an_app_begins_at_the_files_folder(tmp_path: Path) -> None:
    made = loaded("forge: {app: {id: '17', keyFile: keys/app.pem}}", tmp_path)
    assert made.settings.forge.app.key_file == str(tmp_path / "keys/app.pem")
