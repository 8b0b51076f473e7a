"""A hunt in words, and as plain data."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import orjson
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from sanitree.checker.hunt.confirm import LATER, SAME, SILENT
from sanitree.checker.hunt.hunt import Finding, Hunt
from sanitree.checker.hunt.known import known
from sanitree.checker.hunt.wrong import Kind
from sanitree.checker.render.words import BOLD, DIM, GREEN, RED, YELLOW, Whole, clean, count
from sanitree.models.driving.open import name_of
from sanitree.models.driving.operations import NAMES, Operation
from sanitree.models.driving.setup import Setup
from sanitree.models.driving.trace import encode, plain_setup

VIOLATED, NOTHING, UNSURE, FAILED = "violated", "nothing found", "inconclusive", "failed"


def verdict(h: Hunt) -> str:
    """What a hunt comes to. That nothing was found is not that nothing is there."""
    if any(f.is_confirmed for f in h.findings):
        return VIOLATED
    if h.findings:
        return UNSURE
    return FAILED if h.failures or not h.operations.total() else NOTHING


def plain(h: Hunt, exit_code: int, saved: list[str]) -> dict[str, Any]:
    """A hunt as data for machines."""
    return {
        "verdict": verdict(h),
        "exit": exit_code,
        "on": h.on,
        "setup": plain_setup(h.setup),
        "operations": h.operations.total(),
        "operations_by_kind": dict(sorted(h.operations.items())),
        "seconds": round(h.seconds, 2),
        "states": h.states,
        "exhausted_moves": h.depth,
        "interrupted": h.interrupted,
        "lockstep": _plain_followed(h),
        "failures": h.failures,
        "findings": [_plain_finding(h, f, saved[i] if saved else None) for i, f in enumerate(h.findings)],
    }


def _plain_followed(h: Hunt) -> dict[str, dict[str, int]] | None:
    if h.followed is None:
        return None
    calls, took, accepted = h.followed
    return {"calls": dict(calls), "actions": dict(took), "accepted": dict(accepted)}


def _plain_finding(h: Hunt, f: Finding, file: str | None) -> dict[str, Any]:
    w = f.wrong
    return {
        "kind": w.kind.value,
        "names": list(w.names),
        "rules": list(w.names) if w.kind is Kind.RULE else [],
        "exception": w.names[0] if w.kind is Kind.EXCEPTION else None,
        "place": w.place,
        "call": w.call,
        "text": w.text,
        "also": [{"kind": x.kind.value, "names": list(x.names), "place": x.place} for x in f.also],
        "confirmed": f.is_confirmed,
        "known": [k.id for k in known(h.on, f.sighting.setup, w)],
        "own_check": None if f.confirmed is None else f.confirmed.own,
        "oracles": {} if f.confirmed is None else dict(f.confirmed.oracles),
        "own_words": [] if f.confirmed is None else list(f.confirmed.complaints),
        "after_operations": f.after,
        "after_seconds": round(f.seconds, 3),
        "found_in": f.length,
        "length": len(f.sighting.operations),
        "trace": orjson.loads(encode(f.trace(h.on))),
        "file": file,
        "rank_files": [] if file is None else rank_files(f, file),
    }


def rank_files(f: Finding, file: str) -> list[str]:
    """Beside the file of its trace, those of each rank's snapshot, where there are several."""
    count = len(f.confirmed.states) if f.confirmed else 0
    return [f"{file.removesuffix('.json')}-rank{rank}.json" for rank in range(count)]


def progress_line(h: Hunt) -> str:
    """How far it is, on one line."""
    found = len({s.first.wrong.key for s in h.sighted})
    rate = h.operations.total() / h.seconds if h.seconds else 0.0
    return (
        f"{h.seconds:.0f} s: {h.operations.total():,} operations ({rate:,.0f}/s), {h.states:,} states, "
        f"{count(found, 'finding')} so far"
    )


