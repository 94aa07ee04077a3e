"""A bar chart of the ratios as SVG: one group for each workload, a bar with its quartiles for each proxy."""

import math
from typing import Any
from xml.sax.saxutils import escape

BAR, GAP, LEFT, WIDTH, RIGHT = 16, 14, 150, 560, 90
# A logarithmic axis: what costs a hundred times as much must not flatten what differs by a tenth.
LOW, HIGH_MIN = 0.5, 4.0
TICKS = (0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)
OURS, THEIRS = "#1f6feb", "#9aa4b2"


def plot(summary: dict[str, Any]) -> str:
    """The chart of a summary; workloads without a ratio are left out."""
    groups = [
        (
            workload["title"],
            [(name, peer["ratio"]) for name, peer in workload["peers"].items() if "ratio" in peer],
        )
        for workload in summary["workloads"].values()
    ]
    groups = [(title, bars) for title, bars in groups if bars]
    high = max([HIGH_MIN, *(ratio["q3"] for _, bars in groups for _, ratio in bars)])
    parts: list[str] = []
    y = 30
    for title, bars in groups:
        y += GAP
        parts.append(f'<text x="0" y="{y}" font-weight="bold">{escape(title)}</text>')
        y += 8
        for name, ratio in sorted(bars, key=lambda bar: float(bar[1]["median"])):
            parts += _bar(name, ratio, y, high)
            y += BAR + 3
        y += GAP
    axis = [
        f'<line x1="{_x(tick, high):.1f}" y1="20" x2="{_x(tick, high):.1f}" y2="{y}" '
        f'stroke="{"#d1242f" if tick == 1 else "#e4e7eb"}"/>'
        f'<text x="{_x(tick, high):.1f}" y="14" text-anchor="middle" fill="#57606a">{tick:g}</text>'
        for tick in TICKS
        if LOW <= tick <= high
    ]
    size = f'width="{LEFT + WIDTH + RIGHT}" height="{y + 10}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="11">',
            '<rect width="100%" height="100%" fill="white"/>',
            "<title>CPU per request as a ratio to nginx, medians and quartiles, logarithmic</title>",
            *axis,
            *parts,
            "</svg>\n",
        ]
    )


def _bar(name: str, ratio: dict[str, float], y: float, high: float) -> list[str]:
    start, end = _x(LOW, high), _x(ratio["median"], high)
    first, last = _x(ratio["q1"], high), _x(ratio["q3"], high)
    middle = y + BAR / 2
    # What is not a peer is a build of Headgate, whatever it was called on the command line.
    colour = OURS if name in ("headgate", "compiled") else THEIRS
    return [
        f'<text x="{LEFT - 6}" y="{middle + 4}" text-anchor="end">{escape(name)}</text>',
        f'<rect x="{start:.1f}" y="{y}" width="{max(end - start, 1):.1f}" height="{BAR}" fill="{colour}"/>',
        f'<line x1="{first:.1f}" y1="{middle}" x2="{last:.1f}" y2="{middle}" stroke="black"/>',
        f'<text x="{max(end, last) + 5:.1f}" y="{middle + 4}">{ratio["median"]:.2f}</text>',
    ]


def _x(value: float, high: float) -> float:
    share = math.log(max(value, LOW) / LOW) / math.log(high / LOW)
    return LEFT + WIDTH * min(share, 1.0)
