"""Which faults leave the same damage: `python -m tests.blame.classes [--write]` writes docs/blame-classes.md.

The damage of a fault is every state of the page model, as a snapshot shows it, that violates a rule of states and
that the model with the fault reaches through states that violate none: what a snapshot at the first violation can
be. Faults whose damage is the same set, in every model that is tried, form a class: no snapshot tells them apart.
So do those that the same rules catch, and that lead a reference cache at the same work to the same snapshot, each time.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from sanitree.checker.explore.transitions import Cell, Transitions, transitions
from sanitree.checker.symbolic import E, const, disj
from sanitree.invariants.catalogue import BY_ID
from sanitree.invariants.vocabulary import FULL, MAMBA, SWA, Policy
from sanitree.models.protocol.pages import FAULTS, Pages, pages
from sanitree.models.protocol.pages import words as w
from sanitree.models.protocol.system import System
from sanitree.models.snapshot import Key, write
from tests.blame.corrupting import corrupted

PAGE = Path(__file__).parents[2] / "docs" / "blame-classes.md"

States = NDArray[np.int8]
"""A row a state, a column a cell."""

SMALL = Pages(parents=(0, 1, 2), device=3, host=3, copies=1)
"""A path of three pages: a node can be split, a window can reach over two of them, and below it is room for more."""

MODELS = tuple(
    replace(SMALL, policy=p, components=c) for p, c in product(Policy, ((FULL,), (FULL, SWA), (FULL, MAMBA)))
)

SAME = (frozenset({"copy_is_skipped", "ack_comes_too_early"}),)
"""The classes of more than one fault that were found."""

WORKLOADS = 4
"""Of each kind of cache."""

UNSEEN = frozenset({w.WRITE_COPIED, w.LOAD_COPIED, w.WRITE_REACH, w.LOAD_REACH, w.HELD_REACH})
"""What no observer sees."""


@dataclass(frozen=True, eq=False)
class Machine:
    """A model's expressions, for many states at once."""

    t: Transitions
    at: Mapping[Cell, int]

    @staticmethod
    def of(system: System) -> Machine:
        cells = [(i, n) for n in range(1, system.nodes + 1) for i in range(len(system.variables))]
        return Machine(transitions(system), {cell: i for i, cell in enumerate(cells)})

    def value(self, e: E, states: States, known: dict[E, States]) -> States:
        """An expression in each state."""
        if (found := known.get(e)) is None:
            found = known[e] = self._value(e, states, known)
        return found

    def _value(self, e: E, states: States, known: dict[E, States]) -> States:
        if e.op == "const":
            return np.full(len(states), e.args[0], np.int8)
        if e.op == "bits":
            return states[:, self.at[e.args]]
        x = [self.value(a, states, known) for a in e.args]
        match e.op:
            case "if":
                return np.where(x[0] != 0, x[1], x[2])
            case "and":
                return x[0] & x[1]
            case "or":
                return x[0] | x[1]
            case "not":
                return 1 - x[0]
            case "differ":
                return x[0] ^ x[1]
            case "<":
                return (x[0] < x[1]).astype(np.int8)
            case "<=":
                return (x[0] <= x[1]).astype(np.int8)
            case "=":
                return (x[0] == x[1]).astype(np.int8)
            case "+":
                return x[0] + x[1]
            case "-":
                return x[0] - x[1]
        raise ValueError(f"an expression has no meaning: {e.op}")

    def wrong(self, states: States) -> NDArray[np.bool_]:
        """Which states violate a rule."""
        return self.value(reduce(disj, (r.wrong for r in self.t.rules), const(False)), states, {}) != 0

    def after(self, states: States) -> Iterator[States]:
        """The states after each move."""
        known: dict[E, States] = {}
        for m in self.t.moves:
            may = self.value(m.guard, states, known) != 0
            if may.any():
                new = states[may].copy()
                for cell, e in m.assigned.items():
                    new[:, self.at[cell]] = self.value(e, states, known)[may]
                yield new