def render(h: Hunt, saved: list[str]) -> RenderableType:
    """A hunt for people."""
    parts: list[RenderableType] = [_headline(h), Text(_effort(h), DIM)]
    parts += [Text(f"a process failed: {clean(why)}", YELLOW) for why in h.failures]
    for number, f in enumerate(h.findings, 1):
        parts += [Text(""), *_finding(h, number, f, saved[number - 1] if saved else None)]
    if h.findings and h.on != "reference":
        parts += [Text(""), Text("What each operation is in SGLang's scheduler:", DIM), *_legend(h)]
    return Group(*parts)


def cache_of(on: str, s: Setup) -> str:
    """What was hunted in, in a few words."""
    core = f", {s.core} core" if s.core not in (None, "both") else ", both cores" if s.core else ""
    names = "+".join(c.name for c in s.components)
    fault = f" with {s.fault}" if s.fault else ""
    ranks = f", {s.ranks} ranks" if s.ranks > 1 else ""
    return f"{name_of(on)}{fault}{core}{ranks}, {s.policy.value}, {names}, {_pages(s.page_size)}"


def _pages(size: int) -> str:
    return "pages of one token" if size == 1 else f"pages of {size} tokens"


def _headline(h: Hunt) -> Text:
    where, done = cache_of(h.on, h.setup), count(h.operations.total(), "operation")
    sure = sum(f.is_confirmed for f in h.findings)
    if sure:
        more = f", {len(h.findings) - sure} more not confirmed" if sure < len(h.findings) else ""
        return Text(f"✗ {where}: {count(sure, 'finding')} in {done}{more}", RED)
    if h.findings:
        what = f"{count(len(h.findings), 'finding')} in {done}, none confirmed in a fresh process"
        return Text(f"? {where}: {what}", YELLOW)
    if verdict(h) == FAILED:
        return Text(f"? {where}: the hunt failed", YELLOW)
    return Text(f"✓ {where}: nothing found in {done}", GREEN)


def _effort(h: Hunt) -> str:
    kinds = ", ".join(f"{n:,} {kind}" for kind, n in sorted(h.operations.items(), key=lambda x: -x[1]))
    tried = f"everything within {count(h.depth, 'move')} was tried" if h.depth else "no depth was exhausted"
    processes = "1 process" if len(h.progress) == 1 else f"{len(h.progress)} processes"
    ended = ", interrupted" if h.interrupted else ""
    return f"{h.seconds:.0f} s, {processes}{ended}, {h.states:,} states; {tried}\n{kinds}{_in_lockstep(h)}"


def _in_lockstep(h: Hunt) -> str:
    if h.followed is None:
        return ""
    calls, took, accepted = h.followed
    known_as = ", ".join(f"{n:,} {name}" for name, n in accepted.most_common()) or "none"
    done = f"{count(calls.total(), 'call')} of the cache, {count(took.total(), 'action')} of the page model"
    return f"\nin lockstep: {done}; accepted differences: {known_as}"


def _finding(h: Hunt, number: int, f: Finding, file: str | None) -> Iterator[RenderableType]:
    w, s = f.wrong, f.sighting
    title = Text(f"{number}. ", BOLD).append(clean(_name(f)), RED)
    yield title.append("" if f.is_confirmed else "  NOT CONFIRMED", YELLOW)
    size = f"{s.setup.device_pages} device and {s.setup.host_pages} host pages"
    yield _in(Text(f"{count(len(s.operations), 'operation')}, {cache_of('', s.setup).split(', ', 1)[1]}, {size}:", DIM))
    results = f.confirmed.results if f.confirmed else ()
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for i, op in enumerate(s.operations):
        table.add_row(Text(said(op)), Text(clean(results[i]) if i < len(results) else "", DIM))
    yield _in(table, 5)
    if w.kind is Kind.LEAK:
        yield _in(Text("then every request ends, every copy lands, everything is evicted"), 5)
    elif w.call:
        yield _in(Text(f"in the call {clean(w.call)}"))
    yield from (_in(Text(line)) for line in _evidence(f))
    if w.place:
        yield _in(Text(f"raised in {w.place}"))
    if own := _own(f):
        yield _in(Text(own, YELLOW if f.confirmed and f.confirmed.own != SAME else ""))
    if others := _others(f):
        yield _in(Text(others))
    for k in known(h.on, f.sighting.setup, w):
        fixed = f"fixed in {k.fixed}" if k.fixed else "not fixed in any version so far"
        yield _in(Text(f"known as {k.id}: SGLang {k.first} and later, {fixed}; see docs/findings.md"))
    if f.also:
        names = dict.fromkeys(n for x in f.also for n in x.names if n not in w.names)
        if names:
            yield _in(Text(f"other runs of the same showed {', '.join(names)}", DIM))
    yield _in(Text(f"first seen after {count(f.after, 'operation')}, {f.seconds:.1f} s, in a run of {f.length}", DIM))
    if file:
        yield Whole(Text(f"sanitree replay {file} --on {h.on}"), 3)
        if states := rank_files(f, file):
            yield Whole(Text(f"sanitree diff {' '.join(states[:2])}"), 3)


