"""`sanitree explore`: searches every state of a model for one that violates a rule."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sanitree.checker.cli.exits import Exit, Trouble
from sanitree.checker.cli.inputs import (
    Names,
    broken_plugins_told,
    chosen_components,
    json_option,
    known_components,
    load,
    shown,
)
from sanitree.checker.cli.output import console, print_json, progress, show, show_lockstep
from sanitree.invariants.vocabulary import Policy
from sanitree.models.ranks.group import MOST_RANKS

if TYPE_CHECKING:
    from sanitree.checker.explore.configured import Configuration, Model
    from sanitree.checker.explore.outcome import Outcome
    from sanitree.checker.explore.results import Bounds, Searched, Sofar

_POLICIES = [p.value for p in Policy]
_SIZES = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_PART = 4  # nodes of a snapshot that are looked at
_PATIENCE = 30.0  # seconds for z3 to complete a state
_SHARE = 0.75  # of the memory that is free, unless --memory says otherwise


class _Size(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.4 on only
    """A number of bytes, such as 500M or 8G."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", value.strip(), re.IGNORECASE)
        if found is None or not float(found[1]):
            self.fail(f"{value!r} is no size: write 500M or 8G", param, ctx)
        return int(float(found[1]) * _SIZES[found[2].upper()])


class _Shape(click.ParamType):  # type: ignore[type-arg]
    """The parent of each page, 0 the root, each before its children."""

    name = "shape"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        parts = [p.strip() for p in value.split(",")]
        if not all(re.fullmatch(r"\d{1,3}", p) for p in parts):
            self.fail(f"{value!r} is no tree: name the parent of each page, 0 the root, as in 0,1,1,2", param, ctx)
        parents = tuple(map(int, parts))
        for page, parent in enumerate(parents, 1):
            if parent >= page:
                self.fail(f"page {page} hangs below {parent}: a parent comes before its children", param, ctx)
        return parents


@click.command()
@click.option(
    "--preset",
    metavar="NAME",
    default="pages",
    show_default=True,
    help="Which model: pages, or heap, a small one of known size.",
)
@click.option("--policy", type=click.Choice(_POLICIES), default="write_through", show_default=True)
@click.option("--components", type=Names("component", known_components), default="full", show_default=True,
              metavar="NAMES", help="What the cache keeps, e.g. full,swa.")  # fmt: skip
@click.option("--pages", type=click.IntRange(1), metavar="N", help="Pages that there may be; of the heap, nodes.")
@click.option("--tree", type=_Shape(), metavar="SHAPE",
              help="The parent of each page instead, 0 the root: 0,1,1,2.")  # fmt: skip
@click.option("--device-capacity", type=click.IntRange(1), metavar="N", help="Pages that the device holds.")
@click.option("--host-capacity", type=click.IntRange(0), metavar="N", help="Pages that the host holds.")
@click.option("--requests", type=click.IntRange(0), metavar="N", help="Requests at once.")
@click.option("--ranks", type=click.IntRange(1, MOST_RANKS), default=1, show_default=True, metavar="N",
              help="So many ranks, on each of which copies land at their own time: see docs/ranks.md.")  # fmt: skip
@click.option(
    "--fault",
    metavar="NAME",
    help="Switch on a fault of the model: see docs/model-faults.md; of a rank: docs/ranks.md.",
)
@click.option("--rule", "rules", multiple=True, metavar="ID",
              help="Only this rule; may be given several times.")  # fmt: skip
@click.option("--judge-as", type=click.Choice(_POLICIES), help="Judge by the rules of another policy.")
@click.option("--symmetry", type=click.Choice(["on", "off"]), default="off", show_default=True,
              help="Count states that differ in the order of siblings as one.")  # fmt: skip
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
@click.option("--cores", type=click.IntRange(1, 256), metavar="N", help="[default: all]")
@click.option("--states", type=click.IntRange(1), metavar="N", help="Stop at so many states.")
@click.option("--seconds", type=click.FloatRange(0, min_open=True), metavar="S", help="Stop after so long.")
@click.option("--memory", type=_Size(), metavar="SIZE",
              help="Stop at so many bytes, e.g. 8G. [default: three quarters of what is free]")  # fmt: skip
@click.option("--from", "origin", metavar="FILE", help="Begin in the state of a snapshot, or of a part of it.")
@click.option("--node", "nodes", type=int, multiple=True, metavar="ID",
              help="With --from: a node of that part; what is in flight, unless given.")  # fmt: skip
