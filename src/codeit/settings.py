"""Settings files: TOML over defaults, extended by other files, overridden by dotted names.

`codeit.config` lists the settings themselves. This module knows how they are read, checked, written
and described, and words the errors.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any, Self

import tomli_w
from pydantic import BaseModel, ConfigDict, ValidationError

CONFIGS = Path(__file__).parent / "configs"
"""The configurations shipped with the package, which commands find by name."""
MAX_EXTENDS = 8
"""Longest chain of configuration files that extend one another."""
MAX_CHARACTERS = 1_000_000
"""Length of the longest configuration file, which may be a device without an end."""
MAX_DEPTH = 16
"""Deepest nesting of tables and arrays in a configuration. Settings need 3."""
MAX_INTEGER = 2**63 - 1
"""Largest integer of a setting or an option; the engine and SQLite have no larger ones."""

RENAMED = {
    "evolution.mutants": "mutation.initial",
    "evolution.mutants_per_iteration": "mutation.per_iteration",
    "evolution.try_on_tasks": "mutation.run_baseline",
    "evolution.kept": "evolution.elites",
    "evolution.brood": "evolution.offspring",
    "evolution.longest": "evolution.max_lines",
    "evolution.eagerness": "evolution.selection_pressure",
    "evolution.alike": "evolution.max_equal_fitness",
    "evolution.steps": "evolution.max_steps",
    "learning": "training",
    "learning.clip": "training.max_grad_norm",
    "budget.steps": "budget.max_steps",
    "budget.cells": "budget.max_cells",
    "policy.patch": "policy.patch_size",
    "replay.short": "replay.short_lines",
    "corpus.depth": "corpus.max_depth",
    "corpus.grown": "corpus.grown_share",
    "corpus.longest": "corpus.max_lines",
    "corpus.short": "corpus.short_lines",
    "corpus.own": "corpus.own_inputs_share",
    "corpus.strangers": "corpus.foreign_inputs_share",
    "corpus.views": "corpus.augmented_share",
    "corpus.round": "corpus.proposals_per_round",
    "corpus.steps": "corpus.max_steps",
    "training.rounds": "pretraining.rounds_per_window",
    "training.held_out": "pretraining.hold_out_every",
    **{
        f"training.{name}": f"pretraining.{name}"
        for name in ("seed", "steps", "minutes", "batch_tokens", "warmup", "checkpoint_minutes", "workers")
    },
}
"""Keys of version 0.1 and their names today, for error messages."""
RENAMED_VALUES = {("policy.encoding", "clues"): "signatures"}
"""Values of version 0.1 and their names today."""


class ConfigError(ValueError):
    """A configuration that cannot be used. The message names file, key, expected and found value."""


class Section(BaseModel):
    """A group of settings. Immutable; unknown keys and values of another type are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Settings(Section):
    """Sections that are read from one TOML file."""

    @classmethod
    def load(cls, path: str | Path, overrides: Mapping[str, object] | None = None) -> Self:
        """Read a TOML file and apply overrides.

        The file may extend another one: `extends = "laptop.toml"`, relative to the file, or the
        name of a shipped configuration. Keys of `overrides` are dotted (`policy.init`); a string
        value is parsed as TOML if possible and used as it is otherwise.

        Raises ConfigError, which names the file, the key, the expected and the found value.
        """
        source = find_config(path)
        origin: dict[str, str] = {}
        values = _read(source, origin, ())
        return cls._resolve(values, overrides or {}, origin, str(source))

    @classmethod
    def from_overrides(cls, overrides: Mapping[str, object]) -> Self:
        """Apply dotted overrides to the defaults. Raises ConfigError."""
        return cls._resolve({}, overrides, {}, "settings")

    @classmethod
    def _resolve(
        cls, values: dict[str, Any], overrides: Mapping[str, object], origin: dict[str, str], source: str
    ) -> Self:
        for key, value in overrides.items():
            *parents, name = key.split(".")
            if not parents:
                raise ConfigError(_no_section(key, cls))
            if len(parents) > MAX_DEPTH:
                raise ConfigError(f"--{shorten(key)}: expected --section.key, found a longer chain of names")
            table: Any = values
            for parent in parents:
                table = table.setdefault(parent, {})
                if not isinstance(table, dict):
                    raise ConfigError(f"--{key}: expected a table '{parent}', found {shorten(repr(table))}")
            table[name] = _parse_toml_value(value) if isinstance(value, str) else value
            _refuse_extremes(table[name], "command line", key)
            origin.update({prefix: f"--{key}" for prefix in accumulate(key.split("."), "{}.{}".format)})
        try:
            return cls.model_validate(_merge(cls().model_dump(), values))
        except ValidationError as error:
            raise ConfigError(_explain(error, source, origin, cls)) from None

    def flat(self) -> dict[str, Any]:
        """Return every value by its dotted key, in the order of declaration."""
        return dict(_flatten(self.model_dump()))

    def to_toml(self) -> str:
        """Return the resolved settings as TOML. Loading it gives equal settings."""
        return tomli_w.dumps(self.model_dump())


