"""`sanitree demo`: a real bug in a real engine, live and offline, and the version that fixed it."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sanitree.checker.cli.exits import Exit, Trouble
from sanitree.checker.cli.inputs import json_option
from sanitree.checker.cli.output import console, print_json, progress

if TYPE_CHECKING:
    from rich.table import Table

BROKEN, FIXED = "0.5.12", "0.5.13.post1"
_SCENARIO = "sanitree.checker.scenario"


@click.command()
@click.option("--folder", type=click.Path(file_okay=False), default="demo-snapshots", show_default=True,
              help="Where the snapshots are written.")  # fmt: skip
@click.option("--nodes", type=click.IntRange(10, 200_000), default=4000, show_default=True,
              help="Nodes that the large tree is grown to.")  # fmt: skip
@json_option
def demo(folder: str, nodes: int, as_json: bool) -> int:
    """Run the bug that this project started from on the engine that had it, then on the one without.

    Needs `sanitree engine setup` and `sanitree engine fetch 0.5.12 0.5.13.post1`.
    """
    out = None if as_json else _Out()
    _need_engines()
    place = _writable(folder)
    races = []
    for version in (BROKEN, FIXED):
        races.append(_race(version, place))
        if out:
            _tell(len(races), races[-1], out)
    large = _large(place, nodes)
    good = all(told["as_expected"] for told in (*races, large))
    if out:
        _tell_large(large, out)
        from rich.markup import escape

        out.print(f"Look around: [cyan]{_command()} show {escape(races[0]['file'])}")
        if not good:
            raise Trouble("the demo did not go as it should: see above", "", Exit.FAILED)
    else:
        print_json({"exit": int(Exit.HOLDS if good else Exit.FAILED), "races": races, "large_tree": large})
    return Exit.HOLDS if good else Exit.FAILED


def _need_engines() -> None:
    from sanitree.models.engines import deps, store

    here = {install.version for install in store.installed()}
    missing = [version for version in (BROKEN, FIXED) if version not in here]
    steps = [] if deps.ready() else ["`sanitree engine setup`"]
    steps += [f"`sanitree engine fetch {' '.join(missing)}`"] if missing else []
    if steps:
        raise Trouble("the demo runs real engines, which are not here yet", f"run {' and '.join(steps)}", Exit.FAILED)


def _writable(folder: str) -> Path:
    place = Path(folder)
    try:
        place.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=place).close()
    except OSError as error:
        what = f"cannot be written: {error.strerror or error}"
        raise Trouble(what, "--folder names another", Exit.FAILED, where=folder) from None
    return place


def _command() -> str:
    """What runs sanitree in the shell that ran this: with `make demo`, no environment is activated there."""
    said = sys.argv[0]
    return said if Path(said).name == "sanitree" and not shutil.which("sanitree") else "sanitree"


def _race(version: str, place: Path) -> dict[str, Any]:
    """The race on one version, live and offline."""
    file = place / f"sglang-{version}-write_back.json"
    with progress(f"running sglang {version}"):
        told = _in_engine(version, "write_back_race", {"file": str(file)})
    offline = _offline(file, told["violations"])
    broken = version == BROKEN
    good = bool(told["wrong"]) is broken and bool(told["violations"]) is broken and offline["same_as_live"]
    return {"version": version, "file": str(file), **told, "offline": offline, "as_expected": good}


def _large(place: Path, nodes: int) -> dict[str, Any]:
    """A large tree, which nothing is wrong with, live and offline."""
    file = place / f"sglang-{FIXED}-large.json.gz"
    with progress(f"growing a tree on sglang {FIXED}"):
        told = _in_engine(FIXED, "large_tree", {"file": str(file), "nodes": nodes, "steps": 500, "seed": 1})
    offline = _offline(file, [])
    good = told["holds"] and not told["engine"] and offline["same_as_live"]
    return {"version": FIXED, "file": str(file), **told, "offline": offline, "as_expected": good}


def _offline(file: Path, live: list[dict[str, Any]]) -> dict[str, Any]:
    """Judges the snapshot file and compares with what was found live."""
    from sanitree.checker.report import check
    from sanitree.checker.scenario import violations
    from sanitree.models.snapshot import read

    report = check(read(file))
    found = violations(report)
    same = [(v["rule"], v["element"], v["values"]) for v in found] == [
        (v["rule"], v["element"], v["values"]) for v in live
    ]
    return {"verdict": report.verdict.value, "violations": len(found), "same_as_live": same}


class _Out:
    """Prints our own text, which has styles in it, and rules between the parts."""

    def __init__(self) -> None:
        self.console = console()

    def print(self, what: str | Table = "") -> None:
        from rich.text import Text

        self.console.print(Text.from_markup(what) if isinstance(what, str) else what)

    def rule(self, title: str) -> None:
        from rich.text import Text

        self.console.print()
        self.console.print(Text(title, "bold"))


def _in_engine(version: str, function: str, arguments: dict[str, Any]) -> dict[str, Any]:
    from sanitree.models.engines.errors import EngineError
    from sanitree.models.engines.process import run_in_engine

    try:
        answer: dict[str, Any] = run_in_engine(version, f"{_SCENARIO}:{function}", {"version": version, **arguments})
    except EngineError as error:
        raise Trouble(str(error), "", Exit.FAILED) from None
    return answer


def _tell(number: int, told: dict[str, Any], out: _Out) -> None:
    out.rule(f"{number}. SGLang {told['version']}, write_back: insert [1, 2], insert [1, 2, 500, 501], evict 2")
    out.print(_side_by_side(told))
    if told["flying"]:
        out.print(f"Still in flight when evict() returned: {'; '.join(told['flying'])}")
    out.print(
        f"Then six new tokens are inserted, the copies run, everything is evicted, [1, 2, 500, 501] is loaded back: "
        f"{told['served']} tokens served, "
        + (f"[bold red]{told['wrong']} with another prompt's KV bytes" if told["wrong"] else "[green]all bytes right")
    )
    _tell_offline(told, out)


def _tell_large(told: dict[str, Any], out: _Out) -> None:
    out.rule(f"3. SGLang {told['version']}, write_through: a seeded workload on a tree of some thousand nodes")
    out.print(
        f"{told['steps']} operations, {told['nodes']:,} nodes. Live: "
        f"{told['checks']} checks in one pass over the nodes, {told['node_seconds'] * 1e3:.1f} ms; "
        f"{told['slot_checks']} checks of slots, {told['slot_seconds'] * 1e3:.1f} ms: "
        + ("[green]every rule holds" if told["holds"] else "[red]VIOLATED")
    )
    _tell_offline(told, out)


def _tell_offline(told: dict[str, Any], out: _Out) -> None:
    from sanitree.checker.render.words import count

    found = told["offline"]
    out.print(
        f"Offline, from {told['file']}: {found['verdict']}, {count(found['violations'], 'violation')}: "
        + ("[green]the same as live" if found["same_as_live"] else "[red]NOT what was found live")
    )
    out.print()


def _side_by_side(told: dict[str, Any]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(expand=True, show_lines=False, padding=(0, 1))
    table.add_column("the engine's own sanity_check()", ratio=2, overflow="fold")
    table.add_column("sanitree", ratio=3, overflow="fold")
    table.add_row(
        Text.from_markup("\n\n".join(map(_judged, told["engine"])) or "silent"), Text.from_markup(_ours(told))
    )
    return table


def _judged(complaint: str) -> str:
    """A complaint of the engine's check, with what it is worth here."""
    from rich.markup import escape

    if "backed up but parent" in complaint:
        worth = "a false alarm: under write_back only the evicted leaf is backed up"
    else:
        worth = "a hint: the write is in flight and nothing holds its source"
    return f"{escape(complaint)}\n[dim]({worth})[/dim]"


def _ours(told: dict[str, Any]) -> str:
    if not told["violations"]:
        return f"[green]holds[/green]: {told['checked']}, none violated"
    from rich.markup import escape

    grouped: dict[str, list[dict[str, Any]]] = {}
    for v in told["violations"]:
        grouped.setdefault(v["rule"], []).append(v)
    parts = []
    for rule, found in grouped.items():
        where = "\n".join(f"  {v['name']}" + (f" {v['tokens']}" if v["tokens"] else "") for v in found)
        parts.append(f"[red]{escape(rule)}[/red]\n[bold]{escape(where)}[/bold]\n{escape(found[0]['prose'])}")
    return "\n\n".join(parts)
