"""docs/tutorial-component.md, done as the page says. `python -m tests.reference.test_tutorial` renews its output."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "tutorial-component.md"
BLOCK = re.compile(r"```(?P<kind>\w+)\n(?P<text>.*?)```", re.DOTALL)
COMMANDS = {"python": [sys.executable], "sanitree": [sys.executable, "-m", "sanitree.checker"]}


def follow(page: str, folder: Path) -> Iterator[tuple[re.Match[str], str]]:
    """Does what a page says: writes the files that it names, applies its diffs, runs its commands.
    Yields each block with a command, and what the command really said."""
    for block in BLOCK.finditer(page):
        kind, text = block["kind"], block["text"]
        if kind == "console":
            yield block, run(text.splitlines()[0], folder)
            continue
        file = folder / re.findall(r"`(\w+\.\w+)`", page[: block.start()])[-1]
        if kind == "diff":
            text = patched(file.read_text(), text.splitlines())
        file.write_text(text)
        if kind == "toml":
            install(file, folder)


def patched(text: str, diff: list[str]) -> str:
    old, new = ("".join(x[1:] + "\n" for x in diff if x[:1] != sign) for sign in "+-")
    assert text.count(old) == 1, f"these lines are not there once:\n{old}"
    return text.replace(old, new)


def run(command: str, folder: Path) -> str:
    prompt, program, *words = command.split()
    assert prompt == "$"
    done = subprocess.run(
        [*COMMANDS[program], *words], cwd=folder, capture_output=True, text=True, timeout=600,
        env={**os.environ, "COLUMNS": "80", "PYTHONPATH": str(folder)},
    )  # fmt: skip
    return f"{command}\n{done.stdout}{done.stderr}"


def install(project: Path, folder: Path) -> None:
    """What an installation leaves of a project's metadata."""
    about = tomllib.loads(project.read_text())["project"]
    info = folder / f"{about['name'].replace('-', '_')}-{about['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {about['name']}\nVersion: {about['version']}\n")
    groups = about["entry-points"].items()
    lines = [x for group, names in groups for x in (f"[{group}]", *(f"{k} = {v}" for k, v in names.items()))]
    (info / "entry_points.txt").write_text("\n".join(lines))


def project(folder: Path) -> Path:
    """An empty folder with the path that rules are shown to be said at."""
    made = folder / "me" / "chunked"
    made.mkdir(parents=True)
    return made


def test_the_page_shows_what_happens(tmp_path: Path) -> None:
    page, folder = PAGE.read_text(encoding="utf-8"), project(tmp_path)
    for block, said in follow(page, folder):
        assert said == block["text"]
    assert len(list(folder.glob("*.dist-info"))) == 1


def main() -> None:
    page = PAGE.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as name:
        for block, said in follow(page, project(Path(name))):
            page = page.replace(block[0], f"```console\n{said}```", 1)
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
