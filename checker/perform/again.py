"""A trace of the explorer, done by a live cache: whether what the model shows to be wrong is wrong there too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from sanitree.checker.explore.concrete import NotARunError, named
from sanitree.checker.explore.configured import Configuration, ConfigurationError, model, pages_of
from sanitree.checker.explore.tracefile import ModelTrace
from sanitree.checker.lockstep.shown import Path
from sanitree.checker.perform.explained import REASONS, Parted, reason
from sanitree.checker.perform.perform import Run, perform
from sanitree.checker.perform.runs import of_plain, plain, run_of, to_what_is_wrong
from sanitree.checker.replay import Answer, text
from sanitree.invariants.vocabulary import DEVICE, FULL, HOST
from sanitree.models.driving.open import core_with_nodes, open_driver
from sanitree.models.driving.setup import Setup
from sanitree.models.driving.trace import plain_setup, setup_of
from sanitree.models.engines.errors import EngineError
from sanitree.models.reference.errors import CacheError


@dataclass(frozen=True, slots=True)
class Again:
    """What came of a trace of the model on a cache. moves: of the trace, in words; done: how many the cache did;
    operations: what it was asked to do; differences: where it was then, and the model would not be."""

    answer: Answer
    reason: str
    on: str
    moves: tuple[str, ...] = ()
    done: int = 0
    operations: tuple[str, ...] = ()
    differences: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self) | {"answer": self.answer.value}


def again(trace: ModelTrace, on: str, core: str | None = None) -> Again:
    """Does a trace of the page model on "reference" or an engine's version, as far as it goes."""
    c = trace.configuration
    if c.preset != "pages":
        return _cannot(on, f"a trace of the preset {c.preset} is of no cache: only the page model is")
    if c.ranks > 1:
        return _cannot(on, "a trace of several ranks is of no single cache: sanitree hunt --ranks drives several")
    try:
        run = _run(c, trace)
        sound = _sound(c, run)
        setup = _setup(c, core or core_with_nodes(on))
        told = all_done_by(on, setup, [run] if sound is None else [run, sound])
    except ConfigurationError as error:
        return _cannot(on, str(error))
    except NotARunError as error:
        return _cannot(on, f"the model cannot do it either: {error}")
    except (CacheError, EngineError) as error:
        return _cannot(on, str(error).splitlines()[0])
    return _answer(trace, on, run, told[0], told[1] if sound is not None else None)


def _cannot(on: str, why: str) -> Again:
    return Again(Answer.CANNOT_RUN, why, on)


def _run(c: Configuration, trace: ModelTrace) -> Run:
    t = model(c).transitions
    moves = named(t, ((s.action, s.node) for s in trace.moves))
    return run_of(t, to_what_is_wrong(t, moves, trace.name), c.fault)


def _sound(c: Configuration, run: Run) -> Run | None:
    """The same moves of the model without its fault, where they can be made."""
    if c.fault is None:
        return None
    try:
        t = model(replace(c, fault=None)).transitions
        return run_of(t, named(t, run.moves))
    except NotARunError:
        return None


def _setup(c: Configuration, core: str | None) -> Setup:
    """A cache of the model's size."""
    m = pages_of(c)
    device, host = (m.capacity(FULL, tier) for tier in (DEVICE, HOST))
    return Setup(
        policy=c.policy, components=c.components, device_pages=device, host_pages=host, states=device,
        window=m.window, core=core,
    )  # fmt: skip


def done_by(on: str, setup: Mapping[str, Any], told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a cache does of runs, one after the other, as data; for an engine in its own process."""
    own = setup_of(setup)
    driver = open_driver(on, own)
    found = []
    for run in map(of_plain, told):
        p = perform(driver, run)
        whole = p.moves == len(run.moves)
        why = None if whole else reason(Parted.of(run, p, on, own))
        found.append({
            "moves": p.moves, "whole": whole, "why": why and why.id, "operations": [text(o) for o in p.operations],
            "took": [name for name, _ in p.took],
            "differences": [f"{d.key} of {_page(d.path)}: {d.model} in the model, {d.live or 0} in the cache"
                            for d in p.differences],
        })  # fmt: skip
    return found


def _page(path: Path) -> str:
    if not path:
        return "all pages"
    return "page " + " ".join(",".join(map(str, page)) for page in path)


def all_done_by(on: str, setup: Setup, runs: Sequence[Run], timeout: float = 1800.0) -> list[dict[str, Any]]:
    """The same, wherever the cache is. Raises EngineError and CacheError for one that cannot be built."""
    arguments: dict[str, Any] = {"on": on, "setup": plain_setup(setup), "told": list(map(plain, runs))}
    if on == "reference":
        return done_by(**arguments)
    from sanitree.models.engines.process import run_in_engine

    told: list[dict[str, Any]] = run_in_engine(on, f"{__name__}:done_by", arguments, timeout=timeout)
    return told


def _answer(trace: ModelTrace, on: str, run: Run, done: Mapping[str, Any], sound: Mapping[str, Any] | None) -> Again:
    moves = tuple(f"{action} {page}" for action, page in run.moves)
    came = done["moves"], tuple(done["operations"]), tuple(done["differences"])
    if not done["whole"]:
        why = next((r.why for r in REASONS if r.id == done["why"]), "")
        at = f"it does not come to move {done['moves'] + 1}, {moves[done['moves']]}"
        return Again(Answer.GONE, f"{at}{': ' + why[0].lower() + why[1:] if why else ''}", on, moves, *came)
    if sound is not None and sound["whole"]:
        why = f"it does every move, and whether {run.fault} is what it does cannot be seen"
        return Again(Answer.CANNOT_RUN, why, on, moves, *came)
    return Again(Answer.REPRODUCED, f"it does every move, and comes to where {trace.name} is wrong", on, moves, *came)
