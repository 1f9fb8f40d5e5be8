"""Primitives on tuples and sets of any values."""

from __future__ import annotations

import itertools
from collections import Counter

from codeit.export.primitives.values import (
    Container,
    Function,
    Value,
    check_tuple,
    items,
    like,
    sort_key,
)


def contained(value: Value, container: Container) -> bool:
    """Whether the value is an element of the container."""
    return value in container


def combine(a: Container, b: Container) -> Value:
    """The union of two sets, or two tuples joined."""
    return like(a, items(a) + items(b))


def intersection(a: Value, b: Value) -> Value:
    """The elements that are in both sets. For integers, the bits that are in both."""
    return a & b


def difference(a: Container, b: Container) -> Value:
    """The elements of the first that are not in the second."""
    return like(a, (element for element in a if element not in b))


def dedupe(values: Container) -> Value:
    """The tuple without duplicates; the first of each is kept."""
    return tuple(dict.fromkeys(check_tuple(values))) if len(values) else ()


def order(container: Container, key: Function) -> Value:
    """The elements as a tuple, sorted by a key function."""
    return tuple(sorted(items(container), key=lambda element: key(element)))


def repeat(value: Value, times: int) -> Value:
    """A tuple with an item n times."""
    return (value,) * times


def size(container: Container) -> int:
    """The number of elements."""
    return len(container)


def merge(containers: Container) -> Value:
    """All elements of the elements, in one container."""
    return like(containers, (e for inner in items(containers) for e in items(inner)))


def maximum(container: Container) -> Value:
    """The greatest element; 0 if there is none."""
    return max(items(container), default=0)


def minimum(container: Container) -> Value:
    """The least element; 0 if there is none."""
    return min(items(container), default=0)


def valmax(container: Container, key: Function) -> Value:
    """The greatest key of any element. Without elements, the key of 0."""
    return max(map(key, items(container))) if len(container) else key(0)


def valmin(container: Container, key: Function) -> Value:
    """The least key of any element. Without elements, the key of 0."""
    return min(map(key, items(container))) if len(container) else key(0)


def argmax(container: Container, key: Function) -> Value:
    """The first element with the greatest key. None if there are no elements."""
    return max(items(container), key=lambda element: key(element), default=None)


def argmin(container: Container, key: Function) -> Value:
    """The first element with the least key. None if there are no elements."""
    return min(items(container), key=lambda element: key(element), default=None)


def mostcommon(values: Container) -> Value:
    """The most frequent element of a tuple. In a tie, the first when sorted."""
    counts = Counter(check_tuple(values))
    return min(counts, key=lambda value: (-counts[value], sort_key(value)))


def leastcommon(values: Container) -> Value:
    """The least frequent element of a tuple. In a tie, the first when sorted."""
    counts = Counter(check_tuple(values))
    return min(counts, key=lambda value: (counts[value], sort_key(value)))


def initset(value: Value) -> Value:
    """A set of one value."""
    return frozenset({value})


def sfilter(container: Container, condition: Function) -> Value:
    """The elements for which the condition holds."""
    return like(container, (element for element in container if condition(element)))


def mfilter(container: Container, condition: Function) -> Value:
    """All elements of the elements for which the condition holds, in one set."""
    return merge(sfilter(container, condition))


def extract(container: Container, condition: Function) -> Value:
    """The first element for which the condition holds."""
    for element in items(container):
        if condition(element):
            return element
    raise ValueError("no element satisfies the condition")


def totuple(container: Container) -> Value:
    """The elements as a tuple."""
    return items(container)


def first(container: Container) -> Value:
    """The first element."""
    return items(container)[0]


def last(container: Container) -> Value:
    """The last element."""
    return items(container)[-1]


def insert(value: Value, container: Value) -> Value:
    """The set with a value added."""
    return container | frozenset({value})


def remove(value: Value, container: Container) -> Value:
    """The container without a value."""
    return like(container, (element for element in container if element != value))


def other(container: Container, value: Value) -> Value:
    """The first element that differs from the value."""
    for element in items(container):
        if element != value:
            return element
    raise ValueError("the container has no other value")


def interval(start: int, stop: int, step: int) -> Value:
    """The integers from start up to, but excluding, stop, in steps."""
    return tuple(range(start, stop, step))


def astuple(a: Value, b: Value) -> Value:
    """The tuple (a, b)."""
    return (a, b)


def product(a: Container, b: Container) -> Value:
    """All tuples (i, j) with i from a and j from b."""
    return frozenset(itertools.product(a, b))


def pair(a: Container, b: Container) -> Value:
    """The tuples of the elements at equal positions."""
    return tuple(zip(items(a), items(b), strict=False))
