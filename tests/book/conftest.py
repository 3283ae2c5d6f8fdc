from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from minipar.lessons.players.page import page

from tests.book.site import script
from tests.browser import Page, browser


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """One browser for all tests."""
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def player(chromium: Page, tmp_path: Path) -> Iterator[Callable[[str], Page]]:
    """Opens a page with one player. At the end, the page must not have complained."""
    def opened(name: str) -> Page:
        path = tmp_path / f"{name}.html"
        path.write_text(page(name, runs=script), encoding="utf-8")
        chromium.open(path)
        return chromium

    chromium.problems.clear()
    chromium.size(1000, 800)
    yield opened
    assert chromium.problems == []
