"""The model with ranks: alike whenever copies land, and not with a fault of one of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sanitree.checker.cli import cli
from sanitree.checker.explore.configured import Configuration, ConfigurationError, Model, model
from sanitree.checker.explore.confirm import confirmed
from sanitree.checker.explore.promela import promela
from sanitree.checker.explore.ranks import RANK_FAULTS, RULES
from sanitree.checker.explore.search import search
from sanitree.checker.explore.tracefile import decode, encode
from sanitree.invariants.vocabulary import Component, Policy
from sanitree.models.reference import faults as of_the_reference
from tests.explore.spin import EXACT, MISSING, WHY, build
from tests.hunt.campaign import SETS


def made(fault: str | None = None, rules: tuple[str, ...] = (), policy: Policy = Policy.WRITE_THROUGH,
         components: tuple[Component, ...] = SETS[0], ranks: int = 2, size: int = 3) -> Model:  # fmt: skip
    return model(Configuration(preset="pages", policy=policy, components=components, pages=size, fault=fault,
                               rules=rules, ranks=ranks))  # fmt: skip


def explore(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["explore", *arguments], env={"COLUMNS": "300"})


@pytest.mark.parametrize("policy", list(Policy))
@pytest.mark.parametrize("components", SETS, ids=lambda cs: "+".join(c.name for c in cs))
def test_ranks_stay_alike(policy: Policy, components: tuple[Component, ...]) -> None:
    m = made(policy=policy, components=components)
    found = search(m.transitions)
    alone = search(model(Configuration(preset="pages", policy=policy, components=components, pages=3)).transitions)
    assert found.complete and found.violation is None
    assert {"same_acks", "same_decisions", "same_tree"} <= {r.rule for r in m.transitions.rules}
    assert found.states > alone.states, "copies land at different times"


@pytest.mark.parametrize("fault", RANK_FAULTS)
def test_a_fault_of_one_rank_is_found_by_the_rule_that_is_there_for_it(fault: str) -> None:
    m = made(fault)
    found = search(m.transitions).violation
    assert found is not None and found.rule == of_the_reference.RANK_FAULTS[fault].rule
    assert confirmed(m, found)


def test_a_rank_that_takes_its_own_acks_parts_after_four_moves() -> None:
    found = search(made("rank_takes_its_own_acks").transitions).violation
    assert found is not None
    assert [m.action.name for m in found.trace.moves] == ["prefetch", "submit_load", "copy_load@1", "ack_load@1"]


@pytest.mark.parametrize("tree", [(0, 0), (0, 1, 1), (0, 0, 0)])
def test_symmetry_counts_mirror_images_as_one(tree: tuple[int, ...]) -> None:
    m = model(Configuration(preset="pages", tree=tree, ranks=2))
    assert len({id(x.action) for x in m.transitions.moves}) == len({x.action.name for x in m.transitions.moves})
    whole, folded = search(m.transitions), search(m.transitions, symmetry=True)
    assert folded.complete and folded.violation is None
    assert whole.states / 6 <= folded.states < whole.states


def test_bytes_that_arrived_are_compared_when_nothing_is_in_flight() -> None:
    m = made()
    assert m.ranks is not None
    place = {str(v.key): i for i, v in enumerate(m.ranks.variables)}
    size = len(place)
    state = {(i, n): 0 for i in range(2 * size) for n in range(1, 4)}
    state[place["right.full.device"], 1] = 1
    told = m.ranks.disagreement("same_tree", state)
    assert told is not None and [e.value for e in told.evidence] == [True, False]
    state[place["in_load"], 1] = state[place["in_load"] + size, 1] = 1
    assert m.ranks.disagreement("same_tree", state) is None


@pytest.mark.parametrize("rule", ["same_acks", "same_decisions", "same_tree"])
def test_what_comes_of_a_rank_that_takes_its_own_acks(rule: str) -> None:
    m = made("rank_takes_its_own_acks", (rule,))
    assert [r.rule for r in m.transitions.rules] == [rule]
    found = search(m.transitions).violation
    assert found is not None
    (told,) = confirmed(m, found)
    assert len({e.value for e in told.evidence[:2]}) == 2, "the first two are of one thing on two ranks"


def test_where_ranks_are_alike_no_rule_says_that_they_are_not() -> None:
    m = made("rank_takes_its_own_acks")
    assert m.ranks is not None
    found = search(m.transitions).violation
    assert found is not None
    for state in found.trace.states[:-1]:
        assert [m.ranks.disagreement(rule, state) for rule in RULES] == [None] * len(RULES)


def test_rules_about_one_cache_are_judged_too() -> None:
    found = search(made("backup_takes_no_lock").transitions).violation
    assert found is not None and found.rule not in RULES
    one = model(Configuration(preset="pages", pages=3, fault="backup_takes_no_lock"))
    assert found.rule == search(one.transitions).violation.rule  # type: ignore[union-attr]


@pytest.mark.skipif(bool(MISSING), reason=WHY)
@pytest.mark.parametrize("ranks", [2, 3])
def test_spin_sees_the_same_states(ranks: int, tmp_path: Path) -> None:
    m = made(ranks=ranks)
    ours, theirs = search(m.transitions), build(promela(m.transitions), tmp_path, [*EXACT, "-DBFS"]).run()
    assert (theirs.states, theirs.transitions) == (ours.states, ours.transitions)


def test_a_trace_of_ranks_is_done_again(tmp_path: Path) -> None:
    file = tmp_path / "trace.json"
    told = explore("--ranks", "2", "--fault", "rank_takes_its_own_acks", "--save", str(file))
    assert told.exit_code == 1
    assert "copy_load@1 of node 1" in told.output and "rank 1:" in told.output
    again = CliRunner().invoke(cli, ["replay", str(file), "--json"])
    assert (again.exit_code, json.loads(again.output)["violations"][0]["rule"]) == (1, "same_acks")
    plain = json.loads(explore("--ranks", "2", "--fault", "rank_takes_its_own_acks", "--json").output)
    landed = plain["violation"]["trace"][2]
    assert [d["same"] for d in landed["ranks"]] == [True, False]
    assert plain["violation"]["instances"][0].keys() >= {"rule", "element", "family", "evidence"}
    on = CliRunner().invoke(cli, ["replay", str(file), "--on", "reference"])
    assert on.exit_code == 3 and "of no single cache" in on.output
    trace = decode(file.read_bytes())
    assert trace.configuration.ranks == 2 and decode(encode(trace)) == trace


def test_a_trace_from_before_there_were_ranks_is_of_one() -> None:
    document = json.loads(explore("--fault", "evict_does_not_wait", "--policy", "write_back", "--json").output)
    told = {k: v for k, v in document["model"].items() if k not in ("ranks", "nodes")}
    text = json.dumps({"format": "sanitree-model-trace", "version": 1, "model": told,
                       "found": {"kind": "rule", "name": "x"}, "moves": []})  # fmt: skip
    assert decode(text).configuration.ranks == 1


def test_what_cannot_have_ranks_says_so() -> None:
    alone = explore("--fault", "rank_takes_its_own_acks")
    assert alone.exit_code == 2 and "add --ranks 2" in alone.output
    heap = explore("--preset", "heap", "--ranks", "2")
    assert heap.exit_code == 2 and "leave --ranks out" in heap.output
    rule = explore("--rule", "same_tree")
    assert rule.exit_code == 2 and "is about several ranks" in rule.output
    near = explore("--ranks", "2", "--rule", "same_tre")
    assert near.exit_code == 2 and "same_tree" in near.output
    with pytest.raises(ConfigurationError, match="0 ranks"):
        model(Configuration(preset="pages", ranks=0))
    with pytest.raises(ConfigurationError, match="no rank can have less"):
        model(Configuration(preset="pages", pages=2, fault="rank_has_no_room_on_the_host", ranks=2))
