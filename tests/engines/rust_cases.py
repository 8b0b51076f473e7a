"""What the tests of Rust cores do inside an engine's process: each function returns plain JSON."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import torch

from sanitree.checker.report import check
from sanitree.invariants.catalogue import CATALOGUE
from sanitree.invariants.vocabulary import FIELDS, Sort
from sanitree.models.engines import drive, serving, shims, workload
from sanitree.models.engines.build import POLICIES, EngineConfig, LiveEngine, build
from sanitree.models.engines.errors import EngineError
from sanitree.models.engines.observe import snapshot
from sanitree.models.engines.rust_core import core_complaints
from sanitree.models.engines.view import view
from sanitree.models.snapshot import Snapshot, Table
from sanitree.models.snapshot.valid import validate

CONFIGS = list(itertools.product(POLICIES, (("full",), ("full", "swa"), ("full", "mamba")), (1, 4)))
_ACKS = re.compile(r"(write|load) (\d+) of \[[\d, ]*\]")


def _build(policy: Any, components: Any, page_size: int, core: Any = "rust", mode: Any = "polled") -> LiveEngine:
    version = shims.active()
    assert version is not None
    torch.set_num_threads(1)
    sizes = {"page_size": page_size, "device_tokens": 96 * page_size}
    return build(version, EngineConfig(policy=policy, components=components, core=core, **sizes), mode)


def judged(steps: int, seed: int, stride: int = 1) -> list[dict[str, Any]]:
    """For each configuration, or one in `stride`, a workload with every rule checked after every operation."""
    return [_judged(*config, steps, seed) for config in CONFIGS[::stride]]


def _judged(policy: str, components: tuple[str, ...], page_size: int, steps: int, seed: int) -> dict[str, Any]:
    live = _build(policy, components, page_size)
    violated: list[str] = []
    complaints: list[str] = []
    checked: Counter[str] = Counter()
    unchecked: Counter[str] = Counter()
    done = 0
    for step in workload.steps(live, steps, seed):
        done += 1
        seen = snapshot(view(live))
        validate(seen)
        report = check(seen, CATALOGUE)
        violated += [f"{step}: {v.check.name} at {v.element}" for v in report.violations]
        for f in report.findings:
            checked[f.check.rule.id] += f.checked
            unchecked[f.check.rule.id] += f.unchecked or not f.observed
        raw = core_complaints(view(live))
        complaints += [f"{step}: {c}" for c in set(raw) - set(drive.known_false_alarms(live, raw))]
    return {
        "config": [policy, list(components), page_size],
        "steps": done,
        "violated": violated[:3],
        "complaints": complaints[:3],
        "everywhere": sorted(r for r in checked if not unchecked[r]),
        "nowhere": sorted(r for r in unchecked if unchecked[r] and not checked[r]),
    }


def compared(steps: int, seed: int, stride: int = 1) -> list[dict[str, Any]]:
    """For each configuration, or one in `stride`, the same workload on both cores; snapshots compared at each step."""
    return [_compared(*config, steps, seed) for config in CONFIGS[::stride]]


def _compared(policy: str, components: tuple[str, ...], page_size: int, steps: int, seed: int) -> dict[str, Any]:
    lives = [_build(policy, components, page_size, core) for core in ("python", "rust")]
    told: dict[str, Any] = {"config": [policy, list(components), page_size], "parted": None, "differences": []}
    known: Counter[str] = Counter()
    rows = done = 0
    for texts in _in_step(lives, steps, seed):
        python, rust = (snapshot(view(live)) for live in lives)
        if texts[0] != texts[1]:
            told["parted"] = texts
        elif pools := _pools_that_differ(python, rust):
            told["parted"] = [texts[0], *pools]
        if told["parted"]:
            break
        done += 1
        told["differences"] += [f"{texts[0]}: {d}" for d in _differences(python, rust)][: 3 - len(told["differences"])]
        rows += len(rust.nodes)
        for key, column in rust.nodes.columns.items():
            known[str(key)] += len(rust.nodes) if column.known is None else int(column.known.sum())
        for key in rust.nodes.lists:
            known[f"list {key}"] += len(rust.nodes)
    return told | {"steps": done, "known": {name: count / max(rows, 1) for name, count in known.items()}}


def _in_step(lives: list[LiveEngine], steps: int, seed: int) -> Iterator[list[str]]:
    """Both do each operation; yields what it was and came to, ids of acks left out: each core has its own."""
    works = [workload.steps(live, steps, seed) for live in lives]
    numbers = [itertools.count(1) for _ in lives]
    for _ in range(steps):
        texts = []
        for work, own in zip(works, numbers, strict=True):
            serving._numbers = own  # requests are numbered through a whole process
            texts.append(_ACKS.sub(r"\1 \2", str(next(work))))
        yield texts


def _pools_that_differ(python: Snapshot, rust: Snapshot) -> list[str]:
    """Free lists are the allocators', whatever the core: where they differ, the engines have done different things."""
    pairs = ((str(key), free, rust.tree.lists[key]) for key, free in python.tree.lists.items())
    return [name for name, a, b in pairs if sorted(a.values.tolist()) != sorted(b.values.tolist())]


