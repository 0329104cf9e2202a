"""Legacy documents written anew: what is kept, what is added, and that the outcome means what the old text did."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitcd.manifests import EditRefused, documents
from gitcd.manifests.migrated import modernise
from gitcd.manifests.reading import read_declarations

OLD = """\
# of the atlas team
apiVersion: custom.k8s.io/v1  # as it was
kind: KCD
metadata: {name: tiles, namespace: atlas}
spec:
  # where it comes from
  imageRepo: registry.example.com/atlas/tiles
  tag: 'env-prod'  # moves
  pollIntervalSeconds: 90   # not too often
  livenessSeconds: 60  # alive?
  selector:
    kcdapp: tiles   # the label
  container:
    name: main
  strategy:
    # both slots
    kind: ServiceBlueGreen
    blueGreen:
      serviceName: tiles  # live
      labelNames: [slot]
"""
NEW = """\
# of the atlas team
apiVersion: gitcd.io/v1  # as it was
kind: ContainerVersion
metadata: {name: tiles, namespace: atlas}
spec:
  # where it comes from
  imageRepo: registry.example.com/atlas/tiles
  tag: 'env-prod'  # moves
  interval: 1m30s   # not too often
  # alive?
  selector:
    kcdapp: tiles   # the label
  container:
    name: main
  strategy:
    # both slots
    kind: ServiceBlueGreen
    blueGreen:
      serviceName: tiles  # live
      labelNames: [slot]
      scaleDown: false
  versionSyntax: .*[0-9a-f]{5,40}.*
  timeouts:
    rollout: 15m
    verify: 15m
  rollback:
    enabled: false
  history:
    enabled: false
