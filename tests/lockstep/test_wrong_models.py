"""Models that are wrong on purpose are told from the reference cache, and the right one is not."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from sanitree.checker.hunt.moves import Chooser, Style
from sanitree.invariants.vocabulary import FULL, Policy
from sanitree.models.driving.open import open_driver
from sanitree.models.driving.setup import Setup
from tests.lockstep.asking import Watched, parts_from
from tests.lockstep.mutants import TOLD, UNTOLD, tell
from tests.lockstep.wrong_models import NEGATED, mutants


def test_most_are_told_after_a_few_questions() -> None:
    told = tell("reference", None, "write_back", ["full"], 300)["told"]
    count = Counter(told.values())
    assert count[TOLD] > count[UNTOLD], told
    negated = [verdict for name, verdict in told.items() if name.startswith(NEGATED)]
    assert negated.count(TOLD) > 0.8 * len(negated), told


@pytest.mark.parametrize("policy", list(Policy))
def test_the_model_itself_is_not(policy: Policy) -> None:
    setup = Setup(policy=policy, components=(FULL,), device_pages=8, host_pages=8, states=4, window=2)
    w, rng = Watched(open_driver("reference", setup)), Random(0)
    chooser = Chooser(rng, Style.eventful(setup), setup)
    for _ in range(25):
        assert w.do(chooser.move(w.play.books))
    w.end()
    made = w.follower.model
    assert len(w.calls) > 50
    assert not parts_from(made, w.first, w.calls)


def test_every_condition_of_every_guard_has_its_mutants() -> None:
    w = Watched(open_driver("reference", Setup(policy=Policy.WRITE_BACK, components=(FULL,))))
    w.end()
    made = list(mutants(w.follower.model.system))
    assert {m.action.name for m in made} == {a.name for a in w.follower.model.system.actions}
    assert len({m.key for m in made}) == len(made)
