"""A tree on a terminal: one line a node, with its tokens, copies, locks, hits and marks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from rich.console import Console
from rich.text import Text

from sanitree.checker.render.marks import Marks
from sanitree.checker.render.outline import Kind, Line, Outline
from sanitree.checker.render.words import DIM, RED, YELLOW, count, tokens
from sanitree.invariants.vocabulary import DEVICE, HOST, Component
from sanitree.models.snapshot import Key, Snapshot


def _console() -> Console:
    """Wrapping asks for one, and uses it for tabs only."""
    return Console(width=80)


_HEADING = "node [tokens]"
_BELOW = " below"
_STEP = 2  # columns a level


@dataclass
class Tree:
    """Draws the lines of an outline, `width` columns wide."""

    snapshot: Snapshot
    outline: Outline
    marks: Marks
    width: int
    _lists: dict[Key, list[int | None]] = field(default_factory=dict)

    def draw(self) -> Iterator[Text]:
        """The heading, the lines, and the legend."""
        lines = self.outline.lines()
        lefts = [self._left(line) for line in lines]
        left = min(max(len(_HEADING), *map(len, lefts)), self._room)
        yield self._heading(left)
        for line, text in zip(lines, lefts, strict=True):
            yield from self._line(line, text, left)
        yield Text(self._legend, DIM)
        if any(self.cell(Key.of("present", c, DEVICE), 0) for c in self._components if 0 in self.outline.chosen):
            yield Text("the root's D marks presence and holds no slots", DIM)

    # Cells.

    def cell(self, key: Key, row: int) -> int | None:
        """A field of a node; None where unknown."""
        if key not in self._lists:
            column = self.snapshot.nodes.columns.get(key)
            if column is None:
                self._lists[key] = [None] * len(self.snapshot.nodes)
            else:
                known = [True] * len(column.values) if column.known is None else column.known.tolist()
                self._lists[key] = [int(v) if k else None for v, k in zip(column.values.tolist(), known, strict=True)]
        return self._lists[key][row]

    @cached_property
    def _components(self) -> tuple[Component, ...]:
        return self.snapshot.settings.components

    @cached_property
    def _block(self) -> int:
        """Columns of a component: its copies, a blank and its locks."""
        return max(6, *(len(c.name) for c in self._components))

    @property
    def _numbers_width(self) -> int:
        return len(self._components) * (self._block + 1) + 6

    @property
    def _room(self) -> int:
        """The most columns for a node's place, id and tokens; the rest is for numbers and marks."""
        return max(self.width - self._numbers_width - max(28, self.width // 3), 24)

    def _heading(self, left: int) -> Text:
        names = " ".join(f"{c.name:<{self._block}}" for c in self._components)
        return Text(f"{_HEADING:<{left}}  {names} hits", DIM)

    @cached_property
    def _legend(self) -> str:
        locks = "its locks"
        if any(self.cell(Key.of("lock", c, HOST), row) for c in self._components for row in self.outline.chosen):
            locks = "its locks (device/host)"
        return f"D device copy, H host copy, · none, ? not observed; then {locks}"

    # Lines.

    def _guides(self, last: tuple[bool, ...]) -> str:
        # A path too deep for the width keeps its lowest levels, headed by how many are above.
        most = max((self.width // 4) // _STEP, 6)
        cut = len(last) - most
        if cut > 0:
            return f"{cut}┆".ljust(2 * _STEP) + self._guides(last[cut:])[2 * _STEP :]
        above = "".join("  " if ended else "│ " for ended in last[:-1])
        return above + ("" if not last else "└ " if last[-1] else "├ ")

    def _left(self, line: Line) -> str:
        guides = self._guides(line.last)
        match line.kind:
            case Kind.RUN:
                return f"{guides}⋮ {count(line.nodes, 'node')} not shown"
            case Kind.MORE:
                more = count(line.children, "more child")
                return f"{guides}… {more.replace('childs', 'children')}, {count(line.nodes, 'node')}"
        node = int(self.snapshot.nodes.ids[line.row])
        name = f"{guides}{node}"
        if not line.row:
            return f"{name} root"
        keys = self.snapshot.nodes.lists.get(Key("key"))
        if keys is None:
            length = self.cell(Key("key_len"), line.row)
            return name if length is None else f"{name} {count(length, 'token')}"
        key = keys[line.row].tolist()
        for limit in (8, 6, 4, 3, 2, 1):
            shown = f"{name} {tokens(key, self.snapshot.tokens, limit)}" + (
                f" {len(key):,}" if len(key) > limit else ""
            )
            if len(shown) <= self._room:
                return shown
        return f"{name} {count(len(key), 'token')}"

    def _line(self, line: Line, text: str, left: int) -> Iterator[Text]:
        if line.kind is not Kind.NODE:
            out = Text(text, DIM)
            if line.red:
                out.append(f", {line.red:,} violated inside", f"not dim {RED}")
            yield out
            return
        bad = self.marks.violated.get(line.row, [])
        shown = text if len(text) <= left else text[: left - 1] + "…"
        out = Text(f"{shown:<{left}}", RED if bad else "")
        out.append("  ")
        for c in self._components:
            out.append_text(self._copies(c, line.row))
        hits = self.cell(Key("hits"), line.row)
        out.append(f"{'?' if hits is None else hits or '·':>4}", "" if hits else DIM)
        used = left + 2 + self._numbers_width - 2
        yield from self._with_marks(out, line, used)

    def _copies(self, c: Component, row: int) -> Text:
        out = Text()
        for tier, letter in ((DEVICE, "D"), (HOST, "H")):
            present = self.cell(Key.of("present", c, tier), row)
            out.append("?" if present is None else letter if present else "·", "" if present else DIM)
        device, host = (self.cell(Key.of("lock", c, tier), row) for tier in (DEVICE, HOST))
        locks = "?" if device is None else str(device) if device else ""
        if host:
            locks = f"{locks or 0}/{host}"
        out.append(f" {locks:<{self._block - 3}} ", "" if locks else DIM)
        return out

    def _with_marks(self, out: Text, line: Line, used: int) -> Iterator[Text]:
        rest = self.width - used - 2
        pending: list[Text] = []
        for text in self._marks(line):
            if not pending and len(text) + 2 <= rest:
                out.append("  ").append_text(text)
                rest -= len(text) + 2
            else:
                pending.append(text)
        yield out
        if not pending:
            return
        # What does not fit goes below the node, beside the guides to its children.
        ends = bool(line.nodes) or not self.outline.children[line.row]
        guides = self._guides((*line.last, False))[:-_STEP] + ("  " if ends else "│ ")
        for text in pending:
            if text.plain.endswith(_BELOW):
                yield Text(f"{guides[:-_STEP]}└ {text.plain.removesuffix(_BELOW)}", DIM)
                continue
            for part in text.wrap(_console(), max(self.width - len(guides) - 2, 20)):
                yield Text.assemble(f"{guides}  ", part)

    def _marks(self, line: Line) -> Iterator[Text]:
        row = line.row
        if bad := self.marks.violated.get(row):
            yield Text("✗ " + ", ".join(bad), RED)
        flights = self.marks.transfers.get(row, [])
        for name in flights[:3]:
            yield Text(f"⇄ {name}", YELLOW)
        for kind, field_name, word in (("write_pending", "write_ack", "write"), ("load_pending", "load_ack", "load")):
            if self.cell(Key(kind), row):
                ack = self.cell(Key(field_name), row)
                if f"{word} {ack}" not in flights:
                    yield Text(f"waits for {word} {'?' if ack is None else ack}", YELLOW)
        if asks := self.marks.requests.get(row):
            more = f" +{len(asks) - 3}" if len(asks) > 3 else ""
            yield Text(f"← request {', '.join(map(str, asks[:3]))}{more}", "cyan")
        if line.red:
            yield Text(f"{line.red:,} violated below", RED)
        if line.nodes:
            yield Text(f"… {count(line.nodes, 'node')}{_BELOW}", DIM)
