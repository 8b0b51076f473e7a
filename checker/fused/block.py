"""Blocks of generated code, in which every field is read once.

While a block is built, a read stands as a token. When it is rendered, a read that is
used more than once is bound to a local at the top of the block whose loop variable
it reads; the others are written where they are used.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container
from typing import Any

from sanitree.checker.fused.grounding import Read
from sanitree.checker.symbolic import FALSE, TRUE, E, conj, const, neg
from sanitree.models.reading import ELEMENT, Access, Reading

_TOKEN = re.compile("«(\\d+)»")


class Reads:
    """The reads of one generated function, numbered: tokens stand for them."""

    def __init__(self) -> None:
        self._all: list[Read] = []
        self._number: dict[Read, int] = {}

    def __getitem__(self, number: int) -> Read:
        return self._all[number]

    def _number_of(self, r: Read) -> int:
        if r not in self._number:
            self._number[r] = len(self._all)
            self._all.append(r)
        return self._number[r]

    def token(self, r: Read) -> str:
        """What stands for a read while a block is built."""
        return f"«{self._number_of(r)}»"

    def local(self, r: Read) -> str:
        """The name that a read is bound to."""
        return f"{r.of}{self._number_of(r)}"

    def source(self, r: Read) -> str:
        """A read as source over tokens of its parts."""
        if r.access == ELEMENT:
            return r.of
        return r.access.template.format(*(r.of if p == ELEMENT else self.token(Read(p, r.of)) for p in r.access.parts))

    def block(self, *items: Item) -> Block:
        """A block of these lines and nested blocks."""
        return Block(self, list(items))


class Block:
    """Lines and nested blocks; `local` is the loop variable whose reads are bound at this block's top.

    given: names of reads that are bound before it.
    """

    def __init__(self, reads: Reads, lines: list[Item]) -> None:
        self.reads = reads
        self.lines = lines
        self.local = ""
        self.given: tuple[str, ...] = ()

    def then(self, other: Block, local: str) -> Block:
        """This block's lines, then another's, with that one's reads bound between them."""
        other.local = local
        self.lines.append(("", other))
        return self

    def say(self, line: str) -> None:
        self.lines.append(line)

    def nest(self, head: str, block: Block, local: str = "") -> None:
        block.local = block.local or local
        if block.lines:
            self.lines.append((head, block))

    def when(self, condition: E, *actions: str) -> None:
        """The actions where the condition is true."""
        if condition == FALSE:
            return
        first, rest = _split(condition)
        if first == TRUE:
            self.lines.extend(actions)
            return
        self._branch(first).when(rest, *actions)

    def _branch(self, condition: E) -> Block:
        """The block for where a condition is true: tests that begin alike are made once, and their opposites too."""
        heads = [item if isinstance(item, str) else item[0] for item in self.lines]
        head, opposite = f"if {self.text(condition)}:", f"if {self.text(neg(condition))}:"
        at, otherwise = len(heads), False
        if head in heads:
            at = heads.index(head)
        elif opposite in heads:
            at, otherwise = heads.index(opposite) + 1, True
        found = self.lines[at] if at < len(heads) and (not otherwise or heads[at] == "else:") else None
        if isinstance(found, tuple):
            return found[1]
        inner = self.reads.block()
        self.lines.insert(at, ("else:" if otherwise else head, inner))
        return inner

    def _nested(self) -> list[tuple[str, Block]]:
        return [item for item in self.lines if isinstance(item, tuple)]

    def add(self, name: str, amount: E) -> None:
        """`name += amount`; a choice with nothing on one side becomes a branch."""
        if amount.op == "if" and amount.args[2] == const(0):
            self.when(amount.args[0], f"{name} += {self.text(amount.args[1])}")
        elif amount != const(0):
            self.say(f"{name} += {self.text(amount)}")

    def mentions(self, name: str) -> bool:
        """Whether a local is used anywhere in this block."""
        texts = [t if isinstance(t, str) else t[0] for t in self.lines]
        return any(re.search(rf"\b{name}\b", t) for t in texts) or any(b.mentions(name) for _, b in self._nested())

    def used(self, accesses: Container[Access], name: str) -> list[str]:
        """The tokens of those accesses on a local that this block uses."""
        counts, _ = _uses(self)
        found = map(self.reads.__getitem__, counts)
        return [self.reads.token(r) for r in found if r.of == name and r.access in accesses]

    def needs(self, name: str) -> list[Access]:
        """The accesses on a local that this block's own text reads, parts of them left out."""
        found: dict[int, None] = {}

        def visit(block: Block) -> None:
            for item in block.lines:
                text, inner = item if isinstance(item, tuple) else (item, None)
                found.update(dict.fromkeys(map(int, _TOKEN.findall(text))))
                if inner is not None:
                    visit(inner)

        visit(self)
        reads = map(self.reads.__getitem__, found)
        return [r.access for r in reads if r.of == name and r.access != ELEMENT]

    def token(self, access: Access, name: str) -> str:
        """What stands for an access on a local."""
        return self.reads.token(Read(access, name))

    def text(self, e: E) -> str:
        """A ground expression as source, with tokens for its reads."""
        match e.op:
            case "const":
                return repr(e.args[0])
            case "name":
                return str(e.args[0])
            case "read":
                return self.reads.token(e.args[0])
            case "not":
                return f"(not {self.text(e.args[0])})"
            case "if":
                c, a, b = (self.text(x) for x in e.args)
                return f"({a} if {c} else {b})"
            case "lookup":
                name = self.text(e.args[0])
                return f"({name} and {name}.get({self.text(e.args[1])}, 0) or 0)"
            case "rank":
                raise NotImplementedError("the fused backend knows an LRU rank by its sign only")
            case "path":
                return f"sum({self.text(e.args[0])} for a in path({self.text(e.args[1])}, root))"
        sign = {"=": "==", "differ": "!="}.get(e.op, e.op)
        return f"({self.text(e.args[0])} {sign} {self.text(e.args[1])})"