def find_config(name: str | Path) -> Path:
    """Return the file of a configuration: a path, or the name of a shipped one such as "laptop".

    Raises ConfigError if there is neither.
    """
    path = Path(name)
    if path.is_file() or path.suffix:
        return path
    shipped = CONFIGS / f"{path}.toml"
    if shipped.is_file():
        return shipped
    if path.exists():
        return path  # a directory: reading it says what is wrong
    raise ConfigError(f"{name}: expected a TOML file or one of {', '.join(shipped_configs())}, found neither")


def shipped_configs() -> list[str]:
    """Return the names of the configurations shipped with the package."""
    return sorted(str(file.relative_to(CONFIGS).with_suffix("")) for file in CONFIGS.rglob("*.toml"))


def describe(settings: type[Settings]) -> Iterator[tuple[str, str, object]]:
    """Yield every dotted key with its description and default, in the order of declaration."""
    yield from _describe(settings(), "")


def _describe(model: BaseModel, prefix: str) -> Iterator[tuple[str, str, object]]:
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from _describe(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field.description or "", value


def _flatten(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def flatten_toml(text: str) -> dict[str, Any]:
    """Return the values of a TOML document by dotted key."""
    return dict(_flatten(tomllib.loads(text)))


def _merge(defaults: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return `defaults` with `values` on top, table by table."""
    merged = dict(defaults)
    for key, value in values.items():
        default = merged.get(key)
        both = isinstance(default, dict) and isinstance(value, dict)
        merged[key] = _merge(default, value) if both else value  # type: ignore[arg-type]
    return merged


def _read(path: Path, origin: dict[str, str], seen: tuple[Path, ...]) -> dict[str, Any]:
    """Return a file's values on top of those it extends; note each key's file in `origin`."""
    try:
        resolved = Path(os.path.realpath(path))  # `resolve` raises RuntimeError for a link to itself
        if resolved in seen or len(seen) >= MAX_EXTENDS:
            chain = " -> ".join(str(p) for p in (*seen, resolved))
            raise ConfigError(f"{path}: 'extends' forms a cycle: {chain}")
        with open(path, encoding="utf-8") as file:
            text = file.read(MAX_CHARACTERS + 1)
        if len(text) > MAX_CHARACTERS:
            raise ConfigError(f"{path}: expected TOML of at most {MAX_CHARACTERS:,} characters, found more")
        values = tomllib.loads(text)
    except FileNotFoundError:
        by = f" (extended by {seen[-1]})" if seen else ""
        raise ConfigError(f"{path}: no such file{by}") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except RecursionError:
        raise ConfigError(f"{path}: {_TOO_DEEP}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None
    except ConfigError:
        raise
    except ValueError as error:
        reason = "an integer of thousands of digits" if "digits" in str(error) else str(error)
        raise ConfigError(f"{path}: cannot be read: {reason}") from None
    _refuse_extremes(values, str(path))
    base: dict[str, Any] = {}
    if "extends" in values:
        parent = values.pop("extends")
        if not isinstance(parent, str):
            found = shorten(repr(parent))
            raise ConfigError(f"{path}: extends: expected the path of a TOML file, found {found}")
        relative = path.parent / parent
        if not (relative.is_file() or relative.suffix):
            try:
                relative = find_config(parent)
            except ConfigError as error:
                raise ConfigError(f"{path}: extends: {error}") from None
        base = _read(relative, origin, (*seen, resolved))
    _record_origin(origin, values, str(path))
    return _merge(base, values)


def _record_origin(origin: dict[str, str], values: Mapping[str, Any], file: str, prefix: str = "") -> None:
    """Record in `origin` that a file set these values and their tables."""
    for name, value in values.items():
        origin[prefix + name] = file
        if isinstance(value, dict):
            _record_origin(origin, value, file, f"{prefix}{name}.")


def _parse_toml_value(text: str) -> object:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, KeyError, RecursionError):  # also an integer of thousands of digits
        return text


_TOO_DEEP = f"expected at most {MAX_DEPTH} nested tables and arrays, found more; remove the inner ones"


def _refuse_extremes(value: object, where: str, key: str = "") -> None:
    """Raise ConfigError for what no setting can hold: deep nesting, integers beyond 64 bits."""
    pending: list[tuple[object, str, int]] = [(value, key, 0)]
    while pending:
        value, key, depth = pending.pop()
        place = f"{where}: {shorten(key)}: " if key else f"{where}: "
        if depth > MAX_DEPTH:
            raise ConfigError(place + _TOO_DEEP)
        if isinstance(value, int) and abs(value) > MAX_INTEGER:
            expected = f"an integer of at most {MAX_INTEGER.bit_length()} bits"
            raise ConfigError(f"{place}expected {expected}, found one of {value.bit_length()}; reduce it")
        if isinstance(value, dict):
            prefix = f"{key}." if key else ""
            pending += [(inner, f"{prefix}{name}", depth + 1) for name, inner in value.items()]
        elif isinstance(value, list):
            pending += [(inner, key, depth + 1) for inner in value]


def shorten(text: str) -> str:
    """Return text that fits into a message."""
    return text if len(text) <= 60 else f"{text[:57]}…"


def _hint(key: str, settings: type[Settings]) -> str:
    """Return what an unknown key is called today, or which known key was probably meant."""
    known = [name for name, _, _ in describe(settings)] + list(settings.model_fields)
    if (renamed := _renamed(key)) in known:
        return f"; it is now '{renamed}'"
    same_name = [other for other in known if other.rpartition(".")[2] == key.rpartition(".")[2]]
    alike = [other for other in known if ("." in other) >= ("." in key)]
    close = same_name or difflib.get_close_matches(key, alike, n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else ""


def _no_section(key: str, settings: type[Settings]) -> str:
    """Return the message for an override whose key has no dot."""
    known = [name for name, _, _ in describe(settings)]
    if same_name := [name for name in known if name.rpartition(".")[2] == key]:
        return f"--{key}: unknown option; did you mean --{same_name[0]}?"
    example = next((name for name in known if name.startswith(f"{key}.")), known[0])
    return f"--{key}: unknown option; settings are given as --section.key VALUE, such as --{example}"


def _renamed(key: str) -> str | None:
    """Return the name today of a key of version 0.1, or None."""
    section, _, name = key.partition(".")
    return RENAMED.get(key) or (f"{RENAMED[section]}.{name}" if name and section in RENAMED else None)


def _explain(error: ValidationError, source: str, origin: Mapping[str, str], settings: type[Settings]) -> str:
    """Return one line per fault: where it was set, the key, the expected and the found value."""
    lines = []
    for fault in error.errors():
        key = ".".join(str(part) for part in fault["loc"])
        where = _where(key, origin, source)
        if fault["type"] == "extra_forbidden":
            table = fault["input"] if isinstance(fault["input"], dict) else {}
            inner = [f"{key}.{name}" for name, _ in _flatten(table)]
            # A section of version 0.1 is explained key by key, as its keys may have changed, too.
            for unknown in inner if any(map(_renamed, inner)) else [key]:
                where = _where(unknown, origin, source)
                lines.append(f"{where}: {unknown}: unknown key{_hint(unknown, settings)}")
        elif fault["type"] == "model_type":
            lines.append(f"{where}: {key}: expected a table [{key}], found {shorten(repr(fault['input']))}")
        elif fault["type"] == "value_error":
            lines.append(f"{where}: {key}: {fault['ctx']['error']}")
        else:
            expected, found = fault["msg"].removeprefix("Input should be "), fault["input"]
            renamed = RENAMED_VALUES.get((key, str(found)))
            hint = f"; it is now '{renamed}'" if renamed else ""
            lines.append(f"{where}: {key}: expected {expected}, found {shorten(repr(found))}{hint}")
    return "\n".join(lines)


def _where(key: str, origin: Mapping[str, str], source: str) -> str:
    """Return where a key, or else the nearest table around it, was set."""
    while key and key not in origin:
        key = key.rpartition(".")[0]
    where = origin.get(key, source)
    return "command line" if where.startswith("--") else where
