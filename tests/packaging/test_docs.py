"""The documents keep up with the code: links, fields, tables and examples are checked against it."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from fnmatch import fnmatch
from pathlib import Path

import click
import pytest

from gitcd.cli.main import VERBS, root
from gitcd.errors import ExitCode
from gitcd.manifests.reading import read_declarations, read_hold, read_layout
from gitcd.model.declaration import Spec
from gitcd.model.hold import Hold
from gitcd.model.layout import Environment
from gitcd.model.object_shape import ObjectShape
from gitcd.model.plan import Resolved
from gitcd.model.reference import Repository, suffix
from gitcd.model.registry import Failure
from gitcd.model.schema import table
from gitcd.model.settings import Settings
from gitcd.model.site import Form, Site, Span
from gitcd.planning.wanted import wanted
from gitcd.rendering.messages import Item
from gitcd.usecases.settings import load

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def page(name: str) -> str:
    return (ROOT / name).read_text()


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", path.read_text()):
        if "://" not in target:
            assert (path.parent / target.partition("#")[0]).exists(), target


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_pages_are_tidy(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert not [line for line in lines if line != line.rstrip()]
    prose = [line for line in lines if not line.lstrip().startswith(("|", "[", "+", "-  "))]
    assert not [line for line in prose if len(line) > 130]


def field_names(cls: type) -> list[str]:
    return list(table(cls).fields)


def test_every_field_of_a_declaration_is_explained() -> None:
    text = page("docs/declaration.md")
    assert [name for name in field_names(Spec) if f"spec.{name}" not in text] == []


def test_every_field_of_an_environment_and_of_a_hold_is_explained() -> None:
    text = page("docs/config-repository.md")
    explained = set(re.findall(r"`(?:environments\[\]\.)?([a-zA-Z.]+)`", text))
    explained = {name.partition(".")[0] for name in explained}
    assert [name for name in field_names(Environment) if name not in explained] == []
    assert [name for name in field_names(Hold) if f"`{name}`" not in text and f"\n{name}:" not in text] == []


@pytest.mark.parametrize("name", ["README.md", "docs/exit-codes.md"])
def test_every_exit_code_is_listed(name: str) -> None:
    rows = re.findall(r"^\| ([0-9, ]+) \|", page(name), re.MULTILINE)
    listed = {int(code) for row in rows for code in row.split(",")}
    assert listed | {ExitCode.ROLLOUT_FAILED} == set(ExitCode)


def test_the_readme_lists_every_verb_and_no_other() -> None:
    section = page("README.md").partition("## Verbs")[2].partition("## ")[0]
    assert set(re.findall(r"`gitcd ([a-z-]+)", section)) == set(VERBS)


def setting_names(shape: ObjectShape, above: str = "") -> Iterator[str]:
    for name, field in shape.fields.items():
        if isinstance(field.shape, ObjectShape):
            yield from setting_names(field.shape, f"{above}{name}.")
        else:
            yield f"{above}{name}"


def test_every_setting_is_listed_with_its_variable() -> None:
    section = page("docs/settings.md").partition("## All settings")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([a-zA-Z.]+)` \| (.*?) \|", section, re.MULTILINE)
    assert [name for name, _ in rows] == list(setting_names(table(Settings)))
    for name, variables in rows:
        own = "GITCD_" + re.sub(r"([A-Z])", r"_\1", name).replace(".", "_").upper()
        assert f"`{own}`" in variables or variables == "file only"


def test_variables_of_the_readme_are_settings() -> None:
    named = set(re.findall(r"`(GITCD_[A-Z_]+)`", page("README.md")))
    assert named
    assert [name for name in named if f"`{name}`" not in page("docs/settings.md")] == []


def test_the_settings_file_on_the_page_is_valid(tmp_path: Path) -> None:
    (block,) = blocks(page("docs/settings.md"), "yaml")
    (tmp_path / "config.yaml").write_text(block)
    loaded = load({}, {"HOME": str(tmp_path)}, tmp_path / "config.yaml")
    assert loaded.settings.git.allowed_hosts == ("git.example.com",)


def test_every_value_of_a_template_item_is_listed() -> None:
    listed = page("docs/settings.md").partition("## Templates")[2]
    assert [field.name for field in fields(Item) if f"`{field.name}`" not in listed] == []


def options_of(verb: str) -> list[click.Option]:
    context = click.Context(root)
    command = root.get_command(context, verb)
    below = command.list_commands(context) if isinstance(command, click.Group) else ()
    commands = [command, *(command.get_command(context, name) for name in below)]
    return [parameter for each in commands for parameter in each.params if isinstance(parameter, click.Option)]


def flags_of(verb: str) -> set[str]:
    return {name for option in options_of(verb) for name in option.opts}


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_flags_on_a_page_exist(path: Path) -> None:
    for line in path.read_text().splitlines():
        verbs = [verb for verb in re.findall(r"gitcd ([a-z-]+)", line) if verb in VERBS]
        known = {name for verb in verbs for name in flags_of(verb)}
        if verbs:
            assert set(re.findall(r"(?<![\w-])--[a-z-]+", line)) <= known, line


@pytest.mark.parametrize("verb", VERBS)
def test_every_flag_is_on_a_page(verb: str) -> None:
    shown = {flag for path in PAGES for flag in re.findall(r"(?<![\w-])--[a-zA-Z0-9-]+", path.read_text())}
    missing = [option.opts for option in options_of(verb) if shown.isdisjoint([*option.opts, *option.secondary_opts])]
    assert missing == []


def documents_of(path: Path) -> list[str]:
    return [
        block for block in blocks(path.read_text(), "yaml") if re.search(r"apiVersion: (gitcd|custom.k8s).io/v1", block)
    ]


@pytest.mark.parametrize("path", [path for path in PAGES if documents_of(path)], ids=name_of)
def test_documents_on_a_page_are_valid(path: Path) -> None:
    for block in documents_of(path):
        if "kind: ConfigRepository" in block:
            layout, problems = read_layout("gitcd.yaml", block.encode())
            assert layout, problems
        else:
            result = read_declarations("page.yaml", block.encode())
            assert result.declarations
            assert not result.problems


@pytest.mark.parametrize("name", ["docs/config-repository.md", "examples/config-repo/README.md"])
def test_hold_files_on_a_page_are_valid(name: str) -> None:
    holds = [block for block in blocks(page(name), "yaml") if "by: " in block]
    assert holds
    for block in holds:
        whole = re.sub(r"sha256:[0-9a-f]+…", "sha256:" + "0" * 64, block)
        hold, problems = read_hold(".gitcd/holds/prod/tiles.tiles.yaml", whole.encode())
        assert hold, problems


RESOLVED = Resolved("T", "V", "D")
PLACES = {
    "image": Site("f", 0, "/", Form.IMAGE, 1, Repository("r", "repo")),
    "kustomize entry": Site("f", 0, "/", Form.KUSTOMIZE, 1, Repository("r", "repo")),
    "Helm map with a key `digest`": Site(
        "f", 0, "/", Form.HELM, 1, Repository("r", "repo"), spans={"digest": Span(0, 0, 1, "")}
    ),
    "Helm map without": Site("f", 0, "/", Form.HELM, 1, Repository("r", "repo")),
    "ConfigMap key": Site("f", 0, "/", Form.CONFIG, 1, value="old"),
}


def as_the_table_says(site: Site, tag: str, digest: str) -> str:
    if site.form is Form.IMAGE:
        return f"`repo{suffix(tag, digest)}`"
    if site.form is Form.KUSTOMIZE:
        parts = {"newTag": tag, "digest": digest}
    elif site.has_digest_key:
        parts = {"tag": tag, "digest": digest or '""'}
    else:
        parts = {"tag": tag + (f"@{digest}" if digest else "")}
    return ", ".join(f"`{key}: {value}`" for key, value in parts.items() if value)


def test_the_table_of_places_is_what_the_code_does() -> None:
    section = page("docs/places.md").partition("## What is written")[2].partition("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line.startswith("|")
    ]
    pins = [pin.strip("`") for pin in rows[0][1:]]
    assert {row[0] for row in rows[2:]} == PLACES.keys()
    for row in rows[2:]:
        site = PLACES[row[0]]
        for pin, cell in zip(pins, row[1:], strict=True):
            spec = Spec(image_repo="r/repo", tag="T", pin=pin)  # type: ignore[arg-type]
            found = wanted(site, spec, pin, RESOLVED, Environment("prod", path="."))  # type: ignore[arg-type]
            if isinstance(found, Failure):
                assert cell == "refused"
            elif site.form is Form.CONFIG:
                assert cell == f"`{found.edit.value}`"
            else:
                assert cell == as_the_table_says(site, found.edit.tag, found.edit.digest), (row[0], pin)


def test_every_decision_is_in_the_list() -> None:
    listed = set(re.findall(r"\((\d{4}-[a-z-]+\.md)\)", page("docs/adr/README.md")))
    assert listed == {path.name for path in (ROOT / "docs/adr").glob("0*.md")}


def test_architecture_names_files_that_exist() -> None:
    named = re.findall(r"`([a-z]+/[a-z_]+\.py)`", page("docs/architecture.md"))
    assert named
    assert [name for name in named if not ((ROOT / name).exists() or (ROOT / "gitcd" / name).exists())] == []


def test_architecture_has_every_package_on_its_floor() -> None:
    rows = re.findall(r"^\| (\d) \| `gitcd/([a-z]+)(?:\.py)?` \|", page("docs/architecture.md"), re.MULTILINE)
    contract = tomllib.loads(page("pyproject.toml"))["tool"]["importlinter"]["contracts"][0]
    floors = [set(layer.split(" | ")) for layer in contract["layers"][:-1]]  # the last is that of single modules
    assert {name: int(floor) for floor, name in rows} == {
        name: floor for floor, names in enumerate(reversed(floors)) for name in names
    }


def test_architecture_has_every_use_case_once() -> None:
    section = page("docs/architecture.md").partition("## What is in usecases")[2].partition("\n## ")[0]
    cells = [line.strip("| ").partition(" | ")[2] for line in section.splitlines() if line.startswith("| ")]
    named = [name for cell in cells for name in re.findall(r"`([a-z_]+\*?)`", cell)]
    for path in (ROOT / "gitcd/usecases").glob("[a-z]*.py"):
        assert sum(fnmatch(path.stem, name) for name in named) == 1, path.stem
