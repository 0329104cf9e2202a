"""The pure half of apply: order, fields and their owners, what may be written, and what may be deleted."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitcd.model.applied import Difference, Entry, Fate
from gitcd.model.declaration import Origin, Spec
from gitcd.model.live import Manifest, Ref
from gitcd.model.settings import NamespaceScope
from gitcd.planning.applying import AFTER, stage_of, waves
from gitcd.planning.applying_fields import differs, fields_of, fingerprint, lacks, owned
from gitcd.planning.applying_parts import (
    ENVIRONMENT,
    autoscaled,
    drops_replicas,
    images_alone,
    is_image,
    marked,
    owns_more_than_images,
    taken_over,
    without_replicas,
)
from gitcd.planning.applying_prune import Rails, ceiling, leftovers
from gitcd.planning.applying_rules import barred, duplicates, tracker, twice

MANAGER = "gitcd"


def manifest(kind="ConfigMap", name="a", namespace="team", group="", path="a.yaml", **value):
    ref = Ref(kind, namespace, name, group)
    api = f"{group}/v1" if group else "v1"
    metadata = {"name": name, "namespace": namespace} | value.pop("metadata", {})
    return Manifest(ref, "v1", {"apiVersion": api, "kind": kind, "metadata": metadata, **value}, Origin(path, 1))


def after(each, *names):
    return manifest(each.ref.kind, each.ref.name, metadata={"annotations": {AFTER: ", ".join(names)}})


def order(*manifests):
    found, problems = waves(manifests)
    assert problems == []
    return [[str(each.ref) for each in wave.manifests] for wave in found]


def live(value, *entries, **metadata):
    managed = [
        {"manager": manager, "operation": operation, "apiVersion": "v1", "fieldsV1": fields}
        for manager, operation, fields in entries
    ]
    own = {"name": "a", "namespace": "team", "uid": "u", "managedFields": managed, **metadata}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": own, **value}


class TestOrder:
    def test_stages_follow_the_kind(self):
        kinds = ("Ingress", "Deployment", "Service", "ConfigMap", "ContainerVersion", "Namespace", "Whatever")
        assert order(*(manifest(kind) for kind in kinds)) == [
            ["Namespace team/a"],
            ["ContainerVersion team/a"],
            ["ConfigMap team/a"],
            ["Service team/a"],
            ["Deployment team/a"],
            ["Ingress team/a", "Whatever team/a"],
        ]

    def test_what_comes_after_one_of_a_company_comes_after_all(self):
        """They are taken live together, when the last of them has its turn."""
        db, job = manifest("Deployment", "db"), manifest("Job", "migrate")
        late = after(manifest("Deployment", "late"), "Job/migrate")
        web = after(manifest("Deployment", "web"), "Deployment/db")
        company = [{db.ref, late.ref}]
        found, problems = waves([web, late, job, db], company)
        assert problems == []
        names = [[each.ref.name for each in wave.manifests] for wave in found]
        assert names == [["db", "migrate"], ["late"], ["web"]]
        assert found[-1].after == {web.ref: (db.ref,)}

    def test_the_order_within_a_company_is_kept_for_what_no_rollout_writes(self):
        db, web = manifest("Deployment", "db"), after(manifest("Deployment", "web"), "Deployment/db")
        found, problems = waves([web, db], [{db.ref, web.ref}])
        assert problems == []
        assert [[each.ref.name for each in wave.manifests] for wave in found] == [["db"], ["web"]]

    def test_what_stands_between_two_that_are_taken_live_together_is_a_circle(self):
        db = manifest("Deployment", "db")
        job = after(manifest("Job", "migrate"), "Deployment/db")
        web = after(manifest("Deployment", "web"), "Job/migrate")
        _, (problem, *_) = waves([db, job, web], [{db.ref, web.ref}])
        assert "these come after each other: " in problem.message
        assert "Deployment team/db and Deployment team/web are taken live together" in problem.message
        assert "out of its group" in problem.remedy

    def test_an_annotation_puts_an_object_behind_another(self):
        job, web = manifest("Job", "migrate"), after(manifest("Deployment", "web"), "Job/migrate")
        config = after(manifest("ConfigMap", "late"), "Deployment/team/web")
        found, problems = waves([config, web, job])
        assert problems == []
        assert [[each.ref.name for each in wave.manifests] for wave in found] == [["migrate"], ["web"], ["late"]]
        after_them = [{one.name: [each.name for each in first] for one, first in wave.after.items()} for wave in found]
        assert after_them == [{}, {"web": ["migrate"]}, {"late": ["web"]}]

    def test_a_name_of_nothing_is_a_problem(self):
        _, (problem,) = waves([after(manifest(), "Job/none")])
        assert "shall come after Job/none, which is not among the manifests" in str(problem)

    def test_a_circle_is_a_problem(self):
        _, problems = waves([after(manifest("Job", "a"), "Job/b"), after(manifest("Job", "b"), "Job/a")])
        assert "come after each other" in str(problems[0])

    @settings(max_examples=60)
    @given(st.data())
    def test_every_object_stands_once_and_behind_what_it_comes_after(self, data):
        names = [f"n{number}" for number in range(data.draw(st.integers(1, 8)))]
        kinds = st.sampled_from(["ConfigMap", "Service", "Deployment", "Job", "Ingress"])
        made, edges = [], {}
        for number, name in enumerate(names):
            kind = data.draw(kinds)
            earlier = data.draw(st.sets(st.sampled_from(made), max_size=2)) if made else set()
            each = manifest(kind, name)
            made.append(after(each, *(f"{one.ref.kind}/{one.ref.name}" for one in earlier)) if earlier else each)
            edges[made[number].ref] = {one.ref for one in earlier}
        found, problems = waves(data.draw(st.permutations(made)))
        assert problems == []
        place = {each.ref: number for number, wave in enumerate(found) for each in wave.manifests}
        assert place.keys() == edges.keys()
        assert all(place[earlier] < place[ref] for ref, before in edges.items() for earlier in before)
        assert all(wave.stage >= stage_of(each.ref) for wave in found for each in wave.manifests)


VALUE = {"data": {"k": "v", "other": "w"}, "list": [{"name": "a", "x": 1}, {"name": "b", "x": 2}]}
FIELDS = {"f:data": {"f:k": {}}, "f:list": {'k:{"name":"b"}': {".": {}, "f:x": {}}}}


class TestFields:
    def test_only_what_one_owns_makes_the_fingerprint(self):
        mine = (MANAGER, "Apply", FIELDS)
        before = owned(live(VALUE, mine), MANAGER)
        others = copy.deepcopy(VALUE)
        others["data"]["other"] = "changed"
        others["list"].reverse()
        assert owned(live(others, mine), MANAGER) == before
        for change in (
            lambda v: v["data"].update(k="x"),
            lambda v: v["list"][1].update(x=3),
            lambda v: v["list"].pop(),
        ):
            changed = copy.deepcopy(VALUE)
            change(changed)
            assert owned(live(changed, mine), MANAGER) != before

    def test_a_field_that_was_taken_away_changes_it(self):
        before = owned(live(VALUE, (MANAGER, "Apply", FIELDS)), MANAGER)
        assert owned(live(VALUE, (MANAGER, "Apply", {"f:data": {"f:k": {}}})), MANAGER) != before
        assert owned(live(VALUE, ("helm", "Apply", FIELDS)), MANAGER) == ""
        assert owned(live(VALUE, (MANAGER, "Update", FIELDS)), MANAGER) == ""

    def test_sets_and_indices_are_followed(self):
        value = {"data": {"set": ["a", "b"], "items": [1, 2]}}
        fields = {"f:data": {"f:set": {'v:"b"': {}}, "f:items": {"i:1": {}}}}
        before = owned(live(value, (MANAGER, "Apply", fields)), MANAGER)
        assert owned(live({"data": {"set": ["b"], "items": [9, 2]}}, (MANAGER, "Apply", fields)), MANAGER) == before
        assert owned(live({"data": {"set": ["a"], "items": [9, 2]}}, (MANAGER, "Apply", fields)), MANAGER) != before

    def test_the_fingerprint_is_that_of_records_that_were_written_long_ago(self):
        items = [{"name": "b", "x": 1}, {"name": "a", "y": None}]
        spec = {"replicas": 2, "list": items, "set": ["q", "p"], "whole": {"k": [1, 2]}, "at": [5, 6]}
        fields = {
            ".": {},
            "f:replicas": {},
            "f:gone": {},
            "f:whole": {},
            "f:list": {'k:{"name":"a"}': {".": {}, "f:name": {}, "f:y": {}}, 'k:{"name":"c"}': {}},
            "f:set": {'v:"p"': {}, 'v:"z"': {}},
            "f:at": {"i:1": {}, "i:7": {}},
        }
        assert owned(live({"spec": spec}, (MANAGER, "Apply", {"f:spec": fields})), MANAGER) == "21533bdc256ea4a4"

    def test_a_value_of_another_shape_is_another_value(self):
        mine = (MANAGER, "Apply", {"f:data": {"f:k": {}}, "f:list": {'k:{"name":"b"}': {}, 'v:"b"': {}, "i:0": {}}})
        found = {owned(live({"data": data, "list": data}, mine), MANAGER) for data in ({"k": "v"}, ["k"], "k", None)}
        assert len(found) == 3  # a text and nothing hold none of it

    def test_what_every_write_changes_is_no_difference(self):
        mine = (MANAGER, "Apply", FIELDS)
        one, other = (
            live(VALUE, mine, resourceVersion="1"),
            live(VALUE, mine, resourceVersion="2", generation=3),
        )
        assert differs(one, other, MANAGER) == ()

    def test_differences_are_named_by_the_names_of_items(self):
        new = copy.deepcopy(VALUE)
        new["list"][0]["x"] = 5
        new["data"]["a.b/c"] = "n"
        del new["data"]["other"]
        assert differs(live(VALUE), live(new), MANAGER) == (
            Difference("data['a.b/c']", None, "n"),
            Difference("data.other", "w", None),
            Difference("list[a].x", 1, 5),
        )

    def test_becoming_the_owner_is_a_difference(self):
        (found,) = differs(live(VALUE), live(VALUE, (MANAGER, "Apply", FIELDS)), MANAGER)
        assert found.path == "metadata.managedFields"

    def test_T12_of_secrets_one_sees_which_and_not_what(self):
        old, new = live({"data": {"k": "c2VjcmV0"}}), live({"data": {"k": "bmV3", "l": "bmV3"}})
        old["kind"] = new["kind"] = "Secret"
        found = differs(old, new, MANAGER)
        assert [each.path for each in found] == ["data.k", "data.l"]
        assert "c2VjcmV0" not in repr(found)
        assert "bmV3" not in repr(found)

    def test_what_the_manifest_does_not_speak_of_is_not_lacking(self):
        wanted = {"data": {"k": "v"}, "list": [{"name": "b", "x": 2}], "none": None, "empty": {}}
        assert lacks(live(VALUE), wanted) == ()
        assert lacks(live(VALUE), {"data": {"k": "n", "new": "x"}}) == (
            Difference("data.k", "v", "n"),
            Difference("data.new", None, "x"),
        )

    @settings(max_examples=40)
    @given(
        st.dictionaries(st.text(max_size=4), st.integers() | st.text(max_size=4) | st.lists(st.integers(), max_size=3))
    )
    def test_nothing_lacks_what_it_is(self, value):
        assert lacks(live({"data": value}), {"data": value}) == ()
        assert differs(live({"data": value}), live({"data": dict(reversed(value.items()))}), MANAGER) == ()
        assert fingerprint(value) == fingerprint(dict(reversed(value.items())))


def deployment(name="web", image="registry.example.com/team/web:1", **spec):
    containers = [{"name": name, "image": image}, {"name": "side", "image": "registry.example.com/side:1"}]
    pod = {"containers": containers, "initContainers": [{"name": "init", "image": "registry.example.com/team/web:1"}]}
    whole = {"template": {"metadata": {"labels": {"app": name}}, "spec": pod}, **spec}
    return manifest("Deployment", name, group="apps", spec=whole)


class TestParts:
    def test_an_object_says_whose_it_is(self):
        made = marked(manifest(metadata={"annotations": {"a": "b"}}), "prod")
        assert made.value["metadata"]["annotations"] == {"a": "b", ENVIRONMENT: "prod"}

    def test_F49_replicas_are_left_to_the_autoscaler(self):
        target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
        autoscaler = {"metadata": {"namespace": "team", "name": "x"}, "spec": {"scaleTargetRef": target}}
        assert autoscaled([autoscaler]) == {deployment().ref}
        ours = without_replicas(deployment(replicas=3))
        assert "replicas" not in ours.value["spec"]
        mine = {"f:spec": {"f:replicas": {}, "f:template": {}}}
        assert drops_replicas(live({"spec": {}}, (MANAGER, "Apply", mine)), ours, MANAGER)
        assert not drops_replicas(live({"spec": {}}, (MANAGER, "Apply", mine)), deployment(replicas=3), MANAGER)
        assert not drops_replicas(live({"spec": {}}, ("hpa", "Apply", mine)), ours, MANAGER)

    def test_T24_nothing_but_images_of_the_repository(self):
        made = images_alone(deployment(replicas=3), Spec(image_repo="registry.example.com/team/web", tag="t"))
        pod = {
            "containers": [{"name": "web", "image": "registry.example.com/team/web:1"}],
            "initContainers": [{"name": "init", "image": "registry.example.com/team/web:1"}],
        }
        assert made.value == {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "team"},
            "spec": {"template": {"spec": pod}},
        }

    def test_T24_owning_more_is_noticed(self):
        image = {"f:spec": {"f:containers": {'k:{"name":"web"}': {".": {}, "f:name": {}, "f:image": {}}}}}
        assert not owns_more_than_images(live({}, (MANAGER, "Apply", image)), MANAGER)
        more = {**image, "f:data": {"f:k": {}}}
        assert owns_more_than_images(live({}, (MANAGER, "Apply", more)), MANAGER)
        assert not owns_more_than_images(live({}, ("helm", "Apply", more)), MANAGER)

    @pytest.mark.parametrize(
        ("field", "expected"),
        [
            ('.spec.template.spec.containers[name="web"].image', True),
            ('.spec.template.spec.initContainers[name="web"].image', True),
            ('.spec.template.spec.containers[name="web"].imagePullPolicy', False),
            (".spec.image", False),
        ],
    )
    def test_F39_conflicts_about_images_are_told_from_others(self, field, expected):
        assert is_image(field) is expected

    def test_client_side_fields_become_ours_once(self):
        last = {"f:metadata": {"f:annotations": {"f:kubectl.kubernetes.io/last-applied-configuration": {}}}}
        theirs = ("kubectl-client-side-apply", "Update", {"f:data": {"f:k": {}}, **last})
        other = ("helm", "Apply", {"f:data": {"f:l": {}}})
        (step,) = taken_over(live({}, theirs, other), MANAGER)
        assert step["path"] == "/metadata/managedFields"
        assert [each["manager"] for each in step["value"]] == ["helm", MANAGER]
        taken = fields_of({"metadata": {"managedFields": step["value"]}}, MANAGER)
        assert taken == {"f:data": {"f:k": {}}, "f:metadata": {"f:annotations": {}}}
        assert taken_over(live({}, theirs, (MANAGER, "Apply", {"f:data": {}})), MANAGER) == []
        assert taken_over(live({}, other), MANAGER) == []


class TestRules:
    @pytest.mark.parametrize(
        "kind", ["ClusterRoleBinding", "ValidatingWebhookConfiguration", "Namespace", "PersistentVolume"]
    )
    def test_T24_other_kinds_want_the_operators_word(self, kind):
        refused = barred(manifest(kind), "prod", (), {})
        assert refused is not None
        assert refused.fate is Fate.REFUSED
        assert kind in refused.message
        assert barred(manifest(kind), "prod", (kind,), {}) is None

    def test_secrets_and_what_is_encrypted_are_skipped(self):
        assert barred(manifest("Secret"), "prod", (), {}).fate is Fate.SKIPPED
        assert barred(manifest("Secret"), "prod", ("Secret",), {}) is None
        assert barred(manifest("Secret", sops={}), "prod", ("Secret",), {}).fate is Fate.SKIPPED
        assert barred(manifest(sops={}), "prod", (), {}).fate is Fate.SKIPPED

    def test_namespaces_are_those_of_the_operator(self):
        limits = {"team": NamespaceScope("team", ("prod",), ("envs/prod/team",))}
        assert barred(manifest(path="envs/prod/team/a.yaml"), "prod", (), limits) is None
        for each, environment in (
            (manifest(path="envs/prod/other/a.yaml"), "prod"),
            (manifest(path="envs/prod/team/a.yaml"), "dev"),
            (manifest(namespace="other"), "prod"),
        ):
            assert barred(each, environment, (), limits).fate is Fate.REFUSED

    def test_what_stands_twice_is_refused_for_both(self):
        (found,) = twice([manifest(path="a.yaml"), manifest(path="b.yaml"), manifest(name="b")])
        assert found.message == "it stands more than once: a.yaml:1, b.yaml:1"

    def test_lists_with_one_name_twice(self):
        ports = [
            {"containerPort": 80},
            {"containerPort": 80, "protocol": "TCP"},
            {"containerPort": 80, "protocol": "UDP"},
        ]
        pod = {
            "containers": [
                {"name": "web", "env": [{"name": "A"}, {"name": "B"}, {"name": "A"}], "ports": ports},
                {"name": "web"},
            ],
            "volumes": [{"name": "v"}, {"name": "v"}],
        }
        found = set(duplicates({"kind": "Deployment", "spec": {"template": {"spec": pod}}}))
        assert found == {
            "spec.template.spec.containers has web more than once",
            "spec.template.spec.containers[web].env has A more than once",
            "spec.template.spec.containers[web].ports has 80/TCP more than once",
            "spec.template.spec.volumes has v more than once",
        }
        service = {"kind": "Service", "spec": {"ports": [{"port": 80, "name": "a"}, {"port": 80, "name": "b"}]}}
        assert list(duplicates(service)) == ["spec.ports has 80/TCP more than once"]

    def test_other_tools_leave_marks(self):
        assert tracker(live({}, annotations={"argocd.argoproj.io/tracking-id": "web:x"})) == "Argo CD (web:x)"
        assert tracker(live({}, labels={"helm.toolkit.fluxcd.io/name": "web"})) == "Flux (web)"
        assert tracker(live({}, labels={"app.kubernetes.io/instance": "web"})) == ""


class TestPrune:
    mine = (MANAGER, "Apply", {"f:data": {}})

    def judge(self, value, *, kind="ConfigMap", uid="u", **rails):
        ref = Ref(kind, "team", "a")
        pruning = Rails("prod", MANAGER, **rails).judge([Entry(ref, uid)], {} if value is None else {ref: value})
        if pruning.doomed:
            return "doomed"
        return "gone" if pruning.gone else pruning.kept[0][1]

    def test_what_was_written_and_is_still_ours_goes(self):
        assert self.judge(live({}, self.mine, annotations={ENVIRONMENT: "prod"})) == "doomed"

    def test_who_bears_the_name_now_is_not_meant(self):
        assert self.judge(live({}, self.mine, annotations={ENVIRONMENT: "prod"}), uid="other") == "gone"
        assert self.judge(None) == "gone"

    def test_what_was_to_be_written_once_and_never_was_is_forgotten(self):
        assert self.judge(live({}, ("helm", "Apply", {"f:data": {}})), uid="") == "gone"
        assert self.judge(live({}, self.mine, annotations={ENVIRONMENT: "prod"}), uid="") == "doomed"

    @pytest.mark.parametrize(
        ("metadata", "why"),
        [
            ({"annotations": {}}, "does not say that it belongs to prod"),
            ({"annotations": {ENVIRONMENT: "dev"}}, "does not say that it belongs to prod"),
            ({"ownerReferences": [{"kind": "X"}]}, "another object owns it"),
            ({"annotations": {ENVIRONMENT: "prod", "gitcd/prune": "false"}}, "an annotation says so"),
            ({"annotations": {ENVIRONMENT: "prod", "helm.sh/resource-policy": "keep"}}, "an annotation says so"),
            (
                {"annotations": {ENVIRONMENT: "prod", "argocd.argoproj.io/sync-options": "Validate=true,Prune=false"}},
                "an annotation says so",
            ),
            ({"labels": {"kustomize.toolkit.fluxcd.io/name": "x"}}, "Flux (x) keeps it"),
        ],
    )
    def test_rails(self, metadata, why):
        value = live({}, self.mine, **{"annotations": {ENVIRONMENT: "prod"}, **metadata})
        assert why in self.judge(value)

    def test_rails_without_a_mark(self):
        value = live({}, ("helm", "Apply", {"f:data": {}}), annotations={ENVIRONMENT: "prod"})
        assert self.judge(value) == "gitcd owns nothing of it"
        ours = live({}, self.mine, annotations={ENVIRONMENT: "prod"})
        assert "another name of its API" in self.judge(ours, uids={"u"})
        for kind in ("Namespace", "PersistentVolumeClaim", "CustomResourceDefinition", "ContainerVersion"):
            assert "never deleted" in self.judge(ours, kind=kind, kinds=(kind,))
        assert "no kind that apply may write" in self.judge(ours, kind="Secret")
        assert self.judge(ours, kind="Secret", kinds=("Secret",)) == "doomed"

    def test_the_last_stage_goes_first(self):
        refs = [Ref(kind, "team", "a") for kind in ("ConfigMap", "Ingress", "Deployment")]
        value = live({}, self.mine, annotations={ENVIRONMENT: "prod"})
        pruning = Rails("prod", MANAGER).judge([Entry(ref, "u") for ref in refs], dict.fromkeys(refs, value))
        assert [ref.kind for ref, _ in pruning.doomed] == ["Ingress", "Deployment", "ConfigMap"]

    def test_what_git_still_has_is_no_leftover(self):
        entries = [Entry(Ref("ConfigMap", "team", name)) for name in ("a", "b", "c")]
        found = leftovers(entries, [manifest(name="a")], [Ref("ConfigMap", "team", "b")])
        assert [each.ref.name for each in found] == ["c"]

    @pytest.mark.parametrize(
        ("doomed", "total", "refused"), [(1, 5, False), (2, 5, True), (10, 1000, False), (11, 1000, True)]
    )
    def test_a_ceiling(self, doomed, total, refused):
        assert bool(ceiling(doomed, total)) is refused


def test_lists_without_names_are_compared_item_by_item():
    live = {"metadata": {}, "spec": {"ports": [{"port": 80, "protocol": "TCP"}], "args": ["a", "b"]}}
    assert lacks(live, {"metadata": {}, "spec": {"ports": [{"port": 80}], "args": ["a", "b"]}}) == ()
    (found,) = lacks(live, {"metadata": {}, "spec": {"ports": [{"port": 81}]}})
    assert (found.path, found.old, found.new) == ("spec.ports[0].port", 80, 81)
    (found,) = lacks(live, {"metadata": {}, "spec": {"args": ["a"]}})
    assert found.path == "spec.args"