def first_violations(m: Machine) -> States:
    """Every state that violates a rule, reached through states that violate none."""
    frontier = np.zeros((1, len(m.at)), np.int8)
    seen = {row.tobytes() for row in frontier}
    found = [frontier[:0]]
    while len(frontier):
        new = np.unique(np.concatenate([frontier[:0], *m.after(frontier)]), axis=0)
        fresh = np.array([row.tobytes() not in seen for row in new], bool)
        new = new[fresh] if len(new) else new
        seen.update(row.tobytes() for row in new)
        wrong = m.wrong(new)
        found.append(new[wrong])
        frontier = new[~wrong]
    return np.concatenate(found)


def shown(m: Machine, states: States) -> frozenset[bytes]:
    """States as a snapshot shows them: without what no observer sees; of slots that no node has, how many are taken and
    how many are free twice."""
    system = m.t.system
    number_of = {v.key: i for i, v in enumerate(system.variables)}

    def column(key: Key, n: int) -> States:
        return states[:, m.at[number_of[key], n]]

    there = {n: reduce(np.maximum, (column(k, n) for k in system.exists)) for n in range(1, system.nodes + 1)}
    columns = []
    for v in system.variables:
        if v.key in UNSEEN:
            continue
        each = [column(v.key, n) for n in there]
        if v.key.name in ("taken", "free_twice"):
            columns.append(sum(x * (1 - there[n]) for n, x in zip(there, each, strict=True)))
            each = [x * there[n] for n, x in zip(there, each, strict=True)]
        columns += each
    return frozenset(row.tobytes() for row in np.stack(columns, axis=1).astype(np.int8)) if len(states) else frozenset()


Damage = frozenset[tuple[int, bytes]]
"""States as snapshots show them, each with the number of its model."""


def damage(fault: str) -> Damage:
    """What a snapshot at the first violation can be. The rules are those of the model without the fault."""
    found: set[tuple[int, bytes]] = set()
    for number, model in enumerate(MODELS):
        if FAULTS[fault].fits(model):
            system = replace(pages(replace(model, fault=fault)), rules=pages(model).rules)
            m = Machine.of(system)
            found |= {(number, state) for state in shown(m, first_violations(m))}
    return frozenset(found)


def classes(damages: Mapping[str, Hashable]) -> list[tuple[str, ...]]:
    """Faults of the same damage, those without any left out."""
    found: dict[Hashable, list[str]] = {}
    for fault, of_it in damages.items():
        if of_it:
            found.setdefault(of_it, []).append(fault)
    return [tuple(names) for names in found.values()]


def at_work() -> list[tuple[str, ...]]:
    """Classes of faults that lead to the same snapshots at the same work, of those that the same rules catch."""
    rules = {fault: frozenset(rules) for fault, rules in caught_by().items()}
    alike = [names for names in classes(rules) if len(names) > 1 and not any(BY_ID[r].on for r in rules[names[0]])]
    return [c for names in alike for c in classes({f: snapshots(f) for f in names}) if len(c) > 1]


def snapshots(fault: str, workloads: int = WORKLOADS) -> tuple[tuple[int, int, str], ...]:
    """What each workload leads to, by the number of its model and its seed."""
    found = []
    for number, model in enumerate(MODELS):
        for seed in range(workloads):
            if (c := corrupted(fault, model.policy, model.components, seed, work="the same")) is not None:
                with TemporaryDirectory() as place:
                    write(c.report.snapshot, file := Path(place) / "snapshot.json", tokens="raw")
                    told = json.loads(file.read_text())
                found.append((number, seed, json.dumps({k: v for k, v in told.items() if k != "origin"})))
    return tuple(found)


def caught_by() -> dict[str, tuple[str, ...]]:
    """Of each fault of the reference cache the rules that its machines caught it by, as docs/faults.md has them."""
    page = PAGE.with_name("faults.md").read_text()
    rows = (line.split("|") for line in page.splitlines() if line.startswith("| `"))
    return {row[1].split("`")[1]: tuple(re.findall(r"\[(\w+)\]\(", row[4])) for row in rows}