def _in(what: RenderableType, by: int = 3) -> Padding:
    return Padding(what, (0, 0, 0, by))


def _name(f: Finding) -> str:
    match f.wrong.kind:
        case Kind.RULE:
            return ", ".join(f.wrong.names)
        case Kind.EXCEPTION:
            return f.wrong.text.splitlines()[0] if f.wrong.text else f.wrong.names[0]
        case Kind.LEAK:
            return f.wrong.text
        case Kind.COMPLAINT:
            return f"the cache's own check complains where every rule holds: {f.wrong.text.splitlines()[0]}"
        case Kind.DIVERGENCE:
            return f"the page model cannot do this {f.wrong.names[0]}"
        case Kind.AGREEMENT:
            return f"the ranks do not agree: {', '.join(f.wrong.names)}"
    return f"the two cores differ: {', '.join(f.wrong.names)}"


def _evidence(f: Finding) -> list[str]:
    """What refutes each rule, once each."""
    lines = [clean(line.strip()) for line in f.wrong.text.splitlines()]
    if f.wrong.kind is Kind.RULE:
        lines = lines[1:]
        firsts = {line.split(" at ")[0].split("[")[0]: line for line in reversed(lines)}
        return [firsts[name] for name in f.wrong.names if name in firsts]
    return lines if f.wrong.kind in (Kind.DIFFERENCE, Kind.AGREEMENT, Kind.DIVERGENCE) else lines[1:6]


def _own(f: Finding) -> str:
    if f.confirmed is None:
        return "nobody looked at it in a fresh process"
    if f.wrong.kind is Kind.EXCEPTION:
        return "the cache stops by itself here"
    if f.wrong.kind is Kind.COMPLAINT:
        return ""
    words = "; ".join(clean(x.strip()) for x in f.confirmed.complaints[:2])
    if f.confirmed.own == SAME:
        return f"the cache's own check complains too: {words}"
    return f"the cache's own check is silent{' until later: ' + words if f.confirmed.own == LATER else ''}"


def _others(f: Finding) -> str:
    """What the scheduler's oracles would say."""
    told = list(f.confirmed.oracles.items())[1:] if f.confirmed else []
    words = {SAME: "complains too", LATER: "complains later, when all has ended", SILENT: "is silent"}
    return "" if not told else "; ".join(f"the scheduler's {name} {words[when]}" for name, when in told)


def said(op: Operation) -> str:
    """An operation on one line."""
    words = [NAMES[type(op)]]
    for field in fields(op):
        value = getattr(op, field.name)
        if isinstance(value, tuple):
            words.append("[" + " ".join(map(str, value)) + "]")
        elif isinstance(value, bool):
            words += [] if value is field.default else [field.name if value else f"no {field.name}"]
        else:
            words.append(str(value))
    return " ".join(words)


def _legend(h: Hunt) -> Iterator[RenderableType]:
    kinds = dict.fromkeys(type(op) for f in h.findings for op in f.sighting.operations)
    for kind in kinds:
        doc = " ".join((kind.__doc__ or "").split())
        if found := re.search(r"SGLang: (.*)$|On a GPU: (.*)$", doc):
            yield _in(Text(f"{NAMES[kind]}: {(found[1] or found[2]).replace('`', '')}", DIM))
