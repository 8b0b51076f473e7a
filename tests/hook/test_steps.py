"""Which step rules a server judges after each call: none falls out unnoticed, none that takes a whole state gets in."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from sanitree.checker.fused.stepped import Stepped, compile_steps
from sanitree.invariants.calls import Operation
from sanitree.invariants.plugins import ghosts_for, step_rules_for
from sanitree.invariants.rules import Check, Family, Rule, step
from sanitree.invariants.steps import before, call
from sanitree.invariants.vocabulary import DEVICE, FULL, SWA, Policy, Settings, Sort
from sanitree.models.engines.python_core import _reading
from sanitree.models.engines.told import UNSAID
from sanitree.models.engines.traits import of_version

COMMON = {
    "every_submit_is_acked_once",
    "write_is_pending_until_acked",
    "load_is_pending_until_acked",
    "acked_write_is_published",
    "eviction_frees_what_was_asked",
    "eviction_says_what_it_freed",
    "query_removes_no_node",
    "query_keeps_locks_and_copies",
    "query_keeps_sizes",
    "query_keeps_marks",
    "query_moves_no_transfer",
}
SKIPPED = {
    # Of slots, which are followed elsewhere.
    "nothing_leaves_unreported",
    "query_moves_no_slot",
    # Of requests, which the cache does not know.
    "release_undoes_its_acquire",
    "requests_keep_their_locks",
    "query_holds_nothing",
    # Of host slots that are available: transfer threads take some meanwhile.
    "host_eviction_frees_what_was_asked",
    "host_eviction_says_what_it_freed",
}


def compiled(policy: Policy, rules: Iterable[Rule] | None = None) -> Stepped:
    """For the newest engine's Python core."""
    settings = Settings(policy, (FULL, SWA), frozenset({*of_version("0.5.23"), "tiered"}), 1)
    read = _reading("0.5.23", settings.components, 1, False)
    wanted = step_rules_for(settings) if rules is None else rules
    return compile_steps(wanted, ghosts_for(settings), settings, read, UNSAID)


def ids(checks: Iterable[Check]) -> set[str]:
    return {c.rule.id for c in checks}


@pytest.mark.parametrize("policy", list(Policy))
def test_rules_that_are_judged_and_rules_that_are_not(policy: Policy) -> None:
    made = compiled(policy)
    if policy is Policy.WRITE_BACK:
        # What an engine's eviction has lost it does not say.
        assert ids(made.checks) == COMMON and ids(made.skipped) == SKIPPED | {"eviction_backs_up_or_says_so"}
    else:
        assert ids(made.checks) == COMMON | {"promised_backup_is_made", "eviction_keeps_backups"}
        assert ids(made.skipped) == SKIPPED
    assert ids(made.of[Operation.MATCH].checks) > {"query_keeps_sizes", "every_submit_is_acked_once"}
    assert Operation.RESET not in made.of


def test_what_is_said_of_calls_that_change_nothing() -> None:
    """An eviction that freed nothing may be wrong; a match that changed nothing cannot be."""
    made = compiled(Policy.WRITE_THROUGH)
    assert made.of[Operation.EVICT].always and not made.of[Operation.MATCH].always


@step(Family.PROGRESS, Sort.NODE, on=[Operation.INSERT])
def every_insert_is_a_hit_of_all(n):  # type: ignore[no-untyped-def]
    """An insert counts a hit of every node."""
    return n.hits > before(n).hits


@step(Family.PROGRESS, Sort.NODE, on=[Operation.EVICT])
def nothing_stays_when_all_is_asked_for(n):  # type: ignore[no-untyped-def]
    """A node's copy goes where an eviction is asked for more than it holds."""
    return ~n.exists | (call[FULL, DEVICE].asked <= n[FULL, DEVICE].tokens)


@pytest.mark.parametrize(
    "rule", [every_insert_is_a_hit_of_all, nothing_stays_when_all_is_asked_for], ids=lambda r: r.id
)
def test_a_rule_that_says_something_of_what_was_not_touched_is_not_taken(rule: Rule) -> None:
    made = compiled(Policy.WRITE_THROUGH, [rule])
    assert not made.checks and ids(made.skipped) == {rule.id}
