"""Tables and the plot of docs/from-help.md, from what `benchmarks.predict` measured.

Run as `python -m benchmarks.help_tables FIGURES.json`; FIGURES.json is what
`python -m benchmarks.predict --json FIGURES.json` wrote. The tables take the place of what stands
between the two marks in the page. The plot needs matplotlib.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks._help_protocol import SPLITS
from benchmarks._predict_published import HELP_PAPER, META, OTHERS

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "from-help.md"
PLOT = ROOT / "docs" / "prediction.png"
BEGIN, END = "<!-- tables: make tables -->", "<!-- end of tables -->"
NAMES = {
    "titan_rtx_256": "Titan RTX, 256",
    "titan_rtx_64": "Titan RTX, 64",
    "gold_6226": "Gold 6226",
    "fpga": "FPGA",
    "pixel2": "Pixel 2",
    "raspi4": "Raspberry Pi 4",
    "eyeriss": "Eyeriss",
}

Figures = dict[str, float]
Rows = Sequence[dict[str, Any]]


def ranks(figures: Figures, space: str, others: dict[str, Sequence[float | None]]) -> str:
    """HELP's tables 2 and 3 with our rows: Spearman on its trimmed query archs."""
    devices = SPLITS[space].test
    rows: list[tuple[str, str, list[float | None]]] = [
        (f"{name} (HELP's table)", "", list(values)) for name, values in others.items()
    ]
    for n in (900, 3200):
        label = f"BRP-NAS, n = {n}"
        ours = [figures.get(f"{space} {d}, {label}: Spearman, all") for d in devices]
        if any(ours):
            rows.append(("BRP-NAS, ours, all archs", f"{n:,}", ours))
    rows += [
        ("HELP, as printed", "20", [HELP_PAPER.get((space, d)) for d in devices]),
        (
            "HELP, published weights, run by us",
            "20",
            [figures.get(f"HELP as published, {space} {d}: Spearman, trimmed") for d in devices],
        ),
        (
            "**hwnas**",
            "**10**",
            [figures.get(f"{space} {d}, n = 10: Spearman, trimmed") for d in devices],
        ),
        (
            "**hwnas**, all archs",
            "**10**",
            [figures.get(f"{space} {d}, n = 10: Spearman, all") for d in devices],
        ),
        (
            "hwnas, all archs",
            "5",
            [figures.get(f"{space} {d}, n = 5: Spearman, all") for d in devices],
        ),
    ]
    head = ["method", "measurements", *(NAMES[d] for d in devices), "mean"]
    return table(head, [[name, n, *cells(values)] for name, n, values in rows if any(values)])


def errors(figures: Figures) -> str:
    """What HELP's tables do not have: errors in milliseconds, and intervals."""
    head = ["space", "device", "median error", "within 10 %", "90 % intervals hold"]
    rows = []
    for space, split in SPLITS.items():
        for device in split.test:
            label = f"{space} {device}, n = 10"
            found = [
                figures.get(f"{label}: median error"),
                figures.get(f"{label}: within 10%"),
                figures.get(f"{label}: 90% intervals hold, at least"),
            ]
            told = ["" if one is None else f"{100 * one:.1f} %" for one in found]
            rows.append([f"`{space}`", NAMES[device], *told])
    return table(head, rows)


def kinds(figures: Figures) -> str:
    """Sources without a kind of device."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    for label, value in figures.items():
        match = re.fullmatch(r"(\w+) (\w+), no (\w+) among the sources, n = 10: .*, all", label)
        if match:
            space, device, kind = match.groups()
            found.setdefault((space, device), {})[kind] = value
    head = ["space", "device", "all nine", "no GPUs", "no CPUs", "no phones"]
    rows = []
    for (space, device), values in found.items():
        every = figures.get(f"{space} {device}, n = 10: Spearman, all")
        row = [every, *(values.get(kind) for kind in ("GPUs", "CPUs", "phones"))]
        rows.append([f"`{space}`", NAMES[device], *("" if v is None else f"{v:.3f}" for v in row)])
    return table(head, rows)


def limits(rows: Rows) -> str:
    """HELP's table 4: networks of MetaD2A under limits."""
    head = [
        "device",
        "limit",
        "hwnas: slowest of 8 picks",
        "HELP's pick",
        "accuracy",
        "HELP's",
        "best",
    ]
    lines = []
    for row in rows:
        match = re.fullmatch(r"MetaD2A, (\w+), (\S+) ms: latency, .*", row["figure"])
        if not match:
            continue
        device, limit = match.groups()
        about = f"MetaD2A, {device}, {limit} ms: accuracy (oracle "
        accuracy = next(other for other in rows if other["figure"].startswith(about))
        best = accuracy["figure"].removeprefix(about).rstrip(")")
        lines.append(
            [
                NAMES[device],
                f"{limit} ms",
                *(marked(one, float(limit)) for one in (row["value"], row["peer"])),
                f"{accuracy['value']:.2f}",
                f"{accuracy['peer']:.1f}",
                best,
            ]
        )
    return table(head, lines)