Item = str | tuple[str, Block]
"""A line, or a block with the line that heads it; without one the block only binds its reads."""


def _split(e: E) -> tuple[E, E]:
    """The first conjunct, and the others."""
    if e.op != "and":
        return e, TRUE
    first, rest = _split(e.args[0])
    return first, conj(rest, e.args[1])


class _Renderer:
    def __init__(self, reads: Reads) -> None:
        self.reads = reads
        self.out: list[str] = []
        self.bound: set[str] = set()

    def block(self, block: Block, depth: int, local: str = "") -> None:
        outside = set(self.bound)
        local = block.local or local
        self.bound |= set(block.given)
        self.bind(block, local, depth)
        for item in block.lines:
            if isinstance(item, str):
                self.emit(item, depth)
                continue
            head, inner = item
            if head:
                self.emit(head, depth)
            self.block(inner, depth + bool(head), "" if head.startswith(("for ", "while ")) else local)
        self.bound = outside

    def emit(self, line: str, depth: int) -> None:
        self.out.append("    " * (depth + 1) + self.resolve(line))

    def resolve(self, text: str) -> str:
        while found := _TOKEN.search(text):
            r = self.reads[int(found[1])]
            name = self.reads.local(r)
            text = text[: found.start()] + (name if name in self.bound else self.reads.source(r)) + text[found.end() :]
        return text

    def bind(self, block: Block, local: str, depth: int) -> None:
        counts, hoisted = _uses(block, self.bound)
        # What one branch alone needs is bound there.
        users: Counter[int] = Counter()
        branches: set[int] = set()
        for items in _steps(block):
            used = set(_uses(self.reads.block(*items), self.bound)[0])
            users.update(used)
            branches |= used if _is_branch(items[0]) else set()
        for number in _in_order(counts, self.reads):
            r = self.reads[number]
            name = self.reads.local(r)
            if r.of != local or r.access == ELEMENT or name in self.bound:
                continue
            if (counts[number] < 2 and number not in hoisted) or (users[number] == 1 and number in branches):
                continue
            self.emit(f"{name} = {self.reads.source(r)}", depth)
            self.bound.add(name)


def _steps(block: Block) -> list[list[Item]]:
    """A block's lines one by one, with an `else` in one step with its `if`."""
    steps: list[list[Item]] = []
    for item in block.lines:
        if isinstance(item, tuple) and item[0] == "else:":
            steps[-1].append(item)
        else:
            steps.append([item])
    return steps


def _is_branch(item: Item) -> bool:
    return isinstance(item, tuple) and not item[0].startswith(("for ", "while "))


def _uses(block: Block, bound: Container[str] = ()) -> tuple[Counter[int], set[int]]:
    """How often each read is used in a block, and which of them in a loop inside it."""
    counts: Counter[int] = Counter()
    hoisted: set[int] = set()
    reads = block.reads

    def see(text: str, in_loop: bool) -> None:
        for number in map(int, _TOKEN.findall(text)):
            counts[number] += 1
            if in_loop:
                hoisted.add(number)
            if counts[number] == 1 and reads.local(reads[number]) not in bound:
                see(reads.source(reads[number]), in_loop)

    def visit(b: Block, in_loop: bool) -> None:
        for item in b.lines:
            if isinstance(item, str):
                see(item, in_loop)
            else:
                see(item[0], in_loop)
                visit(item[1], in_loop or item[0].startswith("for "))

    visit(block, False)
    return counts, hoisted


def _in_order(counts: Counter[int], reads: Reads) -> list[int]:
    """Reads with their parts before them."""
    order: dict[int, None] = {}

    def put(number: int) -> None:
        if number in order:
            return
        for part in map(int, _TOKEN.findall(reads.source(reads[number]))):
            put(part)
        order[number] = None

    for number in counts:
        put(number)
    return list(order)


def render(top: Block, reading: Reading, given: str = "") -> tuple[str, dict[str, Any]]:
    """The source of `check(T)` and the names that it uses. given: an argument besides, that has the lists."""
    renderer = _Renderer(top.reads)
    renderer.block(top, 0)
    body = "\n".join(renderer.out)
    names: dict[str, Any] = {}
    head = [f"def check(T, {given}):" if given else "def check(T):"]
    lists = {} if given else {"transfers": reading.transfers, "requests": reading.requests}
    for name, make in {**reading.prepare, **{k: v for k, v in lists.items() if v}}.items():
        if re.search(rf"\b{name}\b", body):
            names[f"_{name}"] = make
            head.append(f"    {name} = _{name}(T)")
    up = renderer.resolve(top.token(reading.parent, "n"))
    if reading.linked is not None:
        names["linked"] = reading.linked
    path = f"def path(n, root):\n    while n is not root and n is not None:\n        yield n\n        n = {up}\n\n\n"
    return path + "\n".join(head) + "\n" + body + "\n", names
