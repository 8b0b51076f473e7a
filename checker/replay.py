"""Does a trace again, on the same cache or another, and says whether it still goes wrong."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from sanitree.checker.hunt.known import overlooking, strictly
from sanitree.checker.hunt.lab import play_for
from sanitree.checker.hunt.opening import opened
from sanitree.checker.hunt.play import ToolError
from sanitree.checker.hunt.wrong import Kind, Wrong
from sanitree.models.driving.driver import Driver
from sanitree.models.driving.operations import NAMES, Operation
from sanitree.models.driving.setup import Setup
from sanitree.models.driving.trace import Found, Trace, decode, encode
from sanitree.models.engines.errors import EngineError
from sanitree.models.reference import CacheError
from sanitree.models.snapshot import Snapshot

if TYPE_CHECKING:
    from sanitree.checker.difference import Difference


class Answer(Enum):
    """What came of a trace."""

    REPRODUCED = "REPRODUCED"
    """What was found goes wrong again."""
    GONE = "GONE"
    """Every operation was done, or differed from what was recorded on the way, and nothing went wrong."""
    CANNOT_RUN = "CANNOT RUN"
    """Nothing is known: the cache cannot be built, or asked this; or something else went wrong."""


@dataclass(frozen=True, slots=True)
class Parted:
    """The first operation whose result is not as recorded. tree: what differs in the state after it, where that
    was recorded, in lines for people."""

    number: int
    operation: str
    recorded: str
    now: str
    tree: str = ""


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of a trace on a cache.

    done: operations that were done. skipped: numbers of those that had nothing to act on.
    wrong: what went wrong. parted: where results or states part from those recorded.
    """

    answer: Answer
    reason: str
    on: str
    done: int = 0
    skipped: tuple[int, ...] = ()
    wrong: Found | None = None
    parted: Parted | None = None

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        wrong, parted = self.wrong, self.parted
        return {
            "answer": self.answer.value, "reason": self.reason, "on": self.on, "done": self.done,
            "skipped": list(self.skipped),
            "wrong": None if wrong is None else {
                "kind": wrong.kind, "names": list(wrong.names), "place": wrong.place, "call": wrong.call,
                "text": wrong.text,
            },
            "parted": None if parted is None else {
                "number": parted.number, "operation": parted.operation, "recorded": parted.recorded,
                "now": parted.now, "tree": parted.tree,
            },
        }  # fmt: skip

    @staticmethod
    def of(told: dict[str, Any]) -> Replay:
        """From what `plain` made of it."""
        wrong, parted = told["wrong"], told["parted"]
        return Replay(
            Answer(told["answer"]), told["reason"], told["on"], told["done"], tuple(told["skipped"]),
            None if wrong is None else Found(**{**wrong, "names": tuple(wrong["names"])}),
            None if parted is None else Parted(**parted),
        )  # fmt: skip


def replay(trace: Trace, on: str, core: str | None = None, lockstep: bool = False) -> Replay:
    """Does a trace on "reference", or on an engine's version in a process of its own, with every rule after every step.

    core: another than the trace's. lockstep: the page model follows, also where the trace does not ask for it. Raises
    nothing for what is wrong with the cache.
    """
    if core is not None:
        trace = Trace(_with_core(trace.setup, core), trace.operations, trace.on, trace.found)
    if on == "reference":
        return replay_here(trace, on, lockstep)
    from sanitree.models.engines.process import run_in_engine

    try:
        told = run_in_engine(on, f"{__name__}:serve", {"on": on, "trace": encode(trace), "lockstep": lockstep})
    except EngineError as error:
        return Replay(Answer.CANNOT_RUN, str(error), on)
    return Replay.of(told)


def serve(on: str, trace: str, lockstep: bool = False) -> dict[str, Any]:
    """`replay_here`, as JSON: what an engine's process runs."""
    return replay_here(decode(trace), on, lockstep).plain()


def replay_here(trace: Trace, on: str, lockstep: bool = False) -> Replay:
    """The same in this process, which becomes that engine's for good."""
    try:
        driver = opened(on, trace.setup)
    except (EngineError, CacheError, ValueError) as error:
        return Replay(Answer.CANNOT_RUN, f"such a cache cannot be built here: {error}", on)
    try:
        return _Run(trace, driver, lockstep).answer()
    except ToolError as error:
        return Replay(Answer.CANNOT_RUN, f"what drives or watches the cache failed: {error}", on)


def _with_core(setup: Setup, core: str) -> Setup:
    from dataclasses import replace

    return replace(setup, core=core)


