"""Watches one cache: `watch(cache)`, in the mode that fits the place.

raise: the operation at fault raises, as an engine's own check does; for tests. log: a
line for each rule and place. dump: that, and files to look at. In log and dump nothing
waits for a GPU, and a fault inside sanitree itself only ends the watching.
"""

from __future__ import annotations

import importlib
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import wraps
from pathlib import Path
from typing import Any, Literal

from sanitree.checker.hook.counters import Counters
from sanitree.checker.hook.dump import Dumps, Limits
from sanitree.checker.hook.engine import Sanitizer
from sanitree.checker.hook.faults import Broken, CallBroken, Fault, SlotMisused
from sanitree.checker.hook.incremental import Incremental
from sanitree.checker.hook.reference import ReferenceWatcher
from sanitree.checker.hook.telling import LOGGER, Once
from sanitree.checker.hook.walk import Walk
from sanitree.checker.live import InvariantViolated
from sanitree.checker.report import check
from sanitree.models.engines import store
from sanitree.models.engines.observe import subject
from sanitree.models.engines.view import View, lends_host_slots
from sanitree.models.reference.cache import UnifiedRadixCache

KEPT = 64
"""Faults that a dump tells of."""

OUTER = 4
"""Calls of an operation's stack that a dump has for each of the last ones."""


class Mode(Enum):
    """What happens where a rule is violated."""

    RAISE = "raise"
    LOG = "log"
    DUMP = "dump"


@dataclass(frozen=True, slots=True)
class Options:
    """How a cache is watched.

    tier: 1 follows slots; 2 judges the rules about the tree too, after each operation, on what it
    touched. The walk at rest is made in either. folder: where dumps go. budget: seconds that one
    slice of the full walk may take.
    on_device: whether device indices are never read back; None: where they are on a GPU.
    """

    mode: Mode = Mode.LOG
    tier: int = 2
    folder: Path = field(default_factory=lambda: Path("sanitree-dumps"))
    limits: Limits = field(default_factory=Limits)
    tokens: Literal["hashed", "raw"] = "hashed"
    budget: float = 0.001
    on_device: bool | None = None


