"""Traces of models as files: what is written is read back, and nothing else is."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from sanitree.checker.explore.configured import Configuration
from sanitree.checker.explore.confirm import replay
from sanitree.checker.explore.tracefile import ModelTrace, Step, decode, encode
from sanitree.checker.replay import Answer
from sanitree.invariants.vocabulary import FULL, SWA, Policy
from sanitree.models.driving.document import TraceError

STRICT = Configuration(preset="heap", policy=Policy.WRITE_BACK, pages=3, judged_as=Policy.WRITE_THROUGH)
MOVES = (Step("insert", 1), Step("insert", 2), Step("start_write_back", 2), Step("ack", 2))
TRACE = ModelTrace(STRICT, "rule", "backup_is_prefix_closed", MOVES)


@pytest.mark.parametrize(
    "trace",
    [
        TRACE,
        ModelTrace(
            Configuration(
                preset="pages", components=(FULL, SWA), tree=(0, 1, 1), device_capacity=2, host_capacity=3, requests=2,
                fault="split_forgets_the_lock", rules=("path_lock_covers_children",),
            ),
            "progress", "writes_can_end", (),
        ),
    ],
)  # fmt: skip
def test_what_is_written_is_read(trace: ModelTrace) -> None:
    assert decode(encode(trace)) == trace


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda d: d.update(format="sanitree-trace"), "not a sanitree model trace"),
        (lambda d: d.update(version=2), "unknown version 2; update sanitree"),
        (lambda d: d.update(more=1), "unknown key 'more'"),
        (lambda d: d.pop("moves"), ".moves: missing"),
        (lambda d: d["model"].update(preset="other"), "'other' is none of these"),
        (lambda d: d["model"].update(policy="write_around"), "'write_around' is none of these"),
        (lambda d: d["model"].update(pages=10**9), "a number from 0 to 64 is wanted"),
        (lambda d: d["model"].update(pages=True), "a number from 0 to 64 is wanted"),
        (lambda d: d["model"].update(tree=[0, 5]), "a number from 0 to 1 is wanted"),
        (lambda d: d["model"].update(components=["none"]), "no component 'none'"),
        (lambda d: d["model"].pop("fault"), ".model.fault: missing"),
        (lambda d: d["found"].update(kind="guess"), "'guess' is none of these"),
        (lambda d: d["moves"][0].update(node=0), "a number from 1 to 64 is wanted"),
        (lambda d: d["moves"].append("insert"), "an object is wanted"),
    ],
)
def test_anything_else_is_refused(change: Change, what: str) -> None:
    document = json.loads(encode(TRACE))
    change(document)
    with pytest.raises(TraceError) as caught:
        decode(json.dumps(document))
    assert what in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "{", "null", '{"format": "sanitree-model-trace"}'])
def test_what_is_no_document_is_refused(text: str) -> None:
    with pytest.raises(TraceError):
        decode(text)


@pytest.mark.parametrize(
    ("trace", "answer", "reason"),
    [
        (TRACE, Answer.REPRODUCED, "backup_is_prefix_closed is violated again"),
        (
            ModelTrace(STRICT, "rule", "backup_is_prefix_closed", MOVES[:3]),
            Answer.GONE, "every move can be made, and backup_is_prefix_closed holds at the end",
        ),
        (
            ModelTrace(STRICT, "rule", "backup_is_prefix_closed", (*MOVES[:2], MOVES[3])),
            Answer.GONE, "move 3: ack of node 2 cannot happen here",
        ),
        (
            ModelTrace(STRICT, "rule", "backup_is_prefix_closed", (Step("insert", 4),)),
            Answer.GONE, "move 1: insert of node 4 can never happen",
        ),
        (
            ModelTrace(STRICT, "rule", "backup_is_prefix_closed", (MOVES[3], Step("insert", 4))),
            Answer.GONE, "move 1: ack of node 2 cannot happen here",
        ),
        (
            ModelTrace(STRICT, "rule", "backup_is_prefix_closed", (Step("fly", 1),)),
            Answer.CANNOT_RUN, "the model heap has no action 'fly'",
        ),
        (
            ModelTrace(STRICT, "rule", "another", MOVES),
            Answer.CANNOT_RUN, "the model heap is not judged by 'another'",
        ),
        (
            ModelTrace(Configuration(preset="heap", fault="x"), "rule", "another", MOVES),
            Answer.CANNOT_RUN, "the heap preset has no fault; leave --fault out",
        ),
    ],
)  # fmt: skip
def test_what_comes_of_a_trace(trace: ModelTrace, answer: Answer, reason: str) -> None:
    again = replay(trace)
    assert (again.answer, again.reason) == (answer, reason)