"""
BLOCK = "apiVersion: custom.k8s.io/v1\nkind: KCD\nmetadata: {name: a}\nspec: "
FLOW = "imageRepo: a.b/c, tag: d, selector: {kcdapp: a}, container: b"
SHORT = "\n  imageRepo: a.b/c\n  tag: d\n"
PLAIN = "  selector: {kcdapp: a}\n  container: b\n"
CHECKED = "  container: {name: b, verify: [{kind: Image, image: a/b, annotations: *s}]}\n"


def modern(text: str) -> str:
    return modernise("cv.yaml", text.encode()).decode()


def meaning(text: str):
    result = read_declarations("cv.yaml", text.encode())
    assert result.problems == ()
    return [(each.metadata, each.spec) for each in result.declarations]


def comments(text: str) -> list[str]:
    return sorted(re.findall(r"# c\d+", text))


class TestWhatStays:
    def test_lines_comments_and_order(self):
        assert modern(OLD) == NEW
        assert meaning(OLD) == meaning(NEW)

    def test_a_second_time_nothing_changes(self):
        assert modern(NEW) == NEW

    def test_other_documents_byte_for_byte(self):
        around = "kind:   Service # kept\n---\n{text}---\n\tnot: yaml\n"
        assert modern(around.format(text=OLD)) == around.format(text=NEW)

    @pytest.mark.parametrize("end", ["", "\n\n", "\n# the end\n", "\n  # of the spec\n", "\n---\n"])
    def test_whatever_comes_after(self, end):
        assert modern(OLD.rstrip("\n") + end) == NEW.rstrip("\n") + end

    def test_windows_line_endings_and_a_byte_order_mark(self):
        old = ("\ufeff" + OLD).replace("\n", "\r\n")
        assert modern(old) == ("\ufeff" + NEW).replace("\n", "\r\n")

    def test_other_items_of_a_list(self):
        def listed(text):
            return "kind: List\nitems:\n- kind:  Pod # kept\n- " + text.replace("\n", "\n  ").rstrip() + "\n"

        body = OLD.removeprefix("# of the atlas team\n"), NEW.removeprefix("# of the atlas team\n")
        assert modern(listed(body[0])) == listed(body[1])


class TestHarderForms:
    @pytest.mark.parametrize(
        ("head", "spec"),
        [
            (None, f"{{{FLOW}}}}}  # all of it\n"),
            (BLOCK, f"{{{FLOW}}}  # all of it\n"),
            (BLOCK, SHORT + "  selector: &s {kcdapp: a} # all of it\n" + CHECKED),
            (BLOCK, SHORT + "  livenessSeconds: # all of it\n    7\n" + PLAIN),
            (BLOCK, SHORT + PLAIN + "  livenessSeconds: 7 # all of it"),
        ],
        ids=["flow", "flow spec", "anchor", "value below", "no end"],
    )
    def test_each_keeps_meaning_and_comment(self, head, spec):
        text = (head or "{apiVersion: custom.k8s.io/v1, kind: KCD, metadata: {name: a}, spec: ") + spec
        new = modern(text)
        assert meaning(new) == meaning(text)
        assert new.count("# all of it") == 1
        assert "custom.k8s.io" not in new
        assert modern(new) == new

    def test_what_a_server_added_is_left_out(self):
        (value,) = documents.compose(OLD)
        value["metadata"] |= {
            "uid": "1-2", "resourceVersion": "7", "generation": 3, "labels": {"team": "atlas"},
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "note": "kept"},
        }  # fmt: skip
        value["status"] = {"currVersion": "abc"}
        listed = {"apiVersion": "v1", "kind": "List", "items": [value], "metadata": {"resourceVersion": ""}}
        (new,) = documents.compose(modern(json.dumps(listed)))
        assert new["items"][0]["metadata"] == {
            "name": "tiles", "namespace": "atlas", "labels": {"team": "atlas"}, "annotations": {"note": "kept"},
        }  # fmt: skip
        assert "status" not in new["items"][0]
        assert new["metadata"] == {"resourceVersion": ""}

    def test_a_document_that_cannot_be_read_is_refused(self):
        with pytest.raises(EditRefused, match=r"cv\.yaml:"):
            modern(OLD + "  tag: twice\n")


_TIMES = st.sampled_from([None, 0, 30, 600])
_CHECK = st.fixed_dictionaries(
    {"kind": st.just("Image"), "image": st.just("atlas/check")},
    optional={"tag": st.just("v1"), "timeoutSeconds": st.just(5), "annotations": st.just({"a/b": "c"})},
)
_CHECKS = st.lists(_CHECK, max_size=2)
_BLUE_GREEN = st.fixed_dictionaries(
    {"serviceName": st.just("tiles"), "labelNames": st.just(["slot", "color"])},
    optional={"scaleDown": st.booleans(), "timeoutSeconds": st.just(9)},
)
_STRATEGIES = st.one_of(
    st.fixed_dictionaries({}, optional={"kind": st.sampled_from(["", "SimpleRollout"]), "verify": _CHECKS}),
    st.fixed_dictionaries(
        {"kind": st.just("ServiceBlueGreen"), "blueGreen": _BLUE_GREEN}, optional={"verify": _CHECKS}
    ),
)
_WORKLOADS = st.one_of(
    st.just({"deployment": {"name": "tiles", "container": "main"}}),
    st.just({"selector": {"cvapp": "tiles", "tier": "web"}, "container": "main"}),
    st.builds(
        lambda checks: {"selector": {"cvapp": "tiles"}, "container": {"name": "main", "verify": checks}}, _CHECKS
    ),
)
_REST = st.fixed_dictionaries(
    {"imageRepo": st.sampled_from(["atlas/tiles", "registry.example.com/atlas/tiles"]), "tag": st.just("env-prod")},
    optional={
        "versionSyntax": st.sampled_from(["", "^v[0-9]+$", "[0-9a-f]{7}"]),
        "pollIntervalSeconds": _TIMES,
        "checkFrequency": _TIMES,
        "timeoutSeconds": _TIMES,
        "livenessSeconds": _TIMES,
        "serviceAccountName": st.just("deployer"),
        "config": st.just({"name": "tiles", "key": "version"}),
        "rollback": st.builds(lambda on: {"enabled": on}, st.booleans()),
        "history": st.just({"enabled": True, "name": "tiles"}),
        "strategy": _STRATEGIES,
    },
)


@st.composite
def texts(draw):
    """A legacy document as a person may write it: any order, blocks and flows, comments on and between lines."""
    spec = {**draw(_WORKLOADS), **draw(_REST)}
    lines = ["apiVersion: custom.k8s.io/v1", "kind: ContainerVersion", "metadata:", "  name: tiles", "spec:"]
    for key in draw(st.permutations(sorted(spec))):
        lines += _written(draw, key, spec[key], "  ")
    number = 0
    out = []
    for line in lines:
        if draw(st.integers(0, 3)) == 0:
            number += 1
            out.append(f"{line[: len(line) - len(line.lstrip())]}# c{number}")
        beside = draw(st.integers(0, 2)) == 0
        number += beside
        out.append(f"{line}  # c{number}" if beside else line)
    return "\n".join([*out, ""])


def _written(draw, key, value, indent):
    if isinstance(value, dict) and value and draw(st.booleans()):
        inner = [line for name, item in value.items() for line in _written(draw, name, item, indent + "  ")]
        return [f"{indent}{key}:", *inner]
    plain = isinstance(value, str) and value[:1].isalpha() and draw(st.booleans())
    return [f"{indent}{key}: {value if plain else json.dumps(value)}"]


@settings(max_examples=60, deadline=None)
@given(texts())
def test_any_of_them_keeps_its_meaning_and_its_comments(text):
    new = modern(text)
    assert meaning(new) == meaning(text)
    assert comments(new) == comments(text)
    assert modern(new) == new
    assert "custom.k8s.io" not in new


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_what_goes_from_the_first_line_leaves_no_empty_one(end):
    text = f"{BLOCK}{SHORT}{PLAIN}".replace("\n", end).encode()
    assert modernise("a.yaml", f"status: {{deployed: true}}{end}".encode() + text) == modernise("a.yaml", text)


def test_an_item_in_braces_leaves_the_rest_of_its_list_alone():
    head, item = (
        "kind: List\nitems:\n# one\n",
        f"{{apiVersion: custom.k8s.io/v1, kind: KCD, metadata: {{name: a}}, spec: {{{FLOW}}}}}",
    )
    rest = "  # beside\n# two\n- {kind: ConfigMap}  # as it was\n"
    after = modernise("a.yaml", f"{head}- {item}{rest}".encode()).decode()
    assert after.startswith(f"{head}- apiVersion: gitcd.io/v1\n  kind: ContainerVersion\n")
    assert after.endswith(f"    history:\n      enabled: false{rest}")
