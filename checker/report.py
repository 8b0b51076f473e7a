"""What a check comes to: a verdict, the violations with their evidence, and what was not checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from sanitree.checker.columns import Evaluator
from sanitree.checker.findings import Finding
from sanitree.checker.render.coverage import Coverage
from sanitree.checker.render.words import count
from sanitree.invariants.plugins import catalogue_for
from sanitree.invariants.rules import Check, Rule, checks
from sanitree.invariants.sentences import sentence
from sanitree.invariants.steps import CALL
from sanitree.invariants.terms import Apply, Gather, Get, Op, PathSum, Term, children_of, free_variables
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

    row: where it is in its table. element: id of the node, transfer or request, or number of the slot; None for
    the tree. path: for nodes, the ids from the root's child down to it. tokens: the
    node's whole token path, hashed or raw as the snapshot has it. expected, found:
    for a rule that equates a counter with a recount.
    """

    check: Check
    row: int
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

    def __str__(self) -> str:
        """On one line: the rule, the element, and the values that refute the rule."""
        scope = self.rule.scope.value
        where = scope if self.element is None else f"{scope} {self.element}"
        values = ", ".join(f"{e.what} = {e.value}" for e in self.evidence)
        return f"{self.check.name} at {where}: {self.rule.prose} ({values})"


@dataclass(frozen=True, repr=False)
class Report:
    """The outcome of checking one state. What was found is known at once; evidence is collected when asked for.

    As text it is a headline and a line for each violation, at most three of a rule.
    """

    evaluator: Evaluator
    findings: tuple[Finding, ...]

    @property
    def snapshot(self) -> Snapshot:
        return self.evaluator.snapshot

    @property
    def verdict(self) -> Verdict:
        """VIOLATED if any instance is; INCONCLUSIVE if none is, and not everything was checked."""
        if any(f.violated for f in self.findings):
            return Verdict.VIOLATED
        return Verdict.INCONCLUSIVE if self.unchecked or not self.findings else Verdict.HOLDS

    @property
    def unchecked(self) -> tuple[Finding, ...]:
        """Checks with an instance that could not be judged, or whose scope nobody observed."""
        return tuple(f for f in self.findings if f.unchecked or not f.observed)

    @cached_property
    def violations(self) -> tuple[Violation, ...]:
        """Every violated instance with its evidence, in the catalogue's order."""
        return self.first(None)

    def first(self, limit: int | None) -> tuple[Violation, ...]:
        """The same for at most `limit` instances of each rule; all where None."""
        found: list[Violation] = []
        taken: Counter[str] = Counter()
        for f in self.findings:
            room = None if limit is None else max(0, limit - taken[f.check.rule.id])
            rows = f.violated[:room]
            taken[f.check.rule.id] += len(rows)
            found += [_explain(self.evaluator, f.check, row) for row in rows]
        return tuple(found)

    @property
    def headline(self) -> str:
        """The outcome on one line."""
        seen = Coverage(self.snapshot, self.findings)
        match self.verdict:
            case Verdict.VIOLATED:
                rules = len({f.check.rule.id for f in self.findings if f.violated})
                return f"{count(seen.violated, 'violation')} of {count(rules, 'rule')}"
            case Verdict.HOLDS:
                return f"holds: {seen.extent}"
        return f"inconclusive: nothing is known to be violated, {seen.extent}; not checked: {seen.lacking}"

    def __str__(self) -> str:
        shown = self.first(_TOLD)
        rest = sum(len(f.violated) for f in self.findings) - len(shown)
        return "\n".join([self.headline, *(f"  {v}" for v in shown), *([f"  … and {rest:,} more"] if rest else [])])

    def __repr__(self) -> str:
        return f"<Report: {self.headline}>"


_TOLD = 3  # violations of a rule in a report's text


def check(
    snapshot: Snapshot, rules: Iterable[Rule] | None = None, tell: Callable[[str], None] = lambda _: None
) -> Report:
    """Judge a snapshot by every rule that applies to it, or these, in torch on its columns. `tell` hears what is
    next."""
    evaluator = Evaluator(snapshot)
    todo = checks(catalogue_for(snapshot.settings) if rules is None else rules, snapshot.settings)
    findings = []
    for done, one in enumerate(todo, 1):
        tell(f"checking {one.name} ({done} of {len(todo)})")
        findings.append(evaluator.judge(one))
    return Report(evaluator, tuple(findings))


def _explain(evaluator: Evaluator, check: Check, row: int) -> Violation:
    values = {p: evaluator.value_at(p, check, row) for p in dict.fromkeys(_parts(check.term, check))}
    scope = check.rule.scope
    table = evaluator.table(check)
    node = row if scope is Sort.NODE else None
    if scope is Sort.TRANSFER and Key("node") in table.columns:
        column = table.columns[Key("node")]
        node = int(column.values[row]) if column.known is None or bool(column.known[row]) else None
    s, at = evaluator.node(node or 0)
    path = s.path_to(at)
    expected, found = _recount(evaluator, check, row)
    return Violation(
        check=check,
        row=row,
        element=None if scope is Sort.TREE else int(table.ids[row]),
        path=tuple(int(s.nodes.ids[r]) for r in path),
        tokens=s.tokens_of(path) or (),
        evidence=tuple(Evidence(sentence(p), v) for p, v in values.items()),
        expected=expected,
        found=found,
    )


def _parts(term: Term, check: Check) -> Iterable[Term]:
    """The parts that have a value of their own at an instance: fields and folds, outermost first."""
    if isinstance(term, Get | Gather | PathSum) and free_variables(term) <= {check.rule.var, CALL}:
        if term.sort in (Sort.BOOL, Sort.INT):
            yield term
        return
    for part in children_of(term):
        yield from _parts(part, check)


def _recount(evaluator: Evaluator, check: Check, row: int) -> tuple[int | None, int | None]:
    """(expected, found) for a rule that equates a field, or what is left of one, with a recount."""
    term = check.term
    if isinstance(term, Apply) and term.op is Op.IMPLIES:
        term = term.args[1]
    if isinstance(term, Apply) and term.op is Op.EQ:
        for counter, recount in (term.args, term.args[::-1]):
            if isinstance(_first_operand(counter), Get) and isinstance(recount, Gather | PathSum | Apply):
                return evaluator.value_at(recount, check, row), evaluator.value_at(counter, check, row)
    return None, None


def _first_operand(term: Term) -> Term:
    """The first operand of a sum or difference, or the term itself."""
    while isinstance(term, Apply) and term.op in (Op.ADD, Op.SUB):
        term = term.args[0]
    return term
