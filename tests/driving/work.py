"""Operations at random for a driver, all of them now and then."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator

from sanitree.models.driving.driver import Driver
from sanitree.models.driving.operations import (
    NAMES,
    OF_ONE_CACHE,
    BackUp,
    Copy,
    Evict,
    EvictHost,
    Extend,
    Finish,
    FinishPrefetch,
    LoadBack,
    Lock,
    Match,
    Operation,
    Poll,
    Prefetch,
    Release,
    Reset,
    Start,
    Unlock,
)


def drawn(draw: random.Random, name: str, components: tuple[str, ...]) -> Operation:
    """An operation of this name, over three symbols and the first few of whatever there is."""
    prompt = tuple(draw.choice((1, 2, 3)) for _ in range(draw.randrange(1, 5)))
    which, count, component = draw.randrange(3), draw.randrange(1, 5), draw.choice(components)
    match name:
        case "start":
            return Start(prompt, load=draw.random() < 0.8)
        case "finish":
            return Finish(which)
        case "extend":
            return Extend(which, prompt[:2])
        case "release":
            return Release(which, insert=draw.random() < 0.5)
        case "match":
            return Match(prompt)
        case "lock":
            return Lock(prompt)
        case "unlock":
            return Unlock(which)
        case "evict":
            return Evict(component, count)
        case "evict_host":
            return EvictHost(component, count)
        case "back_up":
            return BackUp(prompt)
        case "load_back":
            return LoadBack(prompt)
        case "poll":
            return Poll()
        case "copy":
            return Copy(which)
        case "prefetch":
            return Prefetch(prompt)
        case "finish_prefetch":
            return FinishPrefetch(which)
    return Reset()


WEIGHTS = (
    Counter(dict.fromkeys(OF_ONE_CACHE, 4))
    + Counter(start=8, finish=12, extend=12, finish_prefetch=12, release=4, copy=4)
    - Counter(lock=2)
)


def random_operations(driver: Driver, seed: int, count: int) -> Iterator[Operation]:
    """So many operations that the driver can do when they are yielded; do each before the next."""
    draw, done = random.Random(seed), 0
    components = tuple(c.name for c in driver.setup.components)
    while done < count:
        op = drawn(draw, draw.choices(list(WEIGHTS), list(WEIGHTS.values()))[0], components)
        if driver.can(op):
            yield op
            done += 1


def run(driver: Driver, seed: int, count: int) -> list[tuple[Operation, str]]:
    """Random work and its results."""
    return [(op, driver.do(op)) for op in random_operations(driver, seed, count)]


def done_of(work: list[tuple[Operation, str]]) -> set[str]:
    """The names of what was done."""
    return {NAMES[type(op)] for op, _ in work}
