"""What a benchmark found, beside what was promised."""

from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value; ``goal`` is the most it may be."""

    name: str
    value: float
    unit: str
    goal: float | None = None  # None: for comparison, nothing is promised

    @property
    def ok(self) -> bool:
        """Tell whether the promise is kept."""
        return self.goal is None or self.value <= self.goal

    def dump(self) -> dict[str, Any]:
        """Return the figure as it stands in the result file."""
        return {**asdict(self), "value": round(self.value, 4), "ok": self.ok}


def show(figures: list[Figure]) -> None:
    """Print the figures as a table, the broken promises marked."""
    table = Table(box=None, pad_edge=False)
    for title, side in (("", "left"), ("measured", "left"), ("value", "right"), ("goal", "right"), ("unit", "left")):
        table.add_column(title, justify="right" if side == "right" else "left")
    for one in figures:
        mark = " " if one.goal is None else "✓" if one.ok else "✕"
        goal = "" if one.goal is None else f"≤ {one.goal:g}"
        table.add_row(mark, one.name, f"{one.value:.4g}", goal, one.unit)
    Console().print(table)
