"""Traces: what was done to a fresh cache, what came of it, what was found; as data and as JSON.

    {"format": "sanitree-trace", "version": 1, "on": "0.5.12",
     "setup": {"policy": "write_back", "components": ["full"], "device_pages": 4, ...},
     "operations": [{"do": "start", "prompt": [1, 2], "load": true, "result": "..."}, ...],
     "found": {"kind": "rule", "names": ["pending_write_is_locked"], ...}}

`on`, each `result`, each `state` (a snapshot after the operation) and `found` may be missing.
What is read is never trusted: it is JSON of known keys and bounded numbers, or an error
that says what is wrong, where, and what to do.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

import orjson

from sanitree.invariants.plugins import component
from sanitree.invariants.vocabulary import Policy
from sanitree.models.driving.document import (
    TraceError,
    document_of,
    list_of,
    number_of,
    one_of,
    part,
    read_file,
    text_of,
    write_file,
)
from sanitree.models.driving.operations import NAMES, OPERATIONS, Operation
from sanitree.models.driving.setup import Setup
from sanitree.models.snapshot import Snapshot, SnapshotError
from sanitree.models.snapshot.document import from_document, to_document
from sanitree.models.snapshot.errors import shown

FORMAT: Final = "sanitree-trace"
VERSION: Final = 1
KINDS: Final = ("rule", "exception", "leak", "complaint", "difference", "agreement", "divergence")
RANKS: Final = 8
"""Of one server, at most: each is a cache of its own in one process."""
CORES: Final = (None, "python", "rust", "both")

_MOST_OPERATIONS = 100_000
_LONGEST = 4096
_MOST_TOKENS = 2**20
"""Of a pool: what a file asks for is allocated."""
_SIZES = ("page_size", "device_pages", "host_pages", "states", "window")


@dataclass(frozen=True, slots=True)
class Found:
    """What went wrong: the kind of thing, and what names it.

    names: ids of rules, the type of an exception, pools that leak, an engine's complaints,
    what differs. place: where in the cache's code. call: after which call. text: for people.
    """

    kind: str
    names: tuple[str, ...]
    place: str = ""
    call: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Done:
    """An operation that was done, what came of it, and the state after it; None where nobody wrote it down."""

    operation: Operation
    result: str | None = None
    state: Snapshot | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """Operations on a fresh cache of `setup`. on: where they were recorded. found: what the last of them showed."""

    setup: Setup
    operations: tuple[Done, ...]
    on: str | None = None
    found: Found | None = None

    @staticmethod
    def of(
        setup: Setup,
        operations: Iterable[Operation],
        results: Sequence[str] = (),
        on: str | None = None,
        found: Found | None = None,
    ) -> Trace:
        """A trace of operations and as many results as there are."""
        ops = tuple(operations)
        told = [*results, *([None] * (len(ops) - len(results)))]
        return Trace(setup, tuple(Done(op, said) for op, said in zip(ops, told, strict=True)), on, found)


def encode(trace: Trace) -> str:
    """The trace as JSON, an operation a line."""
    head: dict[str, Any] = {"format": FORMAT, "version": VERSION}
    if trace.on is not None:
        head["on"] = trace.on
    lines = [f'"{name}": {json.dumps(value)}' for name, value in {**head, "setup": plain_setup(trace.setup)}.items()]
    done = ",\n    ".join(_encoded(d) for d in trace.operations)
    lines.append(f'"operations": [\n    {done}\n  ]' if done else '"operations": []')
    if trace.found is not None:
        lines.append(f'"found": {json.dumps(asdict(trace.found))}')
    return "{\n  " + ",\n  ".join(lines) + "\n}\n"


def plain_setup(setup: Setup) -> dict[str, Any]:
    """A setup as a trace has it."""
    told = asdict(setup) | {"policy": setup.policy.value, "components": [c.name for c in setup.components]}
    if setup.ranks == 1:  # then nothing is said of them, as before there were any
        del told["ranks"]
    return told


def _encoded(done: Done) -> str:
    told: dict[str, Any] = {"do": NAMES[type(done.operation)], **asdict(done.operation)}
    if done.result is not None:
        told["result"] = done.result
    text = json.dumps(told)
    if done.state is None:
        return text
    state = orjson.dumps(to_document(done.state), option=orjson.OPT_SERIALIZE_NUMPY).decode()
    return f'{text[:-1]}, "state": {state}}}'


def decode(text: str | bytes) -> Trace:
    """The trace that JSON says. Raises TraceError for anything else."""
    document = document_of(text, FORMAT, VERSION)
    top = part(document, "", ("format", "version", "setup", "operations"), ("on", "found"))
    operations = list_of(top["operations"], ".operations", _MOST_OPERATIONS)
    return Trace(
        setup_of(top["setup"]),
        tuple(_done(value, f".operations[{i}]") for i, value in enumerate(operations)),
        None if top.get("on") is None else text_of(top["on"], ".on"),
        None if top.get("found") is None else _found(top["found"]),
    )


def write(trace: Trace, path: str | Path) -> None:
    """Writes a trace file. Raises SnapshotIOError where the system fails."""
    write_file(path, encode(trace))


def read(path: str | Path) -> Trace:
    """The trace in a file. Raises TraceError for what is none, SnapshotIOError where the system fails."""
    return read_file(path, decode)


def setup_of(value: object) -> Setup:
    """The setup that `plain_setup` has told of. Raises TraceError for anything else."""
    names = tuple(f.name for f in fields(Setup) if f.name != "ranks")
    told = dict(part(value, ".setup", names, ("ranks",)))
    told["ranks"] = number_of(told.get("ranks", 1), ".setup.ranks", 1, RANKS)
    told["policy"] = Policy(one_of(told["policy"], ".setup.policy", [p.value for p in Policy]))
    told["components"] = tuple(
        _component(c, f".setup.components[{i}]")
        for i, c in enumerate(list_of(told["components"], ".setup.components", 16))
    )
    for name in _SIZES:
        told[name] = number_of(told[name], f".setup.{name}", 0 if name == "host_pages" else 1, _MOST_TOKENS)
    if told["page_size"] * max(told["device_pages"], told["host_pages"]) > _MOST_TOKENS:
        raise TraceError(f"a pool of more than {_MOST_TOKENS} tokens", ".setup", "a trace's caches are small")
    one_of(told["core"], ".setup.core", CORES)
    if told["fault"] is not None:
        text_of(told["fault"], ".setup.fault")
    return Setup(**told)


def _component(name: object, where: str) -> Any:
    found = component(text_of(name, where))
    if found is None:
        raise TraceError(f"no component {shown(name)}", where, "install the plug-in that brings it")
    return found


def _done(value: object, where: str) -> Done:
    name = value.get("do") if isinstance(value, dict) else None
    if not isinstance(name, str) or name not in OPERATIONS:
        raise TraceError(f"no operation {shown(name)}", f"{where}.do", f"one of {', '.join(OPERATIONS)}")
    kind = OPERATIONS[name]
    words = [f.name for f in fields(kind)]
    told = part(value, where, ("do", *words), ("result", "state"))
    result, state = told.get("result"), told.get("state")
    return Done(
        kind(**{word: _argument(word, told[word], f"{where}.{word}") for word in words}),
        None if result is None else text_of(result, f"{where}.result"),
        None if state is None else _state(state, f"{where}.state"),
    )


def _argument(name: str, value: object, where: str) -> Any:
    match name:
        case "prompt":
            return tuple(number_of(x, f"{where}[{i}]") for i, x in enumerate(list_of(value, where, _LONGEST)))
        case "load" | "insert":
            if not isinstance(value, bool):
                raise TraceError(f"true or false is wanted, not {shown(value)}", where)
            return value
        case "component":
            return text_of(value, where)
    return number_of(value, where)


def _state(value: object, where: str) -> Snapshot:
    try:
        return from_document(value)[0]
    except SnapshotError as error:
        raise TraceError(error.what, f"{where}{error.where}", error.hint) from None


def _found(value: object) -> Found:
    told = part(value, ".found", ("kind", "names"), ("place", "call", "text"))
    names = list_of(told["names"], ".found.names", 1000)
    if not names:
        raise TraceError("nothing is named", ".found.names", "name the rule, or what else went wrong")
    return Found(
        one_of(told["kind"], ".found.kind", KINDS),
        tuple(text_of(n, f".found.names[{i}]") for i, n in enumerate(names)),
        *(text_of(told.get(word, ""), f".found.{word}") for word in ("place", "call", "text")),
    )
