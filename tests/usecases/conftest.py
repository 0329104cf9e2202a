import pytest

from tests.support.repos import Bare, make_bare
from tests.support.scenes import LAYOUT, Tags, app_files


@pytest.fixture
def remote(tmp_path) -> Bare:
    """A bare remote with a layout and two applications in dev, both at 1.0.0."""
    return make_bare(tmp_path / "remote.git", {"gitcd.yaml": LAYOUT} | app_files("app") | app_files("other"))


@pytest.fixture
def tags() -> Tags:
    """A registry in which env-dev names 1.0.0 of both."""
    tags = Tags()
    for name in ("team/app", "team/other"):
        tags.move(name, "env-dev", "1.0.0")
    return tags
