"""An HTTP server for an engine, on this machine only, with the standard library.

Read loop.py (the thread that drives the engine), http.py (requests and responses, with limits), api.py (JSON
to a TextRequest and back), completions.py (one request from its JSON to its last byte), and server.py
(connections and shutdown). One thread runs an asyncio loop for all connections, and another one runs the
engine. load.py has the clients of `minipar bench-serve`.
"""