def resized(rows: Rows) -> str:
    """HELP's table 5: networks of Once-for-All under limits."""
    found = {row["figure"]: row for row in rows}
    head = ["device", "limit", "hwnas", "HELP's pick", "accuracy on ImageNet's scale", "HELP's"]
    lines = []
    for limit in (20, 23, 28):
        label = f"OFA, titan_rtx_64, {limit} ms: "
        latency = found[f"{label}latency by the reference model"]
        accuracy = next(r for name, r in found.items() if name.startswith(f"{label}on ImageNet"))
        both = (marked(one, limit) for one in (latency["value"], latency["peer"]))
        told = f"{accuracy['value']:.1f}", f"{accuracy['peer']:.1f}"
        lines.append([NAMES["titan_rtx_64"], f"{limit} ms", *both, *told])
    for name in ("Gold 6226", "Jetson AGX Xavier"):
        lines.append([name, "no data", "", "", "", ""])
    return table(head, lines)


def marked(latency: float, limit: float) -> str:
    """A latency, bold where it breaks the limit."""
    mark = "**" if latency > limit else ""
    return f"{mark}{latency:.4g} ms{mark}"


def cells(values: Sequence[float | None]) -> list[str]:
    """The values and their mean."""
    known = [value for value in values if value is not None]
    told = ["" if value is None else f"{value:.3f}" for value in values]
    return [*told, f"{sum(known) / len(known):.3f}" if len(known) == len(values) else ""]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def plot(figures: Figures, path: Path) -> bool:
    """Spearman over the number of measurements, a panel for each device; False without curves."""
    curves: dict[tuple[str, str], dict[str, list[tuple[int, float]]]] = {}
    for label, value in figures.items():
        match = re.fullmatch(r"(\w+) (\w+), ([\w-]+), n = (\d+): Spearman, all", label)
        if match and not math.isnan(value):  # the same prediction for every arch has no rank
            space, device, method, n = match.groups()
            panel = curves.setdefault((space, device), {})
            panel.setdefault(method, []).append((int(n), value))
    if not curves:
        return False
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = -(-len(curves) // 4)
    figure, axes = pyplot.subplots(rows, 4, figsize=(13, 3 * rows), layout="constrained")
    panels = list(axes.flat)
    for panel, ((space, device), methods) in zip(panels, curves.items(), strict=False):
        for method, points in methods.items():
            ours = method == "metabma"
            # Differences near 1 matter as much as those near 0.5: the axis is that of 1 - rank.
            xs, ys = zip(*((n, max(1 - value, 1e-4)) for n, value in sorted(points)), strict=True)
            panel.plot(
                xs,
                ys,
                label=method,
                color="#c2410c" if ours else None,
                linewidth=2.4 if ours else 1.1,
                zorder=3 if ours else 2,
                marker="o" if ours else None,
                markersize=3,
            )
        panel.set(xscale="log", yscale="log", title=f"{space}: {NAMES[device]}")
        panel.set_xticks([3, 5, 10, 20, 50, 100], ["3", "5", "10", "20", "50", "100"])
        panel.minorticks_off()
        levels = [0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005]
        panel.set_yticks(levels, [f"{1 - level:g}" for level in levels])
        low = min(1 - value for points in methods.values() for _, value in points)
        panel.set_ylim(0.7, max(low, 1e-4) * 0.7)
        panel.grid(alpha=0.25)
    for panel in panels[len(curves) :]:
        panel.axis("off")
    handles, labels = panels[0].get_legend_handles_labels()
    panels[-1].legend(handles, labels, loc="center", frameon=False)
    figure.supxlabel("measurements of the device")
    figure.supylabel("Spearman, all archs")
    figure.savefig(path, dpi=80)
    return True


def main(path: Path) -> None:
    """Write the tables and the plot."""
    rows = json.loads(path.read_text())
    figures = {row["figure"]: row["value"] for row in rows}
    text = PAGE.read_text()
    if BEGIN not in text or END not in text:
        sys.exit(f"{PAGE} has no marks for the tables")
    parts = [
        "**NAS-Bench-201** (HELP's table 3), Spearman on HELP's trimmed query archs unless said:",
        ranks(figures, "nasbench201", OTHERS),
        "**FBNet** (HELP's table 2):",
        ranks(figures, "fbnet", META),
        "**Errors and intervals** of hwnas with ten measurements, on all archs:",
        errors(figures),
        "**A new kind of device**: sources of that kind left out, Spearman on all archs, n = 10:",
        kinds(figures),
        "**Networks under a limit**: 500 candidates of MetaD2A on NAS-Bench-201 (HELP's table 4). "
        "Latencies are those of the published tables, for hwnas the slowest of what 8 designs of "
        "ten measurements pick, with at most five finalists measured; bold ones break their limit. "
        "Accuracies are means of the 8; best is what all true latencies would allow.",
        limits(rows),
        "Once-for-All on Titan RTX (HELP's table 5), latencies by a reference model that was "
        "fitted on all 5,000 measured networks, accuracies by the published predictor on a line "
        "through HELP's published picks:",
        resized(rows),
    ]
    if plot(figures, PLOT):
        parts.append(f"![Spearman over the number of measurements]({PLOT.name})")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    PAGE.write_text(before + BEGIN + "\n\n" + "\n\n".join(parts) + "\n\n" + END + after)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m benchmarks.help_tables FIGURES.json")
    main(Path(sys.argv[1]))
