"""Runs inside an engine's process: breaks a thing or two in a live tree, asks both backends, mends it."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import torch

from sanitree.checker.fused import IRREGULAR
from sanitree.checker.live import LiveChecker
from sanitree.checker.report import check
from sanitree.invariants.catalogue import CATALOGUE
from sanitree.invariants.rules import Family
from sanitree.models.engines import workload
from sanitree.models.engines.build import EngineConfig, LiveEngine, build
from sanitree.models.engines.observe import subject
from sanitree.models.engines.view import view

Undo = Callable[[], None]


def run(version: str, components: list[str], policy: str, rounds: int, seed: int) -> dict[str, Any]:
    """Corrupts a tree `rounds` times; returns how often each rule was violated, and every disagreement."""
    torch.set_num_threads(1)
    config = EngineConfig(components=tuple(components), policy=policy, core="python", page_size=4, device_tokens=384)
    live = build(version, config, mode="polled")
    rng = random.Random(seed)
    work = workload.steps(live, 10_000, seed)
    found: dict[str, int] = {}
    wrong: list[str] = []
    clean = 0
    checker = LiveChecker()
    fused = checker.compiled(subject(view(live))).fused
    assert fused is not None
    for _ in range(rounds):
        for _ in range(rng.randrange(1, 8)):
            next(work)
        assert checker.nothing_violated(subject(view(live)))
        pokes = [poke(live, rng) for _ in range(rng.choice((1, 1, 2)))]
        try:
            now = subject(view(live))
            report = check(now.snapshot(None), CATALOGUE)
            false = {v.check.name for v in report.violations}
            nodes = {c.name for c in fused.checks} & false
            said = fused.run(now.tree)
            agrees = said is None if not nodes else said == IRREGULAR or fused.checks[said or 0].name in nodes
            if said is not None and said == IRREGULAR:
                agrees = any(v.rule.family in (Family.SHAPE, Family.LRU) for v in report.violations)
            if not agrees or checker.nothing_violated_in_slots(now) != (not false - {c.name for c in fused.checks}):
                wrong.append(f"{[name for name, _ in pokes]}: fused {said}, columns {sorted(false)}")
            clean += not false
            for rule in {v.rule.id for v in report.violations}:
                found[rule] = found.get(rule, 0) + 1
        finally:
            for _, undo in reversed(pokes):
                undo()
    return {"found": found, "wrong": wrong, "clean": clean}


def poke(live: LiveEngine, rng: random.Random) -> tuple[str, Undo]:
    """One random fault in the engine's own objects, and how to undo it."""
    tree = live.tree
    nodes = [tree.root_node]
    for n in nodes:
        nodes += n.children.values()
    node = rng.choice(nodes[1:] or nodes)
    number = rng.randrange(len(live.config.components))
    number = {"full": 0, "swa": 1, "mamba": 2}[live.config.components[number]]
    data = node.component_data[number]
    choices: list[Callable[[], tuple[str, Undo]]] = [
        lambda: _set(data, "lock_ref", data.lock_ref + rng.choice((-1, 1))),
        lambda: _set(data, "host_lock_ref", data.host_lock_ref + rng.choice((-1, 1))),
        lambda: _set(data, "value", None),
        lambda: _set(data, "host_value", None),
        lambda: _toggle(tree.evictable_device_leaves, node),
        lambda: _toggle(tree.evictable_host_leaves, node),
        lambda: _set(node, "parent", rng.choice(nodes)),
        lambda: _add(tree.component_evictable_size_, number, rng.choice((-3, 2))),
        lambda: _add(tree.component_protected_size_, number, 1),
        lambda: _set(node, "write_through_pending_id", node.id),
        lambda: _drop(live.full_allocator),
    ]
    if number:
        choices += [
            lambda: _unlist(tree.lru_lists[number], node),
            lambda: _set_item(node.lru_prev, tree.lru_lists[number]._pt, rng.choice(nodes)),
        ]
    return rng.choice(choices)()


def _set(owner: Any, name: str, value: Any) -> tuple[str, Undo]:
    old = getattr(owner, name)
    setattr(owner, name, value)
    return f"{type(owner).__name__}.{name}", lambda: setattr(owner, name, old)


def _set_item(items: list[Any], at: int, value: Any) -> tuple[str, Undo]:
    old = items[at]
    items[at] = value
    return "lru_prev", lambda: items.__setitem__(at, old)


def _toggle(members: set[Any], node: Any) -> tuple[str, Undo]:
    had = node in members
    members.symmetric_difference_update({node})
    return "leaf set", lambda: members.add(node) if had else members.discard(node)


def _add(sizes: dict[Any, int], number: int, by: int) -> tuple[str, Undo]:
    sizes[number] += by
    return "size", lambda: sizes.__setitem__(number, sizes[number] - by)


def _unlist(lru: Any, node: Any) -> tuple[str, Undo]:
    had = lru.cache.pop(node.id, None)
    return "lru registry", lambda: lru.cache.__setitem__(node.id, node) if had is not None else None


def _drop(allocator: Any) -> tuple[str, Undo]:
    """A free page forgotten: a leak."""
    old = allocator.free_pages
    allocator.free_pages = old[1:]
    return "free list", lambda: setattr(allocator, "free_pages", old)
