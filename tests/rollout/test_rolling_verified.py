"""A rolling update that is verified: the checks as the driver makes them, on the real control plane."""

from __future__ import annotations

import pytest

from gitcd.model.reference import Repository
from gitcd.model.registry import Answers, Failure, Image, Query
from gitcd.model.strategy import Verify
from gitcd.usecases.rollout import roll_out
from gitcd.usecases.rollout_end import End
from gitcd.usecases.rollout_measure import Measuring, by_digest, is_own_cluster
from tests.support.rollouts import Rollouts, back_to, digest, image

SMOKE = "registry.example.com/smoke"
FAST = {"interval": "0s"}


def smoke(tag: str) -> dict[str, object]:
    return {"kind": "Image", "name": "smoke", "image": SMOKE, "tag": tag, **FAST}


def verified(rollouts: Rollouts, *checks: dict[str, object]) -> tuple[object, list[dict[str, object]]]:
    """1.0.0 runs; 1.1.0 is rolled out with these checks. How that ended, and the Jobs that ran."""
    rollouts.declare("app")
    good = rollouts.release("app", "1.0.0")
    roll_out([good], rollouts.means())
    new = rollouts.release("app", "1.1.0", strategy={"verify": list(checks)})
    means = rollouts.means(take_back=back_to(good), check=Measuring(rollouts.objects).answer)
    (rolled,) = roll_out([new], means)
    return rolled, rollouts.objects.list_kind("batch", "Job", namespace=rollouts.namespace)


@pytest.mark.slow
def test_a_check_that_passes_lets_the_release_stay(rollouts: Rollouts) -> None:
    rolled, jobs = verified(rollouts, smoke("1"), {**smoke("2"), "count": 2})
    assert rolled.end is End.DONE
    assert len(jobs) == 3
    (owner,) = {each["metadata"]["ownerReferences"][0]["name"] for each in jobs}
    assert owner == "app"
    assert rollouts.live_image("app") == image("app", "1.1.0")


@pytest.mark.slow
def test_a_check_that_cannot_run_takes_nothing_back(rollouts: Rollouts) -> None:
    rolled, _ = verified(rollouts, smoke("bad-pull"))
    assert rolled.end is End.FAILED
    assert rolled.trouble.reason == "VerificationInconclusive"
    assert not rolled.trouble.blames
    assert rollouts.live_image("app") == image("app", "1.1.0")
    assert rollouts.history("app")[0] == (digest("1.1.0"), "Inconclusive")
    assert rollouts.conditions("app")["Verified"] == ("Unknown", "VerificationInconclusive")


@pytest.mark.parametrize(
    ("server", "host", "own"),
    [
        ("https://10.0.0.1:443", "10.0.0.1", True),
        ("https://[fd00::1]:443", "fd00::1", True),
        ("https://api.other.example.com", "10.0.0.1", False),
        ("https://10.0.0.1:443", "", False),
    ],
)
def test_addresses_of_services_are_those_of_the_own_cluster(server: str, host: str, own: bool) -> None:
    assert is_own_cluster(server, {"KUBERNETES_SERVICE_HOST": host}) is own


def test_the_tag_of_a_check_is_asked_of_its_registry_and_no_other() -> None:
    asked: list[Query] = []
    found = Image("sha256:" + "5" * 64)

    def ask(queries: list[Query]) -> Answers:
        asked.extend(queries)
        return Answers({(Repository.parse(SMOKE), "3"): found})

    resolve = by_digest(ask)
    assert resolve(Verify("Image", image=SMOKE, tag="3")) == f"{SMOKE}@{found.digest}"
    assert isinstance(resolve(Verify("Image", image=SMOKE)), Failure)
    assert [(str(each.repository), set(each.tags)) for each in asked] == [(SMOKE, {"3"}), (SMOKE, {"latest"})]
    assert isinstance(resolve(Verify("Image", image="no image at all")), Failure)
    assert len(asked) == 2
