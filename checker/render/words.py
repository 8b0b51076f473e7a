"""Small pieces of text that every rendering shares."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

RED, GREEN, YELLOW, DIM, BOLD, CYAN = "bold red", "green", "yellow", "dim", "bold", "cyan"


class Whole:
    """A text that breaks between words only: a path longer than a line is there to be copied.

    Indented here and not by a padding around it, which would cut what is longer than a line.
    """

    def __init__(self, text: Text, indent: int = 0) -> None:
        self.text = text
        self.indent = indent

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        cuts, used = list[int](), 0
        for word in re.finditer(r"\s*\S+", self.text.plain):
            if used and self.indent + used + cell_len(word[0]) > options.max_width:
                cuts.append(word.end() - len(word[0].lstrip()))
                used = cell_len(word[0].lstrip())
            else:
                used += cell_len(word[0])
        for line in self.text.divide(cuts):
            line.rstrip()
            yield Text(" " * self.indent, overflow="ignore").append_text(line)


def clean(text: str) -> str:
    """`text` without control characters: what a file says must not drive somebody's terminal."""
    return "".join(c if c.isprintable() else "�" for c in text)


_PLURALS = {"is": "are", "has": "have", "child": "children", "branch": "branches", "copy": "copies"}


def count(number: int, noun: str) -> str:
    """`1 node`, `1,204 nodes`."""
    return f"{number:,} {noun if number == 1 else _PLURALS.get(noun, noun + 's')}"


def token(value: int, kind: str) -> str:
    """One token: itself where tokens are raw, else the end of its hash, enough to tell neighbours apart."""
    return str(value) if kind == "raw" else f"#{value & 0xFFFF:04x}"


def tokens(values: Sequence[int], kind: str, limit: int = 8) -> str:
    """A run of tokens in brackets, the middle left out and counted beyond `limit`."""
    if len(values) <= limit:
        return f"[{' '.join(token(v, kind) for v in values)}]"
    head, tail = (limit + 1) // 2, limit // 2
    ends = [*(token(v, kind) for v in values[:head]), "…", *(token(v, kind) for v in values[len(values) - tail :])]
    return f"[{' '.join(ends)}]"


def ranges(numbers: Iterable[int], limit: int = 6) -> str:
    """Numbers as ranges: `4-7, 9`, with the rest counted beyond `limit` ranges."""
    runs: list[list[int]] = []
    for n in sorted(set(numbers)):
        if runs and n == runs[-1][1] + 1:
            runs[-1][1] = n
        else:
            runs.append([n, n])
    shown = [f"{a}" if a == b else f"{a}-{b}" for a, b in runs[:limit]]
    rest = sum(b - a + 1 for a, b in runs[limit:])
    return ", ".join(shown) + (f" and {rest:,} more" if rest else "")


def some_of(names: Sequence[str], limit: int) -> str:
    """`a, b, c and 12 more`."""
    rest = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {rest:,} more" if rest > 0 else "")


def value(v: bool | int | None) -> str:
    """A field's value: words for truth values and for the unknown."""
    return "unknown" if v is None else str(v).lower()
