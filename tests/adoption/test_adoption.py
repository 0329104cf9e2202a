"""Repositories that were not made for gitcd: the right lines change, nothing else does, and then nothing more."""

from __future__ import annotations

import pytest

from gitcd.model.plan import OutcomeKind
from tests.support.adoption import Case, at, declare, pinned, snapshot
from tests.support.repos import make_bare
from tests.support.scenes import HOST, run

PLAIN = Case(
    tree="plain",
    declarations={
        "production/containerversions.yaml": declare(
            "api", "bookstore/api", "production", namespace="bookstore", selector={"app.kubernetes.io/name": "api"}
        )
        + declare("batch", "bookstore/batch", "production", namespace="bookstore", selector={"tier": "batch"})
        + declare(
            "web",
            "bookstore/web",
            "production",
            namespace="bookstore",
            workload={"kind": "Deployment", "name": "web"},
            container={"name": "web"},
        )
        + declare(
            "web-canary",
            "bookstore/web",
            "canary",
            namespace="bookstore",
            workload={"kind": "Deployment", "name": "web-canary"},
        )
        + declare(
            "cache",
            "docker.io/library/redis",
            "7.2",
            namespace="bookstore",
            workload={"kind": "Deployment", "name": "web"},
            container={"name": "cache"},
        )
        + declare(
            "postgres",
            "docker.io/library/postgres",
            "16.4",
            namespace="bookstore",
            selector={"app": "postgres"},
            container={"name": "postgres"},
            pin="Digest",
        ),
        "staging/containerversions.yaml": declare(
            "api-staging",
            "bookstore/api",
            "staging",
            selector={"app.kubernetes.io/name": "api"},
            pin="TagAndDigest",
        )
        + declare("web-staging", "bookstore/web", "staging", selector={"app": "web"}, pin="Version"),
    },
    environments={"production": ["production"], "staging": ["staging"]},
    moves=(
        ("bookstore/api", "past", "2.3.1"),
        ("bookstore/api", "production", "2.4.0"),
        ("bookstore/api", "staging", "2.5.0"),
        ("bookstore/batch", "production", "beefc0de"),
        ("bookstore/web", "production", "7.1.0"),
        ("bookstore/web", "canary", "8.0.0"),
        ("bookstore/web", "staging", "8.1.0"),
        ("library/redis", "7.2", "7.2"),  # other registries than ECR tell no other tag of an image
        ("library/postgres", "16", "16.4"),
    ),
    expected={
        "production/api.yaml": {
            35: f'        image: "{HOST}/bookstore/api:{pinned("bookstore/api", "2.4.0")}"   # same image, other entry point',
            38: f"      - image: {HOST}/bookstore/api:{pinned('bookstore/api', '2.4.0')}",
        },
        "production/batch.yaml": {
            22: f"              image: '{HOST}/bookstore/batch:{pinned('bookstore/batch', 'beefc0de')}'",
            31: "    jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: reports, image: "
            f"{HOST}/bookstore/batch:{pinned('bookstore/batch', 'beefc0de')}, args: [--weekly]}}]}}}}}}}}",
        },
        "production/web.yaml": {
            14: f"                    image: {HOST}/bookstore/web:{pinned('bookstore/web', '7.1.0')}",
            16: f"                    image: redis:7.2@{at('library/redis', '7.2')}",
            31: f"                    image: {HOST}/bookstore/web:{pinned('bookstore/web', '8.0.0')}",
        },
        "production/postgres.yaml": {
            11: f'      - {{name: postgres, image: "postgres@{at("library/postgres", "16.4")}", ports: [{{containerPort: 5432}}]}}',
        },
        "staging/api.yaml": {
            13: f"        image: {HOST}/bookstore/api:staging@{at('bookstore/api', '2.5.0')}",
        },
        "staging/web.yaml": {
            4: f"spec: {{template: {{spec: {{containers: [{{name: web, image: {HOST}/bookstore/web:8.1.0}}]}}}}}}",
        },
    },
    astray=(
        "production/astray.yaml",
        declare("astray", "bookstore/api", "production", namespace="bookstore", selector={"app": "api"}),
        ("production/api.yaml:38", "spec.selector asks for app=api", "app.kubernetes.io/name=api"),
    ),
)

