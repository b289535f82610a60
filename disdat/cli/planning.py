"""What an apply would do, as lines: a tree of tasks, or of their classes where there are too many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from disdat.cli import render
from disdat.core.branches import Strokes, branches
from disdat.core.printable import brief
from disdat.pipeline.preview import Expected, Preview

_SHORT = 8
_MOST = 60
"""Of more tasks than this, those of one class are shown together, where not all are wanted."""
_ORDER = ("missing", "run", "unknown", "reuse")


def lines(found: Preview, *, strokes: Strokes, every: bool, width: int | None) -> Iterator[str]:
    """What ``dsdt plan`` prints, at most *width* characters wide; *every* task, or of many the classes."""
    if every or len(found.tasks) <= _MOST:
        yield from _fitting([*_tasks(found, strokes)], width)
        yield _total(found)
    else:
        yield from render.table([*_classes(found, strokes)], width=width)
        yield f"{_total(found)}; --all shows each task"


def _fitting(rows: Sequence[Sequence[str]], width: int | None) -> Iterator[str]:
    """
    Rows below each other; where they are too wide, that of why a task is used again is left out first.

    What runs keeps its reason, and gives up its place in the column for it.
    """
    filled = [number for number, column in enumerate(zip(*rows, strict=True)) if any(column)]
    rows = [[row[number] for number in filled] for row in rows]
    lines = render.table(rows)
    if width is None or max(map(len, lines)) <= width:
        yield from lines
        return
    short = render.table([[*row[:-1], "" if row[0] == "reuse" else row[-1]] for row in rows])
    for row, line in zip(rows, short, strict=True):
        head = row[0].ljust(max(len(each[0]) for each in rows))
        yield line if len(line) <= width else render.cut("  ".join(filter(None, (head, *row[1:]))), width)


def _tasks(found: Preview, strokes: Strokes) -> Iterator[list[str]]:
    tasks = found.tasks

    def below(number: int) -> list[tuple[str, int]]:
        read = [(render.one_line(argument), each) for argument, each in tasks[number].inputs.items()]
        yields = "yields" if tasks[number].decision == "reuse" else "as last time"
        return read + [(yields, each) for each in tasks[number].yields]

    for twig in branches(found.root, below, strokes=strokes):
        each = tasks[twig.each]
        line = twig.line(brief(each.task))
        if twig.is_again:
            yield ["", line, "", ""]
        else:
            since = f" (since {each.against[:_SHORT]})" if each.against else ""
            yield [each.decision, line, _takes(each), render.one_line(each.why) + since]


def _takes(each: Expected) -> str:
    seconds = "" if each.seconds is None else f"~{render.duration(each.seconds)}"
    fetches = f"fetches {render.size(each.fetch_bytes)}" if each.fetch_bytes else ""
    return ", ".join(filter(None, ((each.bundle or "")[:_SHORT], seconds, fetches)))


def _classes(found: Preview, strokes: Strokes) -> Iterator[list[str]]:
    tasks = found.tasks
    of_class: dict[str, list[Expected]] = {}
    reads: dict[str, dict[str, None]] = {}
    for each in tasks:
        of_class.setdefault(each.cls, []).append(each)
        read = reads.setdefault(each.cls, {})
        read.update(dict.fromkeys(tasks[number].cls for number in (*each.inputs.values(), *each.yields)))
        read.pop(each.cls, None)  # one that reads its like is one line

    def below(cls: str) -> list[tuple[str, str]]:
        return [("", each) for each in reads[cls]]

    for twig in branches(tasks[found.root].cls, below, strokes=strokes):
        mine = of_class[twig.each]
        name = mine[0].task if len(mine) == 1 else f"{twig.each}: {render.count(len(mine), 'task')}"
        line = twig.line(brief(name))
        if twig.is_again:
            yield [line, "", ""]
        else:
            yield [line, _counted(mine), _commonest(mine)]


def _counted(mine: Sequence[Expected]) -> str:
    by = Counter[str](each.decision for each in mine)
    return ", ".join(f"{by[decision]:,} {decision}" for decision in _ORDER if by[decision])


def _commonest(mine: Sequence[Expected]) -> str:
    """The most frequent reason of those that are not used again, and how many others there are."""
    reasons = Counter(each.why for each in mine if each.decision != "reuse")
    if not reasons:
        return ""
    [(why, _)] = reasons.most_common(1)
    more = f" (and {render.count(len(reasons) - 1, 'other reason')})" if len(reasons) > 1 else ""
    return render.one_line(why) + more


def _total(found: Preview) -> str:
    counts = [f"{found.count('run'):,} to run"]
    counts += [f"{found.count('unknown'):,} unknown"] if found.count("unknown") else []
    counts += [f"{found.count('reuse'):,} to reuse"]
    counts += [f"{found.count('missing'):,} missing"] if found.count("missing") else []
    again = sum(each.as_last_time for each in found.tasks)
    guessed = [f"{again:,} of them as last time"] if again else []
    takes = [f"about {render.duration(found.seconds)}"] if found.seconds else []
    takes += [f"{render.size(found.fetch_bytes)} to fetch"] if found.fetch_bytes else []
    return "; ".join(filter(None, (", ".join(counts), *guessed, ", ".join(takes))))
