"""What the tests of ranks do, in an engine's process or in this one: each function returns plain JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from sanitree.checker.hunt.fingerprint import fingerprint
from sanitree.checker.hunt.moves import Chooser, Style
from sanitree.checker.hunt.play import Play
from sanitree.checker.hunt.ranks import DisagreementError, Ranks
from sanitree.invariants.vocabulary import COMPONENTS, Policy
from sanitree.models.driving.driver import Driver
from sanitree.models.driving.open import open_driver
from sanitree.models.driving.operations import NAMES, Copy, CopyAt, Finish, Operation, Poll, Release, Start
from sanitree.models.driving.setup import Setup
from sanitree.models.driving.trace import Trace, decode, encode
from sanitree.models.ranks.gloo import Gloo
from sanitree.models.ranks.group import Group

Lines = list[list[Any]]


def setup_of(policy: str, components: list[str], core: str | None, count: int = 2) -> Setup:
    return Setup(
        policy=Policy(policy), components=tuple(COMPONENTS[c] for c in components), core=core, host_pages=4, ranks=count
    )


def guessed(on: str, setup: Setup, seed: int, count: int) -> tuple[list[Operation], list[str], str]:
    """So many operations by guess on as many ranks as a setup has, what each said, and what went wrong."""
    rng = Random(seed)
    driver = Ranks(on, setup)
    play, chooser = Play(driver, watched=False), Chooser(rng, Style.eventful(setup), setup)
    while len(play.done) < count and play.wrong is None:
        for op in chooser.move(play.books):
            if play.can(op) and play.do(op):
                play.results[-1] += f" · {mark(driver.ranks[0])}"
    return play.done, play.results, "" if play.wrong is None else str(play.wrong)


def mark(driver: Driver) -> int:
    """Of a state, without the names in it and without what only rank 0's clock says."""
    return fingerprint(driver.subject().snapshot(None))


def together(on: str, seed: int, count: int, **setup: Any) -> dict[str, Any]:
    """As `guessed`, as JSON."""
    made = setup_of(**setup)
    done, results, wrong = guessed(on, made, seed, count)
    return {"trace": encode(Trace.of(made, done, results)), "wrong": wrong}


def apart(on: str, trace: str, rank: int, meet: str) -> list[str]:
    """The same operations as one rank among as many processes over gloo; what each said here."""
    told = decode(trace)
    with Gloo(rank, told.setup.ranks, Path(meet)) as group:
        return followed(open_driver(on, told.setup, group), [d.operation for d in told.operations], group)


def followed(driver: Driver, operations: Sequence[Operation], group: Group) -> list[str]:
    """What comes of operations on one rank; "" of a copy that is another's."""
    said = []
    for op in operations:
        if isinstance(op, CopyAt):
            own = op.rank == group.rank
            said.append(f"{driver.do(Copy(op.transfer))} · {mark(driver)}" if own else "")
        elif isinstance(op, Copy) and not driver.can(op):
            said.append("")
        else:
            said.append(f"{driver.do(op)} · {mark(driver)}")
    return said


def asked(on: str, core: str | None) -> dict[str, list[str]]:
    """The collective calls of each operation, by guess under two policies."""
    found: dict[str, set[str]] = {}
    for policy in ("write_through", "write_back"):
        setup = setup_of(policy, ["full"], core)
        driver, rng = Ranks(on, setup), Random(1)
        for _ in range(10):
            play, chooser = Play(driver, watched=False), Chooser(rng, Style.eventful(setup), setup)
            for op in (op for _ in range(8) for op in chooser.move(play.books)):
                if play.can(op) and play.do(op):
                    copied = isinstance(op, Copy | CopyAt)  # which no rank is asked for
                    calls = "" if copied else ", ".join(map(str, driver._together._turns[0].calls))
                    found.setdefault(NAMES[type(op)], set()).add(calls)
    return {name: sorted(calls) for name, calls in found.items()}


def names_of_nodes(on: str, core: str | None) -> list[list[list[int]]]:
    """Ids of each rank's nodes, after ranks have parted and begun anew."""
    driver, told = Ranks(on, setup_of("write_through", ["full"], core)), []
    driver.ranks[0].do(Start((9,)))
    driver._all(lambda rank, d: None if rank else [d.do(op) for op in (Finish(0), Start((8,)))])  # type: ignore[func-returns-value]
    driver.fresh()
    for op in (Start((1, 2)), Finish(0), Start((1, 3)), Finish(1)):
        driver.do(op)
        told.append([sorted(s.nodes.ids.tolist()) for s in driver.states()])  # a Rust core lists them in any order
    return told


def out_of_step(on: str, how: str, core: str | None) -> list[str]:
    """What is told where the last rank does not do with the others' answers as it should."""
    driver = Ranks(on, setup_of("write_through", ["full"], core))
    last, ask = driver._together.members[-1], driver._together.members[-1].reduce

    def own(kind: Any, values: Sequence[int]) -> list[int]:
        if how == "takes its own":
            ask(kind, values)
        return list(values)

    last.reduce = own  # type: ignore[method-assign]
    try:
        for op in (Start((1, 2)), Finish(0), Release(0), CopyAt(1, 0), Poll()):
            driver.do(op)
    except DisagreementError as error:
        return list(error.names)
    return []