@click.option("--steps", type=click.IntRange(0), metavar="K", help="Stop after so many moves.")
@click.option("--promela", type=click.Path(dir_okay=False), metavar="FILE",
              help="Write the model as Promela, for SPIN, and do nothing else.")  # fmt: skip
@click.option("--save", type=click.Path(dir_okay=False), metavar="FILE", help="Write the trace of what was found.")
@json_option
def explore(
    preset: str,
    policy: str,
    components: tuple[str, ...],
    pages: int | None,
    tree: tuple[int, ...] | None,
    device_capacity: int | None,
    host_capacity: int | None,
    requests: int | None,
    ranks: int,
    fault: str | None,
    rules: tuple[str, ...],
    judge_as: str | None,
    symmetry: str,
    device: str,
    cores: int | None,
    states: int | None,
    seconds: float | None,
    memory: int | None,
    origin: str | None,
    nodes: tuple[int, ...],
    steps: int | None,
    promela: str | None,
    save: str | None,
    as_json: bool,
) -> int:
    """Search every state of a model for one that violates a rule.

    A model is what a cache can do at all, within bounds: every order of inserts, locks,
    evictions, backups and loads. The search is breadth first, so a trace that is shown
    is as short as any; it is done again without the search before it is shown.

    Exits 0 where every state was seen and every rule holds, within the bounds that are
    printed; 1 where one is violated; 3 where a bound ended the search before.
    """
    if origin is not None:
        _refuse_beside_from()
    elif nodes:
        raise click.UsageError("--node says which part of a snapshot: give --from too")
    if pages is not None and tree is not None:
        raise click.UsageError("--pages and --tree both say how many pages there are: give one")
    with progress("starting") as tell:
        from sanitree.checker.cores import cores as all_cores
        from sanitree.checker.explore.configured import Configuration
        from sanitree.checker.explore.results import Bounds

        with broken_plugins_told():
            made = _onward(origin, nodes, fault, rules) if origin is not None else _model(Configuration(
                preset=preset, policy=Policy(policy), components=chosen_components(components), pages=pages, tree=tree,
                device_capacity=device_capacity, host_capacity=host_capacity, requests=requests, fault=fault,
                rules=rules, judged_as=None if judge_as is None else Policy(judge_as), ranks=ranks,
            ))  # fmt: skip
        if promela is not None:
            return _export(made, promela, as_json)
        bounds = Bounds(states, seconds, memory if memory is not None else _free_memory(), steps)
        cores = cores or all_cores()
        if device == "cuda":
            _refuse_without_cuda()
        tell("compiling the model")
        found = _search(made, bounds, cores, symmetry == "on", device, tell)
        where = "a CUDA device" if device == "cuda" else "1 core" if cores == 1 else f"{cores} cores"
        told = _outcome(made, found, bounds, symmetry == "on", where)
    code = conclude(told)
    _save(told, save)
    saved = save if told.trace is not None else None
    if as_json:
        from sanitree.checker.explore.outcome import plain_outcome

        print_json(plain_outcome(told, int(code), saved))
    else:
        from sanitree.checker.render.explored import render

        show(console(), render(told, saved))
        if told.model.configuration.preset == "pages":
            show_lockstep(console())
    return code


def conclude(told: Outcome) -> Exit:
    """The exit that goes with what a search came to."""
    from sanitree.checker.report import Verdict

    return {
        Verdict.HOLDS: Exit.HOLDS, Verdict.VIOLATED: Exit.VIOLATED, Verdict.INCONCLUSIVE: Exit.INCONCLUSIVE,
    }[told.verdict]  # fmt: skip


_OF_A_MODEL = (
    "preset", "policy", "components", "pages", "tree", "device_capacity", "host_capacity", "requests", "ranks",
    "judge_as", "symmetry", "promela", "save",
)  # fmt: skip
"""What a snapshot says itself, or a search that begins in one cannot do."""


def _refuse_beside_from() -> None:
    context = click.get_current_context()
    for name in _OF_A_MODEL:
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name.replace('_', '-')} does not go with --from: leave it out")


