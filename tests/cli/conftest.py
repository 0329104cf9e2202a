from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.ecr import StandIn


@pytest.fixture
def ecr() -> Iterator[StandIn]:
    """A registry in which env-dev names 1.1.0 of the one application."""
    with StandIn() as server:
        server.put("team/app", tags=["1.1.0", "env-dev"])
        yield server
