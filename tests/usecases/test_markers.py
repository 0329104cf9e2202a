"""Setter comments of Flux: left alone, or with `markers: true` as much gitcd's as anything else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitcd.model.plan import OutcomeKind
from tests.usecases.test_planner import APP, LAYOUT, SELECTOR, declaration, deployment, digest, only, plan

NEW = f"1.1.0@{digest('1.1.0')}"
HONOURED = LAYOUT % ", markers: true"
WHOLE = '# {"$imagepolicy": "flux-system:app"}'
WORKLOAD = deployment().replace("# kept", WHOLE)
VALUES = f"""\
image:
  repository: {APP} # {{"$imagepolicy": "flux-system:app:name"}}
  tag: 1.0.0 # {{"$imagepolicy": "flux-system:app:tag"}}
"""
FUNCTION = f"""\
apiVersion: example.com/v1
kind: Function
metadata: {{name: app}}
spec:
  runtime: '{APP}:1.0.0'   {WHOLE}
  others:
  - {APP}:1.0.0 {WHOLE}
  - {APP}:1.0.0
"""
FORMS = {
    "workload": (WORKLOAD, WORKLOAD.replace(f"{APP}:1.0.0", f"{APP}:{NEW}")),
    "values": (VALUES, VALUES.replace("tag: 1.0.0", f"tag: {NEW}")),
    "function": (
        FUNCTION,
        FUNCTION.replace(f"'{APP}:1.0.0'", f"'{APP}:{NEW}'").replace(f"- {APP}:1.0.0 #", f"- {APP}:{NEW} #"),
    ),
}


def files(form, **spec):
    return {"envs/dev/cv.yaml": declaration(**spec), "envs/dev/app.yaml": FORMS[form][0]}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("spec", [{}, SELECTOR], ids=["bare", "selector"])
def test_what_is_marked_moves_where_markers_are_honoured(form, spec):
    result = plan(files(form, **spec), layout=HONOURED)
    assert only(result).kind is OutcomeKind.BUMPED
    assert {file.path: file.after.decode() for file in result.files} == {"envs/dev/app.yaml": FORMS[form][1]}
    again = {"envs/dev/cv.yaml": declaration(**spec), "envs/dev/app.yaml": FORMS[form][1]}
    assert only(plan(again, layout=HONOURED)).kind is OutcomeKind.CURRENT


@pytest.mark.parametrize("form", ["workload", "values"])
def test_what_is_marked_is_left_alone_and_said_where_they_are_not(form):
    result = plan(files(form, **SELECTOR))
    assert result.files == ()
    assert only(result).kind is OutcomeKind.FAILED
    assert "left to its $imagepolicy marker, as the environment does not say `markers: true`" in only(result).message
    assert "envs/dev/app.yaml:" in only(result).message


def test_where_they_are_not_honoured_they_make_nothing_known():
    own = {"envs/dev/own.yaml": deployment()}
    result = plan(files("function", **SELECTOR) | own)
    assert [file.path for file in result.files] == ["envs/dev/own.yaml"]
    assert only(plan(files("function", **SELECTOR))).reason == "MatchedNothing"


def test_a_comment_selects_its_workload_and_no_other():
    other = deployment(name="other", labels="{app: other}")
    both = {"envs/dev/cv.yaml": declaration(), "envs/dev/app.yaml": WORKLOAD, "envs/dev/other.yaml": other}
    result = plan(both, layout=HONOURED)
    assert [file.path for file in result.files] == ["envs/dev/app.yaml"]


PARTS = f"""\
apiVersion: example.com/v1
kind: Function
spec:
  image: {APP}:1.0.0 {WHOLE}
  release: "1.0.0" # {{"$imagepolicy": "flux-system:app:tag"}}
  digest: {digest("1.0.0")} # {{"$imagepolicy": "flux-system:app:digest"}}
  name: {APP} # {{"$imagepolicy": "flux-system:app:name"}}
  foreign: 1.0.0 # {{"$imagepolicy": "flux-system:other:tag"}}
"""


def test_parts_follow_the_image_that_the_same_policy_marks_in_their_file():
    result = plan(files("function") | {"envs/dev/app.yaml": PARTS}, layout=HONOURED)
    (file,) = result.files
    moved = PARTS.replace(f"{APP}:1.0.0", f"{APP}:{NEW}").replace('"1.0.0"', '"1.1.0"')
    assert file.after.decode() == moved.replace(digest("1.0.0"), digest("1.1.0"))


def test_keys_of_a_configmap_may_be_marked():
    """As for what Flux substitutes from; the same key as `spec.config` stays a key."""
    text = f"""\
