"""The page model and the reference cache, action by action: what may happen next is the same, and so is what it makes.

A walk of the model is done on a real cache with torch pools and real bytes, each action by
the method that takes this one decision. Before each, the actions that the model's guards
allow are compared with what the cache's leaf sets, LRU lists, pools and answers allow;
after each, the two trees: nodes, copies, locks, marks, transfers, bytes, free slots.
docs/model.md lists what the model leaves out.
"""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from sanitree.checker.explore.results import Values
from sanitree.invariants.vocabulary import FULL, MAMBA, SWA, Component, Policy, Tier
from sanitree.models.protocol.pages import FAULTS, Pages, binary, pages
from sanitree.models.protocol.pages.observed import snapshot
from sanitree.models.reference.faults import inject
from sanitree.models.snapshot import Key
from tests.explore.following import Followed, Seen, hits_of, seen
from tests.explore.walking import Step, Walker, chosen

SETS = ((FULL,), (FULL, MAMBA), (FULL, SWA))


def shown(w: Walker, m: Pages, state: Values) -> Seen:
    """What the model's state looks like."""
    at = {v.key: i for i, v in enumerate(w.system.variables)}

    def taken(c: Component, tier: Tier) -> int:
        return sum(state[at[Key.of("taken", c, tier)], page] for page in range(1, m.count + 1))

    return seen(snapshot(w.system, state), taken, hits_of(m))


def followed(w: Walker, m: Pages, seed: int, steps: int, fault: str | None = None) -> str:
    """Walks so many steps, up to the first state that violates a rule, and says where the two differ; "" where they
    do not. fault: of the cache."""
    rng, cache, state, past = random.Random(seed), Followed(m), w.first, list[Step]()
    if fault is not None:
        inject(cache.cache, fault)
    in_load = next(i for i, v in enumerate(w.system.variables) if v.key == Key("in_load"))
    while len(past) < steps:
        loading = frozenset(page for page in range(1, m.count + 1) if state[in_load, page])
        mine, its = w.enabled(state), cache.offered(loading)
        if mine != its:
            return f"after {past}: the model alone allows {sorted(mine - its)}, the cache alone {sorted(its - mine)}"
        if not mine:
            break
        for step in cache.do(*chosen(rng, mine)):
            past.append(step)
            state = w.after(state, step)
        if not w.within(state):
            return f"after {past}: a number of the model is beyond its bounds"
        if (mine_now := shown(w, m, state)) != (its_now := cache.seen()):
            return f"after {past}:\n{mine_now}\n{its_now}"
        if w.violated(state):
            break
    return ""


@pytest.mark.parametrize("policy", Policy)
@pytest.mark.parametrize("components", SETS, ids=lambda s: "+".join(c.name for c in s))
def test_they_agree(policy: Policy, components: tuple[Component, ...]) -> None:
    m = Pages(policy=policy, components=components, parents=binary(4), requests=2)
    w = Walker(pages(m))
    for seed in (1, 2):
        assert not (differs := followed(w, m, seed, steps=40)), differs


def test_with_all_components() -> None:
    m = Pages(policy=Policy.WRITE_BACK, components=(FULL, SWA, MAMBA), parents=binary(4), requests=2)
    assert not (differs := followed(Walker(pages(m)), m, seed=1, steps=60)), differs


def configured(rng: random.Random) -> Pages:
    """Any configuration of up to seven pages."""
    count = rng.randint(3, 7)
    parents = tuple(rng.randint(max(0, page - 2), page) for page in range(count))
    capacity = lambda: rng.choice([None, count, max(1, count - 2)])  # noqa: E731
    return Pages(
        policy=rng.choice(list(Policy)), components=rng.choice([*SETS, (FULL, SWA, MAMBA)]),
        parents=rng.choice([parents, binary(count), tuple(range(count))]), device=capacity(), host=capacity(),
        requests=rng.randint(0, 2), copies=rng.randint(1, 3), window=rng.randint(1, 3),
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(30))
def test_they_agree_in_any_configuration(seed: int) -> None:
    rng = random.Random(seed)
    m = configured(rng)
    w = Walker(pages(m))
    for _ in range(2):
        assert not (differs := followed(w, m, rng.randrange(10**6), steps=100)), f"{m}\n{differs}"


@pytest.mark.parametrize("fault", ["split_forgets_the_lock", "load_takes_no_lock", "ack_forgets_the_marks"])
def test_a_model_with_a_fault_is_told_from_the_cache(fault: str) -> None:
    m = Pages(policy=Policy.WRITE_THROUGH, parents=(0, 1, 2), requests=2)
    assert fault in FAULTS
    w = Walker(pages(replace(m, fault=fault)))
    assert any(followed(w, m, seed, steps=60) for seed in range(5))


ALIKE = (
    "tombstone_keeps_its_slots", "removed_node_keeps_host_slots", "insert_takes_the_wrong_slots",
    "split_forgets_the_pending_write", "split_forgets_the_lock", "split_forgets_the_host_lock",
    "release_measures_anew", "child_is_backed_up_first", "refill_under_a_parent_without_backup",
    "ack_forgets_the_marks",
)  # fmt: skip
"""Faults that do the same in both, step by step; docs/model.md says how the others differ."""


@pytest.mark.parametrize("fault", ALIKE)
def test_a_fault_is_the_same_in_both(fault: str) -> None:
    every = [
        Pages(policy=policy, components=components, parents=(0, 1, 2, 2), requests=2, fault=fault)
        for components in SETS
        for policy in Policy
    ]
    m = next(m for m in every if FAULTS[fault].fits(m))
    w = Walker(pages(m))
    for seed in range(3):
        assert not (differs := followed(w, m, seed, steps=30, fault=fault)), differs
