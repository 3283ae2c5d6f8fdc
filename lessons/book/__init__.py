"""The book: a static site of the lessons with their outputs, the exercises, the references and the players.

    python -m minipar.lessons.book FOLDER           all of it; `make book` calls this
    python -m minipar.lessons.book FOLDER --short   two lessons, a few exercises and all players, for a quick check

Reading order:

    contents.py     what is in it, in which order
    gather.py       copies and makes the pages, in the folders that the repository has, so that links hold
    links.py        links to pages of the book stay; the others become plain words
    exercises.py    a page per exercise: task and hints, never a solution
    reference.py    the public names, from their docstrings
    conf.py         Sphinx; figures.py gives it the directive {player}

It needs the extra `book`: Sphinx, MyST-NB, sphinx-book-theme and jupytext. The site opens from a folder, without
a network.
"""
