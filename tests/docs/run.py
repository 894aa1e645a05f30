"""Run every code block of README.md and docs/: `python -m tests.docs.run [FILE ...]`.

A page's blocks run in order, in one empty folder: ```python blocks each as a program of their own,
```bash blocks with the shell's -eu. A block that cannot run here is preceded by
`<!-- not run: why -->`; the reason is printed. Blocks of other languages (text, json) are not code.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(
    r"(?:<!-- not run: (?P<why>[^\n]*?) -->\n)?^```(?P<language>\w+)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
LIMIT = 600


def command(language: str, code: str, folder: Path, number: int) -> list[str] | None:
    """How to run a block, or None if it is not code."""
    if language == "python":
        script = folder / f"block{number}.py"
        script.write_text(code)
        return [sys.executable, str(script)]
    if language in ("bash", "sh"):
        return ["bash", "-euo", "pipefail", "-c", code]
    return None


def run_page(page: Path) -> tuple[int, int]:
    """Run one page; how many blocks passed and failed."""
    passed = failed = 0
    text = page.read_text()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with tempfile.TemporaryDirectory() as name:
        for number, match in enumerate(BLOCK.finditer(text)):
            line = text.count("\n", 0, match.start("code"))
            where = f"{page.relative_to(ROOT)}:{line}"
            if match["why"]:
                print(f"not run  {where}: {match['why']}")
                continue
            argv = command(match["language"], match["code"], Path(name), number)
            if argv is None:
                continue
            began = time.monotonic()
            done = subprocess.run(
                argv,
                cwd=name,
                env={**os.environ, "PATH": path, "PYTHONPATH": name},
                capture_output=True,
                text=True,
                timeout=LIMIT,
                check=False,
            )
            took = f"{time.monotonic() - began:.1f} s"
            if done.returncode == 0:
                passed += 1
                print(f"passed   {where} ({took})")
            else:
                failed += 1
                print(f"FAILED   {where} (exit {done.returncode}, {took})")
                print(done.stdout[-3000:], done.stderr[-3000:], sep="\n")
    return passed, failed


def main() -> int:
    """Run the pages named, or all."""
    pages = [Path(p).resolve() for p in sys.argv[1:]]
    pages = pages or [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    results = [run_page(page) for page in pages]
    passed, failed = (sum(column) for column in zip(*results, strict=True))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
