"""The plug-in that SGLang finds: `pip install sanitree` beside it, and SANITREE=log.

    SANITREE            log, dump or raise; nothing is done without it
    SANITREE_TIER       1 follows slots alone; 2, if it is not set, judges rules at each operation too
    SANITREE_DUMPS      folder for dumps, ./sanitree-dumps if it is not set
    SANITREE_TOKENS     raw writes tokens as they are; hashed if it is not set
    SANITREE_BUDGET_MS  milliseconds that one slice of the full walk may take, 1 if it is not set
    SANITREE_SIGNAL     name of a signal that asks for a dump, as SIGUSR2
    SANITREE_DUMP_NOW   a file: when it appears, or is touched, every rank writes a dump

Engines load it in every process, most of which hold no cache. So only the standard library
is imported here, and of the engine what its own loader has imported; the rest when the
first cache is made.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sanitree.checker.hook.watcher import Watcher

MODES = ("raise", "log", "dump")

_LOGGER = logging.getLogger("sanitree")
_CACHE = "sglang.srt.mem_cache.unified_radix_cache.UnifiedRadixCache"
_IDLE = (
    "sglang.srt.managers.scheduler_components.invariant_checker.SchedulerInvariantChecker._check_tree_cache",
    "sglang.srt.managers.scheduler_runtime_checker_mixin.SchedulerRuntimeCheckerMixin._check_tree_cache",
)
"""The scheduler's idle check: from 0.5.13 on, and before."""

_ATTRIBUTE = "_sanitree"


def register() -> None:
    """What the engine calls. Registers hooks where SANITREE asks for it; an unknown mode is said, and nothing done."""
    mode = os.environ.get("SANITREE", "")
    if not mode or mode == "0":
        return
    if mode not in MODES:
        _LOGGER.error("sanitree: SANITREE=%s is none of %s: nothing is watched", mode, ", ".join(MODES))
        return
    from sglang.srt.plugins.hook_registry import HookRegistry, HookType

    HookRegistry.register(f"{_CACHE}.__init__", _made, HookType.AFTER)
    HookRegistry.register(f"{_CACHE}.init_hicache", _host_tier, HookType.AROUND)
    HookRegistry.register(f"{_CACHE}.sanity_check", _sanity_check, HookType.AROUND)
    HookRegistry.register(next(filter(_is_there, _IDLE)), _at_idle, HookType.AROUND)


def _is_there(target: str) -> bool:
    """Whether this version has the module of a target; nothing of it is imported."""
    from importlib.util import find_spec

    try:
        return find_spec(target.rsplit(".", 2)[0]) is not None
    except ModuleNotFoundError:  # not even its package
        return False


def watcher_of(cache: Any) -> Watcher | None:
    """The watcher of a cache, if it has one."""
    return getattr(cache, _ATTRIBUTE, None)


def _made(_: Any, cache: Any, *_args: Any, **_more: Any) -> None:
    """A cache was made."""
    _watch(cache)


def _host_tier(original: Callable[..., Any], cache: Any, *args: Any, **more: Any) -> Any:
    """A cache gets its host tier, and is watched anew: not meanwhile, for what is made keeps methods of allocators."""
    if (before := watcher_of(cache)) is not None:
        before.stop("the cache gets its host tier")
    result = original(cache, *args, **more)
    _watch(cache)
    return result


def _watch(cache: Any) -> None:
    mode = os.environ.get("SANITREE", "")
    try:
        from sanitree.checker.hook.ondemand import ask_by
        from sanitree.checker.hook.watcher import watch_engine

        watcher = watch_engine(cache, mode, **options(os.environ))
        setattr(cache, _ATTRIBUTE, watcher)
        if mode != "raise":
            ask_by(watcher, os.environ.get("SANITREE_SIGNAL"), os.environ.get("SANITREE_DUMP_NOW"))
    except Exception:
        if mode == "raise":
            raise
        _LOGGER.exception("sanitree: this cache is not watched")


def _sanity_check(original: Callable[..., Any], cache: Any, *args: Any, **more: Any) -> Any:
    """Takes the place of the engine's own check, which raises false alarms in some versions."""
    watcher = watcher_of(cache)
    if watcher is None or watcher.off:
        return original(cache, *args, **more)
    watcher.check()
    return None


def _at_idle(original: Callable[..., Any], checker: Any, *args: Any, **more: Any) -> Any:
    """The scheduler is idle. `checker` is what the engine keeps its cache in."""
    watcher = watcher_of(checker.tree_cache)
    if watcher is None or watcher.off:
        return original(checker, *args, **more)
    watcher.idle()
    return None


def options(environment: Mapping[str, str]) -> dict[str, Any]:
    """What `watch` takes, from the environment. Raises ValueError where a number is none."""
    found: dict[str, Any] = {}
    if folder := environment.get("SANITREE_DUMPS"):
        found["folder"] = Path(folder)
    if tokens := environment.get("SANITREE_TOKENS"):
        if tokens not in ("raw", "hashed"):
            raise ValueError(f"SANITREE_TOKENS={tokens} is neither raw nor hashed")
        found["tokens"] = tokens
    if tier := environment.get("SANITREE_TIER"):
        if tier not in ("1", "2"):
            raise ValueError(f"SANITREE_TIER={tier} is neither 1 nor 2")
        found["tier"] = int(tier)
    if budget := environment.get("SANITREE_BUDGET_MS"):
        found["budget"] = float(budget) / 1000
    return found
