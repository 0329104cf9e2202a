"""Whatever people write into a manifest: it is refused, or goes to the cluster, and never breaks the run."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gitcd.cluster.objects import MANAGER
from gitcd.manifests.objects import read_objects
from gitcd.model.live import Manifest
from gitcd.model.reference import Repository
from gitcd.model.site import Refusal
from gitcd.planning.applying import waves
from gitcd.planning.applying_fields import differs, fingerprint, lacks
from gitcd.planning.applying_parts import autoscaled, autoscalers, carries, marked, without_replicas
from gitcd.planning.applying_rules import barred, twice
from gitcd.planning.applying_scope import labels_of
from gitcd.rollout.facts import images
from gitcd.usecases.apply_want import defined
from gitcd.usecases.apply_write import Writer

KINDS = (
    "Deployment",
    "CronJob",
    "Pod",
    "Service",
    "HorizontalPodAutoscaler",
    "CustomResourceDefinition",
    "Secret",
    "Widget",
)
KEYS = (
    *("spec", "template", "metadata", "annotations", "labels", "containers", "initContainers", "jobTemplate", "ports"),
    *(
        "image",
        "name",
        "env",
        "replicas",
        "scaleTargetRef",
        "names",
        "group",
        "kind",
        "selector",
        "gitcd/after",
        "items",
    ),
)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(KEYS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)
REPOSITORY = Repository.parse("registry.example.com/team/web")


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(KINDS))
    metadata = {"name": "x", "namespace": "a", **draw(st.dictionaries(st.sampled_from(KEYS[3:5]), json_values))}
    more = draw(st.dictionaries(st.sampled_from(KEYS), json_values))
    return {**more, "apiVersion": "v1", "kind": kind, "metadata": metadata}


@settings(max_examples=60)
@given(st.lists(documents(), min_size=1, max_size=3))
def test_no_shape_of_a_manifest_breaks_what_is_decided_about_it(written: list[dict[str, Any]]) -> None:
    read = [each for one in written for each in read_objects("a.yaml", json.dumps(one).encode())]
    found = [each for each in read if isinstance(each, Manifest)]
    assert all(isinstance(each, Manifest | Refusal) for each in read)
    ordered, _ = waves(found)
    assert {each.ref for wave in ordered for each in wave.manifests} == {each.ref for each in found}
    assert isinstance(autoscaled(autoscalers(found)), frozenset)
    list(twice(found))
    writer = Writer(None, "prod")  # type: ignore[arg-type]
    for each in found:
        barred(each, "prod", (), {})
        carries(each, REPOSITORY)
        images(each.value)
        labels_of(each)
        defined(each)
        without_replicas(each)
        prepared = writer.prepare(each)
        assert prepared.value["metadata"]["annotations"]["gitcd.io/environment"] == "prod"
        fingerprint(prepared.value)
        for other in found:
            lacks(dict(other.value), marked(each, "prod").value)
            differs(dict(other.value), dict(each.value), MANAGER)