def unshown(damages: Mapping[str, Damage]) -> dict[str, str]:
    """Faults whose damage no snapshot can show, and why not."""
    found = {}
    for fault, of_it in damages.items():
        if not of_it:
            found[fault] = "no state that it leads to violates a rule of states"
    for fault, rules in caught_by().items():
        if fault not in damages and all(BY_ID[r].on for r in rules):
            found[fault] = f"only what a call does is wrong, and a rule of steps tells: {', '.join(rules)}"
    return found


def of_books() -> dict[str, tuple[str, ...]]:
    """Faults of what a cache keeps besides the tree, of which the page model has nothing: the rules that tell."""
    return {
        fault: states for fault, rules in caught_by().items()
        if fault not in FAULTS and (states := tuple(r for r in rules if not BY_ID[r].on))
    }  # fmt: skip


HEAD = """<!-- Written by `python -m tests.blame.classes --write`. -->

# Faults that leave the same damage

[Blame](blame.md) can name a fault only as far as its damage tells. So this was worked out before it was
[measured](blame-measured.md): the damage of a fault is every state that violates a rule of states and that the
[page model](model.md) with the fault reaches through states that violate none, as a snapshot shows it. That is what a
snapshot at the first violation can be. Faults of which it is the same set form a class, and blaming any of a class is
right. In {models} models: every policy, full, full+swa and full+mamba, in a path of {pages} pages, a request and a copy
each way at one time; every state of each.
"""


def said(in_model: Sequence[tuple[str, ...]], working: Sequence[tuple[str, ...]]) -> list[str]:
    """The classes of either kind."""

    def names(faults: tuple[str, ...]) -> str:
        return ", ".join(f"`{f}`" for f in faults)

    lines = [f"- {names(c)}: the same states of the model" for c in in_model]
    lines += [
        f"- {names(c)}: the same rules catch them, and {WORKLOADS * len(MODELS)} workloads of a reference cache, done "
        "with each, led to the same snapshots"
        for c in working
    ]
    if not in_model:
        lines += ["", "In the model, of any two faults there is damage that one leaves and the other does not."]
    return lines


def page(damages: Mapping[str, Damage]) -> str:
    """All of it."""
    lines = [HEAD.format(models=len(MODELS), pages=SMALL.count), "## Classes", ""]
    lines += said([c for c in classes(damages) if len(c) > 1], at_work())
    lines += [
        "", "## Damage in common", "",
        "A snapshot of what two faults both leave cannot tell which it was. *Nearest*: the fault that leaves most of",
        "the same states too, and how much of the damage that is. In measuring, the other one is wrong all the same.",
        "", "| fault | states | nearest | in common |", "|---|---|---|---|",
    ]  # fmt: skip
    for fault, of_it in damages.items():
        if of_it:
            shares = {g: len(of_it & other) / len(of_it) for g, other in damages.items() if g != fault}
            near = max(shares, key=lambda g: shares[g])
            told = (f"`{near}`", f"{100 * shares[near]:.0f} %") if shares[near] else ("none", "")
            lines.append(f"| `{fault}` | {len(of_it):,} | {' | '.join(told)} |")
    lines += ["", "## Damage to what is kept besides the tree", "",
              "Leaf sets, LRU lists and counters, of which the page model keeps nothing. Each is told by rules of its",
              "own.", "", "| fault | rules |", "|---|---|"]  # fmt: skip
    lines += [f"| `{fault}` | {', '.join(rules)} |" for fault, rules in of_books().items()]
    lines += ["", "## Damage that no snapshot shows", "", "| fault | why |", "|---|---|"]
    lines += [f"| `{fault}` | {why} |" for fault, why in unshown(damages).items()]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    damages = {}
    for fault in FAULTS:
        damages[fault] = damage(fault)
        print(f"{fault}: {len(damages[fault])} states", flush=True)
    text = page(damages)
    if args.write:
        PAGE.write_text(text)
    else:
        print(text)


if __name__ == "__main__":
    main()
