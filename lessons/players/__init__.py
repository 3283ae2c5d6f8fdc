"""Interactive players for the book: pages that step through a schedule, a collective, a trace or a deadlock.

A player is one JavaScript file in js/, which draws, and one module of this package, which records a real run:

    js/schedule.js      minipar.player("schedule", function (box, data) { ... })
    schedule.py         TITLE       one line
                        DOES        a sentence for the reader: what to try
                        recorded()  the data, as JSON allows it (None: the player computes by itself)
                        plain()     the same as HTML, for readers without JavaScript

A new player is these two files, and its name in PLAYERS. js/core.js is shared: sliders, steps, keys. The players
need no other JavaScript and no network; a page with a player opens from a folder.
"""
