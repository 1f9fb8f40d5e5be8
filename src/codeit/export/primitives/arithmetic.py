"""Primitives on numbers, pairs of integers, and truth values."""

from __future__ import annotations

import operator

from codeit.export.primitives.values import Function, Numerical, Value, first_two


def elementwise(function: Function, *numbers: Numerical) -> Value:
    """Apply a function to integers, or to the elements of pairs.

    Beside a pair, an integer stands for both elements.
    """
    if all(isinstance(number, int) for number in numbers):
        return function(*numbers)
    pairs = [(n, n) if isinstance(n, int) else first_two(n) for n in numbers]
    return tuple(function(*aligned) for aligned in zip(*pairs, strict=True))


def identity(value: Value) -> Value:
    """The argument itself."""
    return value


def add(a: Numerical, b: Numerical) -> Value:
    """The sum; for pairs, element by element."""
    return elementwise(operator.add, a, b)


def subtract(a: Numerical, b: Numerical) -> Value:
    """The difference a - b; for pairs, element by element."""
    return elementwise(operator.sub, a, b)


def multiply(a: Numerical, b: Numerical) -> Value:
    """The product; for pairs, element by element."""
    return elementwise(operator.mul, a, b)


def divide(a: Numerical, b: Numerical) -> Value:
    """The quotient a / b, rounded down."""
    return elementwise(operator.floordiv, a, b)


def invert(number: Numerical) -> Value:
    """The number with its sign changed."""
    return elementwise(operator.neg, number)


def even(number: int) -> bool:
    """Whether the number is even."""
    return number % 2 == 0


def double(number: Numerical) -> Value:
    """Twice the number."""
    return elementwise(lambda n: 2 * n, number)


def halve(number: Numerical) -> Value:
    """Half the number, rounded down."""
    return elementwise(lambda n: n // 2, number)


def flip(value: Value) -> bool:
    """Logical not."""
    return not value


def equality(a: Value, b: Value) -> bool:
    """Whether two values are equal."""
    return bool(a == b)


def greater(a: Value, b: Value) -> bool:
    """Whether a > b."""
    return bool(a > b)


def both(a: Value, b: Value) -> Value:
    """Logical and."""
    return a and b


def either(a: Value, b: Value) -> Value:
    """Logical or."""
    return a or b


def increment(number: Numerical) -> Value:
    """The number plus one."""
    return elementwise(lambda n: n + 1, number)


def decrement(number: Numerical) -> Value:
    """The number minus one."""
    return elementwise(lambda n: n - 1, number)


def crement(number: Numerical) -> Value:
    """The number one further from zero; zero for zero."""
    return elementwise(lambda n: n + (n > 0) - (n < 0), number)


def sign(number: Numerical) -> Value:
    """The sign of the number: -1, 0 or 1."""
    return elementwise(lambda n: (n > 0) - (n < 0), number)


def positive(number: int) -> bool:
    """Whether the number is above zero."""
    return number > 0


def toivec(i: Value) -> Value:
    """The pair (i, 0): i rows down."""
    return (i, 0)


def tojvec(j: Value) -> Value:
    """The pair (0, j): j columns right."""
    return (0, j)
