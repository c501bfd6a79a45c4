"""Memory and time per pod over the number of pods held, as an SVG picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol
from xml.sax.saxutils import escape

WIDTH, HEIGHT, LEFT, TOP, GAP = 720, 260, 80, 40, 60
INNER = WIDTH - 2 * LEFT


class Measured(Protocol):
    @property
    def pods(self) -> int: ...
    @property
    def memory_mb(self) -> float: ...
    @property
    def cpu_ms_per_pod(self) -> float: ...


def write(path: Path, points: Sequence[Measured]) -> None:
    """Two panels, one above the other: memory, and processor time for each pod of the step."""
    memory = [(point.pods, point.memory_mb) for point in points]
    time = [(point.pods, point.cpu_ms_per_pod) for point in points[1:]]
    parts = [
        panel(memory, "Control plane, resident memory (MB)", TOP),
        panel(time, "Control plane, processor time per pod (ms)", TOP + HEIGHT + GAP),
    ]
    height = 2 * (HEIGHT + GAP) + TOP
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" '
        f'font-size="13">\n<rect width="{WIDTH}" height="{height}" fill="white"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def panel(points: Sequence[tuple[float, float]], title: str, top: float) -> str:
    """A line over pods, with both axes from zero."""
    if not points:
        return ""
    right, most = nice(max(x for x, _ in points)), nice(max(y for _, y in points))

    def place(x: float, y: float) -> tuple[float, float]:
        return LEFT + INNER * x / right, top + HEIGHT - HEIGHT * y / most

    lines = [f'<text x="{LEFT}" y="{top - 12}" font-weight="bold">{escape(title)}</text>']
    for tick in range(5):
        x, y = place(right * tick / 4, most * tick / 4)
        lines.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{LEFT + INNER}" y2="{y:.1f}" stroke="#ddd"/>')
        lines.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{most * tick / 4:g}</text>')
        lines.append(f'<text x="{x:.1f}" y="{top + HEIGHT + 18}" text-anchor="middle">{right * tick / 4:g}</text>')
    lines.append(f'<text x="{LEFT + INNER}" y="{top + HEIGHT + 34}" text-anchor="end">pods</text>')
    placed = [place(x, y) for x, y in points]
    text = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
    lines.append(f'<polyline points="{text}" fill="none" stroke="#1f5fa8" stroke-width="2"/>')
    lines += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="#1f5fa8"/>' for x, y in placed]
    return "\n".join(lines)


def nice(number: float) -> float:
    """The next number above with one or two leading digits that divide well by four."""
    step = 1.0
    while step * 10 < number:
        step *= 10
    return next((step * factor for factor in (1, 2, 4, 6, 8, 10, 16, 20) if step * factor >= number), step * 20)
