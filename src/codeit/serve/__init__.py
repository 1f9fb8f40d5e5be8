"""A local web page: draw puzzles, watch a search solve them, read and change its programs.

The server's process only routes requests and text. What a page sends is parsed, and programs run,
in child processes with limits of time and memory: `requests` in a pool of workers, a search in a
process of its own. It needs the packages of `codeit[serve]`, which only `app` and `server` import.
"""