apiVersion: v1
kind: ConfigMap
metadata: {{name: app}}
data:
  image: {APP}:1.0.0 {WHOLE}
  release: 1.0.0 # {{"$imagepolicy": "flux-system:app:tag"}}
  other: 1.0.0
"""
    moved = text.replace(f"{APP}:1.0.0", f"{APP}:{NEW}").replace("release: 1.0.0", "release: 1.1.0")
    for spec in ({}, {"config": "{name: app, key: release}"}):
        result = plan(files("function", **spec) | {"envs/dev/app.yaml": text}, layout=HONOURED)
        assert [file.after.decode() for file in result.files] == [moved]
        again = plan(files("function", **spec) | {"envs/dev/app.yaml": moved}, layout=HONOURED)
        assert only(again).kind is OutcomeKind.CURRENT
    assert only(plan(files("function") | {"envs/dev/app.yaml": text})).reason == "MatchedNothing"


def test_parts_alone_belong_to_nobody():
    alone = PARTS.replace(f"  image: {APP}:1.0.0 {WHOLE}\n", "")
    result = plan(files("function") | {"envs/dev/app.yaml": alone}, layout=HONOURED)
    assert (only(result).reason, result.files) == ("MatchedNothing", ())


def test_a_part_may_be_a_place_as_well():
    places = "[{file: app.yaml, pointer: /spec/release, format: version}]"
    result = plan(files("function", places=places) | {"envs/dev/app.yaml": PARTS}, layout=HONOURED)
    assert [change.pointer for change in only(result).changes].count("/spec/release") == 1
    assert b'release: "1.1.0"' in result.files[0].after


@pytest.mark.parametrize("pin", ["Digest", "TagAndDigest"])
def test_a_tag_alone_is_not_written_where_it_would_move_unseen(pin):
    result = plan(files("function", pin=pin) | {"envs/dev/app.yaml": PARTS}, layout=HONOURED)
    assert (only(result).reason, result.files) == ("PlaceTagMoves", ())
    assert "envs/dev/app.yaml:5" in only(result).message


def test_a_selector_narrows_what_the_comments_select():
    result = plan(files("workload", selector="{app: nobody}"), layout=HONOURED)
    assert (only(result).reason, result.files) == ("MatchedNothing", ())


def test_a_workload_of_another_namespace_is_left_out():
    foreign = files("workload")
    foreign["envs/dev/app.yaml"] = WORKLOAD.replace("namespace: team", "namespace: elsewhere")
    assert only(plan(foreign, layout=HONOURED)).reason == "MatchedNothing"


def test_a_setting_of_one_environment_does_not_reach_another():
    """The same bytes in two environments, of which one leaves them to Flux."""
    both = files("values") | {
        "envs/prod/cv.yaml": declaration(),
        "envs/prod/app.yaml": VALUES,
    }
    result = plan(both, layout=HONOURED)
    kinds = {outcome.identity.environment: outcome.kind for outcome in result.outcomes}
    assert kinds == {"dev": OutcomeKind.BUMPED, "prod": OutcomeKind.FAILED}
    assert [file.path for file in result.files] == ["envs/dev/app.yaml"]


_BLANKS = st.sampled_from([" ", "   ", "\t", " # why; "])
_QUOTES = st.sampled_from(["", "'", '"'])


@given(st.lists(st.tuples(_QUOTES, _BLANKS, st.booleans()), min_size=1, max_size=6), st.sampled_from(["\n", "\r\n"]))
def test_only_the_marked_scalars_change_in_generated_documents(items, end):
    def text(version):
        lines = ["kind: Odd", "apiVersion: x/v1", "spec:"]
        for quote, blank, marked in items:
            scalar = f"{quote}{APP}:{version if marked else '1.0.0'}{quote}"
            lines.append(f"- {scalar}{blank}{WHOLE}" if marked else f"- {scalar}")
        return end.join([*lines, "# end é"])

    given_files = {"envs/dev/cv.yaml": declaration(), "envs/dev/app.yaml": text("1.0.0")}
    result = plan(given_files, layout=HONOURED)
    if not any(marked for *_, marked in items):
        assert (only(result).reason, result.files) == ("MatchedNothing", ())
        return
    (file,) = result.files
    assert file.after.decode() == text(NEW)
