"""One life of a cache: operations one after another, and what goes wrong."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from sanitree.checker.hunt.blame import place_of
from sanitree.checker.hunt.books import Books
from sanitree.checker.hunt.both import DifferenceError
from sanitree.checker.hunt.fingerprint import fingerprint
from sanitree.checker.hunt.known import Overlook, strictly
from sanitree.checker.hunt.wrong import Kind, Wrong
from sanitree.checker.live import InvariantViolated
from sanitree.checker.lockstep.lockstep import Lockstep, told
from sanitree.checker.lockstep.lockstep import Tally as Steps
from sanitree.checker.tally import Tally
from sanitree.checker.watch import Watch
from sanitree.models.driving.driver import Driver
from sanitree.models.driving.operations import Evict, EvictHost, Operation, tokens_of
from sanitree.models.snapshot import Key, Snapshot
from sanitree.models.step import Call

EVERYTHING = 1000
"""More tokens than a small cache has."""


PATIENCE = 10.0
"""Seconds of computing after which an operation, which takes milliseconds, counts as one that never ends.

Of computing, for on a machine that others use nothing may happen for as long; one that only waits is given more.
"""
WAITS = 12
"""Times as long by the clock."""


class NeverEndedError(BaseException):
    """An operation took longer than anybody waits. No Exception, so that no cache swallows it."""


class ToolError(Exception):
    """Something of ours raised while a cache was driven: nothing is said of the cache."""


class Play:
    """A fresh cache of a driver, under watch until something goes wrong.

    done: the operations so far, results: what each said. wrong: what went wrong, and
    ended it. met: what ended nothing, with the number of operations done by then: what is
    overlooked because it is known, and what the cache's own check said of states in which
    every rule held. With `watched` false nothing is judged, as for operations that have
    been judged before; `watch` begins it later. judged: operations done under watch. lockstep:
    with it the page model follows every call that is judged, until something known has gone wrong.
    """

    def __init__(
        self, driver: Driver, watched: bool = True, own_check: bool = False, overlook: Overlook = strictly,
        tally: Tally | None = None, lockstep: Steps | None = None,
    ) -> None:  # fmt: skip
        self.driver, self._own_check, self._overlook, self._tally = driver, False, overlook, tally
        self._steps = lockstep
        self._lockstep: Lockstep | None = None
        driver.fresh()
        self.done: list[Operation] = []
        self.results: list[str] = []
        self.books = Books()
        self.wrong: Wrong | None = None
        self.met: list[tuple[Wrong, int]] = []
        self.judged = 0
        self._complained: set[str] = set()
        self._watch: Watch | None = None
        self._heard: list[InvariantViolated] = []
        self._past: frozenset[str] = frozenset()
        if watched:
            self.watch(own_check)

    def watch(self, own_check: bool = False) -> None:
        """Judges every call from here on."""
        self._own_check = own_check
        self._watch = Watch(self.driver, self._heard.append, tally=self._tally, heard=self._follow)
        if self._steps is not None:
            self._lockstep = Lockstep(self._watch.state, self.driver.setup, self._steps)
        self._see_rules()

    @property
    def complaints(self) -> list[Wrong]:
        """Of what was met, what the cache's own check said."""
        return [wrong for wrong, _ in self.met if wrong.kind is Kind.COMPLAINT]

    @property
    def exercised(self) -> int:
        """Rules that were put to the test here and never before."""
        return 0 if self._watch is None else self._watch.exercised

    def can(self, op: Operation) -> bool:
        return self.wrong is None and self.driver.can(op)

    def do(self, op: Operation) -> bool:
        """Does what can be done; whether all is well."""
        self.done.append(op)
        self.results.append("")
        self.judged += self._watch is not None
        if self._guarded(lambda: self._do(op)):
            self.books.note(op, self.driver)
            if self._own_check:
                self._ask_the_cache()
        return self.wrong is None

    def follow(self, operations: Iterable[Operation]) -> bool:
        """Does those of some operations that can be done, until something is wrong; whether all is well."""
        for op in operations:
            if self.can(op):
                self.do(op)
        return self.wrong is None

    def state(self) -> Snapshot:
        """The state now, as a watch has seen it."""
        return self.driver.subject().snapshot(None) if self._watch is None else self._watch.state

    def fingerprint(self) -> int:
        """Of the state now, and of what the driver and the hunter know besides."""
        hidden, page = self.driver.hidden(), self.driver.setup.page_size
        recent = [] if hidden.used is not None else [tokens_of(p, page) for p in self.books.recent]
        return fingerprint(self.state(), hidden.running, recent, hidden.landed, hidden.used, hidden.elsewhere)

    def end(self) -> bool:
        """Ends every request, lets every copy land and evicts everything; whether nothing is left."""
        if self.wrong is None and self._guarded(self._empty):
            self.wrong = _left(self.state())
        return self.wrong is None

    def _do(self, op: Operation) -> None:
        self.results[-1] = self.driver.do(op)

    def _empty(self) -> None:
        self.driver.settle()
        names = [c.name for c in self.driver.setup.components]
        for _ in range(2):  # what an eviction writes back is on the host only when it has landed
            everything: list[Operation] = [kind(n, EVERYTHING) for kind in (Evict, EvictHost) for n in names]
            for op in everything:
                if self.driver.can(op):
                    self.driver.do(op)
            self.driver.settle()

    def _guarded(self, act: Callable[[], None]) -> bool:
        try:
            with _patience():
                act()
                if self._watch is not None:
                    self._watch.settle()
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001  (a panic of a Rust core is no Exception)
            self._see_rules()
            if self.wrong is None:
                self.wrong = _raised(error, self._last_call())
            return False
        self._see_rules()
        return self.wrong is None

    def _see_rules(self) -> None:
        """What the watch has told first, if anything: later reports are of a cache that is broken already."""
        heard, self._heard[:] = list(self._heard), []
        for count in dict.fromkeys(len(h.calls) for h in heard):
            together = [h for h in heard if len(h.calls) == count]
            wrong = _violated(together, self._past)
            if wrong is None or self.wrong is not None:
                continue
            past = self._overlook(wrong)
            if past is None or self._watch is None:
                self.wrong = wrong
                return
            self.met.append((wrong, len(self.done)))
            self._past |= past
            self._watch.without(self._past)

    def _follow(self, call: Call, state: Snapshot) -> None:
        """Takes the model along; not past what is known to be wrong, which no model does."""
        if self._lockstep is None or self._past or self._heard:
            return
        parted = self._lockstep.see(call, state)
        if parted is not None and self.wrong is None:
            names = dict.fromkeys(str(d.key) for d in parted.differences)
            self.wrong = Wrong(Kind.DIVERGENCE, (call.operation.value, *names), "", str(call), told(parted))

    def _last_call(self) -> str:
        calls = self._watch.calls if self._watch is not None else ()
        return str(calls[-1]) if calls else ""

    def _ask_the_cache(self) -> None:
        call = self._last_call()
        lines = self.driver.own_check()
        if self._past:  # after something was overlooked it may be right to complain: only what is known is told
            lines = tuple(x for x in lines if self._overlook(_complaint([x], call)) is not None)
        if new := [x for x in lines if _plain(x) not in self._complained]:
            self._complained.update(map(_plain, new))
            self.met.append((_complaint(new, call), len(self.done)))


