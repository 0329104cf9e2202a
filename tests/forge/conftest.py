from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.forges import KINDS, Bench, FakeBench, fake_bench, gitea_bench
from tests.support.gitea import gitea, repository  # noqa: F401 - fixtures


@pytest.fixture(params=KINDS)
def bench(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Every forge in turn: the real Gitea, and the fakes of the others."""
    if request.param == "gitea":
        with gitea_bench(request.getfixturevalue("repository")) as made:
            yield made
        return
    with fake_bench(request.param, monkeypatch) as made:
        yield made


@pytest.fixture(params=[kind for kind in KINDS if kind != "gitea"])
def fake(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeBench]:
    """The fakes alone, for what a real forge cannot be asked to do."""
    with fake_bench(request.param, monkeypatch) as made:
        yield made
