"""A report for people: the verdict, each violated rule with its evidence, and what was not checked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from sanitree.checker.render.coverage import Coverage
from sanitree.checker.render.elements import name, node_name
from sanitree.checker.render.header import notes
from sanitree.checker.render.overridden import FileSays
from sanitree.checker.render.rules import conditions, scope_of
from sanitree.checker.render.words import (
    BOLD,
    CYAN,
    DIM,
    GREEN,
    RED,
    YELLOW,
    Whole,
    clean,
    count,
    some_of,
    tokens,
    value,
)
from sanitree.checker.report import Verdict, Violation
from sanitree.invariants.rules import Check, Rule
from sanitree.models.snapshot import Snapshot

_STYLE = {Verdict.HOLDS: GREEN, Verdict.VIOLATED: RED, Verdict.INCONCLUSIVE: YELLOW}


def render(
    file: str,
    s: Snapshot,
    violations: Sequence[Violation],
    verdict: Verdict,
    coverage: Coverage,
    partial: bool,
    says: FileSays,
) -> RenderableType:
    """All of it. `violations` may be some of them only; `coverage` counts them all."""
    return Group(
        Whole(_headline(file, verdict, coverage, partial)),
        _indent(Text(about(s, says), DIM), 2),
        *(_indent(note, 2) for note in notes(s)),
        *_violations(s, violations, coverage),
        Text(),
        *_coverage(coverage, verdict, partial),
    )


def _indent(what: RenderableType, by: int) -> Padding:
    return Padding(what, (0, 0, 0, by), expand=False)


def about(s: Snapshot, says: FileSays) -> str:
    """Origin, settings and size of a snapshot on one line; traits where the file says others."""
    o, settings = s.origin, s.settings
    parts = [
        f"{o.engine} {says.engine_version}, {o.core} core",
        says.policy,
        says.components,
        f"page size {settings.page_size}",
        *([f"traits {says.traits}"] if "traits" in says.overridden else []),
        count(len(s.nodes), "node"),
    ]
    return clean(" · ".join(parts))


def _headline(file: str, verdict: Verdict, coverage: Coverage, partial: bool) -> Text:
    text = Text.assemble((clean(file), BOLD), "  ", (verdict.value.upper(), _STYLE[verdict]))
    match verdict:
        case Verdict.VIOLATED:
            broken = sum(any(f.violated for f in fs) for _, fs in coverage.rules.values())
            text.append(f"  {count(coverage.violated, 'violation')} of {count(broken, 'rule')}")
        case Verdict.HOLDS if partial and coverage.gaps:
            text.append("  for what was observed; see below what was not checked")
        case Verdict.INCONCLUSIVE if coverage.unseen:
            text.append(f"  nothing is violated, but {_cannot(len(coverage.unseen))} be checked")
        case Verdict.INCONCLUSIVE if coverage.gaps:
            text.append("  nothing is violated, but some rules could not be checked everywhere")
        case Verdict.INCONCLUSIVE if coverage.findings:
            text.append("  no rule that was asked for had anything to judge here")
        case Verdict.INCONCLUSIVE:
            text.append("  none of the rules that were asked for applies to this cache")
    return text


def _cannot(rules: int) -> str:
    return f"{count(rules, 'rule')} could not"


def _violations(s: Snapshot, found: Sequence[Violation], coverage: Coverage) -> Iterator[RenderableType]:
    by_rule = groupby(found, lambda v: v.rule)
    for rule, violations in by_rule:
        findings = coverage.rules[rule.id][1]
        total = sum(len(f.violated) for f in findings)
        yield Text()
        yield Text.assemble((f"✗ {rule.id}", RED), (f"  {rule.family.value} · {count(total, 'violation')}", DIM))
        yield _indent(Text(rule.prose), 2)
        shown = 0
        for check, of_check in groupby(violations, lambda v: v.check):
            yield _indent(Text(next_sentence(check), CYAN), 2)
            for v in of_check:
                shown += 1
                yield _indent(_violation(s, v), 4)
        if total > shown:
            yield _indent(
                Text(f"… {count(total - shown, 'more violation')} of this rule (--limit 0 shows all)", DIM), 4
            )


def next_sentence(check: Check) -> str:
    """A check's rule as it was instantiated, headed by what it was instantiated for."""
    from sanitree.invariants.sentences import sentence

    variant = check.name.removeprefix(check.rule.id)
    return f"{variant + ' ' if variant else ''}{sentence(check.term)}"


def _violation(s: Snapshot, v: Violation) -> RenderableType:
    named = name(s, v)
    head = Text(named.text, BOLD)
    held = s.tokens_of(named.path)
    if named.path and held is not None:
        head.append(f"  tokens {tokens(held, s.tokens, 12)}", "not bold")
        if len(held) > 12:
            head.append(f" ({count(len(held), 'token')})", "not bold")
    lines: list[RenderableType] = [head]
    if len(named.path) > 1:
        above = [node_name(s, row).removeprefix("node ") for row in named.path]
        short = above if len(above) <= 10 else [*above[:4], f"… {len(above) - 8:,} more …", *above[-4:]]
        lines.append(_indent(Text(f"path: {' › '.join(short)}", DIM), 2))
    if v.expected is not None and v.found is not None:
        off = v.found - v.expected
        lines.append(
            _indent(
                Text(f"expected {v.expected:,}, found {v.found:,} ({abs(off):,} too {'many' if off > 0 else 'few'})"), 2
            )
        )
    elif v.evidence:
        width = max(len(e.what) for e in v.evidence)
        if width > 48 or len(v.evidence) > 12:
            width = 0
        lines += [_indent(Text(f"{e.what:<{width}} = {value(e.value)}"), 2) for e in v.evidence]
    return Group(*lines)


def _coverage(c: Coverage, verdict: Verdict, partial: bool) -> Iterator[RenderableType]:
    if not c.findings:
        yield from (_indent(Text(_applies(rule)), 2) for rule in c.asked[:_MOST])
    checked = f"checked: {c.extent}"
    if c.idle:
        checked += f"; {count(len(c.idle), 'rule')} had nothing to judge ({some_of(c.idle, 3)})"
    yield _indent(Text(checked), 2)
    if not c.gaps:
        if c.findings:
            yield _indent(Text("not checked: nothing, every instance was judged", DIM), 2)
        return
    yield _indent(Text(f"not checked: {c.lacking}, for want of these observations:", YELLOW), 2)
    for lacking, affected in _lacking(c).items():
        yield _indent(Text.assemble(("? ", YELLOW), ", ".join(lacking) or "unknown values"), 4)
        yield _indent(Text(some_of(affected, 12), DIM), 8)
    if verdict is Verdict.INCONCLUSIVE and not partial:
        yield _indent(Text("--partial accepts a partial view and judges what was observed", DIM), 2)


_MOST = 12  # rules that do not apply, with what they apply to


def _applies(rule: Rule) -> str:
    return f"{rule.id} applies {conditions(rule) or f'to each {scope_of(rule)}'}"


def _lacking(c: Coverage) -> dict[tuple[str, ...], list[str]]:
    """Rules by the fields they lacked, whatever component and tier; "in part" where they were judged somewhere."""
    found: dict[tuple[str, ...], dict[str, None]] = {}
    for gap in c.gaps:
        fields = tuple(sorted({re.sub(r"\[.*?\]", "", name) for name in gap.missing}))
        for f in gap.findings:
            found.setdefault(fields, {})[f.check.rule.id] = None
    nowhere = set(c.unseen)
    return {
        fields: [rule if rule in nowhere else f"{rule} (in part)" for rule in rules] for fields, rules in found.items()
    }
