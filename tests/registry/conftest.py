from __future__ import annotations

from collections.abc import Iterator

import pytest

from gitcd.registry.ecr import Ecr
from gitcd.registry.settings import RegistrySettings
from tests.support.ecr import CREDENTIALS, StandIn


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def ecr() -> Iterator[StandIn]:
    with StandIn() as server:
        yield server


@pytest.fixture
def registry(ecr: StandIn) -> Ecr:
    return Ecr(RegistrySettings(endpoint_url=ecr.url))


@pytest.fixture
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries follow one another at once; their number stays as configured."""
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
