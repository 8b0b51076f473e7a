"""The engine's own checks of its pools, asked for real: the object that its scheduler has for them.

`python -m tests.hook.oracles --write` puts what they say of planted faults next to what
sanitree says into docs/hook-oracles.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sanitree.models.engines.build import LiveEngine
from sanitree.models.engines.process import run_in_engine

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "hook-oracles.md"
CACHES = (("0.5.12", None), ("0.5.13.post1", None), ("0.5.23", "python"), ("0.5.23", "rust"))


def idle_check(live: LiveEngine) -> str:
    """What `_check_all_pools` says, which the scheduler's idle check asks; empty where it is content."""
    checker = scheduler_checker(live)
    observer = getattr(checker, "pool_stats_observer", checker)
    leak, messages = checker._check_all_pools(observer.get_pool_stats())
    return "; ".join(messages) if leak else ""


def busy_check(live: LiveEngine) -> str:
    """What `self_check_during_busy` says, which may be switched on for every step."""
    try:
        scheduler_checker(live).self_check_during_busy()
    except AssertionError as error:
        return str(error)
    return ""


def scheduler_checker(live: LiveEngine) -> Any:
    """The scheduler's checker of one cache, between two batches that hold nothing."""
    batch = SimpleNamespace(reqs=[], is_empty=lambda: True)
    given: dict[str, Any] = {
        "tree_cache": live.cache,
        "token_to_kv_pool_allocator": live.allocator,
        "req_to_token_pool": live.cache.req_to_token_pool,
        "session_controller": SimpleNamespace(sessions={}),
        "is_hybrid_swa": False,
        "is_hybrid_ssm": False,
        "enable_hisparse": False,
        "page_size": live.page_size,
        "max_total_num_tokens": live.full_allocator.size,
        "server_args": SimpleNamespace(speculative_eagle_topk=1),
        "get_last_batch": lambda: batch,
        "get_running_batch": lambda: batch,
    }
    try:
        of_pools = importlib.import_module("sglang.srt.managers.scheduler_components.pool_stats_observer")
        checks = importlib.import_module("sglang.srt.managers.scheduler_components.invariant_checker")
    except ModuleNotFoundError:
        mixin = importlib.import_module("sglang.srt.managers.scheduler_runtime_checker_mixin")
        made = type("Scheduler", (mixin.SchedulerRuntimeCheckerMixin,), {})()
        vars(made).update(given, last_batch=batch, running_batch=batch)
        return made
    observer = _filled(of_pools.SchedulerPoolStatsObserver, given)
    return _filled(checks.SchedulerInvariantChecker, {**given, "pool_stats_observer": observer})


def _filled(kind: Callable[..., Any], given: dict[str, Any]) -> Any:
    """A dataclass of the engine's from what it asks for; what these checks do not look at is None."""
    wanted = [f for f in dataclasses.fields(kind) if f.default is f.default_factory is dataclasses.MISSING]  # type: ignore[arg-type]
    return kind(**{f.name: given.get(f.name) for f in wanted})


# The page.

HEAD = """# Planted slot faults: who says what, and when

`python -m tests.hook.oracles --write`. Each fault is planted on a cache of its own, full attention under
write_through, with a write in flight where the fault needs one. *At the operation*: what sanitree tells when the
one call that is at fault returns. *Engine, idle*: `_check_all_pools` of the scheduler's own checker, which the
engine asks when nothing runs. *Engine, busy*: its `self_check_during_busy`, which looks after every step where
`SGLANG_ENABLE_STRICT_MEM_CHECK_DURING_BUSY` is set. *Engine, tree*: the cache's `sanity_check`. All of them were asked
right after the fault; a dash is silence. The engine's checks name no operation and no slot: where they speak, it is
of a pool whose sum is off, some time later.
"""
HOW = {
    "freed_twice": "free slots that are free",
    "tree_slot_freed": "free a slot that the tree holds",
    "freed_while_read": "free a slot of the tree that a write in flight reads",
    "reused_while_read": "hand out a slot that a write in flight reads",
    "dropped_by_the_tree": "an eviction forgets a slot",
    "dropped_by_a_request": "a request that ends forgets a slot (told when nothing runs)",
    "matched_after_free": "match a prefix of which a slot is free",
}


def page(answers: dict[tuple[str, str | None], dict[str, Any]]) -> str:
    """The table of each cache."""
    lines = [HEAD]
    for (version, core), answer in answers.items():
        lines += [f"\n## {version}, {core or 'python'} core\n", "| | at the operation | engine, idle | busy | tree |"]
        lines += ["|---|---|---|---|---|"]
        for plant, text in HOW.items():
            said = answer[plant]
            cells = [", ".join(f"`{r}`" for r in said["at the operation"])]
            cells += [said["engine's count"] and "pool sum is off", said["engine, busy"] and "pool sum is off"]
            cells += ["; ".join(said["engine's check"])]
            lines.append("| " + " | ".join([text, *(c or "–" for c in cells)]) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--write", action="store_true", help="write docs/hook-oracles.md")
    args = parser.parse_args()
    answers = {
        (v, core): run_in_engine(v, "tests.hook.planted:run", {"version": v, "core": core}, search=[ROOT])
        for v, core in CACHES
    }
    text = page(answers)
    if args.write:
        PAGE.write_text(text)
    else:
        print(text)


if __name__ == "__main__":
    main()
