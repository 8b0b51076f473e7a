"""`sanitree replay`: a trace done again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sanitree.checker.cli.exits import Exit, Trouble
from sanitree.checker.cli.inputs import json_option
from sanitree.checker.cli.output import print_json, progress

if TYPE_CHECKING:
    from sanitree.checker.replay import Answer, Replay
    from sanitree.models.driving.trace import Trace


@click.command()
@click.argument("file", metavar="TRACE")
@click.option("--on", metavar="reference|VERSION", help="What to do it on. [default: where it was recorded]")
@click.option("--core", type=click.Choice(["python", "rust", "both"]), help="Another core than the trace's.")
@click.option("--pytest", "as_pytest", is_flag=True, help="Write it as a test to standard output, and do nothing.")
@click.option("--lockstep", is_flag=True, help="The page model follows every call: see docs/lockstep.md.")
@json_option
def replay(file: str, on: str | None, core: str | None, as_pytest: bool, lockstep: bool, as_json: bool) -> int:
    """Do what TRACE says on a fresh cache, with every rule after every step.

    A trace of `sanitree explore` is done on the model that it names, or, with
    --on, by a cache that is asked for each of its moves. The answer is
    REPRODUCED, GONE, or CANNOT RUN with the reason, and where results part
    from those recorded. Exits: something went wrong (1), nothing did (0), it
    cannot be done there (3), TRACE is no trace (2).
    """
    from sanitree.models.snapshot import SnapshotError

    if Path(file, "report.json").is_file():
        return _of_dump(file, as_json)
    try:
        from sanitree.models.driving.document import format_of

        if format_of(file) == _MODEL_TRACE:
            if as_pytest or lockstep or core not in (None, "python") or (core is not None and on is None):
                raise Trouble(
                    "a model trace is done on the model that it names, or with --on by a cache whose nodes can be seen",
                    "leave --pytest and --lockstep out, and any core but python's", where=file,
                )  # fmt: skip
            return _on_the_model(file, as_json) if on is None else _model_by_a_cache(file, on, core, as_json)
        from sanitree.models.driving.trace import read

        trace = read(file)
    except SnapshotError as error:
        raise Trouble(error.what, error.hint, Exit(error.exit_code), where=error.where) from None
    where = on or trace.on
    if as_pytest:
        from sanitree.checker.render.regression import as_test

        click.echo(as_test(trace, where or "reference"), nl=False)
        return Exit.HOLDS
    if where is None:
        raise Trouble("nobody wrote down where it was recorded", "say --on reference, or --on an engine's version")
    _check_version(where)
    with progress(f"replaying on {where}"):
        from sanitree.checker.replay import replay as again

        told = again(trace, where, core, lockstep)
    code = exit_of(told)
    if as_json:
        print_json({"exit": int(code), "file": file, **told.plain()})
    else:
        _show(trace, told)
    return code


_MODEL_TRACE = "sanitree-model-trace"


def _on_the_model(file: str, as_json: bool) -> Exit:
    from sanitree.checker.cli.inputs import broken_plugins_told
    from sanitree.checker.cli.output import console, show
    from sanitree.checker.explore.confirm import plain_again, replay
    from sanitree.checker.explore.tracefile import read
    from sanitree.checker.render.explored import again

    with progress("replaying on the model"), broken_plugins_told():
        told = replay(read(file))
    code = _exit_of(told.answer)
    if as_json:
        print_json({"exit": int(code), "file": file, **plain_again(told)})
    else:
        show(console(), again(told))
    return code


def _model_by_a_cache(file: str, on: str, core: str | None, as_json: bool) -> Exit:
    """A run of the model, asked of a cache."""
    from sanitree.checker.cli.inputs import broken_plugins_told
    from sanitree.checker.explore.tracefile import read
    from sanitree.models.driving.open import name_of

    _check_version(on)
    with progress(f"asking {on}"), broken_plugins_told():
        from sanitree.checker.perform.again import again

        told = again(read(file), on, core)
    code = _exit_of(told.answer)
    if as_json:
        print_json({"exit": int(code), "file": file, **told.plain()})
        return code
    click.echo(f"{told.answer.value} on {name_of(on)}: {told.reason}")
    for number, move in enumerate(told.moves):
        mark = " " if number < told.done else "!" if number == told.done else "-"
        click.echo(f"  {mark} {number + 1}: {move}")
    if told.operations:
        click.echo(f"asked for by {', '.join(told.operations)}")
    for line in told.differences:
        click.echo(f"  {line}")
    return code


NO_TRACE = (
    "a dump has where each operation was called from, and no arguments: prompts and slots are not kept in a "
    "server, so nobody can do them again"
)


def _of_dump(file: str, as_json: bool) -> int:
    """A dump's operations cannot be done again, which is said as any trace's fate is."""
    if as_json:
        print_json({"exit": int(Exit.INCONCLUSIVE), "file": file, "answer": "CANNOT RUN", "reason": NO_TRACE})
    else:
        click.echo(f"CANNOT RUN  {file}\n  {NO_TRACE}")
        click.echo(f"  sanitree check {file} judges what it shows, sanitree hunt looks for a way there")
    return Exit.INCONCLUSIVE


def _exit_of(answer: Answer) -> Exit:
    from sanitree.checker.replay import Answer

    codes = {Answer.REPRODUCED: Exit.VIOLATED, Answer.GONE: Exit.HOLDS, Answer.CANNOT_RUN: Exit.INCONCLUSIVE}
    return codes[answer]


def exit_of(told: Replay) -> Exit:
    """What went wrong is proof, whatever was looked for; what could not run says nothing."""
    from sanitree.checker.replay import Answer

    if told.wrong is not None:
        return Exit.VIOLATED
    return Exit.INCONCLUSIVE if told.answer is Answer.CANNOT_RUN else Exit.HOLDS


def _check_version(where: str) -> None:
    if where == "reference":
        return
    from sanitree.models.engines import store
    from sanitree.models.engines.errors import EngineError

    try:
        store.checked(where)
    except EngineError as error:
        raise Trouble(str(error), "say --on reference, or --on an engine's version") from None


def _show(trace: Trace, told: Replay) -> None:
    from sanitree.checker.replay import text
    from sanitree.models.driving.open import name_of

    click.echo(f"{told.answer.value} on {name_of(told.on)}: {told.reason}")
    last = told.done + len(told.skipped) - 1
    for number, done in enumerate(trace.operations):
        mark = "-" if number in told.skipped else "!" if told.wrong and number == last else " "
        if number <= last:
            click.echo(f"  {mark} {number}: {text(done.operation)}")
    if told.skipped:
        click.echo("  - had nothing to act on")
    if told.parted is not None:
        p = told.parted
        click.echo(f"Results part at operation {p.number}, {p.operation}: recorded {p.recorded!r}, now {p.now!r}")
        if p.tree:
            click.echo(p.tree)
    if told.wrong is not None and told.wrong.text:
        click.echo(told.wrong.text)
