"""Every rule on a reference cache, by both backends, and every byte."""

from __future__ import annotations

from dataclasses import dataclass

from sanitree.checker.fused import Fused, compile_checks
from sanitree.checker.report import check
from sanitree.invariants.catalogue import CATALOGUE
from sanitree.invariants.rules import Cost, checks
from sanitree.models.reference import UnifiedRadixCache, content
from sanitree.models.reference.observe import subject

_COMPILED: dict[object, Fused] = {}


@dataclass(frozen=True, slots=True)
class Judged:
    """What is wrong, a line each; rules that were checked somewhere, and those that were not at some places."""

    wrong: tuple[str, ...]
    checked: frozenset[str]
    unchecked: frozenset[str]


def judge(cache: UnifiedRadixCache) -> Judged:
    """Judges a cache between two operations."""
    seen = subject(cache, content=True)
    assert seen.reading is not None
    if seen.kind not in _COMPILED:
        rules = (c for c in checks(CATALOGUE, seen.settings) if c.rule.cost not in (Cost.SLOT, Cost.BYTES))
        _COMPILED[seen.kind] = compile_checks(rules, seen.reading())
    fused = _COMPILED[seen.kind]
    report = check(seen.snapshot(None), CATALOGUE)
    wrong = [
        f"{v.check.name} at {v.element}: " + ", ".join(f"{e.what} = {e.value}" for e in v.evidence)
        for v in report.violations
    ]
    in_place = {c.name for c in fused.checks} & {v.check.name for v in report.violations}
    said = fused.run(cache)
    if (said is None) == bool(in_place) or (said is not None and said >= 0 and fused.checks[said].name not in in_place):
        wrong.append(f"fused says {said}, columns say {sorted(in_place)}")
    wrong += map(str, content.wrong_bytes(cache))
    return Judged(
        tuple(wrong),
        frozenset(f.check.rule.id for f in report.findings if f.checked),
        frozenset(f.check.rule.id for f in report.unchecked),
    )


def assert_sound(cache: UnifiedRadixCache) -> None:
    """Fails where anything is wrong."""
    wrong = judge(cache).wrong
    assert not wrong, "\n".join(wrong)


def assert_idle(cache: UnifiedRadixCache) -> None:
    """Fails where anything is locked or in flight, or a slot is neither free nor in the tree."""
    assert_sound(cache)
    assert not cache.receipts and not cache.requests
    assert not cache.writes.flying and not cache.loads.flying
    nodes = cache.subtree(cache.root)
    for node in nodes[1:]:
        assert node.write_ack is None and node.load_ack is None
        assert all(c.lock == c.host_lock == 0 for c in node.data)
    for i in range(len(cache.parts)):
        copies = [n.data[i] for n in nodes[1:]]
        device = sum(c.device.numel() for c in copies if c.device is not None)
        host = sum(c.host.numel() for c in copies if c.host is not None)
        assert device + cache.device_pools[i].available == cache.device_pools[i].capacity
        if cache.host_pools:
            assert host + cache.host_pools[i].available == cache.host_pools[i].capacity
