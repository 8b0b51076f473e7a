"""What a check comes to: a verdict, the violations with their evidence, and what was not checked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from sanitree.checker.columns import Evaluator
from sanitree.checker.findings import Finding
from sanitree.invariants.rules import Check, Rule, checks
from sanitree.invariants.sentences import sentence
from sanitree.invariants.terms import Apply, Fold, Gather, Get, Op, PathSum, Term, children_of, free_variables
from sanitree.invariants.vocabulary import Sort
from sanitree.models.snapshot import Key, Snapshot


class Verdict(Enum):
    """The three answers. A rule that was nowhere checked never makes HOLDS."""

    HOLDS = "holds"
    VIOLATED = "violated"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Evidence:
    """A part of a rule and its value where the rule is false; None where that part is unknown."""

    what: str
    value: bool | int | None


@dataclass(frozen=True, slots=True)
class Violation:
    """One instance of a rule that is false.

    element: id of the node, transfer or request, or number of the slot; None for
    the tree. path: for nodes, the ids from the root's child down to it. tokens: the
    node's whole token path, hashed or raw as the snapshot has it. expected, found:
    for a rule that equates a counter with a recount.
    """

    check: Check
    element: int | None
    path: tuple[int, ...]
    tokens: tuple[int, ...]
    evidence: tuple[Evidence, ...]
    expected: int | None = None
    found: int | None = None

    @property
    def rule(self) -> Rule:
        return self.check.rule

    @property
    def text(self) -> str:
        """The rule as it was instantiated, as a sentence."""
        return sentence(self.check.term)


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of checking one state."""

    snapshot: Snapshot
    findings: tuple[Finding, ...]
    violations: tuple[Violation, ...]

    @property
    def verdict(self) -> Verdict:
        if self.violations:
            return Verdict.VIOLATED
        return Verdict.INCONCLUSIVE if self.unchecked or not self.findings else Verdict.HOLDS

    @property
    def unchecked(self) -> tuple[Finding, ...]:
        """Checks with an instance that could not be judged, or whose scope nobody observed."""
        return tuple(f for f in self.findings if f.unchecked or not f.observed)


def check(snapshot: Snapshot, rules: Iterable[Rule]) -> Report:
    """Judge a snapshot by every rule that applies to it, in torch on its columns."""
    evaluator = Evaluator(snapshot)
    findings = tuple(evaluator.judge(c) for c in checks(rules, snapshot.settings))
    return Report(snapshot, findings, explain(evaluator, findings))


def explain(evaluator: Evaluator, findings: Sequence[Finding]) -> tuple[Violation, ...]:
    """Evidence for every violated instance, in the order of the findings."""
    return tuple(_explain(evaluator, f.check, row) for f in findings for row in f.violated)


def _explain(evaluator: Evaluator, check: Check, row: int) -> Violation:
    s = evaluator.snapshot
    parts = list(dict.fromkeys(_parts(check.term, check)))
    values = {p: evaluator.value_at(p, check, row) for p in parts}
    scope = check.rule.scope
    table = evaluator.table(check)
    node = row if scope is Sort.NODE else None
    if scope is Sort.TRANSFER and s.transfers is not None:
        node = int(s.transfers.columns[Key("node")].values[row]) if Key("node") in s.transfers.columns else None
    path = _path(s, node) if node else ()
    expected, found = _recount(check.term, values)
    return Violation(
        check=check,
        element=None if scope is Sort.TREE else int(table.ids[row]),
        path=tuple(int(s.nodes.ids[r]) for r in path),
        tokens=_tokens(s, path),
        evidence=tuple(Evidence(sentence(p), v) for p, v in values.items()),
        expected=expected,
        found=found,
    )


def _parts(term: Term, check: Check) -> Iterable[Term]:
    """The parts that have a value of their own at an instance: fields and folds, outermost first."""
    if isinstance(term, Get | Gather | PathSum) and free_variables(term) <= {check.rule.var}:
        if term.sort in (Sort.BOOL, Sort.INT):
            yield term
        return
    for part in children_of(term):
        yield from _parts(part, check)


def _recount(term: Term, values: dict[Term, bool | int | None]) -> tuple[int | None, int | None]:
    """(expected, found) for a term that equates a field with a fold."""
    if isinstance(term, Apply) and term.op is Op.EQ:
        for field, fold in (term.args, term.args[::-1]):
            if isinstance(field, Get) and isinstance(fold, Gather) and fold.fold in (Fold.SUM, Fold.COUNT):
                return values.get(fold), values.get(field)
    return None, None


def _path(s: Snapshot, row: int) -> list[int]:
    path = []
    while row:
        path.append(row)
        row = int(s.parent[row])
    return path[::-1]


def _tokens(s: Snapshot, path: Iterable[int]) -> tuple[int, ...]:
    keys = s.nodes.lists.get(Key("key"))
    return () if keys is None else tuple(t for row in path for t in keys[row].tolist())