KUSTOMIZE = Case(
    tree="kustomize",
    declarations={
        "overlays/dev/containerversions.yaml": declare("web", "shop/web", "env-dev", environment="dev")
        + declare("worker", "shop/worker", "env-dev", environment="dev"),
        "overlays/staging/containerversions.yaml": declare(
            "web", "shop/web", "env-staging", environment="staging", pin="Digest"
        )
        + declare("grafana", "mirror/grafana", "stable", environment="staging"),
        "overlays/prod/containerversions.yaml": declare(
            "web", "shop/web", "env-prod", environment="prod", pin="Version"
        )
        + declare("worker", "shop/worker", "env-prod", environment="prod"),
        "components/metrics/containerversions.yaml": declare(
            "exporter", "shop/exporter", "stable", environment="prod", pin="TagAndDigest"
        ),
    },
    environments={
        "dev": ["overlays/dev"],
        "staging": ["overlays/staging"],
        "prod": ["overlays/prod", "components/metrics"],
    },
    moves=(
        ("shop/web", "env-staging", "1.4.0"),
        ("shop/web", "env-prod", "1.4.0"),
        ("shop/web", "env-dev", "1.4.1"),
        ("shop/worker", "env-prod", "1.1.0"),
        ("shop/worker", "env-dev", "1.2.0"),
        ("mirror/grafana", "stable", "11.2.0"),
        ("shop/exporter", "stable", "v0.9.2"),
    ),
    expected={
        "overlays/dev/kustomization.yaml": {
            5: f"  newName: {HOST}/shop/web\n  newTag: 1.4.1\n  digest: {at('shop/web', '1.4.1')}",
            6: f"- {{name: {HOST}/shop/worker, newTag: '1.2.0', digest: '{at('shop/worker', '1.2.0')}'}}",
        },
        "overlays/staging/kustomization.yml": {
            9: f'    -   digest: "{at("shop/web", "1.4.0")}"   # bumped by hand',
            14: f"        newTag: 11.2.0\n        digest: {at('mirror/grafana', '11.2.0')}",
        },
        "overlays/prod/kustomization.yaml": {
            11: f"  {{name: shop-web, newName: {HOST}/shop/web, newTag: 1.4.0}},",
            12: f'  {{"name": "{HOST}/shop/worker", "newTag": "1.1.0", "digest": "{at("shop/worker", "1.1.0")}"}}',
        },
        "components/metrics/kustomization.yaml": {
            6: f"  newTag: stable\n  digest: {at('shop/exporter', 'v0.9.2')}",
        },
    },
    removed=1,
    astray=(
        "overlays/prod/astray.yaml",
        declare("astray", "shop/wbe", "env-prod", environment="prod"),
        ("No manifest there mentions that repository",),
    ),
)

HELM = Case(
    tree="helm",
    declarations={
        "charts/shop/containerversions.yaml": "".join(
            declare(
                name,
                f"shop/{name}",
                "env-prod",
                environment="prod",
                paths=["charts/shop/values-production.yaml"],
            )
            for name in ("front", "cart", "tracer")
        )
        + declare(
            "front", "shop/front", "env-staging", environment="staging", paths=["charts/shop/values-staging.yaml"]
        )
    },
    environments={
        "prod": ["charts/*/values-production.yaml"],
        "staging": ["charts/*/values-staging.yaml"],
    },
    moves=(
        ("shop/front", "past", "3.1.4"),
        ("shop/front", "env-staging", "3.2.0-rc.2"),
        ("shop/front", "env-prod", "3.2.0"),
        ("shop/cart", "env-prod", "1.10.0"),
        ("shop/tracer", "env-prod", "0.4.0"),
    ),
    expected={
        "charts/shop/values-production.yaml": {
            5: f'  tag: "{pinned("shop/front", "3.2.0")}"      # released 2026-09-01',
            14: "    tag: 1.10.0",
            15: f'    digest: "{at("shop/cart", "1.10.0")}"',
            18: f'      image: {{repository: {HOST}/shop/tracer, tag: 0.4.0, digest: "{at("shop/tracer", "0.4.0")}"}}',
            25: f"    image: {HOST}/shop/front:{pinned('shop/front', '3.2.0')}",
        },
        "charts/shop/values-staging.yaml": {2: f"  tag: {pinned('shop/front', '3.2.0-rc.2')}"},
    },
    astray=(
        "charts/shop/astray.yaml",
        declare("astray", "shop/redis", "env-prod", environment="prod", paths=["charts/shop/values-production.yaml"]),
        ("No manifest there mentions that repository",),
    ),
)