def _differences(python: Snapshot, rust: Snapshot) -> Iterator[str]:
    """Every known value of the Rust snapshot against the Python core's, for the node of the same age.

    Ids count nodes as they are made, and both cores make the same ones in the same order.
    """
    if len(python.nodes) != len(rust.nodes):
        yield f"{len(python.nodes)} nodes, {len(rust.nodes)} in Rust"
        return
    old, new = python.nodes.ids.argsort(), rust.nodes.ids.argsort()
    row = torch.empty_like(old)
    row[old] = new  # the Rust row of a Python row
    ids = dict(zip(python.nodes.ids.tolist(), rust.nodes.ids[row].tolist(), strict=True))
    for sort, a, b in (
        (Sort.NODE, python.nodes, rust.nodes),
        (Sort.TREE, python.tree, rust.tree),
        (Sort.TRANSFER, python.transfers, rust.transfers),
        (Sort.REQUEST, python.requests, rust.requests),
    ):
        assert a is not None
        assert b is not None
        to = row if sort is Sort.NODE else torch.arange(len(a))
        yield from _table_differences(sort, a, b, to, row, ids)


def _table_differences(sort: Sort, a: Table, b: Table, to: Any, row: Any, ids: dict[int, int]) -> Iterator[str]:
    if len(a) != len(b):
        yield f"{len(a)} {sort.value}s, {len(b)} in Rust"
        return
    for key, column in b.columns.items():
        x, y = a.columns[key].values, column.values[to]
        if FIELDS[sort, key.name].sort is Sort.NODE:
            x = row[x]
        elif FIELDS[sort, key.name].unit == "ack id":
            # A write is acknowledged under the id of its node, which may have left the tree.
            gone = torch.tensor([int(i) != -1 and int(i) not in ids for i in x], dtype=torch.bool)
            x = torch.where(gone, y, torch.tensor([ids.get(int(i), -1) for i in x], dtype=torch.int64))
        wrong = x != y
        if column.known is not None:
            wrong &= column.known[to]
        for i in wrong.nonzero().flatten().tolist():
            yield f"{key} of {sort.value} {int(b.ids[to[i]])}: {int(x[i])}, {int(y[i])} in Rust"
    for key, lists in b.lists.items():
        for i in range(len(a)) if key.name != "free" else ():  # those were looked at before
            x, y = a.lists[key][i].tolist(), lists[int(to[i])].tolist()
            if x != y:
                yield f"{key} of {sort.value} {int(b.ids[to[i]])}: {x}, {y} in Rust"


def asked_twice(steps: int, seed: int) -> dict[str, Any]:
    """Whether observing changes anything: two runs, one of them observed after every operation."""
    texts = []
    for observed in (False, True):
        live = _build("write_back", ("full", "swa"), 1)
        serving._numbers = itertools.count(1)
        done = []
        for step in workload.steps(live, steps, seed):
            done.append(str(step))
            if observed:
                snapshot(view(live))
                core_complaints(view(live))
        texts.append(done)
    return {"same": texts[0] == texts[1], "steps": len(texts[0])}


def core_says() -> dict[str, Any]:
    """What its own check says of a sound core, of one that waits for a write of an unlocked node, of a dead one."""
    live = _build("write_through", ("full",), 1, mode="manual")
    request = serving.insert_request(live, [1, 2, 3])
    assert isinstance(request, serving.Request)
    node = request.lock.node
    sound = core_complaints(view(live))
    (entry,) = live.cache.ongoing_write_through.values()
    serving.release(live, request)
    drive.drain(live)
    live.cache.ongoing_write_through[node] = entry
    unlocked = core_complaints(view(live))
    report = check(snapshot(view(live)), CATALOGUE)
    del live.cache.ongoing_write_through[node]
    now = view(live)
    with contextlib.suppress(BaseException):  # a panic is no Exception
        live.tree._binding.get_component_device_value(node, 2)  # no mamba here
    dead = []
    for ask in (lambda: snapshot(now), lambda: view(live)):
        try:
            dead.append(f"answers {ask()}")
        except EngineError as error:
            dead.append(str(error))
    return {
        "sound": sound,
        "unlocked": unlocked,
        "ours": sorted({v.rule.id for v in report.violations}),
        "dead": [*dead, *core_complaints(now)],
    }
