"""Which of two slots shall be live, and the bytes that change when it is switched."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gitcd.model.hold import Hold, Reject
from gitcd.model.registry import Failure
from gitcd.model.tree import MemoryTree
from gitcd.planning.content import Held
from gitcd.planning.intake import read_inputs
from gitcd.planning.survey import survey
from gitcd.planning.switching import LastMove, aim, image_changes, slot_images, switch_changes
from tests.support.scenes import HOST

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
OLD, NEW = (f"sha256:{letter * 64}" for letter in "ab")
LAYOUT = b"""\
apiVersion: gitcd.io/v1
kind: ConfigRepository
environments: [{name: dev, path: envs/dev}, {name: prod, path: envs/prod}]
"""
DECLARED = f"""\
apiVersion: gitcd.io/v1
kind: ContainerVersion
metadata: {{name: app, namespace: team}}
spec:
  imageRepo: {HOST}/team/app
  tag: env-dev
  selector: {{app: app}}
  strategy:
    kind: ServiceBlueGreen
    blueGreen: {{serviceName: app, verificationServiceName: app-preview, labelNames: [example.com/slot]}}
""".encode()


def slot(name, digest):
    return f"""\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: app-{name}, namespace: team, labels: {{app: app}}}}
spec:
  template:
    metadata: {{labels: {{app: app, example.com/slot: {name}}}}}
    spec: {{containers: [{{name: main, image: "{HOST}/team/app:1@{digest}"}}]}}
""".encode()


SERVICES = b"""\
# the live one\r
apiVersion: v1
kind: Service
metadata: {name: app, namespace: team}
spec:
  selector: {app: app, "example.com/slot": 'blue'}  # git says
---
apiVersion: v1
kind: List
items:
  - apiVersion: v1
    kind: Service
    metadata:
      name: app-preview
    spec:
      selector:
        example.com/slot: "green"
