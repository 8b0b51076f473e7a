"""python -m tests.mutation [RULE…]: is each rule's every part needed? Exits 1 where too many mutants live."""

from __future__ import annotations

import sys
import time
from collections import Counter, defaultdict

import torch

from sanitree.invariants.catalogue import BY_ID, CATALOGUE
from tests.mutation.corpus import Corpus
from tests.mutation.equivalent import EQUIVALENT
from tests.mutation.mutants import Mutant, mutants

WANTED = 0.95


def main(names: list[str]) -> int:
    torch.set_num_threads(1)
    if unknown := set(names) - set(BY_ID):
        print(f"no rule is called {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    began = time.monotonic()
    corpus = Corpus()
    totals: dict[str, Counter[str]] = defaultdict(Counter)
    alive: list[Mutant] = []
    same: list[Mutant] = []
    wrong: list[Mutant] = []
    for rule in CATALOGUE:
        if names and rule.id not in names:
            continue
        for m in mutants(rule):
            equivalent = (rule.id, m.what) in EQUIVALENT
            if any(case.tells_apart(rule, m.changed) for case in corpus.cases(rule)):
                outcome = "killed"
                wrong += [m] if equivalent else []
            else:
                outcome = "equivalent" if equivalent else "alive"
                (same if equivalent else alive).append(m)
            totals[rule.family.value][outcome] += 1
        if sys.stderr.isatty():
            print(f"\r\033[K{rule.id}", end="", file=sys.stderr)
    print("\r\033[K" * sys.stderr.isatty(), end="", file=sys.stderr)
    for m in wrong:
        print(f"listed as equivalent, and killed: {m.rule.id}: {m.what}")
    return report(totals, alive, same, time.monotonic() - began) or int(bool(wrong))


def report(totals: dict[str, Counter[str]], alive: list[Mutant], same: list[Mutant], seconds: float) -> int:
    whole: Counter[str] = Counter()
    print(f"{'family':12} {'mutants':>8} {'killed':>8} {'alive':>8} {'equivalent':>11}")
    for family, c in totals.items():
        whole.update(c)
        print(f"{family:12} {c.total():8} {c['killed']:8} {c['alive']:8} {c['equivalent']:11}")
    print(f"{'all':12} {whole.total():8} {whole['killed']:8} {whole['alive']:8} {whole['equivalent']:11}")
    for m in alive:
        print(f"alive: {m.rule.id}: {m.what}")
    for m in same:
        print(f"equivalent: {m.rule.id}: {m.what} ({EQUIVALENT[m.rule.id, m.what]})")
    score = whole["killed"] / max(1, whole["killed"] + whole["alive"])
    print(
        f"{score:.1%} of {whole['killed'] + whole['alive']} mutants killed in {seconds:.0f} s; {WANTED:.0%} is wanted"
    )
    return 0 if score >= WANTED else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
