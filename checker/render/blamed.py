"""What a bad tree may have come from, as a story: the tree before, what happened and what was wrong with it, after."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import measure_renderables
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from sanitree.checker.blame.causes import Assumed
from sanitree.checker.blame.run import Blamed
from sanitree.checker.blame.search import Explanation
from sanitree.checker.difference import difference
from sanitree.checker.render import plain
from sanitree.checker.render.difference import lines
from sanitree.checker.render.explored import words
from sanitree.checker.render.header import header
from sanitree.checker.render.marks import marks
from sanitree.checker.render.outline import Outline
from sanitree.checker.render.overridden import FileSays
from sanitree.checker.render.tree import Tree
from sanitree.checker.render.words import BOLD, DIM, GREEN, RED, YELLOW, clean, count, some_of
from sanitree.checker.report import check
from sanitree.models.protocol.pages.named import as_named
from sanitree.models.snapshot import Snapshot

_WIDTH = 76
_NAMED = 6
_BETWEEN = 2
"""Columns between two trees."""


def render(name: str, b: Blamed, limit: int, says: FileSays) -> RenderableType:
    """All of it for people; at most `limit` explanations."""
    parts: list[RenderableType] = [header(name, b.report.snapshot, says), Text(b.report.headline, RED), *_looked_at(b)]
    for d in b.misdefined[:limit]:
        parts += [Text(), Text(f"{d.field} seems to be kept without asking whether {d.condition}", BOLD)]
        but = f", and something else at {count(d.otherwise, 'other place')}" if d.otherwise else ", everywhere"
        parts.append(_in(Text(f"without that condition, {d.check.name} gives just what was found{but}")))
    for number, e in enumerate(b.explanations[:limit], 1):
        parts += [Text(), *_told(b, number, e)]
    if left := len(b.explanations) - limit:
        names = some_of([e.cause.name for e in b.explanations[limit:]], _NAMED) if left > 0 else ""
        parts += [Text(), Text(f"also possible: {names}", DIM)] if names else []
    if not b.explanations and not b.misdefined:
        parts += [Text(), Text(f"? {unexplained(b)}", YELLOW)]
    return Group(*parts)


def unexplained(b: Blamed) -> str:
    """Why nothing is blamed."""
    if b.legal:
        return (
            "The part that was looked at is legal as far as the page model has words for it: what is wrong is in "
            "fields that follow from others, such as leaf sets, LRU lists and counters. `sanitree repair` says which."
        )
    if not b.complete or b.unsure:
        return f"Nothing that was tried explains it, within {b.seconds:.0f} s; --seconds gives more time."
    return "No fault of the page model, condition or update left out in one call explains it from a legal tree."


def _looked_at(b: Blamed) -> Iterator[RenderableType]:
    shown, every = len(b.abstraction.pages_of), len(b.report.snapshot.nodes) - 1
    what = f"{count(shown, 'node')} of {every:,}" if shown < every else f"all {count(shown, 'node')}"
    left_out = f"; not shown as it is: {', '.join(b.abstraction.left_out)}" if b.abstraction.left_out else ""
    yield Text(f"looked at {what}; {b.asked:,} questions to z3, {b.seconds:.1f} s{left_out}", DIM)


def _told(b: Blamed, number: int, e: Explanation) -> Iterator[RenderableType]:
    named = e.cause.name.replace("_", " ") if e.cause.assumed is Assumed.FAULT else e.cause.name
    yield Text(f"{number}. {named}", BOLD)
    yield _in(Text(f"{e.cause.assumed.value}: {clean(e.cause.what)}"))
    seen = [as_named(b.system, state, b.abstraction, b.report.snapshot) for state in e.states]
    happened: list[RenderableType] = []
    for i, move in enumerate(e.moves):
        what = Text(f"{move.action.name} of {_node(b, move.node)}", BOLD).append(f"  {words(move)}", DIM)
        happened.append(_in(what))
        changes = lines(difference(seen[i], seen[i + 1]))
        happened += [_in(line, 4) for line in changes or [Text("nothing that a snapshot shows", DIM)]]
    yield _Story(
        Group(_in(Text("before, a legal tree (whether it was there, nobody says):", DIM)), *_tree(seen[0])),
        Group(*happened),
        Group(_in(Text("after, as it was found:", DIM)), *_tree(seen[-1])),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Story:
    """What was before, what happened, what came of it: the two trees side by side where there is room for both."""

    before: Group
    happened: Group
    after: Group

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        trees = (self.before, self.after)
        widths = [measure_renderables(console, options, tree.renderables).maximum for tree in trees]
        if sum(widths) + _BETWEEN > options.max_width:
            yield from (self.before, self.happened, self.after)
            return
        beside = Table.grid(padding=(0, _BETWEEN, 0, 0))
        for width in widths:
            beside.add_column(width=width)
        beside.add_row(*trees)
        yield from (beside, self.happened)


def _node(b: Blamed, page: int) -> str:
    """A page by the node of the snapshot that it is of."""
    row = b.abstraction.row_of.get(page)
    if row is None:
        return "a node that is not there any more"
    return f"node {int(b.report.snapshot.nodes.ids[row])}"


def _tree(s: Snapshot) -> Iterator[RenderableType]:
    found = marks(s, check(s, rules=[]).findings)
    outline = Outline(s.parent.tolist(), set(), set(), 0, None)
    outline.choose(None)
    yield from (_in(line, 4) for line in Tree(s, outline, found, _WIDTH).draw())


def _in(what: RenderableType, by: int = 2) -> Padding:
    return Padding(what, (0, 0, 0, by), expand=False)


def plain_blamed(b: Blamed, file: str, exit_code: int) -> dict[str, object]:
    """The same as data for machines."""
    s = b.report.snapshot
    return {
        "file": file,
        "exit": exit_code,
        "verdict": b.report.verdict.value,
        "rules": sorted({f.check.name for f in b.report.findings if f.violated}),
        "nodes": [int(s.nodes.ids[row]) for row in b.abstraction.pages_of],
        "left_out": list(b.abstraction.left_out),
        "legal_as_far_as_modelled": b.legal,
        "explanations": [
            {
                "assumes": e.cause.assumed.name.lower(), "name": e.cause.name, "what": e.cause.what,
                "moves": [{"action": m.action.name, "node": _node_id(b, m.node)} for m in e.moves],
                "changed": e.changed,
                "difference": plain.difference("before", "after", difference(*_ends(b, e))),
            }
            for e in b.explanations
        ],
        "misdefined": [
            {"rule": d.check.name, "field": d.field, "condition": d.condition, "otherwise": d.otherwise}
            for d in b.misdefined
        ],
        "complete": b.complete and not b.unsure,
        "asked": b.asked,
        "seconds": round(b.seconds, 3),
    }  # fmt: skip


def _ends(b: Blamed, e: Explanation) -> tuple[Snapshot, Snapshot]:
    first, last = (as_named(b.system, state, b.abstraction, b.report.snapshot) for state in (e.states[0], e.states[-1]))
    return first, last


def _node_id(b: Blamed, page: int) -> int | None:
    row = b.abstraction.row_of.get(page)
    return None if row is None else int(b.report.snapshot.nodes.ids[row])


HOLDS = Text("every rule holds: there is nothing to blame", GREEN)
