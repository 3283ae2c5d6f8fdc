"""python -m minipar.lessons.book FOLDER [--short]"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from pathlib import Path

from minipar.lessons.book.contents import contents
from minipar.lessons.book.gather import Gatherer

NEEDLESS = ("*.map", "*.po", "*.mo")  # of the theme: maps for its developers, other languages; 3.7 MB of 21


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m minipar.lessons.book", description="Make the book.")
    parser.add_argument("folder", type=Path, help="FOLDER/html is the site, FOLDER/pages what it is made of")
    parser.add_argument("--short", action="store_true", help="two lessons, a few exercises, all players")
    options = parser.parse_args(words)
    start, pages, site = time.monotonic(), options.folder / "pages", options.folder / "html"
    for folder in (pages, site):
        shutil.rmtree(folder, ignore_errors=True)
    Gatherer(pages, contents(options.short)).all()
    # Not at the top: Sphinx belongs to the extra `book`.
    from sphinx.cmd.build import build_main

    os.environ["OPENBLAS_NUM_THREADS"] = "1"                        # of the kernels that execute the lessons
    failed = build_main(["-q", "-b", "html", "-d", str(options.folder / "doctrees"), str(pages), str(site)])
    if not failed:
        for needless in NEEDLESS:
            for path in list(site.rglob(needless)):
                path.unlink()
        size = sum(path.stat().st_size for path in site.rglob("*") if path.is_file())
        print(f"{site / 'index.html'}: {size / 2**20:.1f} MiB, made in {time.monotonic() - start:.0f} s")
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
