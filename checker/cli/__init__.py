"""The `sanitree` command: one module a subcommand, imported when it is asked for.

Nothing here may import torch, directly or through a module: `sanitree --help` and a
typing error answer at once.
"""

from __future__ import annotations

import difflib
import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from sanitree.checker.cli.exits import Exit, Trouble, printable

# Subcommand: the attribute of the module of its name that is its click command, and what --help says of it.
COMMANDS: dict[str, tuple[str, str]] = {
    "check": ("check", "Judge snapshot files by every rule that applies to them."),
    "show": ("show_command", "Show the tree in a snapshot file, its pools and what is in flight."),
    "diff": ("diff", "Say what changed between two snapshots of one cache."),
    "blame": ("blame", "Say what may have led to a snapshot that violates rules."),
    "repair": ("repair", "Say what is wrong with a snapshot: the smallest change that makes all rules hold."),
    "replay": ("replay", "Do a trace again, and say whether it still goes wrong."),
    "rules": ("rules", "List the rules, or explain one."),
    "hunt": ("hunt", "Search a live cache for operations after which something is wrong."),
    "explore": ("explore", "Search every state of a model for one that violates a rule."),
    "prove": ("prove", "Prove by induction that no action of a model breaks a rule, in trees of any size."),
    "demo": ("demo", "Show a real bug in a real engine, live and offline."),
    "engine": ("engine", "Get real engines to run against, and list those at hand."),
}

_EXITS = (
    "Exits: 0 holds, 1 violated, 2 usage or not a snapshot, 3 inconclusive, 4 the tool or an engine failed, "
    "130 interrupted, 141 nobody reads the output any more."
)


class _Sanitree(click.Group):
    """Imports subcommands late, and turns whatever happens into an exit code and a line for people."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"{__name__}.{name}")
        command = getattr(module, COMMANDS[name][0])
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        near = difflib.get_close_matches(args[0], COMMANDS, n=1)
        if near and args[0] not in COMMANDS:
            ctx.fail(f"no command is called {args[0]!r}; did you mean {near[0]}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        # Click would import every subcommand for its first line.
        with formatter.section("Commands"):
            formatter.write_dl([(name, told) for name, (_, told) in COMMANDS.items()])

    def main(  # type: ignore[override]
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        """Run and exit, always: callers that embed the command catch SystemExit."""
        words = list(sys.argv[1:] if args is None else args)
        extra["standalone_mode"] = False
        for stream in (sys.stdout, sys.stderr):
            # A terminal that lacks a character shows a question mark instead of a traceback.
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="replace")
        sys.exit(_run(lambda: super(_Sanitree, self).main(words, prog_name or "sanitree", **extra), words))


def _run(command: Any, words: list[str]) -> int:
    debug = "--debug" in words or os.environ.get("SANITREE_DEBUG", "") not in ("", "0")
    try:
        code = command()
        sys.stdout.flush()
        return int(code or 0)
    except Trouble as error:
        return _tell(error.format_message(), error.hint, error.code, words)
    except click.UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # click 8.2 on; before, help exits by itself
            error.show()
            return Exit.USAGE
        hint = f"try `{error.ctx.command_path} --help`" if error.ctx else ""
        return _tell(error.format_message(), hint, Exit.USAGE, words)
    except click.ClickException as error:
        return _tell(error.format_message(), "", Exit.USAGE, words)
    except (click.Abort, KeyboardInterrupt):
        click.echo("sanitree: interrupted", err=True)
        return Exit.INTERRUPTED
    except BrokenPipeError:
        hush()
        return Exit.UNREAD
    except Exception as error:  # noqa: BLE001  the last resort: whatever is left is a mistake of ours
        if debug:
            traceback.print_exc()
        what = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        hint = "this is a bug in sanitree: please report it, with what SANITREE_DEBUG=1 adds to this output"
        return _tell(f"internal error: {what}", hint, Exit.FAILED, words)


def _tell(what: str, hint: str, code: Exit, words: list[str]) -> int:
    what = printable(what)
    click.echo(f"sanitree: {what}", err=True)
    if hint:
        click.echo(f"  {hint}", err=True)
    if "--json" in words:
        import orjson

        click.echo(orjson.dumps({"error": what, "hint": hint, "exit": int(code)}))
    return code


def hush() -> None:
    """Sends what is still to be written on stdout nowhere, so that the interpreter's last flush is quiet."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115  it lives as long as the process


@click.group(cls=_Sanitree, epilog=_EXITS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="sanitree", message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of an internal error (also: SANITREE_DEBUG=1).")
def cli(debug: bool) -> None:
    """Check tiered radix-tree KV caches against rules: which hold, which are violated, and where."""


def main() -> NoReturn:
    """The console script."""
    cli.main()