def _onward(file: str, nodes: tuple[int, ...], fault: str | None, rules: tuple[str, ...]) -> Model:
    """The part of a snapshot around these nodes, or around what is in flight."""
    from sanitree.checker.blame.part import part
    from sanitree.checker.explore.configured import ConfigurationError
    from sanitree.checker.explore.onward import onward

    s = load(file)
    for node in nodes:
        if node not in s.row_of:
            raise Trouble(f"has no node {node}", where=shown(file), hint="`sanitree show` lists them")
    rows = part(s, [s.row_of[n] for n in nodes], _PART)
    try:
        found = onward(s, rows, fault, rules, _PATIENCE)
    except ConfigurationError as error:
        raise Trouble(str(error), error.hint, where=shown(file)) from None
    left_out = "; ".join([*found.abstraction.left_out, *([f"{found.open} numbers that nobody saw"] * bool(found.open))])
    if left_out:
        click.echo(f"not as in {shown(file)}: {left_out}", err=True)
    return found.model


def _model(c: Configuration) -> Model:
    from sanitree.checker.explore.configured import ConfigurationError, model

    try:
        return model(c)
    except ConfigurationError as error:
        raise Trouble(str(error), error.hint) from None


def _search(made: Model, bounds: Bounds, cores: int, symmetry: bool, device: str, tell: Any) -> Searched:
    from sanitree.checker.explore.promised import promised
    from sanitree.checker.explore.search import INSTALL, search
    from sanitree.checker.explore.witnesses import witnesses
    from sanitree.checker.render.explored import covered, progress_line

    last: list[Sofar] = []

    def told(s: Sofar) -> None:
        last[:] = [s]
        tell(progress_line(s))

    try:
        goals = witnesses(made.transitions, made.judged)
        return search(
            made.transitions, bounds, cores=cores, symmetry=symmetry, goals=goals, told=told, device=device,
            progress=promised(made.transitions),
        )  # fmt: skip
    except ImportError as error:
        todo = f"{INSTALL}, into the environment that this sanitree is in"
        raise Trouble(f"exploring needs {error.name}", todo, Exit.FAILED) from None
    except OverflowError as error:
        raise Trouble(f"the model is wrong: {error}", "a guard lets a number grow too far", Exit.FAILED) from None
    except MemoryError:
        seen = f" after {last[0].states:,} states" if last else ""
        raise Trouble(f"out of memory{seen}", "set --memory, or take fewer pages", Exit.FAILED) from None
    except KeyboardInterrupt:
        if last:
            click.echo(f"sanitree: {covered(last[0])}, and nothing violated so far", err=True)
        raise


def _outcome(made: Model, found: Searched, bounds: Bounds, symmetry: bool, where: str) -> Outcome:
    from sanitree.checker.explore.confirm import MismatchError
    from sanitree.checker.explore.outcome import outcome

    try:
        return outcome(made, found, bounds, symmetry, where)
    except MismatchError as error:
        hint = "this is a bug in sanitree, and says nothing about the model: please report it with the command"
        raise Trouble(f"what the search found could not be confirmed: {error}", hint, Exit.FAILED) from None


def _export(made: Model, file: str, as_json: bool) -> Exit:
    from sanitree.checker.explore.promela import promela

    try:
        Path(file).write_text(promela(made.transitions))
    except OSError as error:
        raise Trouble(f"cannot be written: {error.strerror or error}", code=Exit.FAILED, where=file) from None
    moves, rules = len(made.transitions.moves), len(made.transitions.rules)
    if as_json:
        print_json({"exit": 0, "promela": file, "moves": moves, "rules": rules})
    else:
        click.echo(f"{file}: {moves} moves and {rules} rules of {made.system.name}; with SPIN:")
        click.echo(f"  spin -a {file} && gcc -O3 -DSAFETY -DNOREDUCE -DNOFAIR -DBFS -o pan pan.c && ./pan -w24")
    return Exit.HOLDS


def _save(told: Outcome, file: str | None) -> None:
    if file is None or told.trace is None:
        return
    from sanitree.checker.explore.tracefile import write
    from sanitree.models.snapshot import SnapshotIOError

    try:
        write(told.trace, file)
    except SnapshotIOError as error:
        raise Trouble(error.what, code=Exit.FAILED, where=file) from None


def _free_memory() -> int | None:
    """Most bytes that a search may take where nobody says; None where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return None
    return int(free * _SHARE)


def _refuse_without_cuda() -> None:
    import torch

    if not torch.cuda.is_available():
        raise Trouble("torch sees no CUDA device here", "leave --device out, or install torch for CUDA", Exit.FAILED)