ARGO_CD = Case(
    tree="argocd",
    declarations={
        "apps/production/containerversions.yaml": "".join(
            declare(name, f"team/{name}", "production") for name in ("front", "orders", "search")
        )
        + declare("gateway", "team/gateway", "production", namespace="edge", selector={"app": "gateway"}),
        "apps/staging/containerversions.yaml": declare("front-staging", "team/front", "staging"),
    },
    environments={"production": ["apps/production"], "staging": ["apps/staging"]},
    moves=(
        ("team/front", "past", "5.0.1"),
        ("team/front", "production", "5.1.0"),
        ("team/front", "staging", "5.1.0-rc.3"),
        ("team/orders", "production", "2.1.0"),
        ("team/search", "production", "8.2.0"),
        ("team/gateway", "production", "0.8.0"),
    ),
    expected={
        "apps/production/front.yaml": {
            18: f"          tag: {pinned('team/front', '5.1.0')}",
            25: f"          image: {{registry: {HOST}, repository: team/front, "
            f"tag: \"5.1.0\", digest: '{at('team/front', '5.1.0')}'}}",
        },
        "apps/production/legacy.yaml": {15: f"          tag: {pinned('team/front', '5.1.0')}"},
        "apps/production/orders.yaml": {11: f"        - {HOST}/team/orders:{pinned('team/orders', '2.1.0')}"},
        "apps/production/search.yaml": {16: f"            value: {pinned('team/search', '8.2.0')}"},
        "apps/production/plain/gateway.yaml": {
            12: f"      - image: {HOST}/team/gateway:{pinned('team/gateway', '0.8.0')}"
        },
        "apps/staging/front.yaml": {
            12: f"        image: {{repository: {HOST}/team/front, tag: {pinned('team/front', '5.1.0-rc.3')}}}"
        },
    },
    astray=(
        "apps/production/astray.yaml",
        declare("astray", "team/gateway", "production", namespace="gateway", selector={"app": "gateway"}),
        ("apps/production/plain/gateway.yaml:12", "its namespace is edge, the declaration's is gateway"),
    ),
)

FLUX = Case(
    tree="flux",
    declarations={
        "containerversions.yaml": declare("podinfo", "fleet/podinfo", "production", environment="production")
        + declare("sidecar", "fleet/sidecar", "production", environment="production")
        + declare(
            "ledger",
            "fleet/ledger",
            "production",
            environment="production",
            namespace="ledger",
            selector={"app": "ledger"},
        ),
    },
    environments={"production": ["apps/production", "clusters/production"]},
    moves=(
        ("fleet/podinfo", "production", "6.7.0"),
        ("fleet/ledger", "production", "3.4.0"),
        ("fleet/sidecar", "production", "1.1.0"),
        ("fleet/payments", "production", "1.3.0"),
        ("fleet/receipts", "production", "0.3.0"),
    ),
    expected={
        "apps/production/podinfo-values.yaml": {10: f"      tag: {pinned('fleet/podinfo', '6.7.0')}"},
        "apps/production/ledger.yaml": {
            10: f"          image: {HOST}/fleet/ledger:{pinned('fleet/ledger', '3.4.0')}",
        },
        "clusters/production/apps.yaml": {
            13: f"      newTag: 3.4.0\n      digest: {at('fleet/ledger', '3.4.0')}",
            16: f"      newTag: 1.1.0\n      digest: {at('fleet/sidecar', '1.1.0')}",
        },
    },
    astray=(
        "astray.yaml",
        declare(
            "astray",
            "fleet/ledger",
            "production",
            namespace="ledger",
            environment="production",
            paths=["apps/production/ledger.yaml"],
        ),
        ("apps/production/ledger.yaml:10", "neither spec.selector nor spec.workload"),
    ),
)

CASES = [PLAIN, KUSTOMIZE, HELM, ARGO_CD, FLUX]


@pytest.fixture(params=CASES, ids=lambda case: case.tree)
def case(request):
    return request.param


@pytest.mark.parametrize("with_layout", [False, True], ids=["bare", "layout"])
def test_the_right_lines_change_and_nothing_else(case, with_layout, tmp_path):
    before = case.files(with_layout=with_layout)
    remote = make_bare(tmp_path / "remote.git", before)
    published = run(remote.url, case.tags, tmp_path / "cache")
    after = snapshot(remote)
    assert after == case.after(before)
    case.check_meaning(before, after)
    assert {outcome.kind for outcome in published.work.plan.outcomes} <= {OutcomeKind.BUMPED, OutcomeKind.PIN_ONLY}
    environments = {outcome.identity.environment for outcome in published.work.plan.outcomes}
    assert 1 <= len(published.commits) <= 2 * len(environments)


@pytest.mark.parametrize("with_layout", [False, True], ids=["bare", "layout"])
def test_a_second_run_changes_nothing(case, with_layout, tmp_path):
    remote = make_bare(tmp_path / "remote.git", case.after(case.files(with_layout=with_layout)))
    tip = remote.tip
    for cache in (None, tmp_path / "cache", tmp_path / "cache"):
        published = run(remote.url, case.tags, cache)
        assert (published.commits, remote.tip) == ((), tip)
        assert {outcome.kind for outcome in published.work.plan.outcomes} == {OutcomeKind.CURRENT}


def test_a_declaration_that_matches_nothing_says_what_came_near(case, tmp_path):
    path, text, near = case.astray
    before = case.files(with_layout=True) | {path: text.encode()}
    remote = make_bare(tmp_path / "remote.git", before)
    published = run(remote.url, case.tags)
    (astray,) = (each for each in published.work.plan.outcomes if each.identity.name == "astray")
    assert astray.kind is OutcomeKind.FAILED
    assert astray.reason in {"MatchedNothing", "NothingSelected"}
    assert all(part in f"{astray.message} {astray.remedy}" for part in near), astray.remedy
    assert snapshot(remote) == case.after(before)
