"""Runs inside an engine's process: short scripts that show one thing each."""

from __future__ import annotations

from sanitree.checker.live import LiveChecker
from sanitree.models.engines import drive, serving
from sanitree.models.engines.build import EngineConfig, build
from sanitree.models.engines.observe import subject
from sanitree.models.engines.view import view
from sanitree.models.snapshot import Key


def split_while_writing(version: str) -> list[str]:
    """A node is split while its write is in flight: the rules that are violated then."""
    live = build(version, EngineConfig(policy="write_through", core="python"), mode="manual")
    serving.insert(live, [1, 2, 3, 4])
    drive.match(live, [1, 2, 9])
    assert live.copies.pending("write")
    return sorted({v.rule.id for v in LiveChecker().report(subject(view(live))).violations})


BASE, LEAF = [1, 2], [1, 2, 500, 501]


def leaf_is_evicted(version: str) -> dict[str, object]:
    """Under write_back a leaf is evicted while its parent is locked: what the tree is then."""
    live = build(version, EngineConfig(policy="write_back", core="python"), mode="manual")
    serving.insert(live, BASE)
    serving.insert(live, LEAF)
    lock = drive.lock(live, drive.match(live, BASE).device_node)
    evicted = drive.evict(live, 2).full
    held = LiveChecker().report(subject(view(live)))
    complaints = drive.engine_sanity_check(live)
    drive.unlock(live, lock)
    s = held.snapshot
    device, host = (s.nodes.columns[Key("present", "full", t)].values.tolist() for t in ("device", "host"))
    assert s.transfers is not None
    return {
        "evicted": evicted, "device": device[1:], "host": host[1:], "in flight": len(s.transfers),
        # The lock is the scene's own, which nobody else knows of.
        "violated": sorted({v.rule.id for v in held.violations} - {"lock_has_its_holders"}),
        "complaints": list(complaints),
    }  # fmt: skip


def parent_loses_its_backup(version: str) -> list[str]:
    """Under write_through a backed-up leaf stands under a parent without a backup: the rules that are violated."""
    live = build(version, EngineConfig(policy="write_through", core="python"), mode="instant")
    serving.insert(live, BASE)
    serving.insert(live, LEAF)
    drive.drain(live)
    node = drive.match(live, BASE).device_node
    full = live.tree.node_by_id(node).component_data[0] if isinstance(node, int) else node.component_data[0]
    assert full.host_value is not None
    full.host_value = None
    return sorted({v.rule.id for v in LiveChecker().report(subject(view(live))).violations})
