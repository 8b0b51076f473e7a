"""Trace files: what is written is read again, and nothing else is."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from sanitree.invariants.vocabulary import FULL, MAMBA, SWA, Policy
from sanitree.models.driving.operations import OPERATIONS, Match, Operation, Start
from sanitree.models.driving.reference import ReferenceDriver
from sanitree.models.driving.setup import Setup
from sanitree.models.driving.trace import KINDS, Done, Found, Trace, TraceError, decode, encode, read, write
from sanitree.models.snapshot import SnapshotError

numbers = st.integers(0, 2**31)
ARGUMENTS: dict[str, st.SearchStrategy[Any]] = {
    "prompt": st.lists(numbers, max_size=6).map(tuple),
    "load": st.booleans(),
    "insert": st.booleans(),
    "component": st.text(max_size=8),
}
operations: st.SearchStrategy[Operation] = st.sampled_from(list(OPERATIONS.values())).flatmap(
    lambda kind: st.builds(kind, **{f.name: ARGUMENTS.get(f.name, numbers) for f in fields(kind)})
)
sizes = st.integers(1, 64)
setups = st.builds(
    Setup,
    policy=st.sampled_from(Policy),
    components=st.sampled_from([(FULL,), (FULL, SWA), (FULL, SWA, MAMBA)]),
    page_size=sizes,
    device_pages=sizes,
    host_pages=st.integers(0, 64),
    states=sizes,
    window=sizes,
    core=st.sampled_from([None, "python", "rust", "both"]),
    fault=st.none() | st.text(max_size=8),
)
founds = st.builds(
    Found,
    kind=st.sampled_from(KINDS),
    names=st.lists(st.text(max_size=8), min_size=1, max_size=3).map(tuple),
    place=st.text(max_size=8),
    call=st.text(max_size=8),
    text=st.text(max_size=8),
)
traces = st.builds(
    Trace,
    setup=setups,
    operations=st.lists(st.builds(Done, operation=operations, result=st.none() | st.text(max_size=8)), max_size=5).map(
        tuple
    ),
    on=st.none() | st.text(max_size=8),
    found=st.none() | founds,
)


def plain(trace: Trace) -> tuple[object, ...]:
    return trace.setup, [(d.operation, d.result) for d in trace.operations], trace.on, trace.found


@given(traces)
def test_what_is_written_is_read(trace: Trace) -> None:
    assert plain(decode(encode(trace))) == plain(trace)


def recorded() -> Trace:
    driver, done = ReferenceDriver(Setup()), []
    for op in (Start((1, 2)), Match((1,))):
        result = driver.do(op)
        done.append(Done(op, result, driver.subject().snapshot(None)))
    return Trace(driver.setup, tuple(done), driver.on, Found("rule", ("one_writer_a_slot",)))


def test_a_file_has_an_operation_a_line_and_states(tmp_path: Path) -> None:
    trace = recorded()
    write(trace, tmp_path / "a.json")
    again = read(tmp_path / "a.json")
    assert plain(again) == plain(trace)
    for before, after in zip(trace.operations, again.operations, strict=True):
        assert before.state is not None
        assert after.state is not None
        assert after.state.nodes.ids.tolist() == before.state.nodes.ids.tolist()
    text = (tmp_path / "a.json").read_text()
    assert sum(line.startswith('    {"do": ') for line in text.splitlines()) == 2


def changed(**more: Any) -> str:
    document = json.loads(encode(Trace.of(Setup(), [Start((1,)), Match((2,))], on="reference")))
    for path, value in more.items():
        *way, last = path.split("__")
        place = document
        for step in way:
            place = place[int(step) if step.isdigit() else step]
        if value is ...:
            del place[last]
        else:
            place[last] = value
    return json.dumps(document)


BAD: dict[str, tuple[str, str]] = {
    "empty": ("", "not JSON"),
    "cut short": (encode(Trace.of(Setup(), [Start((1,))]))[:-4], "not JSON"),
    "deep": ("[" * 100_000, "not JSON"),
    "another format": ('{"format": "sanitree-snapshot", "version": 1}', "not a sanitree trace"),
    "a list": ("[]", "not a sanitree trace"),
    "newer": (changed(version=2), "update sanitree"),
    "version": (changed(version="1"), "unknown version"),
    "no setup": (changed(setup=...), ".setup: missing"),
    "no size": (changed(setup__window=...), ".setup.window: missing"),
    "more": (changed(extra=1), "unknown key 'extra'"),
    "policy": (changed(setup__policy="write_around"), ".setup.policy: 'write_around' is none of these"),
    "policy of another kind": (changed(setup__policy=[]), ".setup.policy: an array is none of these"),
    "component": (changed(setup__components=["full", "heads"]), "no component 'heads'"),
    "core": (changed(setup__core="go"), ".setup.core"),
    "giant": (changed(setup__device_pages=2**20, setup__page_size=2), "a pool of more than"),
    "beyond": (changed(setup__device_pages=2**40), ".setup.device_pages: a number from 1"),
    "no pages": (changed(setup__page_size=0), ".setup.page_size: a number from 1"),
    "fault": (changed(setup__fault=3), ".setup.fault: text"),
    "operations": (changed(operations={}), ".operations: an array"),
    "no such operation": (changed(operations__0__do="begin"), ".operations[0].do: no operation 'begin'"),
    "an operation that is none": (changed(operations=[1]), ".operations[0].do"),
    "prompt": (changed(operations__1__prompt=[1, -1]), ".operations[1].prompt[1]: a number from 0"),
    "float": (changed(operations__1__prompt=[1.0]), ".operations[1].prompt[0]"),
    "truth": (changed(operations__0__load=1), ".operations[0].load: true or false"),
    "argument": (changed(operations__0__load=...), ".operations[0].load: missing"),
    "argument too many": (changed(operations__1__load=True), "unknown key 'load'"),
    "result": (changed(operations__1__result=1), ".operations[1].result: text"),
    "state": (changed(operations__1__state={}), ".operations[1].state: not a sanitree snapshot"),
    "found": (changed(found={"kind": "rule"}), ".found.names: missing"),
    "nothing found": (changed(found={"kind": "rule", "names": []}), ".found.names: nothing is named"),
    "kind": (changed(found={"kind": "luck", "names": ["x"]}), ".found.kind"),
    "twice": ('{"format": "sanitree-trace", "version": 1, "version": 1}', "'version' is written twice"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_trace_is_refused_in_one_line(what: str, tmp_path: Path) -> None:
    text, words = BAD[what]
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(TraceError) as caught:
        read(tmp_path / "bad.json")
    assert words in str(caught.value)
    assert "bad.json" in str(caught.value)
    assert str(caught.value).isprintable()


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_any_bytes_are_a_trace_or_an_error_for_people(data: bytes | str) -> None:
    with pytest.raises(TraceError):
        decode(data)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="no such file"):
        read(tmp_path / "none.json")
    with pytest.raises(SnapshotError, match="cannot be read"):
        read(tmp_path)
