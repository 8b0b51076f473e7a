"""Results as plain data, for --json: dicts, lists, strings, numbers, and null for the unknown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from sanitree.checker.difference import Change, Difference
from sanitree.checker.holders import Holder
from sanitree.checker.render.coverage import Coverage
from sanitree.checker.render.elements import known, name, transfer_name
from sanitree.checker.render.header import pools, transfer_route
from sanitree.checker.render.marks import Marks
from sanitree.checker.render.overridden import FileSays
from sanitree.checker.report import Verdict, Violation
from sanitree.invariants.vocabulary import DEVICE, HOST, Component, Settings, Tier
from sanitree.models.snapshot import Key, Origin, Snapshot, Table

Plain = dict[str, Any]


def origin(o: Origin) -> Plain:
    """Where a snapshot was taken."""
    return {"engine": o.engine, "version": o.version, "core": o.core, "taken": o.taken}


def settings(s: Settings, says: FileSays) -> Plain:
    """What a snapshot was judged as; the version is named where that is not the file's own."""
    version = {"engine_version": says.version} if "engine_version" in says.overridden else {}
    return {
        **version,
        "policy": s.policy.value,
        "components": [c.name for c in s.components],
        "traits": sorted(s.traits),
        "page_size": s.page_size,
    }


def violation(s: Snapshot, v: Violation) -> Plain:
    """One violation with its evidence."""
    named, check = name(s, v), v.check
    held = s.tokens_of(named.path)
    return {
        "rule": v.rule.id,
        "check": check.name,
        "family": v.rule.family.value,
        "component": check.component.name if check.component else None,
        "tier": check.tier.value if check.tier else None,
        "prose": v.rule.prose,
        "sentence": v.text,
        "element": {"kind": v.rule.scope.value, "id": v.element, "name": named.text},
        "path": [int(s.nodes.ids[row]) for row in named.path],
        "tokens": None if held is None else list(held),
        "evidence": [{"what": e.what, "value": e.value} for e in v.evidence],
        "expected": v.expected,
        "found": v.found,
    }


def coverage(c: Coverage) -> Plain:
    """What was checked and what was not, and why."""
    return {
        "rules_checked": c.judged,
        "rules_with_nothing_to_judge": c.idle,
        "rules_not_checked": c.unseen,
        "instances_checked": c.instances,
        "not_checked": [
            {
                "check": f.check.name,
                "rule": f.check.rule.id,
                "instances_checked": f.checked,
                "instances_not_checked": f.unchecked if f.observed else None,
                "not_observed": list(gap.missing),
            }
            for gap in c.gaps
            for f in gap.findings
        ],
    }


def report(
    file: str,
    s: Snapshot,
    violations: Sequence[Violation],
    verdict: Verdict,
    code: int,
    c: Coverage,
    says: FileSays,
) -> Plain:
    """All that `check` says of one file."""
    return {
        "file": file,
        "verdict": verdict.value,
        "exit": code,
        "origin": origin(s.origin),
        "settings": settings(s.settings, says),
        "overridden": says.overridden,
        "nodes": len(s.nodes),
        "tokens_are": s.tokens,
        "notes": list(s.notes),
        "violated": c.violated,
        "violations": [violation(s, v) for v in violations],
        "coverage": coverage(c),
    }


def tree(file: str, s: Snapshot, marks: Marks, rows: Iterable[int], says: FileSays) -> Plain:
    """All that `show` knows of a snapshot, with the nodes in `rows`."""
    return {
        "file": file,
        "origin": origin(s.origin),
        "settings": settings(s.settings, says),
        "overridden": says.overridden,
        "tokens_are": s.tokens,
        "notes": list(s.notes),
        "pools": [asdict(p) for p in pools(s)],
        "transfers": None if s.transfers is None else [
            {"name": transfer_name(s, row), "route": transfer_route(s, row)} for row in range(len(s.transfers))
        ],
        "requests": None if s.requests is None else s.requests.ids.tolist(),
        "nodes": [_node(s, marks, row) for row in rows],
        "violated_elsewhere": [
            {"check": name, "elements": [e for e in ids if e >= 0]} for name, ids in marks.elsewhere.items()
        ],
    }  # fmt: skip


def _node(s: Snapshot, marks: Marks, row: int) -> Plain:
    def cell(name: str, component: Component | None = None, tier: Tier | None = None) -> int | None:
        return known(s.nodes, Key.of(name, component, tier), row)

    def copy(component: Component, tier: Tier) -> Plain:
        slots = s.nodes.lists.get(Key.of("holds", component, tier))
        present = cell("present", component, tier)
        return {
            "present": None if present is None else bool(present),
            "slots": None if slots is None else slots[row].tolist(),
            "lock": cell("lock", component, tier),
        }

    key = s.nodes.lists.get(Key("key"))
    return {
        "id": int(s.nodes.ids[row]),
        "parent": int(s.nodes.ids[s.parent[row]]) if row else None,
        "tokens": None if key is None else key[row].tolist(),
        "length": cell("key_len"),
        "copies": {c.name: {t.value: copy(c, t) for t in (DEVICE, HOST)} for c in s.settings.components},
        "hits": cell("hits"),
        "transfers": marks.transfers.get(row, []),
        "requests": marks.requests.get(row, []),
        "violated": marks.violated.get(row, []),
    }


def difference(before: str, after: str, d: Difference) -> Plain:
    """What changed between two snapshots, nodes by id."""
    ids_a, ids_b = d.before.nodes.ids.tolist(), d.after.nodes.ids.tolist()

    def changes(found: Iterable[Change]) -> list[Plain]:
        return [
            {"field": c.key.name, "component": c.key.component, "tier": c.key.tier, "old": c.old, "new": c.new}
            for c in found
        ]

    def holder(h: Holder) -> Plain:
        return {"place": h.place.value, "id": h.id}

    def flights(s: Snapshot, rows: tuple[int, ...] | None) -> list[str] | None:
        return None if rows is None else [transfer_name(s, row) for row in rows]

    def asked(table: Table | None, rows: tuple[int, ...] | None) -> list[int] | None:
        return None if rows is None or table is None else [int(table.ids[row]) for row in rows]

    return {
        "before": before,
        "after": after,
        "same": d.same,
        "matched_by": d.matched_by.value,
        "settings": [{"name": name, "old": old, "new": new} for name, old, new in d.settings],
        "added": [ids_b[row] for row in d.added],
        "removed": [ids_a[row] for row in d.removed],
        "split": [{"node": ids_a[s.before], "into": [ids_b[r] for r in (*s.uppers, s.after)]} for s in d.splits],
        "changed": [
            {"before": ids_a[n.before], "after": ids_b[n.after], "changes": changes(n.changes)} for n in d.changed
        ],
        "slots": [
            {
                "component": m.component.name, "tier": m.tier.value, "slots": list(m.slots),
                "old": holder(m.old), "new": holder(m.new), "in_flight": list(m.in_flight),
            }
            for m in d.moved
        ],
        "transfers": {"started": flights(d.after, d.started), "finished": flights(d.before, d.finished)},
        "requests": {"arrived": asked(d.after.requests, d.arrived), "left": asked(d.before.requests, d.left)},
        "counters": changes(d.counters),
        "reordered": [{"component": k.component, "tier": k.tier, "nodes": n} for k, n in d.reordered.items()],
    }  # fmt: skip
