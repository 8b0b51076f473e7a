"""Runs inside an engine's process: the incremental verdict against a walk over everything, after every operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sanitree.checker.columns import Evaluator
from sanitree.checker.follow import Follower
from sanitree.checker.fused.codegen import IRREGULAR, compile_checks
from sanitree.checker.hook.faults import Broken
from sanitree.checker.hook.incremental import Incremental
from sanitree.checker.hook.shadow import Clock
from sanitree.models.engines import calls, workload
from sanitree.models.engines.build import EngineConfig, LiveEngine, build
from sanitree.models.engines.observe import snapshot
from sanitree.models.engines.python_core import reading
from sanitree.models.engines.told import OF_THE_CACHE
from sanitree.models.engines.view import View
from sanitree.models.step import Call
from tests.hook.misdeeds import MISDEEDS
from tests.hook.sometimes import sometimes
from tests.hook.steps import false_of, name_of


def agree(version: str, cells: list[dict[str, Any]], steps: int, seed: int, fault: str = "") -> list[dict[str, Any]]:
    """A seeded workload for each cell, compared after every call of the cache."""
    return [_one(version, cell, steps, seed, fault) for cell in cells]


def misdeeds(version: str, cell: dict[str, Any], steps: int, seed: int, faults: list[str]) -> dict[str, Any]:
    """The same on a cache for each fault."""
    return {fault: _one(version, cell, steps, seed, fault) for fault in faults}


def _one(version: str, cell: dict[str, Any], steps: int, seed: int, fault: str) -> dict[str, Any]:
    live = build(version, EngineConfig.from_json(cell), mode="polled")
    view = View(live.cache, version)
    if fault:
        (FAULTS | MISDEEDS)[fault](live)
    told: list[Broken] = []
    watcher: Incremental | None = None
    compared: Compared | None = None

    def guard(hook: Callable[..., Any]) -> Callable[..., Any]:
        def judged(*args: Any) -> Any:
            result = hook(*args)
            if compared is not None and hook.__name__ in ("_ends", "judge"):
                compared.compare()
            return result

        return judged

    watcher = Incremental(view, Clock(), told.extend, guard)
    compared = Compared(view, watcher)
    calls.listen(live, lambda: None, compared.step)
    done, crash = 0, ""
    try:
        for _ in workload.steps(live, steps, seed, verify=not fault):
            done += 1
            if compared.apart or (fault and compared.false > 15):
                break
    except Exception as error:  # noqa: BLE001  an engine that is broken on purpose may fail anywhere
        crash = f"{type(error).__name__}: {error}"
    return {
        "config": live.config.to_json(),
        "steps": done,
        "crash": crash,
        "compared": compared.times,
        "false": compared.false,
        "nodes": compared.nodes,
        "judged": watcher.ledger.judged,
        "apart": compared.apart,
        "irregular": watcher.ledger.irregular,
        "rules": sorted({b.check.split("[")[0] for b in told}),
        "calls": compared.calls,
        "step checks": len(watcher.steps.checks),
        "checks": len(watcher.checks),
        "skipped": sorted({c.rule.id for c in watcher.skipped}),
    }


class Compared:
    """times: comparisons of states so far, calls: of what was done. false: those in which something did not hold.

    apart: how the two differ, if they do.

    nodes: how many a walk over everything has met, all comparisons together.
    """

    def __init__(self, view: View, watcher: Incremental) -> None:
        self._view, self._watcher = view, watcher
        self._whole = compile_checks(watcher.checks, reading(view))
        self._follower = Follower(snapshot(view))
        self.times = self.false = self.nodes = self.calls = 0
        self.apart: list[str] = []

    def step(self, call: Call) -> None:
        """What does not hold of a call, by what it touched and by the two whole states."""
        report = self._follower.violation(call, snapshot(self._view))
        if call.operation not in OF_THE_CACHE.values() or self._watcher.ledger.irregular:
            return
        self.calls += 1
        ours = {(c.name, name_of(x)) for c, x in self._watcher.of_call}
        theirs = set() if report is None else false_of(report, self._watcher.steps.checks)
        if ours != theirs:
            self.apart.append(f"{call}: only touched: {ours - theirs}; only whole: {theirs - ours}")

    def compare(self) -> None:
        ledger = self._watcher.ledger
        self.times += 1
        self.nodes += len(ledger.entries)
        first = self._whole.run(self._view)
        sound = first is None
        self.false += not sound
        if sound != ledger.sound:
            said = "nothing" if first is None else "irregular" if first == IRREGULAR else self._whole.checks[first].name
            self.apart.append(f"the whole: {said}; touched: {self._named()} {ledger.irregular}")
        elif not sound and first != IRREGULAR and not ledger.irregular:
            ours, all_of_them = self._named(), self._columns()
            if ours != all_of_them:
                self.apart.append(f"only touched: {ours - all_of_them}; only whole: {all_of_them - ours}")

    def _named(self) -> set[tuple[str, object]]:
        checks = self._watcher.checks
        return {
            (checks[i].name, getattr(x, "id", getattr(x, "ack", None))) for i, x in self._watcher.ledger.violations()
        }

    def _columns(self) -> set[tuple[str, object]]:
        taken = snapshot(self._view)
        evaluator, found = Evaluator(taken), set()
        tables = {"node": taken.nodes, "transfer": taken.transfers}
        for check in self._watcher.checks:
            finding = evaluator.judge(check)
            if not finding.violated:
                continue
            table = tables.get(check.rule.scope.value)
            if table is None:
                found.add((check.name, None))
                continue
            ids = table.ids.tolist() if check.rule.scope.value == "node" else _acks(table)
            found |= {(check.name, ids[row]) for row in finding.violated}
        return found


def _acks(table: Any) -> list[int]:
    from sanitree.models.snapshot import Key

    return [int(x) for x in table.columns[Key("ack")].values.tolist()]


# Faults, planted into what the engine itself calls. Each comes after some calls, and again.


def leaf_forgotten(live: LiveEngine) -> None:
    sometimes(live.tree, "_update_evictable_leaf_sets", lambda method, node: None)


def slot_short(live: LiveEngine) -> None:
    """A new leaf has a slot less than tokens."""

    def wrong(method: Callable[..., Any], *args: Any, **more: Any) -> Any:
        node = method(*args, **more)
        node.component_data[0].value = node.component_data[0].value[:-1]
        return node

    sometimes(live.tree, "_add_new_node", wrong)


def counted_twice(live: LiveEngine) -> None:
    def wrong(method: Callable[..., Any], *args: Any, **more: Any) -> Any:
        node = method(*args, **more)
        live.tree.component_evictable_size_[0] += len(node.key)
        return node

    sometimes(live.tree, "_add_new_node", wrong)


def locked_above(live: LiveEngine) -> None:
    """A lock that does not reach the whole path."""
    full = next(iter(_components(live)))

    def wrong(method: Callable[..., Any], *args: Any, **more: Any) -> Any:
        result = method(*args, **more)
        node = more.get("node", args[0] if args else None)
        if node.parent is not None and node.parent.parent is not None:
            node.parent.component_data[0].lock_ref -= 1
        return result

    sometimes(full, "acquire_component_lock", wrong)


def wrong_edge(live: LiveEngine) -> None:
    """A split whose suffix is held under a page that it does not begin with."""

    def wrong(method: Callable[..., Any], *args: Any, **more: Any) -> Any:
        result = method(*args, **more)
        node = result[0] if isinstance(result, tuple) else result
        ((edge, child),) = list(node.children.items())
        del node.children[edge]
        node.children[(777, 777)] = child
        return result

    sometimes(live.tree, "_split_node", wrong, every=3)


def wrong_parent(live: LiveEngine) -> None:
    """A split whose suffix still points to the parent from before."""

    def wrong(method: Callable[..., Any], *args: Any, **more: Any) -> Any:
        result = method(*args, **more)
        node = result[0] if isinstance(result, tuple) else result
        next(iter(node.children.values())).parent = node.parent
        return result

    sometimes(live.tree, "_split_node", wrong, every=3)


def left_behind(live: LiveEngine) -> None:
    """A leaf that is removed, and stays in its parent's map."""
    sometimes(live.tree, "_remove_leaf_from_parent", lambda method, node: None, every=2)


def hole_above(live: LiveEngine) -> None:
    """A new leaf's parent loses its device copy."""

    def wrong(method: Callable[..., Any], *args: Any, **more: Any) -> Any:
        node = method(*args, **more)
        if node.parent.parent is not None:
            node.parent.component_data[0].value = None
            live.tree._update_evictable_leaf_sets(node.parent)
        return node

    sometimes(live.tree, "_add_new_node", wrong, every=2)


def ack_lost(live: LiveEngine) -> None:
    """A write that the cache forgets, while its node waits for it."""

    def wrong(method: Callable[..., Any], *args: Any, **more: Any) -> Any:
        result = method(*args, **more)
        live.cache.ongoing_write_through.clear()
        return result

    sometimes(live.cache, "insert", wrong, every=3)


FAULTS: dict[str, Callable[[LiveEngine], None]] = {
    f.__name__: f
    for f in (
        leaf_forgotten,
        slot_short,
        counted_twice,
        locked_above,
        wrong_edge,
        wrong_parent,
        left_behind,
        hole_above,
        ack_lost,
    )
}


def _components(live: LiveEngine) -> Any:
    found = live.tree.components
    return found.values() if isinstance(found, dict) else found