"""
FILES = {
    "gitcd.yaml": LAYOUT,
    "envs/dev/cv.yaml": DECLARED,
    "envs/dev/blue.yaml": slot("blue", OLD),
    "envs/dev/green.yaml": slot("green", NEW),
    "envs/dev/services.yaml": SERVICES,
    "envs/prod/services.yaml": SERVICES,  # another environment's, which is none of its business
}


def surveyed(**files):
    tree = MemoryTree(FILES | {f"envs/dev/{name}.yaml": data for name, data in files.items()})
    inputs = read_inputs(tree)
    (found,) = survey(inputs.declared, tree, inputs.scopes)
    return tree, found


def entries(tree):
    return [each for each in tree.entries() if each.path.startswith("envs/dev/")]


def rejecting(digest, until=""):
    return Hold((Reject(digest, "1", "bad", "somebody", "2026-11-23T11:00:00Z", until),))


@pytest.mark.parametrize(("last", "hold", "expected"), [
    (None, None, OLD),  # nobody moved it: what people wrote stands
    (LastMove(NEW), None, NEW),  # bumped, and not switched yet
    (LastMove(NEW, "promote"), None, NEW),
    (LastMove(NEW, "rollback"), None, NEW),  # the way back leads to the idle slot
    (LastMove(NEW, "switch"), None, OLD),  # switched, and a person took that back
    (LastMove(OLD, "switch"), None, OLD),
    (LastMove(OLD, "rollback"), None, OLD),
    (LastMove(f"sha256:{'c' * 64}"), None, OLD),
    (LastMove(NEW), rejecting(NEW), OLD),
    (LastMove(NEW), rejecting(NEW, "2026-11-23T11:30:00Z"), NEW),  # which was for a time
    (LastMove(NEW), rejecting(OLD), NEW),
    (LastMove(NEW), Hold(freeze=True), NEW),  # that stops the switch, and says so there
])  # fmt: skip
def test_what_shall_be_live(last, hold, expected):
    _, found = surveyed()
    assert aim(slot_images(found), last, hold, NOW).identifier == expected


@pytest.mark.parametrize(("last", "expected"), [
    (LastMove(NEW, "", frozenset({"envs/dev/green.yaml"})), "2"),
    (LastMove(NEW, "", frozenset({"envs/dev/blue.yaml"})), OLD),
    (LastMove(NEW, "switch", frozenset({"envs/dev/green.yaml"})), OLD),
])  # fmt: skip
def test_of_a_slot_that_names_a_tag_alone_the_files_tell(last, expected):
    _, found = surveyed(green=slot("green", NEW).replace(f"app:1@{NEW}".encode(), b"app:2"))
    assert aim(slot_images(found), last, None, NOW).identifier == expected


@pytest.mark.parametrize(("last", "expected"), [
    (LastMove(NEW, "rollback"), True),
    (LastMove(NEW), False),
    (LastMove(NEW, "promote"), False),
    (LastMove(OLD, "rollback"), False),  # to what is live already
    (LastMove(NEW, "switch"), False),
])  # fmt: skip
def test_whether_it_goes_back_there(last, expected):
    _, found = surveyed()
    assert aim(slot_images(found), last, None, NOW).returns is expected


def test_two_equal_slots_need_no_history():
    _, found = surveyed(green=slot("green", OLD))
    assert slot_images(found).is_even
    assert aim(slot_images(found), LastMove(OLD), None, NOW).identifier == OLD


def test_a_slot_with_two_images_cannot_be_told():
    two = slot("green", NEW).replace(
        b"containers: [", f'containers: [{{name: b, image: "{HOST}/team/app:2"}}, '.encode()
    )
    _, found = surveyed(green=two)
    assert isinstance(slot_images(found), Failure)
    assert slot_images(found).reason == "SeveralImages"


def test_the_switch_changes_two_scalars_and_no_other_byte():
    tree, found = surveyed()
    (change,) = switch_changes(tree, found, slot_images(found).slots, entries(tree))
    assert change.path == "envs/dev/services.yaml"
    assert change.after == SERVICES.replace(b"'blue'", b"'green'").replace(b'"green"', b'"blue"')


def test_what_was_switched_is_switched_back_to_the_same_bytes():
    tree, found = surveyed()
    (there,) = switch_changes(tree, found, slot_images(found).slots, entries(tree))
    tree, found = surveyed(services=there.after)
    assert slot_images(found).live.digest == NEW
    (back,) = switch_changes(tree, found, slot_images(found).slots, entries(tree))
    assert back.after == SERVICES


@pytest.mark.parametrize(("services", "reason"), [
    (SERVICES.partition(b"---")[0], "ServiceNotFound"),
    (SERVICES + b"---\n" + SERVICES.partition(b"---\n")[2], "ServiceAmbiguous"),
    (SERVICES.replace(b'example.com/slot: "green"', b"app: app"), "SelectorRefused"),
    (SERVICES.replace(b'example.com/slot: "green"', b"example.com/slot: &a green"), None),
    (SERVICES + b"sops: {mac: x}\n", "SelectorRefused"),
    (SERVICES.replace(b'"green"', b'"green"\n        example.com/slot: "red"'), "SelectorRefused"),
])  # fmt: skip
def test_what_cannot_be_switched_exactly_is_not(services, reason):
    tree, found = surveyed(services=services)
    done = switch_changes(tree, found, slot_images(found).slots, entries(tree))
    assert (done.reason if isinstance(done, Failure) else None) == reason


def test_a_kind_of_another_group_is_no_service():
    other = SERVICES.replace(
        b"apiVersion: v1\n    kind: Service", b"apiVersion: serving.example.com/v1\n    kind: Service"
    )
    tree, found = surveyed(services=other)
    done = switch_changes(tree, found, slot_images(found).slots, entries(tree))
    assert (done.reason, "app-preview" in done.message) == ("ServiceNotFound", True)


def test_the_idle_slot_gets_another_image():
    tree, found = surveyed()
    (change,) = image_changes(tree, slot_images(found).slots.idle, Held("1", OLD))
    assert change.after == slot("green", OLD)
    assert replace(change, after=None).path == "envs/dev/green.yaml"
