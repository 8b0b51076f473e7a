"""A model as Promela, so that SPIN can check what the explorer says: the same states, the same transitions.

One process in one loop: an alternative of a single step for each move, and one for each rule,
which a state can take that violates it. The rules' alternatives lead nowhere else, so SPIN
counts states as the explorer does, and one transition more (it counts the way to the first state).

    sanitree explore --preset heap --policy write_back --pages 8 --promela heap.pml
    spin -a heap.pml && gcc -O3 -DSAFETY -DNOREDUCE -DNOFAIR -DBFS -o pan pan.c && ./pan -w24
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from sanitree.checker.explore.transitions import Cell, Forbidden, Move, Transitions
from sanitree.checker.symbolic import FALSE, E
from sanitree.models.protocol.system import Variable


def promela(t: Transitions) -> str:
    """The model as the text of a Promela file. A variable that a move takes beyond its top is cut off, not told."""
    write = _Writer(t)
    moves = "\n".join(write.move(m) for m in t.moves)
    rules = "\n".join(write.rule(number, r) for number, r in enumerate(t.rules, 1) if r.wrong != FALSE)
    return _FILE.format(
        about="\n".join(f" * {line}" for line in _about(t)),
        variables="\n".join(write.declared()),
        kept="".join(f"\nint kept{i};  /* 0 between steps */" for i in range(write.kept)),
        moves=f"{moves}\n{rules}".strip("\n") or "  :: false",
    )


_FILE = """\
/*
{about}
 */

{variables}{kept}

active proctype model()
{{
end:  /* a state that allows no move is no error; without this label SPIN reports it */
  do
{moves}
  od
}}
"""


def _about(t: Transitions) -> Iterator[str]:
    s = t.system
    components = "+".join(c.name for c in s.settings.components)
    yield f"The model {s.name} of sanitree: {s.settings.policy.value}, {components}, at most {s.nodes} nodes."
    yield f"Parents of the nodes 1 to {s.nodes}: {', '.join(map(str, s.parents))}; 0 is the root, which never changes."
    yield f"{len(t.moves)} moves. SPIN counts one transition more than sanitree: the way to the first state."
    for number, r in enumerate(t.rules, 1):
        yield f"A state that violates {r.rule} fails the assertion ({number}==0)."


def _identifier(name: str) -> str:
    return re.sub(r"\W+", "_", name).strip("_")


class _Writer:
    def __init__(self, t: Transitions) -> None:
        self.system = t.system
        self.kept = 0

    def declared(self) -> Iterator[str]:
        """A node's variables side by side, as bit fields: SPIN packs those."""
        for node in range(1, self.system.nodes + 1):
            yield " ".join(self._declared(i, v, node) for i, v in enumerate(self.system.variables))

    def _declared(self, number: int, v: Variable, node: int) -> str:
        first = self.system.first.get((v.key, node), 0)
        return f"unsigned {self.cell((number, node))} : {v.bits}{f' = {first}' if first else ''};"

    def cell(self, at: Cell) -> str:
        key = self._variable(at).key
        return f"{_identifier('_'.join(p for p in (key.component, key.tier, key.name) if p))}_{at[1]}"

    def _variable(self, at: Cell) -> Variable:
        return self.system.variables[at[0]]

    def _is_bit(self, e: E) -> bool:
        return e.op == "bits" and self._variable((e.args[0], e.args[1])).top == 1

    def move(self, m: Move) -> str:
        steps = "; ".join(self.steps(m.assigned))
        return f"  :: d_step {{ {self.said(m.guard)} -> {steps or 'skip'} }}  /* {m.action.name} of node {m.node} */"

    def rule(self, number: int, r: Forbidden) -> str:
        return f"  :: d_step {{ {self.said(r.wrong)} -> assert({number} == 0) }}  /* {r.rule} */"

    def steps(self, assigned: Mapping[Cell, E]) -> Iterator[str]:
        """Assignments one after the other that come to what all at once do: each before what it reads is changed."""
        left = {at: (value, _reads(value) - {at}) for at, value in assigned.items()}
        last: list[str] = []
        while left:
            read = set[Cell]().union(*(reads for _, reads in left.values()))
            at = next((c for c in left if c not in read), None)
            if at is not None:
                yield f"{self.cell(at)} = {self.said(left.pop(at)[0])}"
                continue
            at = next(iter(left))  # they read each other: one waits
            yield f"kept{len(last)} = {self.said(left.pop(at)[0])}"
            last.append(f"{self.cell(at)} = kept{len(last)}; kept{len(last)} = 0")
        self.kept = max(self.kept, len(last))
        yield from last

    def said(self, e: E) -> str:
        """A condition or a number."""
        if e.op == "const":
            return str(int(e.args[0]))
        if e.op == "bits":
            return self.cell((e.args[0], e.args[1]))
        if e.op in ("and", "or"):
            return f"({_WORDS[e.op].join(self.said(x) for x in _flat(e, e.op))})"
        if e.op == "not":
            return f"!({self.said(e.args[0])})"
        if e.op == "if":
            c, a, b = (self.said(x) for x in e.args)
            return f"({c} -> {a} : {b})"
        a, b = (self.said(x) for x in e.args)
        if e.op == "<" and a == "0" and self._is_bit(e.args[1]):
            return b
        if e.op == "<=" and b == "0" and self._is_bit(e.args[0]):
            return f"!{a}"
        return f"({a} {_WORDS.get(e.op, e.op)} {b})"


_WORDS = {"and": " && ", "or": " || ", "differ": "!=", "=": "=="}


def _flat(e: E, op: str) -> Iterable[E]:
    """What a conjunction or a disjunction is made of, so that SPIN sees no deeper nesting than it must."""
    return (y for x in e.args for y in _flat(x, op)) if e.op == op else (e,)


def _reads(e: E) -> set[Cell]:
    return {(x.args[0], x.args[1]) for x in e.all() if x.op == "bits"}
