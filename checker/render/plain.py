"""Results as plain data, for --json: dicts, lists, strings, numbers, and null for the unknown."""

from __future__ import annotations

from typing import Any

from sanitree.checker.render.coverage import Coverage
from sanitree.checker.render.elements import name, path_tokens
from sanitree.checker.report import Report, Verdict, Violation
from sanitree.invariants.vocabulary import Settings
from sanitree.models.snapshot import Origin, Snapshot

Plain = dict[str, Any]


def origin(o: Origin) -> Plain:
    """Where a snapshot was taken."""
    return {"engine": o.engine, "version": o.version, "core": o.core, "taken": o.taken}


def settings(s: Settings) -> Plain:
    """What a snapshot was judged as."""
    return {
        "policy": s.policy.value,
        "components": [c.name for c in s.components],
        "traits": sorted(s.traits),
        "page_size": s.page_size,
    }


def violation(s: Snapshot, v: Violation) -> Plain:
    """One violation with its evidence."""
    named, check = name(s, v), v.check
    held = path_tokens(s, named.path)
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


def report(file: str, r: Report, verdict: Verdict, exit: int, c: Coverage) -> Plain:
    """All that `check` says of one file."""
    s = r.snapshot
    return {
        "file": file,
        "verdict": verdict.value,
        "exit": exit,
        "origin": origin(s.origin),
        "settings": settings(s.settings),
        "nodes": len(s.nodes),
        "tokens_are": s.tokens,
        "violated": c.violated,
        "violations": [violation(s, v) for v in r.violations],
        "coverage": coverage(c),
    }
