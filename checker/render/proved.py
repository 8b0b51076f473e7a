"""A proof in words: what was proved, what is not inductive and from which tree, and what nobody knows."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from sanitree.checker.difference import difference
from sanitree.checker.explore.configured import Configuration
from sanitree.checker.prove.results import Answer, Counterexample, Pair, Proof
from sanitree.checker.render.difference import lines
from sanitree.checker.render.explored import words
from sanitree.checker.render.marks import marks
from sanitree.checker.render.outline import Outline
from sanitree.checker.render.tree import Tree
from sanitree.checker.render.words import BOLD, DIM, GREEN, RED, YELLOW, count, some_of
from sanitree.checker.report import Verdict, check

_STYLE = {Verdict.HOLDS: ("✓", GREEN), Verdict.VIOLATED: ("✗", RED), Verdict.INCONCLUSIVE: ("?", YELLOW)}
_SHOWN = 3
"""Counterexamples that are drawn; the other pairs are named."""

WIDTH = 76


def named(c: Configuration) -> str:
    """What was proved something of."""
    fault = f" with {c.fault}" if c.fault else ""
    return f"{c.preset}{fault}, {c.policy.value}, {'+'.join(x.name for x in c.components)}"


def render(p: Proof) -> RenderableType:
    """All of it for people."""
    broken = [x for x in p.pairs if x.answer is Answer.BROKEN]
    unknown = [x for x in p.pairs if x.answer is Answer.UNKNOWN]
    parts: list[RenderableType] = [_headline(p, broken, unknown), *map(_in, _extent(p))]
    # One drawing for each action, of a rule that a live tree shows where there is one.
    for action, pairs in groupby(broken, lambda x: x.action):
        told = list(pairs)
        parts += [Text(), *_broken(action, told)]
    if unknown:
        parts += [Text(), Text("not known:", YELLOW)]
        parts += [_in(Text(f"{x.action} × {x.claim}: {x.reason}")) for x in unknown]
    if p.idle:
        parts.append(Text(f"never possible, so that nothing is shown of them: {', '.join(p.idle)}", YELLOW))
    parts += [Text(), *map(_in, _claims(p))]
    return Group(*parts)


def _headline(p: Proof, broken: list[Pair], unknown: list[Pair]) -> Text:
    sign, style = _STYLE[p.verdict]
    match p.verdict:
        case Verdict.HOLDS:
            told = f"proved for trees of {p.size}"
        case Verdict.VIOLATED:
            told = f"not inductive: {count(len(broken), 'pair')} of an action and a rule"
        case _:
            told = f"inconclusive: {count(len(unknown), 'pair')} not known" if unknown else "inconclusive"
    return Text(f"{sign} {named(p.configuration)}: {told}", style)


def _extent(p: Proof) -> Iterator[Text]:
    proved = sum(x.answer is Answer.PROVED for x in p.pairs)
    yield Text(f"{proved:,} of {count(len(p.pairs), 'pair')} proved for trees of {p.size}, in {p.seconds:.1f} s")


def _broken(action: str, pairs: list[Pair]) -> Iterator[RenderableType]:
    shown = next((x for x in pairs if x.counterexample and x.counterexample.violations), pairs[0])
    yield Text(f"✗ {action} breaks {some_of([x.claim for x in pairs], 8)}", RED)
    if (c := shown.counterexample) is not None:
        yield from _drawn(shown, c)


def _drawn(pair: Pair, c: Counterexample) -> Iterator[RenderableType]:
    before, after = c.model.snapshot(c.before), c.model.snapshot(c.after)
    if c.move is not None:
        yield _in(Text("before, where every rule holds (whether it can be reached, nobody says):", DIM))
        found = marks(before, check(before, rules=[]).findings)
        outline = Outline(before.parent.tolist(), set(), set(), 0, None)
        outline.choose(None)
        yield from (_in(line, 4) for line in Tree(before, outline, found, WIDTH).draw())
        yield _in(Text(f"{c.move.action.name} of node {c.move.node}", BOLD).append(f"  {words(c.move)}", DIM))
        changes = lines(difference(before, after))
        yield from (_in(line, 4) for line in changes)
        if not changes:
            yield _in(Text("nothing that a snapshot shows", DIM), 4)
    if not c.violations:
        yield _in(Text(f"after it {pair.claim} does not hold: of what only the model keeps", RED))
    for v in c.violations[:_SHOWN]:
        yield _in(Text(f"after it {v.check.name} does not hold: {v.rule.prose}", RED))


def _claims(p: Proof) -> Iterator[Text]:
    bad = {x.claim for x in p.pairs if x.answer is not Answer.PROVED}
    held = [c for c in p.claims if c not in bad and c not in p.auxiliary]
    if held:
        yield Text(f"kept by every action: {', '.join(held)}")
    own = [c for c in p.claims if c in p.auxiliary]
    if own:
        yield Text(f"and what the induction needs of the model besides: {', '.join(own)}", DIM)
    if p.unneeded:
        yield Text(f"that no other proof supposed: {', '.join(p.unneeded)}", DIM)
    for name, why in p.unsaid.items():
        yield Text(f"no claim in a tree of any size: {name}: {why}", DIM)


def _in(what: RenderableType, by: int = 2) -> Padding:
    return Padding(what, (0, 0, 0, by), expand=False)


def plain_proof(p: Proof, exit_code: int) -> dict[str, object]:
    """A proof as data for machines."""
    return {
        "verdict": p.verdict.value,
        "exit": exit_code,
        "size": p.size,
        "pairs": [
            {
                "action": x.action, "rule": x.claim, "verdict": x.answer.value, "seconds": round(x.seconds, 4),
                "uses": sorted(x.uses), "auxiliary": x.claim in p.auxiliary,
            }
            for x in p.pairs
        ],
        "unprovable": [
            {
                "action": x.action, "rule": x.claim, "reason": x.reason or "the action breaks it",
                "counterexample": None if x.counterexample is None else _plain(x.counterexample),
            }
            for x in p.pairs if x.answer is not Answer.PROVED
        ],
        "unsaid": dict(p.unsaid),
        "idle": list(p.idle),
        "unneeded": list(p.unneeded),
        "seconds": round(p.seconds, 3),
    }  # fmt: skip


def _plain(c: Counterexample) -> dict[str, object]:
    from sanitree.checker.render import plain

    s = c.model.system
    after = c.model.snapshot(c.after)

    def state(values: object) -> dict[str, dict[str, int]]:
        assert isinstance(values, dict)
        return {
            str(n): kept
            for n in range(1, s.nodes + 1)
            if (kept := {str(v.key): values[i, n] for i, v in enumerate(s.variables) if values[i, n]})
        }

    return {
        "parents": list(s.parents),
        "before": state(dict(c.before)),
        "move": None if c.move is None else {"action": c.move.action.name, "node": c.move.node},
        "after": state(dict(c.after)),
        "violations": [plain.violation(after, v) for v in c.violations],
    }
