from datetime import timedelta

import pytest

from gitcd.model import schema
from gitcd.model.declaration import ContainerVersion, Document, Gates, Identity, Metadata, Origin, Spec
from gitcd.model.hold import hold_path, identity_of
from gitcd.model.layout import ConfigRepository

FULL = {
    "apiVersion": "gitcd.io/v1",
    "kind": "ContainerVersion",
    "metadata": {"name": "tiles", "namespace": "maps", "labels": {"a": "b"}, "resourceVersion": "1"},
    "spec": {
        "imageRepo": "123456789012.dkr.ecr.us-east-1.amazonaws.com/nearmap/tiles",
        "follow": {"semver": ">=1.2 <2"},
        "versionSyntax": "[0-9a-f]{40}",
        "pin": "VersionAndDigest",
        "adopt": "OnChange",
        "selector": {"cvapp": "tiles"},
        "container": {"name": "tiles-container"},
        "places": [{"file": "app.yaml", "pointer": "/spec/parameters/0/value", "format": "reference"}],
        "environment": "prod",
        "paths": ["envs/prod/tiles"],
        "interval": "5m",
        "delivery": {"mode": "PullRequest", "group": "maps"},
        "gates": {"minAge": "24h", "maxSeverity": "HIGH", "requireSigned": True, "allowDowngrade": False},
        "strategy": {
            "kind": "ServiceBlueGreen",
            "group": "maps",
            "blueGreen": {
                "serviceName": "tiles",
                "verificationServiceName": "tiles-next",
                "labelNames": ["slot"],
                "scaleDown": True,
                "scaleDownDelay": "30s",
                "watch": "2m",
            },
            "verify": [
                {
                    "kind": "Image",
                    "image": "registry.example.com/check",
                    "tag": "v1",
                    "annotations": {"a/b": "any text"},
                },
                {"kind": "HTTP", "service": "tiles", "path": "/ready", "expect": 204},
                {"kind": "Prometheus", "query": "up", "min": "0.5", "onEmpty": "Fail", "count": 3},
            ],
        },
        "apply": {"ownership": "Image", "takeOver": True},
        "rollback": {"enabled": False},
        "history": {"enabled": True, "limit": 20},
        "config": {"name": "tiles-config", "key": "version"},
        "timeouts": {"rollout": "20m", "verify": "10m"},
        "suspend": True,
    },
    "status": {"anything": ["at", {"all": 1}]},
}


def test_every_field_that_is_documented_is_known():
    document = schema.build(Document, FULL)
    assert document.spec.gates == Gates(timedelta(hours=24), "HIGH", require_signed=True, allow_downgrade=False)
    assert document.spec.strategy.blue_green
    assert document.spec.strategy.blue_green.watch == timedelta(minutes=2)
    assert document.spec.repository.path == "nearmap/tiles"
    assert [verify.kind for verify in document.spec.strategy.verify] == ["Image", "HTTP", "Prometheus"]
    unused = {field.key for field in schema.table(Spec).fields.values()} - FULL["spec"].keys()
    assert unused == {"tag", "workload"}


def test_a_canary_has_steps():
    steps = [
        {"weight": 10, "pause": "2m"},
        {"weight": 50, "pause": "Approval", "verify": [{"kind": "HTTP", "service": "x"}]},
    ]
    strategy = {"kind": "Canary", "canary": {"steps": steps, "httpRoute": {"name": "tiles"}}}
    spec = schema.build(Spec, {"imageRepo": "registry.example.com/a", "tag": "x", "strategy": strategy})
    assert spec.strategy.canary
    assert [step.pause for step in spec.strategy.canary.steps] == ["2m", "Approval"]


def test_the_layout_that_is_documented_is_known():
    layout = schema.build(
        ConfigRepository,
        {
            "apiVersion": "gitcd.io/v1",
            "kind": "ConfigRepository",
            "commits": "environment",
            "environments": [
                {"name": "dev", "path": "envs/dev", "delivery": {"mode": "Commit"}},
                {
                    "name": "prod",
                    "paths": ["envs/prod", "charts/*/values-prod.yaml"],
                    "delivery": {"mode": "PullRequest", "group": "env", "onClosed": "hold"},
                    "promoteFrom": "dev",
                    "gates": {"minSoak": "24h"},
                    "freeze": [{"from": "2026-12-20", "until": "2027-01-03", "reason": "holidays"}],
                    "applier": "external",
                    "markers": False,
                    "helmTag": "VersionAndDigest",
                },
            ],
        },
    )
    assert layout.environments[1].freeze[0].from_ == "2026-12-20"
    assert layout.environments[1].gates.min_soak == timedelta(days=1)


def test_a_declaration_without_namespace_is_in_default():
    spec = Spec(image_repo="registry.example.com/a", tag="x")
    assert ContainerVersion(Metadata("a"), spec, Origin("x.yaml")).namespace == "default"


@pytest.mark.parametrize("identity", [Identity("prod", "maps", "tiles"), Identity("dev", "default", "a.b.c")])
def test_hold_files_are_named_after_their_declaration(identity):
    assert identity_of(hold_path(identity)) == identity
