"""A wheel, an sdist and an editable install each carry everything, the templates above all."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

_FOLDER = Path("templates").resolve()
TEMPLATES = sorted(path.relative_to(_FOLDER).as_posix() for path in _FOLDER.rglob("*") if path.is_file())
LOAD = """
import gitcd, sys
from gitcd.rendering.sandbox import TEMPLATES, _environment
assert gitcd.__file__.startswith(sys.argv[1]), gitcd.__file__
environment = _environment(None)
for name in environment.list_templates():
    environment.get_template(name)
    print(name)
"""


@pytest.fixture(scope="session")
def root(pytestconfig: pytest.Config) -> Path:
    return pytestconfig.rootpath


@pytest.fixture(scope="session")
def distributions(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [
        sys.executable,
        "-m",
        "build",
        "--no-isolation",
        "--sdist",
        "--wheel",
        "--outdir",
        str(folder),
        str(root),
    ]
    subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def wheel(distributions: Path) -> Path:
    return next(distributions.glob("*.whl"))


@pytest.fixture(scope="session")
def sdist(distributions: Path) -> Path:
    return next(distributions.glob("*.tar.gz"))


def loaded_templates(folder: Path, where: Path) -> list[str]:
    """Import gitcd from `folder` in a fresh process and load every template it finds."""
    command = [sys.executable, "-P", "-c", LOAD, str(folder)]
    environment = os.environ | {"PYTHONPATH": str(folder)}
    result = subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return sorted(result.stdout.split())


def test_every_template_loads_from_the_wheel(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    assert loaded_templates(tmp_path / "site", tmp_path) == TEMPLATES


def test_gitcd_runs_from_the_wheel(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    example = tmp_path / "site" / "gitcd" / "examples" / "config-repo"
    command = [sys.executable, "-P", "-m", "gitcd", "validate", str(example)]
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site")}
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def unpacked(sdist: Path, where: Path) -> Path:
    """By tar itself: Python 3.11 knows no filters for archives before 3.11.4, and later ones want to be given one."""
    subprocess.run(["tar", "-xf", sdist, "-C", where], check=True)
    (folder,) = where.iterdir()
    return folder


def test_every_template_loads_from_the_sdist(sdist: Path, tmp_path: Path) -> None:
    folder = unpacked(sdist, tmp_path)
    assert loaded_templates(folder, tmp_path) == TEMPLATES


def test_a_wheel_built_from_the_sdist_is_the_same(wheel: Path, sdist: Path, tmp_path: Path) -> None:
    folder = unpacked(sdist, tmp_path)
    command = [
        sys.executable,
        "-m",
        "build",
        "--no-isolation",
        "--wheel",
        "--outdir",
        str(tmp_path / "out"),
        str(folder),
    ]
    subprocess.run(command, check=True, capture_output=True)
    (again,) = (tmp_path / "out").iterdir()
    with zipfile.ZipFile(wheel) as first, zipfile.ZipFile(again) as second:
        assert first.namelist() == second.namelist()


def test_every_template_loads_from_an_editable_install(root: Path, tmp_path: Path) -> None:
    """The path file that an editable install leaves in site-packages is what makes gitcd importable."""
    script = f"import os; os.chdir({str(root)!r}); from hatchling.build import build_editable; "
    script += f"build_editable({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
    (built,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        (paths,) = [archive.read(name).decode().split() for name in archive.namelist() if name.endswith(".pth")]
    assert loaded_templates(Path(paths[0]), tmp_path) == TEMPLATES


def test_the_wheel_has_the_type_marker_the_command_and_the_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        entry_points = next(name for name in names if name.endswith("entry_points.txt"))
        assert "gitcd = gitcd.__main__:main" in archive.read(entry_points).decode()
        metadata = archive.read(next(name for name in names if name.endswith("METADATA"))).decode()
    assert "gitcd/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert "License-Expression: Apache-2.0" in metadata
    assert not [name for name in names if not name.startswith(("gitcd/", "gitcd-"))]


def test_the_wheel_carries_the_example_for_the_demo(root: Path, wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name.partition("/")[2] for name in archive.namelist() if name.startswith("gitcd/examples/")}
    assert packed == {path.relative_to(root).as_posix() for path in root.glob("examples/**/*") if path.is_file()}


def test_the_sdist_can_be_tested(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "tests/conftest.py",
        "examples/config-repo/gitcd.yaml",
    }
    assert wanted <= names
