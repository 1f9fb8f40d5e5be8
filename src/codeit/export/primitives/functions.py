"""Primitives that make functions of others and apply them to elements."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from codeit.export.primitives.containers import merge
from codeit.export.primitives.values import Container, Function, Value, items, like


@dataclass(frozen=True)
class Partial:
    """A function with its first arguments fixed, like functools.partial.

    Two of them are equal if their functions and arguments are.
    """

    function: Function
    parts: tuple[Value, ...]

    def __call__(self, *arguments: Value) -> Value:
        return self.function(*self.parts, *arguments)


def branch(condition: Value, a: Value, b: Value) -> Value:
    """The second argument if the first is true, else the third."""
    return a if condition else b


def composed(outer: Function, inner: Function, value: Value) -> Value:
    return outer(inner(value))


def compose(outer: Function, inner: Function) -> Function:
    """x -> outer(inner(x))."""
    return Partial(composed, (outer, inner))


def chained(h: Function, g: Function, f: Function, value: Value) -> Value:
    return h(g(f(value)))


def chain(h: Function, g: Function, f: Function) -> Function:
    """x -> h(g(f(x)))."""
    return Partial(chained, (h, g, f))


def matched(function: Function, target: Value, value: Value) -> bool:
    return bool(function(value) == target)


def matcher(function: Function, target: Value) -> Function:
    """x -> whether function(x) equals the target."""
    return Partial(matched, (function, target))


def check_function(value: Value) -> Function:
    """Return a function unchanged. Raises TypeError for any other value."""
    if callable(value):
        function: Function = value
        return function
    raise TypeError(f"expected a function, found {value!r}")


def with_last(function: Function, value: Value, *arguments: Value) -> Value:
    return function(*arguments, value)


def rbind(function: Function, value: Value) -> Function:
    """The function with its last argument fixed."""
    return Partial(with_last, (check_function(function), value))


def with_first(function: Function, value: Value, *arguments: Value) -> Value:
    return function(value, *arguments)


def lbind(function: Function, value: Value) -> Function:
    """The function with its first argument fixed."""
    return Partial(with_first, (check_function(function), value))


def power(function: Function, times: int) -> Function:
    """The function composed with itself, so that it is applied n times."""
    if times < 1:
        raise ValueError("the power is below 1")
    made = function
    for _ in range(1, times):
        made = compose(function, made)
    return made


def forked(outer: Function, a: Function, b: Function, value: Value) -> Value:
    return outer(a(value), b(value))


def fork(outer: Function, a: Function, b: Function) -> Function:
    """x -> outer(a(x), b(x))."""
    return Partial(forked, (outer, a, b))


def apply(function: Function, container: Container) -> Value:
    """The function's results for all elements."""
    return like(container, (function(element) for element in container))


def rapply(functions: Container, value: Value) -> Value:
    """The results of all functions for the value."""
    return like(functions, (function(value) for function in functions))


def mapply(function: Function, container: Container) -> Value:
    """The function's results for all elements, merged."""
    return merge(apply(function, container))


def papply(function: Function, a: Container, b: Container) -> Value:
    """The function's results for the elements at equal positions."""
    pairs = zip(items(a), items(b), strict=False)
    return tuple(function(x, y) for x, y in pairs)


def mpapply(function: Function, a: Container, b: Container) -> Value:
    """The function's results for the elements at equal positions, merged."""
    return merge(papply(function, a, b))


def prapply(function: Function, a: Container, b: Container) -> Value:
    """The function's results for all i from a and j from b."""
    return frozenset(function(x, y) for x, y in itertools.product(a, b))