class _Run:
    """One replay: the operations in order, until something goes wrong."""

    def __init__(self, trace: Trace, driver: Driver, lockstep: bool) -> None:
        self.trace, self.driver = trace, driver
        self.wanted = None if trace.found is None else _wrong_of(trace.found)
        # What is known to go wrong besides what the trace is of is gone past, as a hunt does.
        overlook = strictly if self.wanted is None else overlooking(driver.on, trace.setup, self.wanted)
        self.play = play_for(driver, self.wanted, overlook, lockstep)
        self.skipped: list[int] = []
        self.parted: Parted | None = None

    def answer(self) -> Replay:
        for number, done in enumerate(self.trace.operations):
            op = done.operation
            if not self.play.can(op):
                self.skipped.append(number)
                if self.parted is None:
                    return self._told(Answer.CANNOT_RUN, f"operation {number}, {text(op)}, cannot be done here")
                continue
            if not self.play.do(op) or self._seen() is not None:
                break
            if self.parted is None:
                self._compare(number)
        found = self.trace.found
        if found is not None and found.kind == Kind.LEAK.value:
            self.play.end()
        return self._concluded()

    def _concluded(self) -> Replay:
        found, wrong = self.trace.found, self._wrong()
        if wrong is not None and found is not None and wrong.shows(_wrong_of(found)):
            return self._told(Answer.REPRODUCED, f"{_named(found)} {_verb(found, 'go')} wrong again")
        if wrong is not None:
            other = "" if found is None else f", and not {_named(found)}"
            return self._told(
                Answer.CANNOT_RUN, f"{_named(_found_of(wrong))} {_verb(_found_of(wrong), 'go')} wrong{other}"
            )
        if found is not None:
            return self._told(Answer.GONE, f"{_named(found)} {_verb(found, 'do')} not go wrong any more")
        if self.parted is None:
            return self._told(Answer.REPRODUCED, "every result is as recorded, and no rule is violated")
        return self._told(Answer.GONE, "results are not as recorded; no rule is violated")

    def _wrong(self) -> Wrong | None:
        if (seen := self._seen()) is not None or self.play.wrong is not None:
            return seen or self.play.wrong
        return self.play.complaints[0] if self.play.complaints else None

    def _seen(self) -> Wrong | None:
        """What the trace is of, where it was met and ended nothing."""
        wanted = self.wanted
        return next((w for w, _ in self.play.met if wanted is not None and w.shows(wanted)), None)

    def _told(self, answer: Answer, reason: str) -> Replay:
        wrong = self._wrong()
        return Replay(
            answer, reason, self.driver.on, len(self.play.done), tuple(self.skipped),
            None if wrong is None else _found_of(wrong), self.parted,
        )  # fmt: skip

    def _compare(self, number: int) -> None:
        """Notes where a result, or a state, is not as recorded."""
        done, now = self.trace.operations[number], self.play.results[-1]
        same = done.result is None or done.result == now
        tree = "" if done.state is None else tree_difference(done.state, self.driver.subject().snapshot(None))
        if not same or tree:
            self.parted = Parted(number, text(done.operation), done.result or "", now, tree)


def tree_difference(recorded: Snapshot, now: Snapshot) -> str:
    """What differs between a recorded state and this one, in lines; empty where nothing does."""
    from sanitree.checker.difference import NotComparableError, difference

    try:
        found = difference(recorded, now)
    except NotComparableError as error:
        return f"the states cannot be compared: {error}"
    return "" if found.same else _lines(found)


def _lines(found: Difference) -> str:
    from io import StringIO

    from rich.console import Console

    from sanitree.checker.render.difference import render

    out = StringIO()
    Console(file=out, width=100, color_system=None, highlight=False).print(render(("recorded", "now"), found))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def text(op: Operation) -> str:
    """An operation as a reader would write it: `start([1, 2])`, `evict(full, 2)`."""
    return f"{NAMES[type(op)]}({', '.join(_short(name, getattr(op, name)) for name in op.__slots__)})"


def _short(name: str, value: object) -> str:
    if isinstance(value, tuple):
        return str(list(value))
    return f"{name}={value}" if isinstance(value, bool) else str(value)


def _named(found: Found) -> str:
    where = f" in {found.place}" if found.place else ""
    names, more = found.names[:3], len(found.names) - 3
    several = "s" if len(found.names) > 1 else ""
    return f"the {found.kind}{several} {', '.join(names)}{f' and {more} more' if more > 0 else ''}{where}"


def _verb(found: Found, verb: str) -> str:
    return verb if len(found.names) > 1 else f"{verb}es"


def _wrong_of(found: Found) -> Wrong:
    return Wrong(Kind(found.kind), found.names, found.place, found.call, found.text)


def _found_of(wrong: Wrong) -> Found:
    return Found(wrong.kind.value, wrong.names, wrong.place, wrong.call, wrong.text)
