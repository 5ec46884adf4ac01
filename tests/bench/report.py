"""The table: one line a measure, and how many times better than the best of the others."""
from dataclasses import dataclass, field


@dataclass
class Row:
    measure: str
    ours: float
    others: dict = field(default_factory=dict)  # name -> figure, compared
    goal: float = 0  # at least so many times
    limit: float = 0  # or: ours at most this, or at least where more is better
    digits: int = 2
    more: bool = False  # more is better

    def ratio(self):
        if self.more:
            return self.ours / max(self.others.values())
        least = min(self.others.values(), default=0)
        return least / self.ours if self.ours else float("inf")

    def cells(self, names):
        show = lambda figure: f"{figure:,.{self.digits}f}" if figure is not None else ""
        if self.goal:
            goal, met = f"≥ {self.goal:g}", self.ratio() >= self.goal
        elif self.limit:
            goal, met = (f"≥ {self.limit:g}", self.ours >= self.limit) if self.more else (f"≤ {self.limit:g}", self.ours <= self.limit)
        else:
            goal, met = "", None
        ratio = f"{self.ratio():.{2 if self.ratio() < 10 else 0}f}" if self.others else ""
        return [self.measure, show(self.ours), *(show(self.others.get(name)) for name in names), ratio, goal, {True: "yes", False: "no", None: ""}[met]]


def table(rows, ours, markdown=False):
    names = list(dict.fromkeys(name for row in rows for name in row.others))
    lines = [["measure", ours, *names, "ratio", "goal", "met"], *(row.cells(names) for row in rows)]
    if markdown:
        escaped = [[cell.replace("|", "\\|") for cell in line] for line in lines]
        return "\n".join("| " + " | ".join(line) + " |" for line in [escaped[0], ["---", *["--:"] * (len(lines[0]) - 1)], *escaped[1:]])
    widths = [max(map(len, column)) for column in zip(*lines)]
    return "\n".join("  ".join([line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:]))]).rstrip() for line in lines)
