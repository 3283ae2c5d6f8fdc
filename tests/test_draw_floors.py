"""The picture of the floors shows the imports as they are."""

from pathlib import Path

from tests.draw_floors import PICTURE, boxes, main, package_imports, svg, without_detours


def test_the_picture_is_of_these_imports(tmp_path: Path) -> None:
    main(tmp_path / "floors.svg")
    assert PICTURE.read_text(encoding="utf-8") == (tmp_path / "floors.svg").read_text(encoding="utf-8"), \
        "imports have changed: python -m tests.draw_floors draws them anew"


def test_a_way_over_others_needs_no_arrow() -> None:
    assert without_detours({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == {"a": {"b"}, "b": {"c"}, "c": set()}
    assert without_detours({"a": {"b", "c"}, "b": set(), "c": set()})["a"] == {"b", "c"}


def test_every_package_has_a_box_of_its_own() -> None:
    found, drawn = package_imports(), svg()
    at = boxes(found)
    assert set(at) == set(found)
    for name, (x, y, width) in at.items():
        assert f">{name}</text>" in drawn
        assert not [
            other
            for other, (x2, y2, w2) in at.items()
            if other != name and y == y2 and x < x2 + w2 and x2 < x + width
        ], f"{name} overlaps another box"
