"""python -m tests.mutation [RULE…]: is each rule's every part needed? Exits 1 where too many mutants live."""

from __future__ import annotations

import sys
import time
from collections import Counter, defaultdict

import torch

from sanitree.invariants.catalogue import BY_ID, GHOSTS, RULES
from tests.mutation.corpus import Corpus
from tests.mutation.equivalent import EQUIVALENT
from tests.mutation.mutants import GhostMutant, Mutant, ghost_mutants, mutants
from tests.mutation.steps import StepCorpus

WANTED = 0.95


def main(names: list[str]) -> int:
    torch.set_num_threads(1)
    ghosts = {g.field.name: g for g in GHOSTS}
    if unknown := set(names) - set(BY_ID) - set(ghosts):
        print(f"no rule is called {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    began = time.monotonic()
    states, steps = Corpus(), StepCorpus()
    totals: dict[str, Counter[str]] = defaultdict(Counter)
    alive: list[Mutant | GhostMutant] = []
    same: list[Mutant | GhostMutant] = []
    wrong: list[Mutant | GhostMutant] = []

    def judge(m: Mutant | GhostMutant, killed: bool, family: str) -> None:
        equivalent = (m.id, m.what) in EQUIVALENT
        if killed:
            wrong.extend([m] if equivalent else [])
        else:
            (same if equivalent else alive).append(m)
        totals[family]["killed" if killed else "equivalent" if equivalent else "alive"] += 1

    for rule in RULES:
        if names and rule.id not in names:
            continue
        cases = steps if rule.on else states
        for m in mutants(rule):
            judge(m, any(case.tells_apart(rule, m.changed) for case in cases.cases(rule)), rule.family.value)
        if sys.stderr.isatty():
            print(f"\r\033[K{rule.id}", end="", file=sys.stderr)
    for name, ghost in ghosts.items():
        for g in ghost_mutants(ghost) if not names or name in names else ():
            judge(g, any(case.keeps_apart(ghost, g.changed) for case in steps.cases_of(ghost)), "ghosts")
    print("\r\033[K" * sys.stderr.isatty(), end="", file=sys.stderr)
    for w in wrong:
        print(f"listed as equivalent, and killed: {w.id}: {w.what}")
    return report(totals, alive, same, time.monotonic() - began) or int(bool(wrong))


def report(
    totals: dict[str, Counter[str]],
    alive: list[Mutant | GhostMutant],
    same: list[Mutant | GhostMutant],
    seconds: float,
) -> int:
    whole: Counter[str] = Counter()
    print(f"{'family':12} {'mutants':>8} {'killed':>8} {'alive':>8} {'equivalent':>11}")
    for family, c in totals.items():
        whole.update(c)
        print(f"{family:12} {c.total():8} {c['killed']:8} {c['alive']:8} {c['equivalent']:11}")
    print(f"{'all':12} {whole.total():8} {whole['killed']:8} {whole['alive']:8} {whole['equivalent']:11}")
    for m in alive:
        print(f"alive: {m.id}: {m.what}")
    for m in same:
        print(f"equivalent: {m.id}: {m.what} ({EQUIVALENT[m.id, m.what]})")
    score = whole["killed"] / max(1, whole["killed"] + whole["alive"])
    print(
        f"{score:.1%} of {whole['killed'] + whole['alive']} mutants killed in {seconds:.0f} s; {WANTED:.0%} is wanted"
    )
    return 0 if score >= WANTED else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
