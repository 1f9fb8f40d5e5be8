"""The primitives of the language in plain Python: what exported files are made of.

codeit itself never runs them; the engine alone runs programs. The module
`codeit.export.definitions` copies their source into exported files, so they use the
standard library only, and a name stands for one thing in all modules. They follow the
engine (`engine/primitives`) and its order. The tests compare every primitive and
thousands of programs with it.

A grid is a tuple of rows, a place a pair of integers, a cell a pair of a colour and its
place. Sets are frozensets. Wherever the order of a set's elements matters, they are
sorted by `sort_key`, as the engine sorts them. Where the engine ends with an error of
type or value, these functions raise TypeError, ValueError, IndexError or
ZeroDivisionError. They have no budget of steps and memory, and no limit on integers.
"""
