"""Documents of cvmanager and kcd, read as their own tools read them."""

import copy
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitcd.model import legacy
from gitcd.model.legacy_spec import anywhere
from gitcd.model.pattern import ALPHABET, check_regex, compile_pattern

REPO = "123456789012.dkr.ecr.us-east-1.amazonaws.com/atlas/tiles"


def document(kind="ContainerVersion", **spec):
    whole = {"imageRepo": REPO, "tag": "env-prod", "container": {"name": "main"}, "selector": {"cvapp": "tiles"}}
    given = {key: item for key, item in (whole | spec).items() if item is not ...}
    metadata = {"name": "tiles", "namespace": "atlas"}
    return {"apiVersion": "custom.k8s.io/v1", "kind": kind, "metadata": metadata, "spec": given}


def spec_of(**spec):
    read, problems = legacy.modernise(document(**spec)).read()
    assert problems == []
    return legacy.modernise(document(**spec)).document["spec"], read.spec


def problems(value):
    return [f"{each.pointer}: {each.message}" for each in legacy.modernise(value).problems]


def lost(**spec):
    modern = legacy.modernise(document(**spec))
    assert modern.problems == ()
    return {each.pointer: each.message for each in modern.lost}


class TestDefaults:
    def test_they_are_written_out(self):
        plain, spec = spec_of()
        assert plain == {
            "imageRepo": REPO,
            "tag": "env-prod",
            "versionSyntax": ".*[0-9a-f]{5,40}.*",
            "selector": {"cvapp": "tiles"},
            "container": {"name": "main"},
            "timeouts": {"rollout": "15m", "verify": "15m"},
            "rollback": {"enabled": False},
            "history": {"enabled": False},
        }
        assert spec.strategy.kind == "RollingUpdate"

    def test_what_is_given_is_kept(self):
        plain, _ = spec_of(
            pollIntervalSeconds=90,
            timeoutSeconds=600,
            rollback={"enabled": True},
            history={"enabled": True},
            config={"name": "tiles-config", "key": "version"},
        )
        assert plain["interval"] == "1m30s"
        assert plain["timeouts"] == {"rollout": "10m", "verify": "10m"}
        assert (plain["rollback"], plain["history"]) == ({"enabled": True}, {"enabled": True})
        assert plain["config"] == {"name": "tiles-config", "key": "version"}

    @pytest.mark.parametrize("kind", ["", "SimpleRollout"])
    def test_the_simple_strategy_is_a_rolling_update(self, kind):
        assert spec_of(strategy={"kind": kind})[0]["strategy"] == {"kind": "RollingUpdate"}

    def test_the_idle_slot_stays_up(self):
        blue_green = {"serviceName": "tiles", "labelNames": ["slot"]}
        plain, _ = spec_of(strategy={"kind": "ServiceBlueGreen", "blueGreen": blue_green})
        assert plain["strategy"]["blueGreen"] == {**blue_green, "scaleDown": False}

    @pytest.mark.parametrize("value", [0, -1, None])
    def test_no_time_is_the_default(self, value):
        plain, _ = spec_of(timeoutSeconds=value, pollIntervalSeconds=value)
        assert plain["timeouts"]["rollout"] == "15m"
        assert "interval" not in plain

    @pytest.mark.parametrize(
        ("written", "full"),
        [("nearmap/tiles", "docker.io/nearmap/tiles"), ("redis", "docker.io/library/redis"), (REPO, REPO)],
    )
    def test_a_repository_without_host_is_on_docker_hub(self, written, full):
        assert spec_of(imageRepo=written)[1].image_repo == full


class TestGenerations:
    def test_the_first_names_a_deployment_and_counts_minutes(self):
        deployment = {"name": "tilesapp", "container": "main"}
        plain, _ = spec_of(deployment=deployment, selector=..., container=..., checkFrequency=5)
        assert plain["workload"] == {"kind": "Deployment", "name": "tilesapp"}
        assert plain["container"] == {"name": "main"}
        assert plain["interval"] == "5m"

    def test_the_second_has_a_text_as_container(self):
        assert spec_of(container="main")[0]["container"] == {"name": "main"}

    def test_kcd_selects_by_its_own_label(self):
        value = document("KCD", selector={"kcdapp": "tiles"}, serviceAccountName="deployer")
        modern = legacy.modernise(value)
        assert modern.document["spec"]["selector"] == {"kcdapp": "tiles"}
        assert modern.document["kind"] == "ContainerVersion"
        assert [each.pointer for each in modern.lost] == ["spec.serviceAccountName"]

    def test_an_object_of_a_cluster_holds_nulls(self):
        value = document(
            strategy={"kind": "", "blueGreen": None, "verify": None},
            container={"name": "main", "verify": None},
            config=None,
            versionSyntax="",
            history={"enabled": False, "name": ""},
            livenessSeconds=0,
        )
        value["status"] = {"deployed": False, "currVersion": "poison"}
        modern = legacy.modernise(value)
        assert (modern.problems, modern.lost) == ((), ())
        assert modern.read()[1] == []

    def test_one_check_may_stand_without_a_list(self):
        check = {"kind": "Image", "image": "atlas/verify"}
        assert spec_of(strategy={"verify": check})[0]["strategy"]["verify"] == [check]

    def test_checks_before_the_rollout_come_first(self):
        before, after = ({"kind": "Image", "image": f"atlas/{name}", "tag": "v1"} for name in ("before", "after"))
        plain, spec = spec_of(container={"name": "main", "verify": [before]}, strategy={"verify": [after]})
        assert plain["strategy"]["verify"] == [before, after]
        assert [each.image for each in spec.strategy.verify] == ["atlas/before", "atlas/after"]


