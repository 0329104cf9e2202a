"""What the operator maps a namespace to is all that a declaration of the cluster reaches."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitcd.model import schema
from gitcd.model.declaration import ContainerVersion, Identity, Metadata, Origin, Spec
from gitcd.model.layout import ConfigRepository
from gitcd.model.plan import Outcome, OutcomeKind
from gitcd.model.problem import Problem
from gitcd.model.registry import Failure
from gitcd.model.settings import NamespaceScope
from gitcd.model.strategy import Strategy
from gitcd.planning.inputs import Inputs
from gitcd.planning.mapping import Mapped, Unreadable
from gitcd.planning.scopes import Scopes

LAYOUT = schema.build(
    ConfigRepository,
    {
        "apiVersion": "gitcd.io/v1",
        "kind": "ConfigRepository",
        "environments": [{"name": name, "path": f"envs/{name}"} for name in ("dev", "prod")],
    },
)
REPO = "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/app"


def inputs(layout=LAYOUT, **more):
    return Inputs(layout, Scopes(layout), more.pop("declared", ()), more.pop("broken", ()), {}, **more)


def declaration(name="app", namespace="team", **spec):
    whole = Spec(image_repo=REPO, tag="t", **spec)
    return ContainerVersion(
        Metadata(name, namespace), whole, Origin(f"containerversions/{name} in namespace {namespace}")
    )


def placed(declarations, scopes, layout=LAYOUT, **more):
    mapped = Mapped(declarations, {each.name: each for each in scopes}, **more)
    return mapped.replace_declared(inputs(layout))


def reasons(found):
    return [each.reason for each in found.broken]


DEV = NamespaceScope("team", ("dev",), ("envs/dev/team",))


def test_one_environment_needs_no_name():
    found, absent = placed([declaration()], [DEV])
    (each,) = found.declared
    assert str(each.identity) == "dev/team/app"
    assert each.reach.holds("envs/dev/team/x.yaml", "dev")
    assert not each.reach.holds("envs/dev/other/x.yaml", "dev")
    assert not each.reach.holds("envs/prod/team/x.yaml", "prod")
    assert absent == []


@pytest.mark.parametrize(
    ("spec", "scope", "reason", "words"),
    [
        ({}, NamespaceScope("other", ("dev",)), "NamespaceNotAllowed", "maps namespace team of this cluster to no"),
        ({}, NamespaceScope("team", ("dev", "prod")), "NamespaceNotAllowed", "reach dev and prod"),
        ({"environment": "prod"}, DEV, "NamespaceNotAllowed", "spec.environment names prod"),
        ({}, NamespaceScope("team", ("qa",)), "NamespaceNotAllowed", "which gitcd.yaml does not have"),
        ({"paths": ("../x",)}, DEV, "EnvironmentUnclear", "leaves the repository"),
        ({}, replace(DEV, registries=("210987654321",)), "RegistryNotAllowed", "follow"),
    ],
)
def test_what_is_not_allowed_is_refused_with_the_reason(spec, scope, reason, words):
    found, _ = placed([declaration(**spec)], [scope])
    assert found.declared == ()
    (outcome,) = found.broken
    assert outcome.reason == reason
    assert words in outcome.message
    assert outcome.remedy


def test_one_of_several_is_named():
    found, _ = placed([declaration(environment="prod")], [NamespaceScope("team", ("dev", "prod"))])
    assert [str(each.identity) for each in found.declared] == ["prod/team/app"]


def test_environments_of_other_clusters_do_not_count():
    scope = NamespaceScope("team", ("dev", "prod"))
    found, _ = placed([declaration()], [scope], elsewhere=frozenset({"prod"}))
    assert [str(each.identity) for each in found.declared] == ["dev/team/app"]
    found, _ = placed([declaration()], [scope], elsewhere=frozenset({"dev", "prod"}))
    assert reasons(found) == ["NamespaceNotAllowed"]


def test_without_a_layout_the_folders_of_the_map_bound_it():
    found, _ = placed([declaration()], [NamespaceScope("team", ("default",), ("team",))], layout=None)
    (each,) = found.declared
    assert each.reach.holds("team/x.yaml", None)
    assert not each.reach.holds("other/x.yaml", None)


def test_a_hold_file_that_cannot_be_read_holds():
    problem = Problem("is odd", path=".gitcd/holds/dev/team.app.yaml")
    mapped = Mapped([declaration()], {"team": DEV})
    found, _ = mapped.replace_declared(inputs(unreadable={Identity("dev", "team", "app"): problem}))
    assert reasons(found) == ["HoldUnreadable"]


class TestGroups:
    GROUPED = Strategy(group="g")

    def test_a_refused_member_is_missed(self):
        far = replace(declaration("b", strategy=self.GROUPED), origin=Origin("b"))
        far = replace(far, spec=replace(far.spec, image_repo="210987654321.dkr.ecr.us-east-1.amazonaws.com/x"))
        found, absent = placed([declaration(strategy=self.GROUPED), far], [replace(DEV, registries=("123456789012",))])
        assert len(found.declared) == 1
        assert [(each.environment, each.group, each.outcome.identity.app) for each in absent] == [
            ("dev", "g", "team/b")
        ]

    def test_an_invalid_member_is_missed_where_it_may_belong(self):
        outcome = Outcome(Identity("", "team", "b"), Origin("b"), OutcomeKind.FAILED)
        _, absent = placed([declaration(strategy=self.GROUPED)], [DEV], unreadable=(Unreadable(outcome, "g"),))
        assert [(each.environment, each.outcome) for each in absent] == [("dev", outcome)]

    @pytest.mark.parametrize("environment", ["", "dev", "prod"])
    def test_T13_nobody_stops_a_group_from_outside_its_environment(self, environment):
        """Be it by a namespace without a map, or by one that reaches something else."""
        strangers = [
            replace(declaration("b", name, strategy=self.GROUPED, environment=environment), origin=Origin(name))
            for name in ("nobody", "far")
        ]
        broken = [
            Outcome(Identity(environment, name, "c"), Origin(f"{name}c"), OutcomeKind.FAILED)
            for name in ("nobody", "far")
        ]
        _, absent = placed(
            [declaration(strategy=self.GROUPED), *strangers],
            [DEV, NamespaceScope("far", ("prod",))],
            unreadable=tuple(Unreadable(each, "g") for each in broken),
        )
        assert not [each for each in absent if each.belongs_to(("dev", "g"))]

    def test_so_is_whoever_may_be_in_a_namespace_that_was_not_read(self):
        failure = Failure("NamespaceForbidden", "no")
        scopes = [DEV, NamespaceScope("closed", ("dev",)), NamespaceScope("far", ("prod",))]
        unread = {"closed": failure, "far": failure}
        _, absent = placed([declaration(strategy=self.GROUPED), declaration("alone")], scopes, unread=unread)
        assert [(each.environment, each.group, each.outcome.identity.namespace) for each in absent] == [
            ("dev", "g", "closed")
        ]


@given(
    st.lists(st.sampled_from(["dev", "prod", "qa"]), min_size=1, unique=True),
    st.sampled_from(["", "dev", "prod", "qa"]),
    st.sampled_from(["team", "other"]),
    st.sampled_from([(), ("envs",), ("envs/dev", "envs/prod"), ("**/*",)]),
)
def test_T13_no_declaration_reaches_beyond_its_map(environments, named, namespace, paths):
    scope = NamespaceScope("team", tuple(environments), ("envs/dev/team", "envs/prod/team"))
    found, _ = placed([declaration(namespace=namespace, environment=named, paths=paths)], [scope])
    for each in found.declared:
        assert each.identity.environment in environments
        assert each.identity.namespace == "team"
        for owner in ("dev", "prod"):
            assert not each.reach.holds(f"envs/{owner}/other/x.yaml", owner)
