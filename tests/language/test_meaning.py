"""The columns backend against a slow interpreter that shares nothing with it: every rule, on anything."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from sanitree.checker.columns import Evaluator
from sanitree.invariants.rules import Check
from sanitree.models.snapshot import validate
from tests.corrupt import corrupt, veil
from tests.drafts import Draft
from tests.interpreter import Interpreter
from tests.legal import checks_of, legal


def agree(d: Draft) -> int:
    """Demands the same answer at every instance of every check; how many were neither yes."""
    s = d.snapshot()
    validate(s)
    evaluator, interpreter = Evaluator(s), Interpreter(d)
    return sum(agree_on(c, evaluator, interpreter) for c in checks_of(s.settings))


def agree_on(check: Check, evaluator: Evaluator, interpreter: Interpreter) -> int:
    finding, answers = evaluator.judge(check), interpreter.judge(check)
    if answers is None:
        assert not finding.observed
        return 1
    assert finding.observed
    wrong = tuple(row for row, a in enumerate(answers) if a is False)
    hidden = sum(a is None for a in answers)
    assert finding.violated == wrong, check.name
    assert (finding.checked, finding.unchecked) == (len(answers) - hidden, hidden), check.name
    return len(wrong) + hidden


@pytest.mark.parametrize("kind", ["corrupted", "hidden", "both"])
def test_columns_mean_what_the_terms_say(kind: str) -> None:
    noted = 0
    for seed in range(48):
        rng, d = Random(seed), legal(seed)
        if kind != "hidden":
            corrupt(d, rng, rng.choice((1, 5, 40)))
        if kind != "corrupted":
            veil(d, rng)
        noted += agree(d)
    assert noted > 300, "nothing to disagree about"


@given(st.integers(0, 10_000), st.integers(0, 60), st.booleans(), st.randoms(use_true_random=False))
@settings(max_examples=25, phases=[Phase.explicit, Phase.reuse, Phase.generate])
def test_columns_mean_what_the_terms_say_of_what_hypothesis_draws(
    seed: int, times: int, hide: bool, rng: Random
) -> None:
    d = corrupt(legal(seed), rng, times)
    agree(veil(d, rng) if hide else d)


@pytest.mark.slow
def test_columns_mean_what_the_terms_say_of_thousands() -> None:
    for seed in range(2000):
        rng = Random(seed)
        d = corrupt(legal(seed), rng, rng.choice((0, 1, 5, 40)))
        agree(veil(d, rng) if rng.random() < 0.6 else d)
