"""Every rule, about states and about steps, on real engines that are driven."""

from __future__ import annotations

from itertools import product

import pytest

from tests.driving.engines import in_engine

pytestmark = pytest.mark.engine

SOUND = (("0.5.16", "python"), ("0.5.23", "python"), ("0.5.23", "rust"))
POLICIES = ("write_through", "write_through_selective", "write_back")


@pytest.mark.parametrize(("version", "core"), SOUND)
def test_no_rule_is_violated(version: str, core: str) -> None:
    caches = ((["full"], 1), (["full", "swa"], 4), (["full", "mamba"], 1))
    cells = [[policy, *cache, core] for policy, cache in product(POLICIES, caches)]
    for cell, told in zip(cells, in_engine(version, "watched", cells=cells, count=50), strict=True):
        assert told["violated"] == [], cell
        assert told["calls"] > 50, cell


def test_rules_about_steps_speak_of_engines_too() -> None:
    """What 0.5.12 does under write_back is seen in the driver's work, too."""
    (told,) = in_engine("0.5.12", "watched", cells=[["write_back", ["full"], 1, "python"]], count=60)
    assert {"write_back_is_finished", "source_is_not_free"} <= set(told["violated"])


@pytest.mark.parametrize(("version", "core"), SOUND)
def test_what_an_engine_says_is_enough_to_judge_it(version: str, core: str) -> None:
    """Each rule about steps is checked somewhere, but those that need what no engine says."""
    checked = set(in_engine(version, "judged_steps", core=core, count=60))
    needed = {
        "eviction_frees_what_was_asked", "eviction_says_what_it_freed", "host_eviction_says_what_it_freed",
        "nothing_leaves_unreported", "query_moves_no_slot", "every_submit_is_acked_once",
        "requests_keep_their_locks", "query_keeps_sizes",
    }  # fmt: skip
    more = {"release_undoes_its_acquire", "promised_backup_is_made", "write_is_pending_until_acked"}
    assert needed | (more if core == "python" else set()) <= checked
