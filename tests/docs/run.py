"""Run every code block of README.md and docs/: `python -m tests.docs.run [FILE ...]`.

A page's blocks run in order, in one folder that is empty at first: ```python blocks each as a
program of their own, ```bash blocks with the shell's `-eu -o pipefail`. A Python block that begins
with a comment that is a file name (`# mynet.py`) is kept under that name, for the blocks after it;
`# mynet.py, run below` is compiled, and run by these alone.
A block that cannot run here is preceded by `<!-- not run: why -->`; the reason is printed. Blocks
of other languages (text, json) are not code. A link to a file that does not exist fails too.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(
    r"(?:<!-- not run: (?P<why>[^\n]*?) -->\n)?^```(?P<language>\w+)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
FILE_NAME = re.compile(r"# (\w+\.py)(, run below)?\n")
LINK = re.compile(r"\]\((?!\w+:)([^)#\s]+)[^)]*\)")
LIMIT = 300  # seconds for one block


def command(language: str, code: str, folder: Path, number: int) -> list[str] | None:
    """How to run a block, or None if it is not code."""
    if language == "python":
        named = FILE_NAME.match(code)
        script = folder / (named[1] if named else f"block{number}.py")
        script.write_text(code)
        how = ["-m", "py_compile"] if named and named[2] else []
        return [sys.executable, *how, str(script)]
    if language in ("bash", "sh"):
        return ["bash", "-euo", "pipefail", "-c", code]
    return None


def run(argv: list[str], folder: Path) -> tuple[int, str]:
    """The exit code and the output; whatever a block started ends with it."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    block = subprocess.Popen(
        argv,
        cwd=folder,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = block.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        os.killpg(block.pid, signal.SIGKILL)
        output, _ = block.communicate()
        output += f"\nnot finished after {LIMIT} s"
    return block.returncode, output


def run_page(page: Path) -> Iterator[bool]:
    """Whether each block of one page passed."""
    text = page.read_text()
    with tempfile.TemporaryDirectory() as name:
        for number, match in enumerate(BLOCK.finditer(text)):
            where = f"{page.relative_to(ROOT)}:{line_of(text, match.start('code')) - 1}"
            if match["why"]:
                print(f"not run  {where}: {match['why']}")
                continue
            argv = command(match["language"], match["code"], Path(name), number)
            if argv is None:
                continue
            began = time.monotonic()
            code, output = run(argv, Path(name))
            verdict = "passed  " if code == 0 else f"FAILED (exit {code})"
            print(f"{verdict} {where} ({time.monotonic() - began:.1f} s)", flush=True)
            if code:
                print(output[-6000:])
            yield code == 0


def broken_links(page: Path) -> Iterator[str]:
    """The relative links of a page that lead nowhere."""
    text = page.read_text()
    for match in LINK.finditer(BLOCK.sub(lambda block: "\n" * block[0].count("\n"), text)):
        if not (page.parent / match[1]).exists():
            yield f"FAILED   {page.relative_to(ROOT)}: no file '{match[1]}'"


def line_of(text: str, place: int) -> int:
    """The line on which a character stands, from 1."""
    return text.count("\n", 0, place) + 1


def main() -> int:
    """Run the pages named, or all."""
    pages = [Path(p).resolve() for p in sys.argv[1:]]
    pages = pages or [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    broken = [problem for page in pages for problem in broken_links(page)]
    print(*broken, sep="\n", end="\n" if broken else "")
    results = [passed for page in pages for passed in run_page(page)]
    print(f"{sum(results)} passed, {len(results) - sum(results) + len(broken)} failed")
    return 0 if all(results) and not broken else 1


if __name__ == "__main__":
    sys.exit(main())
