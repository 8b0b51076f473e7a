"""Ranks in one process: collective calls are answered when all have come, and told apart where they do not."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable

import pytest

from sanitree.models.ranks.group import ALONE, Collective, Group
from sanitree.models.ranks.together import StrandedError, Together


def test_all_get_the_least_the_greatest_and_the_sum() -> None:
    ranks = Together(3)

    def act(g: Group) -> list[list[int]]:
        g.barrier()
        mine = (g.rank, -g.rank)
        return [g.reduce("min", mine), g.reduce("max", mine), g.reduce("sum", mine)]

    turns = ranks.run([lambda g=g: act(g) for g in ranks.members])  # type: ignore[misc]
    assert [t.result for t in turns] == [[[0, -2], [2, 0], [3, -3]]] * 3
    assert [str(c) for c in turns[0].calls] == ["barrier", "min of 2", "max of 2", "sum of 2"]


def test_one_rank_runs_at_a_time_and_in_order() -> None:
    ranks, order = Together(2), []

    def act(g: Group) -> None:
        for step in range(3):
            order.append((step, g.rank))
            g.barrier()

    ranks.run([lambda g=g: act(g) for g in ranks.members])  # type: ignore[misc]
    assert order == [(step, rank) for step in range(3) for rank in range(2)]


def alone(g: Group) -> int:
    return g.reduce("min", (1,))[0]


@pytest.mark.parametrize("other", [lambda g: 7, lambda g: g.reduce("max", (1,)), lambda g: g.reduce("min", (1, 2))])
def test_who_waits_for_others_that_do_not_come_is_told(other: Callable[[Group], object]) -> None:
    ranks = Together(2)
    first, second = ranks.run([lambda: alone(ranks.members[0]), lambda: other(ranks.members[1])])
    assert first.stranded and first.calls == [Collective("min", 1)] and first.result is None
    assert second.stranded is (second.result is None)
    again = ranks.run([lambda g=g: alone(g) for g in ranks.members])  # type: ignore[misc]
    assert [t.result for t in again] == [1, 1]


def test_what_one_raises_is_told_and_the_others_are_ended() -> None:
    ranks = Together(2)

    def fails() -> int:
        raise KeyError("no")

    first, second = ranks.run([lambda: alone(ranks.members[0]), fails])
    assert first.stranded and isinstance(second.error, KeyError)


def test_a_stranded_rank_is_ended_even_where_it_asks_on() -> None:
    ranks = Together(2)

    def asks_on() -> int:
        try:
            return alone(ranks.members[0])
        except StrandedError:
            return alone(ranks.members[0])

    first, second = ranks.run([asks_on, lambda: 0])
    assert first.stranded and second.result == 0


def test_ranks_that_never_end_can_be_left() -> None:
    ranks, began = Together(2), threading.Event()

    class GiveUpError(Exception):
        pass

    def endless() -> None:
        began.set()
        while True:
            pass

    def leave() -> None:
        began.wait()
        raise GiveUpError

    worker = ranks._workers[0]
    worker.goes_on = lambda act: (worker.inbox.put(act), leave())  # type: ignore[method-assign, assignment, return-value]
    with pytest.raises(GiveUpError):
        ranks.run([endless, endless])
    worker.thread.join(30)
    assert not worker.thread.is_alive()
    assert [t.result for t in ranks.run([lambda g=g: alone(g) for g in ranks.members])] == [1, 1]  # type: ignore[misc]


def test_no_thread_is_left_when_nobody_holds_them() -> None:
    ranks = Together(2)
    ranks.run([lambda g=g: alone(g) for g in ranks.members])  # type: ignore[misc]
    threads = [w.thread for w in ranks._workers]
    del ranks
    gc.collect()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


def test_a_group_of_one_asks_nobody() -> None:
    ALONE.barrier()
    assert ALONE.reduce("min", (3, 4)) == [3, 4] and (ALONE.rank, ALONE.size) == (0, 1)
