"""Each engine in a process of its own: one version a process, and its noise kept out.

`run_in_engine` calls a function by name in a fresh interpreter where that version is
active. Arguments and result are JSON; the result comes back through a file, because
engines print, and a Rust core prints on file descriptor 1 itself.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sanitree.models.engines import deps, store
from sanitree.models.engines.errors import EngineError, EngineFailed

DEFAULT_TIMEOUT = 600.0


def run_in_engine(
    version: str,
    target: str,
    arguments: Mapping[str, Any] | None = None,
    *,
    search: Sequence[Path] = (),
    timeout: float = DEFAULT_TIMEOUT,
) -> Any:
    """Calls `target` ("module:function") with keyword `arguments` where `version` is active.

    `search` holds folders to import the module from; `timeout` is in seconds. Raises
    `EngineMissing` before anything starts if the engine or its dependencies are not
    fetched, and `EngineFailed` with the child's own words if it raised, died or overran.
    """
    store.find(version)
    deps.find()
    with tempfile.TemporaryDirectory(prefix="sanitree-") as folder:
        answer = Path(folder, "answer.json")
        command = [sys.executable, "-m", __name__, version, target, str(answer)]
        environment = dict(os.environ)
        entries = [*map(str, search), *filter(None, [environment.get("PYTHONPATH")])]
        if entries:
            environment["PYTHONPATH"] = os.pathsep.join(entries)
        where = f"{target} on sglang {version}"
        try:
            done = subprocess.run(
                command,
                input=json.dumps(dict(arguments or {})),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                env=environment,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise EngineFailed(f"{where} ran longer than {timeout:g} s and was ended") from None
        if not answer.is_file():
            raise EngineFailed(f"{where} {_death(done.returncode)}: {_tail(done.stderr)}")
        told = json.loads(answer.read_text())
    if "error" in told:
        raise EngineFailed(f"{where} raised {told['error']}\n{told['trace']}")
    return told["result"]


def _death(code: int) -> str:
    return f"was killed by signal {-code}" if code < 0 else f"ended with status {code} and no answer"


def _tail(text: str, lines: int = 3) -> str:
    return " | ".join(text.strip().splitlines()[-lines:]) or "it said nothing"


def _serve(version: str, target: str, answer: Path) -> None:
    """The child: activates, calls, writes the answer whole or not at all."""
    told: dict[str, Any]
    arguments = json.loads(sys.stdin.read())
    try:
        from sanitree.models.engines import shims

        shims.activate(version)
        module, _, name = target.partition(":")
        told = {"result": getattr(importlib.import_module(module), name)(**arguments)}
        text = json.dumps(told)
    except EngineError as error:
        text = json.dumps({"error": f"{type(error).__name__}: {error}", "trace": ""})
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001 (a panic of a Rust core is no Exception)
        trace = "".join(traceback.format_exception(error)[-6:])
        text = json.dumps({"error": f"{type(error).__name__}: {error}", "trace": trace})
    part = answer.with_suffix(".part")
    part.write_text(text)
    part.rename(answer)


def _main() -> None:
    version, target, answer = sys.argv[1:]
    _serve(version, target, Path(answer))
    sys.stderr.flush()
    # Engines leave threads and exit hooks behind that have nothing left to say.
    os._exit(0)


if __name__ == "__main__":
    _main()
