"""A search that is over, with what is said of it: verdict, bounds, confirmed evidence; and as plain data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from sanitree.checker.difference import difference
from sanitree.checker.explore.configured import Model
from sanitree.checker.explore.confirm import Wrong, confirmed, rerun, steps_of
from sanitree.checker.explore.ranks import Disagreement
from sanitree.checker.explore.results import Bounds, Searched, Trace
from sanitree.checker.explore.tracefile import ModelTrace, plain_configuration
from sanitree.checker.render import plain
from sanitree.checker.render.words import count
from sanitree.checker.report import Verdict


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """violation: how the last state of the trace violates its rule, confirmed; None where none was found.

    where: what it ran on, in words. unexercised: rules whose condition no state met.
    """

    model: Model
    searched: Searched
    bounds: Bounds
    symmetry: bool
    where: str
    violation: Wrong | None
    unexercised: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """HOLDS only where every state within the model's own bounds was seen, and some rule was judged."""
        if self.violation is not None or any(p.holds is False for p in self.searched.progress):
            return Verdict.VIOLATED
        return Verdict.INCONCLUSIVE if self.why else Verdict.HOLDS

    @property
    def why(self) -> str:
        """Why nothing is known; empty where something is."""
        if not self.searched.complete:
            left = self.searched.states - self.searched.expanded
            return f"stopped at {self.searched.stopped}, with {count(left, 'state')} left to expand"
        if not self.model.transitions.rules and not self.searched.progress:
            return "every state was seen, and no rule judged"
        return ""

    def bounds_told(self) -> Iterator[str]:
        """Within what the verdict holds."""
        yield f"{self.model.system.nodes} pages"
        c = self.model.configuration
        if c.ranks > 1:
            yield f"{c.ranks} ranks"
        for name in ("device_capacity", "host_capacity", "requests"):
            if (number := getattr(c, name)) is not None:
                yield f"{name.replace('_', ' ')} {number}"
        b = self.bounds
        yield f"at most {b.states:,} states" if b.states is not None else "any number of states"
        yield f"{b.seconds:g} seconds" if b.seconds is not None else "any time"
        if b.bytes is not None:
            yield f"{b.bytes / 2**20:,.0f} MiB"
        yield f"symmetry {'on' if self.symmetry else 'off'}"

    @property
    def trace(self) -> ModelTrace | None:
        """The run that shows what is wrong, for a file."""
        s, c = self.searched, self.model.configuration
        if s.violation is not None:
            return ModelTrace(c, "rule", s.violation.rule, steps_of(s.violation.trace.moves))
        for p in s.progress:
            if p.stuck is not None:
                return ModelTrace(c, "progress", p.name, steps_of(p.stuck.moves))
        return None


def outcome(m: Model, s: Searched, bounds: Bounds, symmetry: bool, where: str) -> Outcome:
    """Raises MismatchError where a trace that was found is no run of the model, or shows nothing wrong."""
    for trace in (s.deadlock, *(p.stuck for p in s.progress), *(g.trace for g in s.goals)):
        if trace is not None:
            rerun(m, trace)
    violation = None if s.violation is None else confirmed(m, s.violation)
    reached = {g.name for g in s.goals if g.trace is not None}
    unexercised = tuple(g.name for g in s.goals if g.name not in reached) if s.complete else ()
    return Outcome(m, s, bounds, symmetry, where, violation, unexercised)


def plain_outcome(o: Outcome, exit_code: int, file: str | None) -> dict[str, Any]:
    """An outcome as data for machines."""
    s, t = o.searched, o.model.transitions
    return {
        "verdict": o.verdict.value,
        "exit": exit_code,
        "why": o.why,
        "model": plain_configuration(o.model.configuration) | {"nodes": o.model.system.nodes},
        "states": s.states,
        "transitions": s.transitions,
        "depth": s.depth,
        "levels": list(s.levels),
        "expanded": s.expanded,
        "complete": s.complete,
        "stopped": s.stopped or None,
        "compile_seconds": round(s.compile_seconds, 4),
        "search_seconds": round(s.search_seconds, 4),
        "peak_bytes": s.peak_bytes,
        "bounds": {"states": o.bounds.states, "seconds": o.bounds.seconds, "bytes": o.bounds.bytes},
        "symmetry": o.symmetry,
        "where": o.where,
        "actions": dict(s.fired),
        "unfired": list(s.unfired),
        "dead": s.dead,
        "deadlock": None if s.deadlock is None else _plain_trace(o.model, s.deadlock),
        "rules": {
            "held": [
                r.rule for r in t.rules
                if s.complete and r.rule not in o.unexercised and (s.violation is None or r.rule != s.violation.rule)
            ],
            "not_violated_so_far": [] if s.complete else [
                r.rule for r in t.rules if s.violation is None or r.rule != s.violation.rule
            ],
            "never_exercised": list(o.unexercised),
            "unsaid": list(t.unsaid),
        },
        "goals": [{"name": g.name, "depth": g.depth} for g in s.goals],
        "progress": [
            {
                "name": p.name, "holds": p.holds, "sources": p.sources,
                "stuck": None if p.stuck is None else _plain_trace(o.model, p.stuck),
            }
            for p in s.progress
        ],
        "violation": _plain_violation(o),
        "file": file,
    }  # fmt: skip


def _plain_violation(o: Outcome) -> dict[str, Any] | None:
    found = o.searched.violation
    if found is None or o.violation is None:
        return None
    last = o.model.snapshot(found.trace.states[-1])
    return {
        "rule": found.rule,
        "moves": len(found.trace.moves),
        "instances": [
            _plain_disagreement(v) if isinstance(v, Disagreement) else plain.violation(last, v) for v in o.violation
        ],
        "trace": _plain_trace(o.model, found.trace),
    }


def _plain_disagreement(d: Disagreement) -> dict[str, Any]:
    """With the keys of a violation of one cache; null where a rule about ranks has nothing."""
    nothing = ("family", "component", "tier", "sentence", "element", "path", "tokens", "expected", "found")
    evidence = [{"what": e.what, "value": e.value} for e in d.evidence]
    told = {"rule": d.rule.id, "check": d.rule.id, "prose": d.rule.prose, "evidence": evidence}
    return dict.fromkeys(nothing) | told


def _plain_trace(m: Model, trace: Trace) -> list[dict[str, Any]]:
    """difference: on rank 0; ranks: on each, where there are several."""
    snapshots = [m.snapshots(s) for s in trace.states]
    told: list[dict[str, Any]] = []
    for number, (move, (before, after)) in enumerate(zip(trace.moves, pairwise(snapshots), strict=True), 1):
        each = [_plain_difference(number, difference(a, b)) for a, b in zip(before, after, strict=True)]
        of_ranks = {"ranks": each} if len(each) > 1 else {}
        told.append({
            "action": move.action.name, "node": m.name(move.node), "prose": move.action.prose, "difference": each[0],
            **of_ranks,
        })  # fmt: skip
    return told


def _plain_difference(number: int, d: Any) -> dict[str, Any]:
    return plain.difference(f"before move {number}", f"after move {number}", d)
