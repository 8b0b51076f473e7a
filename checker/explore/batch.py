"""A model's expressions on a batch of packed states, as torch tensors."""

from __future__ import annotations

import torch
from torch import Tensor

from sanitree.checker.explore.code import Machine
from sanitree.checker.explore.transitions import Move
from sanitree.checker.explore.words import Place
from sanitree.checker.symbolic import E


class Batch:
    """Expressions by what they come to in each state; what several moves ask for is computed once."""

    def __init__(self, m: Machine, states: Tensor) -> None:
        self.m, self.states = m, states
        self._known: dict[E, Tensor] = {}

    def truth(self, e: E) -> Tensor:
        """Where a condition holds."""
        return self._value(e).bool().expand(len(self.states))

    def escapes(self, move: Move, rows: Tensor) -> bool:
        """Whether a move of these states takes a variable beyond its bounds."""
        for cell, e in move.assigned.items():
            value, top = self._value(e), self.m.model.system.variables[cell[0]].top
            if bool(((value < 0) | (value > top)).expand(len(self.states))[rows].any()):
                return True
        return False

    def after(self, move: Move) -> Tensor:
        """The states after a move, whether or not it may happen."""
        words = list(self.states.unbind(1))
        for cell, e in move.assigned.items():
            p = self.m.layout.places[cell]
            words[p.word] = words[p.word] & ~p.mask | self._value(e).long() << p.offset
        return torch.stack(words, 1)

    def _value(self, e: E) -> Tensor:
        if (found := self._known.get(e)) is None:
            found = self._known[e] = self._compute(e)
        return found

    def _compute(self, e: E) -> Tensor:
        if e.op == "const":
            return torch.tensor(e.args[0], device=self.states.device)
        if e.op == "bits":
            return field(self.states, self.m.layout.places[e.args])
        x = [self._value(a) for a in e.args]
        match e.op:
            case "if":
                return torch.where(x[0].bool(), x[1].long(), x[2].long())
            case "and":
                return x[0] & x[1]
            case "or":
                return x[0] | x[1]
            case "not":
                return ~x[0]
            case "differ":
                return x[0] ^ x[1]
            case "<":
                return x[0] < x[1]
            case "<=":
                return x[0] <= x[1]
            case "=":
                return x[0] == x[1]
            case "+":
                return x[0].long() + x[1].long()
            case "-":
                return x[0].long() - x[1].long()
            case "%":
                return x[0].long() % x[1].long()
        raise ValueError(f"an expression has no meaning: {e.op}")


def field(states: Tensor, p: Place) -> Tensor:
    """The number that is in a place of each state."""
    return states[:, p.word] >> p.offset & (1 << p.width) - 1


def normalized(m: Machine, states: Tensor) -> Tensor:
    """States in their normal form."""
    if not m.exchanges:
        return states
    states = states.clone()
    for swap in m.exchanges:
        pairs = [(field(states, a), field(states, b)) for a, b in swap.parts]
        wrong = torch.zeros(len(states), dtype=torch.bool, device=states.device)
        equal = ~wrong
        for x, y in pairs:
            wrong, equal = wrong | equal & (x > y), equal & (x == y)
        for (a, b), (x, y) in zip(swap.parts, pairs, strict=True):
            change = torch.where(wrong, x ^ y, 0)
            states[:, a.word] ^= change << a.offset
            states[:, b.word] ^= change << b.offset
    return states
