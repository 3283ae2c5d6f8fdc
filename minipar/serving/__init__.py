"""Serves an inference engine over HTTP. Only programs on this machine can connect. It needs only the standard
library.

Read the files in this order:

    loop.py          the thread that runs the engine
    http.py          requests and responses of HTTP, with limits
    api.py           converts JSON to a TextRequest, and tokens to JSON
    completions.py   answers one request, from its JSON to the last byte
    server.py        connections and shutdown
    load.py          the clients of `minipar bench-serve`

One thread runs an asyncio loop for all connections. Another thread runs the engine.
"""
