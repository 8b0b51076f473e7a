"""A real engine's state as the first of the page model: the model has a legal state for what the engine came to."""

from __future__ import annotations

from pathlib import Path

import pytest

from sanitree.invariants.vocabulary import Policy
from sanitree.models.engines.process import run_in_engine
from tests.engines_here import needs

ROOT = Path(__file__).resolve().parents[2]
ENGINES = [("0.5.13.post1", None), ("0.5.23", "python")]
COMPONENTS = (("full",), ("full", "swa"), ("full", "mamba"))

ACCEPTED = {
    ("write_through_selective", ("full", "mamba")): "backup-locks-no-state, of checker/lockstep/accepted.py",
    ("write_back", ("full", "swa")): "a window's host copy outlives the full one, which is given up as a duplicate",
}
"""Where engines are in states that the model has not, and why."""


def states(
    version: str, core: str | None, policy: str, components: tuple[str, ...], seeds: list[int]
) -> tuple[int, list[str]]:
    needs(version)
    asked = {"version": version, "core": core, "policy": policy, "components": [*components], "seeds": seeds}
    told = run_in_engine(version, "tests.explore.engine_states:states", asked, search=[ROOT])
    return told["legal"], told["not_legal"]


@pytest.mark.parametrize(("version", "core"), ENGINES)
def test_some_states_are_legal_in_the_model(version: str, core: str | None) -> None:
    assert states(version, core, "write_back", ("full",), [0, 1, 2]) == (3, [])


@pytest.mark.slow
@pytest.mark.parametrize("components", COMPONENTS, ids="+".join)
@pytest.mark.parametrize("policy", [p.value for p in Policy])
@pytest.mark.parametrize(("version", "core"), ENGINES)
def test_all_states_are(version: str, core: str | None, policy: str, components: tuple[str, ...]) -> None:
    legal, others = states(version, core, policy, components, [0, 1, 2, 3])
    assert legal + len(others) == 4
    assert len(others) <= ((policy, components) in ACCEPTED), others
