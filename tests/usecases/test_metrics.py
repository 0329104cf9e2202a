"""Numbers about runs: which there are, what may be a label, and what happens where nobody takes them."""

from __future__ import annotations

import re
import socket
import time
from dataclasses import replace
from pathlib import Path

import pytest

from gitcd.errors import ConfigError, ExitCode, TransientError
from gitcd.model.declaration import Identity, Origin
from gitcd.model.plan import Delivered, Outcome, OutcomeKind, Plan, PullAct
from gitcd.model.registry import Answers
from gitcd.model.tree import MemoryTree
from gitcd.planning.intake import read_inputs
from gitcd.planning.shards import Part
from gitcd.rendering.metrics import Family, Sample, exposition, statsd
from gitcd.usecases.context import Planned
from gitcd.usecases.metrics import Done, Meter, StatsdSink, measured, write_textfile
from gitcd.usecases.publish import Published

_LINE = re.compile(r'(gitcd_[a-z_]+)(?:\{((?:[a-z]+="[^"]*",?)+)\})? (-?[0-9.e+]+)')


def published(*outcomes: tuple[str, OutcomeKind], part: Part | None = None, commits: tuple[str, ...] = ()) -> Published:
    made = tuple(Outcome(Identity("dev", "team", name), Origin(name), kind) for name, kind in outcomes)
    planned = Planned(Plan("", made), read_inputs(MemoryTree({})), (), Answers({}), part)
    return Published(planned, commits, pulls=(Delivered("b", PullAct.OPENED), Delivered("c", PullAct.UNCHANGED)))


def done(code: ExitCode = ExitCode.OK, work: Published | None = None, verb: str = "run") -> Done:
    return Done(verb, code, 1_700_000_000.5, 1.25, 7, work)


def numbers(meter: Meter) -> dict[tuple[str, str], float]:
    """By name and labels; every line of the text is read."""
    found = {}
    for line in exposition([*meter.totals(), *meter.state()]).splitlines():
        if not line.startswith("#"):
            match = _LINE.fullmatch(line)
            assert match, line
            found[match[1], match[2] or ""] = float(match[3])
    return found


def test_what_a_run_did_is_counted() -> None:
    meter = Meter()
    meter.note(done(work=published(("a", OutcomeKind.BUMPED), ("b", OutcomeKind.CURRENT), commits=("1", "2"))))
    meter.note(done(ExitCode.TRANSIENT))
    found = numbers(meter)
    assert found["gitcd_runs_total", 'verb="run",outcome="done"'] == 1
    assert found["gitcd_runs_total", 'verb="run",outcome="transient"'] == 1
    assert found["gitcd_run_seconds_total", 'verb="run"'] == 2.5
    assert found["gitcd_commits_total", 'verb="run"'] == 2
    assert found["gitcd_registry_requests_total", 'verb="run"'] == 14
    assert found["gitcd_pull_requests_total", 'verb="run",outcome="opened"'] == 1
    assert ("gitcd_pull_requests_total", 'verb="run",outcome="unchanged"') not in found
    assert found["gitcd_declarations", 'outcome="Bumped"'] == 1
    assert found["gitcd_declarations", 'outcome="Failed"'] == 0
    assert found["gitcd_last_run_exit_code", 'verb="run"'] == 3
    assert found["gitcd_last_success_timestamp_seconds", 'verb="run"'] == 1_700_000_000.5


def test_T33_nothing_that_somebody_declares_becomes_a_label() -> None:
    meter = Meter()
    hostile = 'a"} 1\nevil{x="'
    for code in ExitCode:
        meter.note(done(code, published((hostile, OutcomeKind.FAILED))))
    text = exposition([*meter.totals(), *meter.state()])
    assert "evil" not in text
    labels = {name for _, found in numbers(meter) for name in re.findall(r"([a-z]+)=", found)}
    assert labels == {"verb", "outcome"}
    values = {value for _, found in numbers(meter) for value in re.findall(r'outcome="([^"]*)"', found)}
    runs = {"done", "misconfigured", "transient", "items_failed", "failed"}
    assert values <= runs | {kind.value for kind in OutcomeKind} | {act.value for act in PullAct}


def test_a_look_at_a_part_keeps_what_is_known_of_the_rest() -> None:
    meter = Meter()
    declared = read_inputs(
        MemoryTree(
            {
                f"{name}.yaml": f"apiVersion: gitcd.io/v1\nkind: ContainerVersion\nmetadata: {{name: {name}, namespace: team}}\n"
                f"spec: {{imageRepo: registry.example.com/{name}, tag: t, environment: dev}}\n".encode()
                for name in "ab"
            }
        )
    )
    whole = published(
        *((each.declaration.metadata.name, OutcomeKind.CURRENT) for each in declared.declared),
        ("c", OutcomeKind.FAILED),
    )

    def with_inputs(work: Published) -> Published:
        outcomes = tuple(
            replace(each, identity=known.identity, origin=known.declaration.origin)
            for each in work.work.plan.outcomes
            for known in declared.declared
            if known.identity.name == each.identity.name
        )
        plan = Plan("", outcomes or work.work.plan.outcomes)
        return replace(work, work=replace(work.work, plan=plan, inputs=declared))

    meter.note(done(work=with_inputs(whole)))
    one = published(("a", OutcomeKind.HELD), part=Part(frozenset()))
    meter.note(done(work=with_inputs(one)))
    found = numbers(meter)
    kinds = {kind: found["gitcd_declarations", f'outcome="{kind.value}"'] for kind in OutcomeKind}
    assert {kind.value: count for kind, count in kinds.items() if count} == {"Held": 1, "Current": 1}


