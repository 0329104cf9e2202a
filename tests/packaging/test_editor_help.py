"""What editors are told: the published schemas are what gitcd prints, and every example names the one that it fits."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from gitcd.cli.main import run

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples/config-repo"
SCHEMAS = EXAMPLE / ".gitcd/schema"
_MODELINE = re.compile(r"# yaml-language-server: \$schema=(\S+)")
DOCUMENTS = [path for path in sorted(EXAMPLE.rglob("*.yaml")) if "apiVersion: gitcd.io/v1" in path.read_text()]


class Core(yaml.SafeLoader):
    """Reads as editors do, by YAML 1.2: a date is a text."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - as the base class has it
        first: [(tag, sign) for tag, sign in rules if not tag.endswith(":timestamp")]
        for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


@pytest.mark.parametrize("kind", ["containerversion", "configrepository", "hold"])
def test_a_published_schema_is_what_gitcd_prints(kind, capfd):
    assert run(["schema", kind]) == 0
    printed = capfd.readouterr().out
    assert (SCHEMAS / f"{kind}.json").read_text() == printed, "run `make schemas`"
    jsonschema.Draft202012Validator.check_schema(json.loads(printed))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(EXAMPLE)))
def test_an_example_names_its_schema_and_fits_it(path):
    modeline = _MODELINE.fullmatch(path.read_text().partition("\n")[0])
    assert modeline
    schema = json.loads((path.parent / modeline[1]).read_text())
    for document in yaml.load_all(path.read_text(), Core):
        jsonschema.validate(document, schema)


def test_an_editor_would_see_a_mistake():
    schema = json.loads((SCHEMAS / "containerversion.json").read_text())
    document = yaml.safe_load((EXAMPLE / "envs/dev/tiles/containerversion.yaml").read_text())
    document["spec"]["tagg"] = document["spec"].pop("tag")
    assert not jsonschema.Draft202012Validator(schema).is_valid(document)
