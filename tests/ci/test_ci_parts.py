"""What other people's pipelines run: the GitHub action and the GitLab component around `gitcd ecr-tags`."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from gitcd.cli.ecr_tags import command as ecr_tags
from tests.support.ecr import StandIn

ROOT = Path(__file__).parents[2]
ACTION = ROOT / ".github/actions/ecr-tags"
INSTALL = ACTION.parent / "install.sh"
COMPONENT = ROOT / "ci/gitlab/ecr-tags/template.yml"
HOSTILE = [
    '"; touch pwned #',
    "'; touch pwned #",
    "$(touch pwned)",
    "`touch pwned`",
    "|| touch pwned",
    "a\ntouch pwned\n",
    "--delete-untagged",
    "-o yaml --journal=pwned",
    "%0A::set-output name=result::pwned",
    "::add-path::pwned",
    "${IFS}$HOME",
    "* ? ~ \\ !! {a,b}",
    "gitcd $AWS_SECRET_ACCESS_KEY_",
    "\u202e\x1b[31m",
]


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


def steps() -> list[dict[str, Any]]:
    (action,) = documents(ACTION / "action.yml")
    found: list[dict[str, Any]] = action["runs"]["steps"]
    return found


def component() -> tuple[dict[str, Any], dict[str, Any]]:
    """The inputs of the component, and its one job."""
    head, body = documents(COMPONENT)
    (job,) = body.values()
    return head["spec"]["inputs"], job


def variables_of_flags() -> set[str]:
    """Every variable that a command of `gitcd ecr-tags` reads for a flag."""
    assert isinstance(ecr_tags, click.Group)
    parameters = [each for name in ("get", "list", "add", "remove") for each in ecr_tags.commands[name].params]
    return {str(each.envvar) for each in parameters if each.envvar}


@pytest.fixture
def fake(tmp_path: Path) -> Path:
    """A command that writes down how it was called, and the folder that it stands in."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "gitcd"
    script.write_text(
        f"#!{sys.executable}\n"
        "import json, os, sys\n"
        "given = {k: v for k, v in os.environ.items() if k.startswith(('GITCD_', 'AWS_ROLE', 'AWS_WEB'))}\n"
        f"json.dump([sys.argv[1:], given], open({str(tmp_path / 'call')!r}, 'w'))\n"
        "sys.stdout.write(os.environ.get('FAKE_OUTPUT', 'done\\n'))\n"
        "sys.exit(int(os.environ.get('FAKE_CODE', '0')))\n"
    )
    script.chmod(0o755)
    return folder