def test_the_text_is_as_prometheus_reads_it() -> None:
    families = [
        Family("gitcd_x_total", "counter", "What it is.", (Sample(2, "run", 'a"b\\c\nd'), Sample(0.5))),
        Family("gitcd_none", "gauge", "Nothing.", ()),
    ]
    assert exposition(families) == (
        "# HELP gitcd_x_total What it is.\n"
        "# TYPE gitcd_x_total counter\n"
        'gitcd_x_total{verb="run",outcome="a\\"b\\\\c\\nd"} 2\n'
        "gitcd_x_total 0.5\n"
    )


def test_datagrams_carry_what_was_added_since() -> None:
    counter = Family("gitcd_runs_total", "counter", "", (Sample(5, "run", "done"), Sample(2, "run", "failed")))
    before = replace(counter, samples=(Sample(3, "run", "done"), Sample(2, "run", "failed")))
    gauge = Family("gitcd_leader", "gauge", "", (Sample(0),))
    assert statsd([counter, gauge], [before]) == [b"gitcd.runs:2|c|#verb:run,outcome:done", b"gitcd.leader:0|g"]


def test_a_file_of_numbers_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "gitcd.prom"
    path.write_text("old")
    with measured(path, "reconcile", lambda: 3, print) as note:
        note(published(("a", OutcomeKind.FAILED)))
    text = path.read_text()
    assert 'gitcd_last_run_exit_code{verb="reconcile"} 5\n' in text
    assert "_total" not in text
    assert [each.name for each in tmp_path.iterdir()] == ["gitcd.prom"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_run_that_fails_leaves_a_file_as_well(tmp_path: Path) -> None:
    path = tmp_path / "gitcd.prom"
    with pytest.raises(TransientError), measured(path, "reconcile", lambda: 0, print):
        raise TransientError("down")
    text = path.read_text()
    assert 'gitcd_last_run_exit_code{verb="reconcile"} 3\n' in text
    assert "gitcd_last_success_timestamp_seconds" not in text


@pytest.mark.parametrize("where", ["nowhere/gitcd.prom", "folder"])
def test_F50_a_file_that_cannot_be_written_is_a_warning(tmp_path: Path, where: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "full").touch()
    warnings: list[str] = []
    with measured(tmp_path / where, "reconcile", lambda: 0, warnings.append) as note:
        note(published())
    (warning,) = warnings
    assert "cannot be written" in warning
    assert not [each for each in tmp_path.iterdir() if each.name != "folder"]
    assert write_textfile(tmp_path / where, Meter()) == warning


def test_datagrams_arrive() -> None:
    meter = Meter()
    meter.note(done())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind(("127.0.0.1", 0))
        sink.settimeout(5)
        sender = StatsdSink(f"127.0.0.1:{sink.getsockname()[1]}", meter)
        assert sender.send() == ""
        assert sink.recv(1000) == b"gitcd.runs:1|c|#verb:run,outcome:done"


def test_F50_a_sink_that_is_down_is_a_warning() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind(("127.0.0.1", 0))
        port = sink.getsockname()[1]
    meter = Meter()
    meter.note(done())
    assert (
        StatsdSink(f"127.0.0.1:{port}", meter).send()
        == f"metrics cannot be sent to 127.0.0.1:{port}: Connection refused"
    )


def test_F50_a_sink_that_nobody_finds_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gitcd.usecases.metrics._PATIENCE", 0.05)

    def search(*_: object, **__: object) -> None:
        time.sleep(0.5)
        raise OSError(None, "not found")

    monkeypatch.setattr(socket, "getaddrinfo", search)
    sender = StatsdSink("stats.example.com", Meter())
    assert [sender.send() == sender.send(), "takes longer" in sender.send()] == [True, True]
    assert sender._busy
    sender._busy.join(5)
    assert not sender._busy.is_alive()


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("h", ("h", 8125)),
        ("h:1", ("h", 1)),
        ("10.0.0.1", ("10.0.0.1", 8125)),
        ("fd00::1", ("fd00::1", 8125)),
        ("[fd00::1]:99", ("fd00::1", 99)),
    ],
)
def test_the_address_of_a_sink(address: str, found: tuple[str, int]) -> None:
    sink = StatsdSink(address, Meter())
    assert (sink._host, sink._port) == found


@pytest.mark.parametrize("address", ["h:port", "h:99999", "[fd00::1", ""])
def test_what_is_no_address_of_a_sink(address: str) -> None:
    with pytest.raises(ConfigError, match="--stats-host"):
        StatsdSink(address, Meter())
