"""The results as a Markdown table."""


class Row:
    """A piece of work, what it took on each side, and what it has to reach."""

    def __init__(self, work, samples, to_compose, to_raw, seconds=None):
        self.work, self.samples = work, samples
        self.unit = seconds_text
        self.values = {side: seen.time for side, seen in samples.items()}
        self.goals = [(to_compose, "compose"), (to_raw, "raw"), (seconds, None)]

    @classmethod
    def of_processor(cls, work, samples, to_compose):
        row = cls(work, {}, to_compose, None)
        row.values = {side: seen.processor for side, seen in samples.items()}
        return row

    @classmethod
    def of_memory(cls, work, peaks, limit):
        row = cls(work, {}, None, None, limit)
        row.values, row.unit = peaks, lambda value: f"{value:.1f} MB"
        return row

    def ratio(self, to):
        own, other = self.values.get("taskava"), self.values.get(to)
        return own / other if own is not None and other else None

    @property
    def ok(self):
        """Whether every goal is reached; None without one."""
        goals = [(goal, to) for goal, to in self.goals if goal is not None]
        found = [(self.ratio(to) if to else self.values["taskava"]) <= goal for goal, to in goals]
        return all(found) if found else None

    def cells(self):
        number = lambda value: "" if value is None else f"{value:.3f}"
        text = lambda goal, to: f"≤ {goal:.2f} × {to}" if to else f"≤ {self.unit(goal)}"
        goals = [text(goal, to) for goal, to in self.goals if goal is not None]
        values = [self.unit(self.values[side]) if self.values.get(side) is not None else "" for side in SIDES]
        verdict = {True: "yes", False: "**no**", None: ""}[self.ok]
        return [self.work, *values, number(self.ratio("compose")), number(self.ratio("raw")), ", ".join(goals), verdict]


SIDES = ("taskava", "compose", "raw")


def seconds_text(value):
    return f"{value:.2f} s" if value >= 1 else f"{value * 1000:.1f} ms"


def table(rows):
    head = ["work", *SIDES, "to compose", "to raw", "to reach", "ok?"]
    return markdown(head, [row.cells() for row in rows])


def cpu_table(rows):
    """Processor time of those that are programs: less noisy than time on a busy machine."""
    cells = []
    for row in rows:
        if all(side in row.samples and row.samples[side].cpu for side in ("taskava", "compose")):
            own, other = row.samples["taskava"].processor, row.samples["compose"].processor
            cells.append([row.work, seconds_text(own), seconds_text(other), f"{own / other:.3f}"])
    return markdown(["work", "taskava", "compose", "to compose"], cells)


def markdown(head, rows):
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    line = lambda row: "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |"
    return "\n".join([line(head), "|" + "|".join("-" * (width + 2) for width in widths) + "|", *map(line, rows)])
