from pathlib import Path

import pytest
from jinja2.exceptions import SecurityError

from gitcd.errors import ConfigError
from gitcd.rendering.sandbox import TEMPLATES, render

LIMIT = 64 * 1024


class Victim:
    secret = "inner"

    def __init__(self) -> None:
        self.items = [1]


def rendered(tmp_path: Path, template: str, limit: int = LIMIT, **values: object) -> str:
    (tmp_path / "t.j2").write_text(template)
    return render("t.j2", values, folder=tmp_path, limit=limit)


@pytest.mark.parametrize(
    "payload",
    [
        "{{ victim.__class__ }}",
        "{{ victim.__class__.__mro__[1].__subclasses__() }}",
        "{{ ''.__class__.__base__ }}",
        "{{ victim.__init__.__globals__ }}",
        "{{ victim|attr('__class__') }}",
        "{{ victim['__class__'] }}",
        "{{ '{0.__class__}'.format(victim) }}",
        "{{ '{x.__init__.__globals__}'.format_map({'x': victim}) }}",
        "{{ cycler.__init__.__globals__.os.system('true') }}",
        "{{ self.__init__.__globals__ }}",
        "{{ render.__globals__ }}",
        "{{ victim.items.append(2) }}",
        "{{ victim.items.clear() }}",
        "{{ 'a' * 100000000 }}",
        "{{ [1] * 100000000 }}",
        "{{ 9 ** 9 ** 9 }}",
    ],
)
def test_T20_escapes_are_security_errors(tmp_path: Path, payload: str) -> None:
    victim = Victim()
    with pytest.raises(ConfigError) as caught:
        rendered(tmp_path, payload, victim=victim, render=render)
    assert isinstance(caught.value.__cause__, SecurityError)
    assert victim.items == [1]


@pytest.mark.parametrize(
    "template",
    [
        "{{ missing }}",
        "{{ victim.missing }}",
        "{% if %}",
        "{% include '/etc/passwd' %}",
        "{% include '../secret.txt' %}",
        "{% import 'os' as os %}",
        "{% include 't.j2' %}",
        "{{ 1 / 0 }}",
        "{{ range(10000000)|list }}",
        "{{ 'x' + 1 }}",
    ],
)
def test_T20_mistakes_are_the_operators_to_fix(tmp_path: Path, template: str) -> None:
    (tmp_path.parent / "secret.txt").write_text("secret")
    with pytest.raises(ConfigError, match=r"t\.j2|passwd|secret\.txt|os"):
        rendered(tmp_path, template, victim=Victim())


def test_a_mistake_is_named_by_file_and_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"t\.j2:3"):
        rendered(tmp_path, "one\ntwo\n{% endif %}\n")


def test_T20_the_output_is_capped_and_cut_between_lines(tmp_path: Path) -> None:
    text = rendered(tmp_path, "{% for i in range(90000) %}line äöü\n{% endfor %}", limit=1000)
    assert 900 < len(text.encode()) <= 1000
    assert set(text.splitlines()) == {"line äöü"}


def test_an_endless_loop_of_loops_ends_at_the_cap(tmp_path: Path) -> None:
    loops = "{% for i in range(90000) %}" * 4 + "xxxxxxxxx\n" + "{% endfor %}" * 4
    assert len(rendered(tmp_path, loops)) <= LIMIT


def test_the_operators_folder_comes_first_and_ours_is_the_fallback(tmp_path: Path) -> None:
    values = {"subject": "ours", "items": [], "environments": [], "pin_only": False, "note": ""}
    assert (TEMPLATES / "commit-message.j2").is_file()
    assert render("commit-message.j2", values, folder=tmp_path / "empty", limit=LIMIT).startswith("ours")
    (tmp_path / "commit-message.j2").write_text("operator: {{ subject }}")
    assert render("commit-message.j2", values, folder=tmp_path, limit=LIMIT) == "operator: ours"
