"""Which declarations of several environments are one app."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitcd.model.declaration import Identity
from gitcd.model.kinship import kinship

NAMES = st.sampled_from(["dev", "prod", "pay", "pay-dev", "pay-prod", "dev-pay", "prod-pay"])


def apps(*identities: str) -> list[str]:
    parsed = [Identity(*each.split("/")) for each in identities]
    found = kinship(parsed)
    return [found[each] for each in parsed]


def test_namespace_and_name_where_both_are_the_same():
    assert apps("dev/team/app", "prod/team/app", "prod/team/other") == ["team/app", "team/app", "team/other"]


@pytest.mark.parametrize(
    ("dev", "prod", "app"),
    [("pay-dev", "pay-prod", "pay-*"), ("dev-pay", "prod-pay", "*-pay"), ("dev", "prod", "*")],
)
def test_the_name_of_the_environment_may_differ(dev: str, prod: str, app: str):
    assert apps(f"dev/{dev}/x", f"prod/{prod}/x") == [f"{app}/x", f"{app}/x"]


def test_nothing_else_may():
    assert apps("dev/pay/x", "prod/pay-prod/x") == ["pay/x", "pay-prod/x"]
    assert apps("dev/pay-dev/x", "prod/pay-prod/y") == ["pay-dev/x", "pay-prod/y"]
    assert apps("dev/paydev/x", "prod/payprod/x") == ["paydev/x", "payprod/x"]


def test_the_very_namespace_goes_first():
    assert apps("dev/pay-prod/x", "prod/pay-prod/x", "dev/pay-dev/x") == ["pay-prod/x", "pay-prod/x", "pay-dev/x"]


@given(st.sets(st.tuples(st.sampled_from(["dev", "prod"]), NAMES, st.just("x"))))
def test_in_one_environment_no_two_are_one_app(told: set[tuple[str, str, str]]):
    found = kinship(Identity(*each) for each in told)
    assert len({(each.environment, app) for each, app in found.items()}) == len(told)