class Watcher:
    """One watched cache. off: why it is watched no more, or empty.

    faults: the last misuses of slots. broken: the last rules about the tree that an operation broke.
    """

    def __init__(self, cache: Any, version: str, options: Options) -> None:
        self.cache, self.options = cache, options
        self.off = ""
        self.faults: deque[Fault] = deque(maxlen=KEPT)
        self.broken: deque[Broken] = deque(maxlen=KEPT)
        self.counters = Counters()
        self._once = Once()
        self._dumps = Dumps(options.folder, options.limits, options.tokens)
        self._due = ""
        self.dumped = threading.Event()
        self._view = View(cache, version)
        raising = options.mode is Mode.RAISE
        self.sanitizer = Sanitizer(self._view, self._tell, self._guard, options.on_device, raising, self._rest)
        self.rules: Incremental | None = None
        if options.tier > 1 and not self._view.rust:
            self.rules = Incremental(self._view, self.sanitizer.clock, self._tell_broken, self._guard)
        self.walk = Walk(self._view, options.budget)
        self._counted = (0, 0, 0, 0)
        for why in self.sanitizer.untracked:
            LOGGER.warning("sanitree: not followed: %s", why)

    def stop(self, why: str = "asked to") -> None:
        """Gives the cache back as it was."""
        if not self.off:
            self.off = why
            if self.rules is not None:
                self.rules.stop()
            self.sanitizer.stop()

    def idle(self) -> None:
        """What the engine's idle check calls: leaks, and a slice of the full walk."""
        if self.off:
            return
        start = time.perf_counter()
        self._guard(self._idle)(start)
        self.counters.spent("idle", time.perf_counter() - start)
        self._count()

    def check(self) -> None:
        """Every rule, at once: reads indices back from a GPU. Raises InvariantViolated in mode raise."""
        if not self.off:
            self._guard(self._check)()

    def request_dump(self, why: str = "asked") -> None:
        """Has a dump written between two operations, which sets `dumped`; may be called from any thread."""
        self.dumped.clear()
        self._due = why

    def dump(self, why: str) -> Path | None:
        """Writes a dump now, where the limits allow one; None where they do not."""
        self._due = ""
        self.dumped.set()
        if not self._dumps.room():
            return None
        taken, failure = None, ""
        try:
            taken = subject(self._view).snapshot(None)
        except Exception as error:  # noqa: BLE001  a corrupted tree may be beyond reading
            failure = f"{type(error).__name__}: {error}"
        path = self._dumps.write(taken, self._report(why, failure), [str(f) for f in (*self.faults, *self.broken)], why)
        self.counters.count("dumps")
        LOGGER.error("sanitree: wrote %s", path)
        return path

    def _report(self, why: str, failure: str) -> dict[str, Any]:
        settings, clock = self._view.settings, self.sanitizer.clock
        return {
            "why": why,
            "snapshot": failure or "taken",
            "engine": {
                "name": "sglang",
                "version": self._view.version,
                "core": "rust" if self._view.rust else "python",
                "policy": settings.policy.value,
                "components": [c.name for c in settings.components],
                "page_size": settings.page_size,
                "traits": sorted(settings.traits),
            },
            "untracked": self.sanitizer.untracked,
            "counters": self.counters.values(),
            "violations": [*(f.to_json() for f in self.faults), *(b.to_json() for b in self.broken)],
            "operations": [{"number": d.serial, "stack": list(d.stack[-OUTER:])} for d in clock.last()],
        }

    def _tell(self, fault: Fault) -> None:
        self.counters.violation(fault.rule.name)
        self.faults.append(fault)
        if self.options.mode is Mode.RAISE:
            raise SlotMisused(fault)
        if self._once.lets(fault.place):
            LOGGER.error("sanitree: %s", fault)
            if self.options.mode is Mode.DUMP:
                self._due = self._due or fault.rule.name

    def _tell_broken(self, found: Sequence[Broken]) -> None:
        for broken in found:
            self.counters.violation(broken.check)
            self.broken.append(broken)
        if self.options.mode is Mode.RAISE:
            if all(broken.of_call for broken in found):
                raise CallBroken(found[0])
            raise InvariantViolated(check(subject(self._view).snapshot(None)))
        for broken in found:
            if self._once.lets(broken.place):
                LOGGER.error("sanitree: %s", broken)
                if self.options.mode is Mode.DUMP:
                    self._due = self._due or broken.check.split("[")[0]
        self._rest()

    def _rest(self) -> None:
        """Between two operations of the cache: what may take a while, and wants a whole tree."""
        if self._due:
            self.dump(self._due)

    def _guard(self, hook: Callable[..., Any]) -> Callable[..., Any]:
        """A hook that never takes the engine down, but in mode raise."""

        @wraps(hook)
        def guarded(*args: Any) -> Any:
            if self.off:
                return None
            try:
                return hook(*args)
            except (SlotMisused, CallBroken, InvariantViolated):
                raise
            except Exception as error:
                if self.options.mode is Mode.RAISE:
                    raise
                self._give_up(error)
                return None

        return guarded

    def _give_up(self, error: Exception) -> None:
        LOGGER.exception("sanitree: %s inside sanitree: this cache is watched no more", type(error).__name__)
        self.stop(f"{type(error).__name__}: {error}")

    def _idle(self, start: float) -> None:
        session = getattr(self.cache, "session", None)
        if session is None or not session.any_holding_kv():  # a session holds slots and locks by design
            self.sanitizer.idle(lends_host_slots(self._view))
        if self.rules is not None:
            self.rules.judge()  # what nobody called by a name that is heard
        found = self.walk.slice((self.sanitizer.changes, self.sanitizer.clock.serial), start)
        if found is not None:
            self._broken(found)
        self._rest()

    def _check(self) -> None:
        report = check(subject(self._view).snapshot(None))
        if report.violations:
            if self.options.mode is Mode.RAISE:
                raise InvariantViolated(report)
            for violation in report.violations:
                self._broken(violation.check.name)
        self._rest()

    def _broken(self, name: str) -> None:
        """A state rule that does not hold: its evidence is in a dump's snapshot, and in what `check` raises."""
        self.counters.violation(name)
        if self.options.mode is Mode.RAISE:
            raise InvariantViolated(check(subject(self._view).snapshot(None)))
        if self._once.lets(("state", name)):
            LOGGER.error("sanitree: %s does not hold of the tree at rest; `sanitree rules` says what it means", name)
            if self.options.mode is Mode.DUMP:
                self._due = self._due or name.split("[")[0]

    def _count(self) -> None:
        """Brings the counters up to what was done since."""
        judged = 0 if self.rules is None else self.rules.ledger.judged
        now = (self.sanitizer.clock.serial, self.walk.walks, self.walk.given_up, judged)
        done, walks, given_up, nodes = (a - b for a, b in zip(now, self._counted, strict=True))
        self._counted = now
        self.counters.count("operations", done)
        self.counters.count("nodes", nodes)
        self.counters.count("walks", walks)
        self.counters.count("walks_given_up", given_up)
        self.counters.count("checked", walks * len(self.walk.checks))
        self.counters.count("not_checked", walks * len(self.walk.skipped))


def watch(
    cache: Any, mode: Mode | str = Mode.LOG, *, version: str | None = None, **options: Any
) -> Watcher | ReferenceWatcher:
    """Watches a live cache from now on; `stop` ends it. Raises ValueError for a mode that there is not.

    Of SGLang: as `watch_engine`. A reference cache is small and shows everything: of it every
    rule is judged at every call, and the other arguments are not looked at.
    """
    if isinstance(cache, UnifiedRadixCache):
        return ReferenceWatcher(cache, raising=Mode(mode) is Mode.RAISE)
    return watch_engine(cache, mode, version=version, **options)


def watch_engine(cache: Any, mode: Mode | str = Mode.LOG, *, version: str | None = None, **options: Any) -> Watcher:
    """Watches a live cache of SGLang. `options` are those of `Options`.

    version: the engine's; the one that is imported, where it is not given. A newer one than
    sanitree knows is judged as the newest known, which is logged. Raises ValueError for a
    mode that there is not, EngineError for a cache that sanitree cannot look at.
    """
    return Watcher(cache, known_version(version or engine_version()), Options(mode=Mode(mode), **options))


def engine_version() -> str:
    """The version of the engine that is imported in this process."""
    return str(importlib.import_module("sglang.version").__version__)


def known_version(version: str) -> str:
    """The version to judge by."""
    store.refuse_older(version)
    newest = store.KNOWN_VERSIONS[-1]
    if store.version_key(version) <= store.version_key(newest):
        return version
    LOGGER.warning("sanitree: sglang %s is newer than it knows; judged as %s", version, newest)
    return newest
