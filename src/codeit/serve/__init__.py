"""A local web page: draw puzzles, watch a search solve them, read and change its programs.

The server's process only passes on requests and text. Child processes with limits of time and memory
parse what a page sends and run programs: a pool of workers for `requests`, and one process for each
search. Only `app`, `guard` and `server` import the packages of `codeit[serve]`.
"""