def run_action(folder: Path, path: Path | str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the action's last step as a runner does: with every variable of the step set, most of them to nothing."""
    (folder / "work").mkdir(exist_ok=True)
    unset = {name: "" for name in steps()[-1]["env"] if name != "GITCD_CI_GITCD"}
    environment = os.environ | unset | {"PATH": f"{path}:{os.environ['PATH']}", "GITHUB_OUTPUT": str(folder / "output")}
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", ACTION / "run.sh"],
        cwd=folder / "work",
        env=environment | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def run_component(folder: Path, path: Path, shell: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the job's script with the job's variables; what is not given has the input's default."""
    inputs, job = component()
    (folder / "work").mkdir(exist_ok=True)
    given = {name: _default(value, inputs) for name, value in job["variables"].items()}
    environment = os.environ | given | {"PATH": f"{path}:{os.environ['PATH']}", "GITCD_CI_ID_TOKEN": "the-token"}
    script = "\n".join(job["script"])
    return subprocess.run(
        [shell, "-c", script],
        cwd=folder / "work",
        env=environment | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def _default(value: str | dict[str, Any], inputs: dict[str, Any]) -> str:
    text = value["value"] if isinstance(value, dict) else value
    found = re.search(r"inputs\.([a-z-]+)", text)
    return str(inputs[found[1]].get("default", "")) if found else text


def outputs(folder: Path) -> dict[str, str]:
    """The step's outputs as the runner reads them from the file."""
    found: dict[str, str] = {}
    lines = iter((folder / "output").read_text().split("\n"))
    for line in lines:
        if "<<" in line:
            name, _, mark = line.partition("<<")
            found[name] = "\n".join(iter(lambda: next(lines), mark))
        elif line:
            name, _, found[name] = line.partition("=")
    return found


class TestAction:
    def test_no_input_is_pasted_into_a_shell(self) -> None:
        assert [step["run"] for step in steps() if "${{" in step["run"]] == []
        assert all(step["shell"] == "bash" for step in steps())
        assert [script.name for script in [INSTALL, *ACTION.glob("*.sh")] if "${{" in script.read_text()] == []

    def test_every_input_arrives_by_a_variable_and_every_variable_is_read(self) -> None:
        (action,) = documents(ACTION / "action.yml")
        given = {name: value for step in steps() for name, value in step["env"].items()}
        named = {
            match[1] for value in given.values() if (match := re.fullmatch(r"\$\{\{ inputs\.([a-z-]+) \}\}", value))
        }
        assert named == set(action["inputs"])
        scripts = "".join(script.read_text() for script in [INSTALL, *ACTION.glob("*.sh")])
        read = variables_of_flags() | set(re.findall(r"\$\{(GITCD_CI_[A-Z_]+)", scripts))
        assert set(given) <= read

    def test_uses_no_other_action_and_the_lock_with_hashes(self) -> None:
        assert not [step for step in steps() if "uses" in step]
        assert "--require-hashes" in INSTALL.read_text()

    @pytest.mark.parametrize("hostile", HOSTILE)
    def test_hostile_inputs_stay_text(self, fake: Path, tmp_path: Path, hostile: str) -> None:
        names = [name for name in steps()[-1]["env"] if name.startswith(("GITCD_ECR", "GITCD_OUTPUT"))]
        done = run_action(tmp_path, fake, GITCD_CI_COMMAND="add", **dict.fromkeys(names, hostile))
        assert done.returncode == 0, done.stderr
        arguments, given = json.loads((tmp_path / "call").read_text())
        assert arguments == ["ecr-tags", "add"]
        assert {name: given[name] for name in names} == dict.fromkeys(names, hostile)
        assert not list((tmp_path / "work").iterdir())

    @pytest.mark.parametrize("name", ["GITCD_CI_COMMAND", "GITCD_CI_DRY_RUN", "GITCD_CI_DELETE_UNTAGGED"])
    @pytest.mark.parametrize("hostile", [*HOSTILE, "log", "protect", "yes", "TRUE"])
    def test_choices_are_checked_and_not_repeated(self, fake: Path, tmp_path: Path, name: str, hostile: str) -> None:
        done = run_action(tmp_path, fake, **{"GITCD_CI_COMMAND": "remove", name: hostile})
        assert done.returncode == 2
        assert re.fullmatch(r"::error::the input [a-z-]+ is [a-z, ]+\n", done.stderr)
        assert not (tmp_path / "call").exists()
        assert not list((tmp_path / "work").iterdir())

    @pytest.mark.parametrize(
        ("variables", "arguments"),
        [
            ({"GITCD_CI_COMMAND": "get"}, ["get"]),
            ({"GITCD_CI_COMMAND": "get", "GITCD_CI_DRY_RUN": "true"}, ["get"]),
            ({"GITCD_CI_COMMAND": "add", "GITCD_CI_DRY_RUN": "true"}, ["add", "--dry-run"]),
            ({"GITCD_CI_COMMAND": "add", "GITCD_CI_DELETE_UNTAGGED": "true"}, ["add"]),
            ({"GITCD_CI_COMMAND": "remove", "GITCD_CI_DELETE_UNTAGGED": "false"}, ["remove"]),
            (
                {"GITCD_CI_COMMAND": "remove", "GITCD_CI_DELETE_UNTAGGED": "true", "GITCD_CI_DRY_RUN": "true"},
                ["remove", "--dry-run", "--delete-untagged"],
            ),
        ],
    )
    def test_flags_without_a_value(self, fake: Path, tmp_path: Path, variables, arguments) -> None:
        assert run_action(tmp_path, fake, **variables).returncode == 0
        assert json.loads((tmp_path / "call").read_text())[0] == ["ecr-tags", *arguments]

    @pytest.mark.parametrize("output", ["", "no newline", "a\nEOF\nresult=pwned\n", "::set-output name=x::y\n"])
    def test_the_result_ends_nowhere_but_at_its_end(self, fake: Path, tmp_path: Path, output: str) -> None:
        done = run_action(tmp_path, fake, GITCD_CI_COMMAND="get", FAKE_OUTPUT=output, FAKE_CODE="5")
        assert done.returncode == 5
        found = outputs(tmp_path)
        assert (set(found), found["result"].rstrip("\n")) == ({"result"}, output.rstrip("\n"))
        stop, *_, resume = done.stdout.split("\n")[:-1]
        mark = stop.removeprefix("::stop-commands::")
        assert re.fullmatch("[0-9a-f]{32}", mark)
        assert resume.endswith(f"::{mark}::")

    def test_the_real_command_moves_a_tag(self, tmp_path: Path) -> None:
        """With every variable of the step set, as a runner sets them: an empty one counts as none."""
        with StandIn() as ecr:
            old, new = ecr.put("team/app", tags=["1.0.0", "env-prod"]), ecr.put("team/app", tags=["1.1.0"])
            variables = {
                "GITCD_CI_GITCD": str(real_command(tmp_path)),
                "GITCD_CI_COMMAND": "add",
                "GITCD_ECR_TAGS_ECR": "team/app",
                "GITCD_ECR_TAGS_VERSION": "1.1.0",
                "GITCD_ECR_TAGS_TAGS": "env-prod latest",
                "GITCD_OUTPUT": "json",
                "AWS_ENDPOINT_URL_ECR": ecr.url,
            }
            done = run_action(tmp_path, "", **variables)
            assert done.returncode == 0, done.stderr
            assert ecr.create("team/app").tags == {"1.0.0": old, "1.1.0": new, "env-prod": new, "latest": new}
            assert json.loads(outputs(tmp_path)["result"])["apiVersion"] == "gitcd.io/v1"
            gone = run_action(tmp_path, "", **variables | {"GITCD_ECR_TAGS_VERSION": "9.9.9"})
            assert gone.returncode == 5


def real_command(folder: Path) -> Path:
    script = folder / "real-gitcd"
    script.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m gitcd "$@"\n')
    script.chmod(0o755)
    return script


FAKE_PYTHON = f"""#!{sys.executable}
import os, shutil, sys
words = sys.argv[1:]
assert words[0] == "-I", words
if words[1:3] == ["-m", "venv"]:
    os.makedirs(words[-1] + "/bin")
    shutil.copy(__file__, words[-1] + "/bin/python")
elif words[1:3] == ["-m", "pip"]:
    with open(os.environ["RUNNER_TEMP"] + "/pip", "a") as log:
        log.write(" ".join(words) + "\\n")
elif "purelib" in words[2]:
    print(os.environ["RUNNER_TEMP"])
else:
    os.execv(sys.executable, [sys.executable, *words])
"""


NEEDED = ("boto3", "click", "pyyaml", "ruamel.yaml")


def closure(*names: str) -> set[str]:
    """The distributions that these bring along, themselves included."""
    found: set[str] = set()
    pending = list(names)
    while pending:
        name = re.sub(r"[-_.]+", "-", pending.pop()).lower()
        if name not in found:
            found.add(name)
            needs = importlib.metadata.requires(name) or ()
            pending += [match[0] for each in needs if "extra ==" not in each and "sys_platform" not in each
                        and "platform_system" not in each and (match := re.match(r"[\w.-]+", each))]  # fmt: skip
    return found


class TestInstall:
    @pytest.fixture
    def install(self, tmp_path: Path) -> Iterator[Any]:
        (tmp_path / "python").write_text(FAKE_PYTHON)
        (tmp_path / "python").chmod(0o755)
        environment = os.environ | {
            "GITHUB_ACTION_PATH": str(ACTION),
            "RUNNER_TEMP": str(tmp_path),
            "GITHUB_OUTPUT": str(tmp_path / "output"),
            "GITCD_CI_PYTHON": str(tmp_path / "python"),
        }

        def run(line: str = "", **more: str) -> subprocess.CompletedProcess[str]:
            command = ["bash", "-c", line or steps()[0]["run"]]
            return subprocess.run(command, env=environment | more, capture_output=True, text=True, check=False)

        return run

    def test_it_takes_from_the_lock_what_the_command_needs(self, install, tmp_path: Path) -> None:
        done = install()
        assert done.returncode == 0, done.stderr
        (requirements,) = tmp_path.glob("gitcd-*/requirements.txt")
        entries = re.split(r"\n(?=\S)", requirements.read_text().strip())
        assert {entry.partition("==")[0] for entry in entries} == closure(*NEEDED)
        locked = (ROOT / "requirements-run.lock").read_text()
        assert all(entry in locked and "--hash=sha256:" in entry for entry in entries)
        (line,) = (tmp_path / "pip").read_text().splitlines()
        assert {"--require-hashes", "--only-binary"} <= set(line.split())

    def test_without_names_it_takes_the_whole_lock(self, install, tmp_path: Path) -> None:
        done = install('bash "$GITHUB_ACTION_PATH/../install.sh"')
        assert done.returncode == 0, done.stderr
        (requirements,) = tmp_path.glob("gitcd-*/requirements.txt")
        assert requirements.read_bytes() == (ROOT / "requirements-run.lock").read_bytes()

    def test_it_installs_once_for_a_job(self, install, tmp_path: Path) -> None:
        assert (install().returncode, install().returncode) == (0, 0)
        assert len((tmp_path / "pip").read_text().splitlines()) == 1
        command = outputs(tmp_path)["gitcd"]
        assert os.access(command, os.X_OK)
        assert (tmp_path / "gitcd.pth").read_text() == f"{ROOT}\n"

    def test_an_old_python_is_refused(self, install, tmp_path: Path) -> None:
        (tmp_path / "old").write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / "old").chmod(0o755)
        done = install(GITCD_CI_PYTHON=str(tmp_path / "old"))
        assert done.returncode == 2
        assert "Python 3.11 or newer" in done.stderr

    def test_the_command_runs_with_those_distributions_alone(self) -> None:
        with StandIn() as ecr:
            ecr.put_index("team/app", tags=["1.0.0", "env-prod"])
            done = subprocess.run(
                [sys.executable, "-c", ALONE, ",".join(closure(*NEEDED))],
                env=os.environ | {"AWS_ENDPOINT_URL_ECR": ecr.url, "PYTHONPATH": str(ROOT)},
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            assert set(ecr.create("team/app").tags) == {"1.0.0", "new"}


ALONE = """
import importlib.metadata, sys

allowed = set(sys.argv[1].split(","))
names = {module for module, owners in importlib.metadata.packages_distributions().items()
         if not {owner.lower().replace("_", "-").replace(".", "-") for owner in owners} & allowed} - {"gitcd"}

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
from gitcd.cli.main import run
for line in (
    "get --version 1.0.0 -o json",
    "get --version 1.0.0 -o yaml",
    "list",
    "add --version 1.0.0 --tags new -o table",
    "remove --tags env-prod -o name",
):
    assert run(["ecr-tags", *line.split(), "--ecr", "team/app"]) == 0, line
"""


class TestComponent:
    def test_inputs_stand_in_values_only(self) -> None:
        _, job = component()
        assert "$[[" not in "\n".join(job["script"])
        assert set(job) == {"stage", "image", "id_tokens", "variables", "script", "artifacts"}
        for name, value in job["variables"].items():
            if "$[[" in str(value):
                assert value["expand"] is False, name

    def test_every_input_is_used_and_every_variable_is_read(self) -> None:
        inputs, job = component()
        assert set(re.findall(r"\$\[\[ inputs\.([a-z-]+)", COMPONENT.read_text())) == set(inputs)
        read = variables_of_flags() | set(re.findall(r"\$\{?(GITCD_CI_[A-Z_]+)", "\n".join(job["script"])))
        assert set(job["variables"]) - {"GIT_STRATEGY"} <= read

    @pytest.mark.parametrize("shell", ["sh", "bash"])
    @pytest.mark.parametrize("hostile", HOSTILE)
    def test_hostile_inputs_stay_text(self, fake: Path, tmp_path: Path, shell: str, hostile: str) -> None:
        _, job = component()
        names = [name for name in job["variables"] if name.startswith(("GITCD_ECR", "GITCD_OUTPUT"))]
        given = dict.fromkeys(names, hostile)
        done = run_component(tmp_path, fake, shell, GITCD_CI_COMMAND="remove", **given)
        assert done.returncode == 0, done.stderr
        arguments, seen = json.loads((tmp_path / "call").read_text())
        assert arguments == ["ecr-tags", "remove"]
        assert {name: seen[name] for name in names} == given
        assert {path.name for path in (tmp_path / "work").iterdir()} == {"gitcd-tags.out"}

    @pytest.mark.parametrize("hostile", HOSTILE)
    def test_only_known_commands_run(self, fake: Path, tmp_path: Path, hostile: str) -> None:
        assert run_component(tmp_path, fake, "sh", GITCD_CI_COMMAND=hostile).returncode == 2
        assert not (tmp_path / "call").exists()

    @pytest.mark.parametrize("shell", ["sh", "bash"])
    def test_the_exit_code_and_the_output_are_the_commands(self, fake: Path, tmp_path: Path, shell: str) -> None:
        done = run_component(tmp_path, fake, shell, GITCD_CI_COMMAND="get", FAKE_CODE="5", FAKE_OUTPUT="{}\n")
        assert (done.returncode, done.stdout) == (5, "{}\n")
        assert (tmp_path / "work/gitcd-tags.out").read_text() == "{}\n"

    def test_flags_without_a_value(self, fake: Path, tmp_path: Path) -> None:
        run_component(
            tmp_path, fake, "sh", GITCD_CI_COMMAND="remove", GITCD_CI_DRY_RUN="true", GITCD_CI_DELETE_UNTAGGED="true"
        )
        assert json.loads((tmp_path / "call").read_text())[0] == [
            "ecr-tags",
            "remove",
            "--dry-run",
            "--delete-untagged",
        ]

    @pytest.mark.parametrize("shell", ["sh", "bash"])
    def test_the_identity_token_is_handed_over_by_a_file_that_goes(
        self, fake: Path, tmp_path: Path, shell: str
    ) -> None:
        role, folder = "arn:aws:iam::123456789012:role/tags", tmp_path / "tmp"
        folder.mkdir()
        seen = tmp_path / "seen"
        (fake / "gitcd").write_text(f'#!/bin/sh\ncp -p "$AWS_WEB_IDENTITY_TOKEN_FILE" {seen}\necho $AWS_ROLE_ARN\n')
        done = run_component(tmp_path, fake, shell, GITCD_CI_COMMAND="get", GITCD_CI_ROLE_ARN=role, TMPDIR=str(folder))
        assert (done.returncode, done.stdout) == (0, f"{role}\n"), done.stderr
        assert seen.read_text() == "the-token"
        assert stat.S_IMODE(seen.stat().st_mode) == 0o600
        assert not list(folder.iterdir())


PAGE = (ROOT / "docs/ci.md").read_text()


def test_the_page_shows_and_lists_inputs_that_exist() -> None:
    (action,) = documents(ACTION / "action.yml")
    workflow, include, _ = map(yaml.safe_load, re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
    (ours,) = [step for step in workflow["jobs"]["promote"]["steps"] if "gitcd" in step.get("uses", "")]
    assert ours["uses"].partition("@")[0].endswith(f"gitcd/{ACTION.relative_to(ROOT)}")
    assert set(ours["with"]) <= set(action["inputs"])
    listed = {
        name for row in re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE) for name in re.findall(r"`([a-z-]+)`", row)
    }
    assert listed == set(action["inputs"])
    (entry,) = include["include"]
    inputs, _ = component()
    assert (ROOT / entry["file"].removeprefix("/")) == COMPONENT
    assert {name for name, about in inputs.items() if "default" not in about} <= set(entry["inputs"]) <= set(inputs)
    assert set(action["inputs"]) - {"journal", "python"} <= set(inputs)


def test_the_policies_on_the_page_grant_no_more_than_they_say() -> None:
    policies = [json.loads(block) for block in re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)]
    actions = [statement["Action"] for policy in policies for statement in policy["Statement"]]
    web = "sts:AssumeRoleWithWebIdentity"
    assert actions == [web, web, ["ecr:DescribeImages", "ecr:BatchGetImage", "ecr:PutImage"]]
    assert "*" not in json.dumps(policies)