class TestWhatIsLost:
    @pytest.mark.parametrize(
        ("field", "value", "pointer"),
        [
            ("livenessSeconds", 60, "spec.livenessSeconds"),
            ("serviceAccountName", "deployer", "spec.serviceAccountName"),
            ("history", {"enabled": True, "name": "tiles-history"}, "spec.history.name"),
            ("selector", {"cvapp": "tiles", "tier": "web"}, "spec.selector.tier"),
            ("strategy", {"blueGreen": {"serviceName": ""}}, "spec.strategy.blueGreen"),
            (
                "strategy",
                {"verify": [{"kind": "Image", "image": "a/b", "timeoutSeconds": 9}]},
                "spec.strategy.verify[0].timeoutSeconds",
            ),
            (
                "strategy",
                {
                    "kind": "ServiceBlueGreen",
                    "blueGreen": {"serviceName": "x", "labelNames": ["slot"], "timeoutSeconds": 9},
                },
                "spec.strategy.blueGreen.timeoutSeconds",
            ),
        ],
    )
    def test_a_field_without_successor_is_named(self, field, value, pointer):
        assert lost(**{field: value})[pointer].startswith("has no successor: ")

    def test_a_check_that_is_done_later_is_named(self):
        found = lost(container={"name": "main", "verify": [{"kind": "Image", "image": "a/b"}]})
        assert "after the rollout" in found["spec.container.verify"]

    def test_of_two_intervals_the_later_form_counts(self):
        assert list(lost(pollIntervalSeconds=60, checkFrequency=5)) == ["spec.checkFrequency"]
        assert spec_of(pollIntervalSeconds=60, checkFrequency=5)[0]["interval"] == "1m"


class TestFaults:
    @pytest.mark.parametrize(
        ("spec", "message"),
        [
            ({"imageRepo": ...}, "spec.imageRepo: is missing"),
            ({"tag": ""}, "spec.tag: is empty"),
            ({"selector": ...}, "spec.selector: give either selector or deployment"),
            ({"container": ...}, "spec.container: is missing"),
            ({"selector": {"app": "tiles"}}, "spec.selector: has no label cvapp"),
            ({"suspend": True}, "spec.suspend: is not a known field"),
            ({"strategy": {"kind": "ServiceBlueGren"}}, "spec.strategy.kind: 'ServiceBlueGren' is not one of"),
            ({"strategy": {"kind": "ServiceBlueGreen"}}, "spec.strategy.blueGreen: kind ServiceBlueGreen needs"),
            ({"versionSyntax": "("}, "spec.versionSyntax: '(' is not"),
            ({"versionSyntax": "(?i)v"}, "spec.versionSyntax: '(?i)v' is not an expression to go on with: the flags"),
            ({"versionSyntax": "?a"}, "spec.versionSyntax: '?a' is not"),
            ({"imageRepo": f"{REPO}:dev"}, "spec.imageRepo: "),
        ],
    )
    def test_each_is_named_where_it_stands(self, spec, message):
        assert any(each.startswith(message) for each in problems(document(**spec)))

    @pytest.mark.parametrize("spec", [None, "text", [], 5])
    def test_a_spec_of_another_form_is_a_fault(self, spec):
        assert problems({**document(), "spec": spec}) != []

    def test_no_spec_is_a_fault(self):
        value = document()
        del value["spec"]
        assert problems(value) == ["spec: is missing"]


class TestAnywhere:
    @pytest.mark.parametrize(
        ("expression", "whole"),
        [
            ("[0-9a-f]{5,40}", ".*[0-9a-f]{5,40}.*"),
            ("^v[0-9]+$", "v[0-9]+"),
            ("^v|-rc$", "v.*|.*-rc"),
            ("(a|b)$", ".*(a|b)"),
            (r"a\|b", r".*a\|b.*"),
            ("[]|^]x", ".*[]|^]x.*"),
            (r"1\$", r".*1\$.*"),
        ],
    )
    def test_it_is_anchored_where_the_old_one_was(self, expression, whole):
        assert anywhere(expression) == whole

    @given(
        st.lists(
            st.sampled_from(["a", "b", "[ab]", "[^a]", "(a|b)", "a{1,2}", "|", "^", "$", r"\.", "b?", "-"]), max_size=8
        ).map("".join),
        st.text("ab.-" + ALPHABET, max_size=6),
    )
    def test_it_matches_what_is_found_anywhere(self, expression, text):
        whole = anywhere(expression)
        if check_regex(whole) or not text:
            return
        assert compile_pattern(whole).matches(text) == bool(re.search(expression, text))


FULL = document(
    versionSyntax="^v",
    pollIntervalSeconds=60,
    timeoutSeconds=600,
    livenessSeconds=60,
    container={"name": "main", "verify": [{"kind": "Image", "image": "a/b", "annotations": {"a/b": "c"}}]},
    strategy={"kind": "ServiceBlueGreen", "blueGreen": {"serviceName": "x", "labelNames": ["slot"]}, "verify": []},
    config={"name": "tiles", "key": "version"},
    history={"enabled": True, "name": "h"},
    rollback={"enabled": True},
)
JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=3), st.just([]), st.just({}), st.just([None]), st.just({"a": []})
)  # fmt: skip


def spots(value, way=()):
    yield way
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, item in items:
        yield from spots(item, (*way, step))


@given(st.sampled_from([way for way in spots(FULL) if way]), JUNK)
def test_whatever_stands_there_is_read_or_named(way, junk):
    value = copy.deepcopy(FULL)
    inner = value
    for step in way[:-1]:
        inner = inner[step]
    inner[way[-1]] = junk
    if not legacy.is_legacy(value):
        return
    modern = legacy.modernise(value)
    read, problems = modern.read()
    assert (read is None) == bool(problems)
    assert modern.document is not None or problems
