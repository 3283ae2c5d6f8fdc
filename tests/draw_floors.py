"""Draw the floors of minipar from its imports: `python -m tests.draw_floors` writes
lessons/pictures/floors.svg.

One box per package, one row per floor, one arrow per import of a package by another. An arrow is left out
where a way over other packages says the same already. What everyone may import, the lowest floor, gets no
arrows.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape

from tests.ranks import ROOT
from tests.test_floors import FLOORS, floor_of, imports
from tests.test_floors import ROOT as PACKAGE

PICTURE = ROOT / "lessons" / "pictures" / "floors.svg"
WHAT = ["what everyone may use", "engines: tensors, messages, schedules, counting",
        "a model, its training's parts, tools", "tensors meet ranks; files",
        "whole trainings, proofs and pictures", "commands and the front door"]
COLOURS = ["#dddddd", "#cfe3f5", "#d9ead3", "#fff2cc", "#f9dfc7", "#e6d9ee"]
WIDTH, ROW, BOX, TOP, SIDE = 960, 96, 32, 44, 16
PER_LETTER, NARROWEST = 8.2, 60

Imports = dict[str, set[str]]


def package_imports() -> Imports:
    """Package -> the packages that it imports."""
    found: Imports = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        package = path.relative_to(PACKAGE).as_posix().split("/")[0].removesuffix(".py")
        names = (name.split(".") for name in imports(path.read_text(encoding="utf-8")))
        targets = {name[1] for name in names if name[0] == "minipar" and len(name) > 1}
        found.setdefault(package, set()).update(
            target for target in targets - {package} if floor_of(target) >= 0
        )
    return found


def without_detours(found: Imports) -> Imports:
    """Returns the imports without shortcuts: if a imports b and c, and b imports c, then a -> c is left out."""

    def reached(package: str) -> set[str]:
        return {further for target in found.get(package, ()) for further in {target} | reached(target)}

    return {
        package: {
            target for target in targets if not any(target in reached(other) for other in targets - {target})
        }
        for package, targets in found.items()
    }


def boxes(found: Imports) -> dict[str, tuple[float, float, float]]:
    """Package -> left edge, top edge and width of its box. The highest floor is the first row; a package
    stands below those that import it, as far as others let it.
    """
    at: dict[str, tuple[float, float, float]] = {}

    def middle_of_importers(name: str) -> tuple[float, str]:
        middles = [x + width / 2 for user, (x, _, width) in at.items() if name in found[user]]
        return (sum(middles) / len(middles) if middles else WIDTH / 2, name)

    for floor in reversed(range(len(FLOORS))):
        names = sorted(FLOORS[floor] & set(found), key=middle_of_importers)
        widths = [max(PER_LETTER * len(name) + 22, NARROWEST) for name in names]
        gap = (WIDTH - 2 * SIDE - sum(widths)) / (len(names) + 1)
        x, y = SIDE + gap, TOP + ROW * (len(FLOORS) - 1 - floor) + 36
        for name, width in zip(names, widths, strict=True):
            at[name] = (round(x, 1), y, round(width, 1))
            x += width + gap
    return at


def arrow(start: tuple[float, float, float], end: tuple[float, float, float]) -> str:
    """From the importing box to the imported one: down from floor to floor, in a bow between neighbours."""
    (x1, y1, w1), (x2, y2, w2) = start, end
    if y1 == y2:
        a, b = (x1 + w1 / 2, x2 + w2 / 2)
        path = f"M{a:.1f},{y1} C{a:.1f},{y1 - 22} {b:.1f},{y2 - 22} {b:.1f},{y2 - 4}"
    else:
        a, b, top = x1 + w1 / 2, x2 + w2 / 2, y1 + BOX
        path = f"M{a:.1f},{top} C{a:.1f},{top + 40} {b:.1f},{y2 - 44} {b:.1f},{y2 - 4}"
    return f'<path d="{path}" fill="none" stroke="#555" stroke-width="1.1" marker-end="url(#tip)"/>'


def svg() -> str:
    kept = without_detours(package_imports())
    at = boxes(kept)
    height = TOP + ROW * len(FLOORS) + 8

    def lines() -> Iterator[str]:
        yield (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
               'font-family="sans-serif" role="img">')
        yield "<title>The packages of minipar on their floors; an arrow means: imports</title>"
        yield ('<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
               'orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="#555"/></marker></defs>')
        yield f'<rect width="{WIDTH}" height="{height}" fill="white"/>'
        yield (f'<text x="{SIDE}" y="26" font-size="17" fill="#222">Imports go down the floors, never up. '
               'An arrow means: imports.</text>')
        for floor, colour in enumerate(COLOURS):
            y = TOP + ROW * (len(FLOORS) - 1 - floor)
            yield (
                f'<rect x="{SIDE / 2}" y="{y}" width="{WIDTH - SIDE}" height="{ROW - 8}" rx="6" fill="{colour}" '
                'fill-opacity="0.55"/>'
            )
        for package, targets in sorted(kept.items()):
            yield from (arrow(at[package], at[target]) for target in sorted(targets) if floor_of(target) > 0)
        for floor, what in enumerate(WHAT):
            y = TOP + ROW * (len(FLOORS) - 1 - floor)
            yield (f'<text x="{SIDE + 2}" y="{y + 19}" font-size="13" fill="#333" stroke="white" '
                   f'stroke-width="3" paint-order="stroke">floor {floor}: '
                   f'{escape(what)}</text>')
        for name, (x, top, width) in at.items():
            yield f'<rect x="{x}" y="{top}" width="{width}" height="{BOX}" rx="5" fill="white" stroke="#333"/>'
            yield (
                f'<text x="{x + width / 2:.1f}" y="{top + 20}" font-size="14" text-anchor="middle" fill="#111">'
                f"{escape(name)}</text>"
            )
        yield "</svg>"

    return "\n".join(lines()) + "\n"


def main(picture: Path = PICTURE) -> None:
    picture.write_text(svg(), encoding="utf-8")


if __name__ == "__main__":
    main()
