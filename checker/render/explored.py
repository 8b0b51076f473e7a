"""A search in words: what it covered, what it found, and the way there as differences."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from sanitree.checker.difference import difference
from sanitree.checker.explore.configured import Configuration, Model
from sanitree.checker.explore.confirm import Again
from sanitree.checker.explore.outcome import Outcome
from sanitree.checker.explore.ranks import Disagreement
from sanitree.checker.explore.results import Sofar, Values
from sanitree.checker.explore.transitions import Move
from sanitree.checker.render.difference import lines, texts
from sanitree.checker.render.words import BOLD, DIM, GREEN, RED, YELLOW, Whole, clean, count, some_of, value
from sanitree.checker.replay import Answer
from sanitree.checker.report import Verdict, Violation
from sanitree.models.snapshot import Snapshot

_STYLE = {Verdict.HOLDS: ("✓", GREEN), Verdict.VIOLATED: ("✗", RED), Verdict.INCONCLUSIVE: ("?", YELLOW)}


_MANY = 100_000  # states from which on memory is theirs and not the buffers'


def progress_line(s: Sofar) -> str:
    """How far a search is, on one line."""
    rate = s.states / s.seconds if s.seconds else 0.0
    return f"{s.states:,} states ({rate:,.0f}/s), depth {s.depth}, {s.queue:,} in the queue"


def covered(s: Sofar) -> str:
    """What an interrupted search had seen."""
    return f"{count(s.states, 'state')} and {count(s.transitions, 'transition')} seen, to depth {s.depth}"


def named(c: Configuration, nodes: int) -> str:
    """A model in a few words."""
    fault = f" with {c.fault}" if c.fault else ""
    ranks = f" on {c.ranks} ranks" if c.ranks > 1 else ""
    components = "+".join(x.name for x in c.components)
    return f"{c.preset}{ranks}{fault}, {c.policy.value}, {components}, {count(nodes, 'page')}"


def render(o: Outcome, file: str | None) -> RenderableType:
    """All of it for people."""
    parts: list[RenderableType] = [_headline(o), *(_in(line) for line in _extent(o))]
    if o.violation is not None:
        assert o.searched.violation is not None
        trace = o.searched.violation.trace
        parts += [Text(), *steps(o.model, trace.moves, trace.states), *_evidence(o.model, o.violation)]
    for p in o.searched.progress:
        if p.stuck is not None:
            parts += [Text(), Text(f"{p.name}: {promise_of(o.model, p.name)}", RED)]
            parts.append(_in(Text("After these moves, nothing that may be done leads there any more:")))
            parts += steps(o.model, p.stuck.moves, p.stuck.states)
    if o.searched.deadlock is not None and o.violation is None:
        moves = ", ".join(f"{m.action.name} {o.model.name(m.node)}" for m in o.searched.deadlock.moves)
        parts += [Text(), _in(Text(f"a state that allows no move: {moves or 'the first'}", YELLOW))]
    parts += [Text(), *(_in(line) for line in _rules(o))]
    if file is not None:
        parts.append(Whole(Text(f"sanitree replay {file}"), 2))
    return Group(*parts)


def again(a: Again) -> RenderableType:
    """A trace that was done again."""
    style = {Answer.REPRODUCED: RED, Answer.GONE: GREEN}.get(a.answer, YELLOW)
    where = f" on the model {named(a.model.configuration, a.model.system.nodes)}" if a.model else ""
    parts: list[RenderableType] = [Text(f"{a.answer.value}{where}: {clean(a.reason)}", style)]
    if a.model is not None:
        parts += [*steps(a.model, a.moves, a.states), *_evidence(a.model, a.violations)]
    return Group(*parts)


def steps(m: Model, moves: Sequence[Move], states: Sequence[Values]) -> Iterator[RenderableType]:
    """A run: each move in words, and the difference that it makes."""
    snapshots = [m.snapshots(s) for s in states]
    for number, (move, (before, after)) in enumerate(zip(moves, pairwise(snapshots), strict=False), 1):
        grid = Grid.grid(padding=(0, 1, 0, 0))
        grid.add_row(
            Text(f"{number:>3}."),
            Text(f"{move.action.name} of node {m.name(move.node)}", BOLD).append(f"  {words(move)}", DIM),
        )
        yield grid
        yield from _changes(before, after)


def _changes(before: Sequence[Snapshot], after: Sequence[Snapshot]) -> Iterator[RenderableType]:
    """What a move changes on rank 0, and on those on which that is something else."""
    each = [difference(a, b) for a, b in zip(before, after, strict=True)]
    told = [[line.plain for line in texts(d)] for d in each]
    for rank, changed in enumerate(each):
        if rank and told[rank] == told[0]:
            continue
        if any(x != told[0] for x in told):
            yield _in(Text(f"rank {rank}:", DIM), 5)
        yield from (_in(line, 5) for line in lines(changed))
        if not told[rank]:
            yield _in(Text("nothing that a snapshot shows", DIM), 7)


def promise_of(m: Model, name: str) -> str:
    """What can always still be done, in a sentence."""
    return next((p.prose for p in m.system.promises if p.name == name), "it can always still be done")


def words(move: Move) -> str:
    """What a move is, in a sentence."""
    return re.split(r"(?<=\.)\s", " ".join(move.action.prose.split()))[0]


def _in(what: RenderableType, by: int = 2) -> Padding:
    return Padding(what, (0, 0, 0, by), expand=False)


def _headline(o: Outcome) -> Text:
    sign, style = _STYLE[o.verdict]
    what = named(o.model.configuration, o.model.system.nodes)
    match o.verdict:
        case Verdict.VIOLATED if o.searched.violation is not None:
            moves = len(o.searched.violation.trace.moves)
            told = f"{o.searched.violation.rule} is violated after {count(moves, 'move')}, and after no fewer"
        case Verdict.VIOLATED:
            told = f"{next(p.name for p in o.searched.progress if p.holds is False)} is not kept"
        case Verdict.HOLDS:
            told = "holds in every state within these bounds"
        case _:
            told = f"inconclusive: {o.why}"
    return Text(f"{sign} {what}: {told}", style)


def _extent(o: Outcome) -> Iterator[Text]:
    s = o.searched
    dead = f"{count(s.dead, 'state')} without a move" if s.dead else "no state without a move"
    yield Text(f"{count(s.states, 'state')}, {count(s.transitions, 'transition')}, depth {s.depth}, {dead}")
    rate = s.states / s.search_seconds if s.search_seconds else 0.0
    each = f", {s.peak_bytes / s.states:.1f} bytes a state" if s.states >= _MANY else ""
    yield Text(
        f"searched in {s.search_seconds:.2f} s on {o.where} ({rate:,.0f} states/s), compiled in "
        f"{s.compile_seconds:.2f} s; {s.peak_bytes / 2**20:,.1f} MiB{each}",
        DIM,
    )
    yield Text(f"bounds: {', '.join(o.bounds_told())}", DIM)


def _rules(o: Outcome) -> Iterator[Text]:
    s, m = o.searched, o.model
    if o.model.judged != o.model.system.settings:
        yield Text(f"judged by the rules of {m.judged.policy.value}; the model runs {m.system.settings.policy.value}",
                   YELLOW)  # fmt: skip
    names = [r.rule for r in m.transitions.rules]
    held = [n for n in names if n not in o.unexercised and (s.violation is None or n != s.violation.rule)]
    if held:
        yield _named(f"{count(len(held), 'rule')} {'held' if s.complete else 'not violated so far'}", held)
    if not names:
        yield Text("no rule was judged", YELLOW)
    if o.unexercised:
        what = f"{count(len(o.unexercised), 'rule')} never put to the test, so that nothing is known of them"
        yield Text(f"{what}: {some_of(o.unexercised, 12)}", YELLOW)
    if m.transitions.unsaid:
        what = f"{count(len(m.transitions.unsaid), 'rule')} not judged, the model has no fields for them"
        yield _named(what, m.transitions.unsaid, DIM)
    if s.unfired:
        yield Text(f"never happened: {', '.join(s.unfired)}", YELLOW)
    for p in s.progress:
        if p.holds and p.sources:
            yield Text(f"{p.name}: always possible, from {count(p.sources, 'state')}")
        elif p.holds:
            yield Text(f"{p.name}: never called for", YELLOW)
        elif p.holds is None:
            yield Text(f"{p.name}: not known, not every state was seen", YELLOW)


def _named(what: str, checks: Sequence[str], style: str = "") -> Text:
    """Checks by the ids of their rules, once each."""
    ids = list(dict.fromkeys(name.split("[")[0] for name in checks))
    return Text(f"{what}: {some_of(ids, 12)}", style)


def _evidence(m: Model, violations: Sequence[Violation | Disagreement]) -> Iterator[RenderableType]:
    for v in violations[:3]:
        if isinstance(v, Disagreement):
            yield _in(Text(f"✗ {v.rule.id}", RED))
        else:
            element = "" if v.element is None else f" at {v.rule.scope.value} {v.element}"
            yield _in(Text(f"✗ {v.check.name}{element}", RED))
        yield _in(Text(v.rule.prose), 4)
        for e in v.evidence:
            yield _in(Text(f"{e.what}: {value(e.value)}", DIM), 4)
    if len(violations) > 3:
        yield _in(Text(f"… and {count(len(violations) - 3, 'more violation')} of it", DIM), 4)