def _complaint(lines: Sequence[str], call: str) -> Wrong:
    return Wrong(Kind.COMPLAINT, tuple(dict.fromkeys(map(_plain, lines))), "", call, "\n".join(lines))


def _violated(together: list[InvariantViolated], past: frozenset[str]) -> Wrong | None:
    """What was told of one call, less what is overlooked."""
    names = dict.fromkeys(f.check.rule.id for h in together for f in h.report.findings if f.violated)
    if not (left := tuple(n for n in names if n not in past)):
        return None
    call = str(together[0].calls[-1]) if together[0].calls else ""
    return Wrong(Kind.RULE, left, "", call, "\n".join(map(str, together)))


@contextmanager
def _patience() -> Iterator[None]:
    """Ends what takes too long; in a process's main thread, for only that hears signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def give_up(*_: object) -> None:
        raise NeverEndedError(f"no end after {PATIENCE:g} s")

    before = {number: signal.signal(number, give_up) for number in (signal.SIGPROF, signal.SIGALRM)}
    signal.setitimer(signal.ITIMER_PROF, PATIENCE)
    signal.setitimer(signal.ITIMER_REAL, WAITS * PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, old in before.items():
            signal.signal(number, old)


def _raised(error: BaseException, call: str) -> Wrong:
    if isinstance(error, NeverEndedError):
        return Wrong(Kind.EXCEPTION, ("never ends",), "", call, str(error))
    if isinstance(error, DifferenceError):
        return Wrong(error.kind, error.names, "", call, str(error))
    place = place_of(error)
    if place is None:
        raise ToolError(f"{type(error).__name__}: {error}") from error
    text = f"{type(error).__name__}: {error}"
    return Wrong(Kind.EXCEPTION, (type(error).__name__,), place, call, text)


def _left(s: Snapshot) -> Wrong | None:
    """Pools that are not wholly free in a cache that was emptied."""
    leaks, told = [], []
    for key, capacity in s.tree.columns.items():
        available = s.tree.columns.get(Key("available", *key[1:]))
        if key.name != "capacity" or available is None or available.known is not None or capacity.known is not None:
            continue
        if missing := int(capacity.values[0]) - int(available.values[0]):
            leaks.append(f"{key.component}.{key.tier}")
            told.append(f"{missing} of {key.component} on the {key.tier}")
    if not leaks:
        return None
    return Wrong(Kind.LEAK, tuple(leaks), "", "", f"slots are left when everything is evicted: {', '.join(told)}")


def _plain(line: str) -> str:
    """A complaint without the numbers in it, which differ from state to state."""
    return re.sub(r"-?\d+(\.\d+)?", "N", line)[:120]
