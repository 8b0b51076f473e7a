"""Real engines, driven: every operation on the oldest, on one in between, on both cores of the newest."""

from __future__ import annotations

from itertools import product

import pytest

from sanitree.models.driving.operations import OF_ONE_CACHE
from sanitree.models.driving.setup import Setup
from sanitree.models.engines import store
from tests.driving.engines import in_engine

pytestmark = pytest.mark.engine

VERSIONS = (("0.5.12", "python"), ("0.5.13.post1", "python"), ("0.5.23", "python"), ("0.5.23", "rust"))
POLICIES = ("write_through", "write_through_selective", "write_back")
ALONE = {"prefetch", "finish_prefetch"}
"""Operations of caches with full attention alone."""


@pytest.mark.parametrize(("version", "core"), VERSIONS)
def test_every_operation_is_done_with_right_bytes_and_the_same_results_again(version: str, core: str) -> None:
    policies = POLICIES[:2] if version == "0.5.12" else POLICIES  # under the third it fails, as it should
    components = [["full"], ["full", "mamba"]]
    if store.at_least(version, "0.5.15"):  # before, window-recovery-frees-locked-slots
        components.append(["full", "swa"])
    cells = [[*cell, core] for cell in product(policies, components, (1, 4))]
    done = {"reset"}
    for cell, told in zip(cells, in_engine(version, "random_work", cells=cells, count=90), strict=True):
        assert told["same"], cell
        assert (told["left"], told["reset"]) == (0, "empty"), cell
        done |= set(told["done"])
    assert done == set(OF_ONE_CACHE) - (ALONE if version == "0.5.12" else set())


@pytest.mark.parametrize(("version", "core"), VERSIONS)
def test_a_request_goes_on_and_comes_back(version: str, core: str) -> None:
    assert in_engine(version, "story", core=core) == [
        "0 shared, 0 of them loaded, 4 computed", "4 cached", "6 tokens now", "6 cached", "released",
        "write of 4 full", "write of 2 full", "2 writes and 0 loads acknowledged",
        "6 tokens on the device, 6 with the host", "6 full", "0 tokens on the device, 6 with the host", "submitted",
        "load of 6 full", "0 writes and 1 loads acknowledged", "6 tokens on the device, 6 with the host",
        "alloc", "copy", "dec_lock_ref", "evict", "inc_lock_ref", "insert", "load_back", "loading_check",
        "match_prefix", "writing_check",
    ]  # fmt: skip


@pytest.mark.parametrize(("version", "core"), VERSIONS)
def test_a_prefetch_fills_the_host_tier(version: str, core: str) -> None:
    told = in_engine(version, "prefetched", core=core)
    expected = [
        "started", "2 new", "0 tokens on the device, 2 with the host", "submitted", "load of 2 full",
        "0 writes and 1 loads acknowledged", "2 tokens on the device, 2 with the host",
        "started", "nothing to fetch", "released", "2 host slots taken",
    ]  # fmt: skip
    assert told == ([] if version == "0.5.12" else expected)


def test_a_fresh_cache_knows_nothing_of_the_last() -> None:
    assert in_engine("0.5.12", "race") == ["1 in flight, 1 complaints"] * 2


@pytest.mark.parametrize(
    ("setup", "words"),
    [(Setup(fault="evict_does_not_wait"), "reference cache alone"), (Setup(core="go"), "no core 'go'")],
)
def test_what_cannot_be_built_is_refused(setup: Setup, words: str) -> None:
    from sanitree.models.driving.open import open_driver
    from sanitree.models.engines.errors import EngineError

    with pytest.raises(EngineError, match=words):
        open_driver("0.5.23", setup)
