"""Model traces: a configuration and the moves that lead from its first state to what was found; as data and as JSON.

    {"format": "sanitree-model-trace", "version": 1,
     "model": {"preset": "heap", "policy": "write_back", "components": ["full"], "pages": 8, ...},
     "found": {"kind": "rule", "name": "pending_write_keeps_its_source"},
     "moves": [{"action": "insert", "node": 1}, ...]}

States are not written down: whoever reads the file runs the moves.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from sanitree.checker.explore.configured import MOST_PAGES, PRESETS, Configuration
from sanitree.invariants.plugins import component
from sanitree.invariants.vocabulary import Component, Policy
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
from sanitree.models.ranks.group import MOST_RANKS
from sanitree.models.snapshot.errors import shown

FORMAT: Final = "sanitree-model-trace"
VERSION: Final = 1
KINDS: Final = ("rule", "progress")
_MOST_MOVES = 100_000
_SIZES = ("pages", "device_capacity", "host_capacity", "requests")


@dataclass(frozen=True, slots=True)
class Step:
    """An action of a node, by their names."""

    action: str
    node: int


@dataclass(frozen=True, slots=True)
class ModelTrace:
    """A run of a model. kind, name: what its last state shows, such as a rule that it violates."""

    configuration: Configuration
    kind: str
    name: str
    moves: tuple[Step, ...]


def encode(trace: ModelTrace) -> str:
    """The trace as JSON, a move a line."""
    head = {
        "format": FORMAT,
        "version": VERSION,
        "model": plain_configuration(trace.configuration),
        "found": {"kind": trace.kind, "name": trace.name},
    }
    lines = [f'"{name}": {json.dumps(value)}' for name, value in head.items()]
    moves = ",\n    ".join(json.dumps(asdict(m)) for m in trace.moves)
    lines.append(f'"moves": [\n    {moves}\n  ]' if moves else '"moves": []')
    return "{\n  " + ",\n  ".join(lines) + "\n}\n"


def plain_configuration(c: Configuration) -> dict[str, Any]:
    """A configuration as a trace and `--json` have it."""
    return asdict(c) | {
        "policy": c.policy.value,
        "components": [x.name for x in c.components],
        "judged_as": None if c.judged_as is None else c.judged_as.value,
    }


def decode(text: str | bytes) -> ModelTrace:
    """The trace that JSON says. Raises TraceError for anything else."""
    top = part(document_of(text, FORMAT, VERSION), "", ("format", "version", "model", "found", "moves"))
    found = part(top["found"], ".found", ("kind", "name"))
    moves = list_of(top["moves"], ".moves", _MOST_MOVES)
    return ModelTrace(
        _configuration(top["model"]),
        one_of(found["kind"], ".found.kind", KINDS),
        text_of(found["name"], ".found.name"),
        tuple(_step(m, f".moves[{i}]") for i, m in enumerate(moves)),
    )


def write(trace: ModelTrace, path: str | Path) -> None:
    """Writes a trace file. Raises SnapshotIOError where the system fails."""
    write_file(path, encode(trace))


def read(path: str | Path) -> ModelTrace:
    """The trace in a file. Raises TraceError for what is none, SnapshotIOError where the system fails."""
    return read_file(path, decode)


def _step(value: object, where: str) -> Step:
    told = part(value, where, ("action", "node"))
    return Step(text_of(told["action"], f"{where}.action"), number_of(told["node"], f"{where}.node", 1, MOST_PAGES))


def _configuration(value: object) -> Configuration:
    told = dict(part(value, ".model", [f.name for f in fields(Configuration) if f.name != "ranks"], ["ranks"]))
    policies = [p.value for p in Policy]
    told["preset"] = one_of(told["preset"], ".model.preset", PRESETS)
    told["policy"] = Policy(one_of(told["policy"], ".model.policy", policies))
    if told["judged_as"] is not None:
        told["judged_as"] = Policy(one_of(told["judged_as"], ".model.judged_as", policies))
    for name in _SIZES:
        if told[name] is not None:
            told[name] = number_of(told[name], f".model.{name}", 0, MOST_PAGES)
    if "ranks" in told:
        told["ranks"] = number_of(told["ranks"], ".model.ranks", 1, MOST_RANKS)
    if told["tree"] is not None:
        parents = list_of(told["tree"], ".model.tree", MOST_PAGES)
        told["tree"] = tuple(number_of(p, f".model.tree[{i}]", 0, i) for i, p in enumerate(parents))
    if told["fault"] is not None:
        text_of(told["fault"], ".model.fault")
    rules = list_of(told["rules"], ".model.rules", 1000)
    told["rules"] = tuple(text_of(r, f".model.rules[{i}]") for i, r in enumerate(rules))
    names = list_of(told["components"], ".model.components", 16)
    told["components"] = tuple(_component(c, f".model.components[{i}]") for i, c in enumerate(names))
    return Configuration(**told)


def _component(name: object, where: str) -> Component:
    found = component(text_of(name, where))
    if found is None:
        raise TraceError(f"no component {shown(name)}", where, "install the plug-in that brings it")
    return found
