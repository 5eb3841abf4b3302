"""The use of each column of a table that must be like another: by their names, in any order.

A feature that is missing is an error, and so is a column that nobody knows. What the other table
had beside its features, the targets too, may be there or not. A table without names is taken in
the order of the other one, but only where the user says that it has no header.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from distbelief.app.datasets.examples.column import (
    CATEGORICAL,
    DATE,
    IGNORED,
    NUMERIC,
    TARGET,
    WEIGHT,
    Column,
    listing,
)
from distbelief.app.datasets.examples.compatibility import Compatibility
from distbelief.app.datasets.reading.all_columns import AllColumns
from distbelief.app.datasets.reading.column_plan import ColumnPlan
from distbelief.app.datasets.reading.columns import (
    apart_column,
    known_targets,
    plan_columns,
    weight_column,
)
from distbelief.app.datasets.reading.spelling import hint
from distbelief.app.datasets.reading.survey import Guess
from distbelief.app.datasets.reading.use import Use
from distbelief.app.errors import DataError

#: The option whose columns come along, for messages.
PASSED = "with"

_LISTED = 10  # columns in a message


def plan_table(
    columns: AllColumns, guesses: Sequence[Guess], settings: Mapping[str, Any], use: Use
) -> ColumnPlan:
    """Plan what each column is for: as it is known, or else by what the table holds.

    ``use`` is what it is read for, ``guesses`` are not needed if its columns are known by name,
    and the rest is as for
    :func:`distbelief.app.datasets.reading.columns.plan_columns`.

    Raises:
        DataError: a column is missing, unknown, there twice, or has two uses.
    """
    if use.known is not None and use.by_name:
        return _plan_known(columns, settings, use, use.known)
    plan = None if use.known is None else _plan_without_weights(columns, settings, use, use.known)
    if plan is None:
        plan = plan_columns(columns, guesses, settings, use.labelled)
    plan = replace(plan, passed=tuple(columns.find(PASSED, key) for key in use.passed))
    return plan if use.known is None else plan.following(use.known.numbers)


def _plan_known(
    columns: AllColumns, settings: Mapping[str, Any], use: Use, known: Compatibility
) -> ColumnPlan:
    named = columns if columns.names else _named(columns, known)
    _check_features(named, settings, known)
    target = _target(named, settings["target"], use, known)
    ignored = _ignored(named, settings["ignore"], known)
    passed = tuple(named.find(PASSED, key) for key in use.passed)
    positions = {name: i for i, name in enumerate(named.names)}
    dense, fields = (
        tuple(positions[name] for name in names) for names in (known.numeric, known.categorical)
    )
    for column in (*dense, *fields):
        if column == target or column in ignored:
            raise named.twice(column)
    _check_kinds(named, "categorical", settings["categorical"] or (), known.categorical, known)
    _check_kinds(named, "numeric", settings["numeric"], known.numeric, known)
    _check_kinds(named, "dates", settings["dates"], known.dates, known)
    apart = apart_column(named, settings, labelled=use.labelled)
    weight = _weight(named, settings, use, known)
    if weight in ignored and settings["weight"] == known.weight:
        weight = None  # the user wants none of them
    if weight is not None and weight in (target, *ignored, *dense, *fields):
        raise named.twice(weight)
    left_out = {target, *ignored, *passed, apart, weight}
    _check_unknown(named, [i for i in range(named.width) if i not in left_out], known)
    table = [Column(IGNORED, name) for name in named.names]
    fill = None if isinstance(settings["missing"], str) else float(settings["missing"])
    for i in dense:
        name = named.names[i]
        table[i] = Column(DATE if name in known.dates else NUMERIC, name, fill=fill)
    for i in fields:
        table[i] = Column(CATEGORICAL, named.names[i])
    if target is not None and use.labelled:
        table[target] = Column(TARGET, named.names[target])
    if weight is not None and use.labelled:
        table[weight] = Column(WEIGHT, named.names[weight])
    buckets = known.schema.buckets or settings["buckets"]
    plan = ColumnPlan(tuple(table), True, buckets, (*dense, *fields), passed, apart)
    return plan.following(known.numbers)


def _plan_without_weights(
    columns: AllColumns, settings: Mapping[str, Any], use: Use, known: Compatibility
) -> ColumnPlan | None:
    """The plan of columns without names, of which that of the weights may be absent.

    None unless there is one in the known data and the file has fewer columns than these; or the
    options say something else than these.

    Raises:
        DataError: it cannot be told which of the columns are absent.
    """
    table = known.table
    ignored = tuple(str(i) for i, column in enumerate(table) if column.kind == IGNORED)
    as_known = settings["target"], settings["weight"], settings["ignore"]
    if (
        all(column.kind != WEIGHT for column in table)
        or columns.width >= len(table)
        or as_known != (known.reading.get("target"), known.weight, ignored)
    ):
        return None
    absent = [{WEIGHT}]
    if not use.labelled:
        absent += [{TARGET}, {WEIGHT, TARGET}, {WEIGHT, TARGET, IGNORED}]
    left = [tuple(column for column in table if column.kind not in kinds) for kinds in absent]
    fitting = [some for some in left if len(some) == columns.width]
    if len({tuple(map(_is_feature, some)) for some in fitting}) > 1:
        raise DataError(
            f"{columns.source}: there are {columns.width} columns without names, those of "
            f"{known.name} are {len(table)}: it cannot be told whether the weights or the targets "
            "are not there; leave out both, or none, or give the file a header"
        )
    if not fitting:
        return None
    found = fitting[0] if use.labelled else map(_for_prediction, fitting[0])
    return ColumnPlan(tuple(found), False, known.schema.buckets or settings["buckets"])


def _is_feature(column: Column) -> bool:
    return column.is_number or column.kind == CATEGORICAL


def _for_prediction(column: Column) -> Column:
    return column if _is_feature(column) else replace(column, kind=IGNORED)


def _named(columns: AllColumns, known: Compatibility) -> AllColumns:
    """The names of columns without any, which the user says to be in the known order."""
    everything = known.columns or known.features
    beside = [name for name in everything if name != known.target]
    alone = [name for name in everything if name in known.features]
    for names in (everything, beside, alone):
        if len(names) == columns.width:
            return replace(columns, names=tuple(names))
    raise DataError(
        f"{columns.source}: there are {columns.width} columns without names, those of {known.name} "
        f"are {quoted(everything)}: give the file a header"
    )


def _check_features(columns: AllColumns, settings: Mapping[str, Any], known: Compatibility) -> None:
    there = Counter(columns.names)
    missing = [name for name in known.features if name not in there]
    if missing:
        advice = hint(missing[0], columns.names)
        if "header" in settings and not {*columns.names} & {*known.columns, *known.features}:
            advice = (
                "; if its first line holds no names, say so with the option header=false: columns "
                f"are then taken in the order of {known.name}"
            )
        raise DataError(
            f"{columns.source}: {known.name} has the feature{'s'[: len(missing) - 1]} "
            f"{quoted(missing)}, there is no column of that name; the file has "
            f"{columns.listed()}{advice}"
        )
    for name in known.features:
        if there[name] > 1:
            raise DataError(f"{columns.source}: two columns are called {name!r}, rename one")


def _target(columns: AllColumns, given: str | None, use: Use, known: Compatibility) -> int | None:
    """The column of the targets; a name that is known and absent is no position."""
    if given is not None and (given != known.target or given in columns.names):
        return columns.find("target", given) if use.labelled else columns.look_up(given)
    if known.target in columns.names:
        return columns.names.index(known.target)
    usual = [i for i in known_targets(columns.names) if columns.names[i] not in known.features]
    if known.target is None and len(usual) == 1:
        return usual[0]
    if use.labelled:
        name = "" if known.target is None else f" {known.target!r}"
        raise DataError(
            f"{columns.source}: there is no column{name} with the targets: say with the option "
            f"target which one holds them, the file has {columns.listed()}"
        )
    return None


def _weight(
    columns: AllColumns, settings: Mapping[str, Any], use: Use, known: Compatibility
) -> int | None:
    """The column of the weights; that of the other table may be absent, and is no position then."""
    if settings["weight"] == known.weight and known.weight not in columns.names:
        return None
    return weight_column(columns, settings, labelled=use.labelled)


def _ignored(columns: AllColumns, given: Sequence[str], known: Compatibility) -> set[int]:
    """What the user leaves out; what the other table left out may be absent."""
    absent = {key for key in given if key in known.columns and key not in columns.names}
    return {columns.find("ignore", key) for key in given if key not in absent}


def _check_kinds(
    columns: AllColumns,
    option: str,
    given: Sequence[str],
    names: Sequence[str],
    known: Compatibility,
) -> None:
    """Refuse an option that says of a column another thing than what is known."""
    for key in given:
        if key != "*" and columns.names[columns.find(option, key)] not in names:
            raise DataError(
                f"{columns.source}: the option {option} must be as for {known.name}: "
                f"{quoted(names) or 'none'}"
            )


def _check_unknown(columns: AllColumns, left: Sequence[int], known: Compatibility) -> None:
    names = {*known.columns, *known.features, known.target}
    unknown = [columns.names[i] for i in left if columns.names[i] not in names]
    if unknown:
        raise DataError(
            f"{columns.source}: {known.name} does not know {quoted(unknown)} among the columns: "
            f"leave out what is no feature (of a file by the option ignore={listing(unknown)})"
        )


def quoted(names: Sequence[str]) -> str:
    """Names in a message."""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(map(repr, names[:_LISTED])) + more
