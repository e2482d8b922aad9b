"""Ledger rows as records and back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from kling_render.errors import StoreFault
from kling_render.lifecycle.reconcile import LogRead
from kling_render.lifecycle.records import Attempt, Result, Transition
from kling_render.lifecycle.states import State

ATTEMPT_COLUMNS = tuple(field.name for field in fields(Attempt))
RESULT_COLUMNS = tuple(field.name for field in fields(Result))
SELECT_ATTEMPT = f"SELECT {', '.join(ATTEMPT_COLUMNS)} FROM attempts"  # noqa: S608 - our own column names
SELECT_RESULT = f"SELECT {', '.join(RESULT_COLUMNS)} FROM results"  # noqa: S608 - our own column names
INSERT_ATTEMPT = (
    f"INSERT INTO attempts ({', '.join(ATTEMPT_COLUMNS)}) "  # noqa: S608 - our own column names
    f"VALUES ({', '.join('?' * len(ATTEMPT_COLUMNS))})"
)

REPLACE_RESULT = (
    f"INSERT OR REPLACE INTO results ({', '.join(RESULT_COLUMNS)}, kept_from) "  # noqa: S608 - our own column names
    f"VALUES ({', '.join('?' * len(RESULT_COLUMNS))}, ?)"
)

IDENTITY = frozenset(
    {"id", "namespace", "fingerprint", "client_request_id", "account", "state", "run", "manifest", "model"}
    | {"hold", "reserved_at"}
)
"""What never changes after the reservation (the state changes by events only)."""
MUTABLE = frozenset(ATTEMPT_COLUMNS) - IDENTITY

_PATHS = frozenset({"folder", "output", "final", "root"})
_STATES: Mapping[str, State] = {state.value: state for state in State}
_STATE_AT = ATTEMPT_COLUMNS.index("state")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What a scope of the ledger has cost or may still cost, in credits."""

    #: Charges as the provider reported them.
    charged: int
    #: Holds of attempts whose charge is not known.
    held: int
    #: The part of `held` whose outcome is unknown.
    in_doubt: int
    #: Open attempts without a charge and without a hold: their price was unknown.
    unpriced: int = 0

    @property
    def committed(self) -> int:
        """What counts against a cap."""
        return self.charged + self.held


LOG_READ_COLUMNS = tuple(field.name for field in fields(LogRead))
_LOG_COLUMNS = ", ".join(f'"{name}"' for name in LOG_READ_COLUMNS)
SELECT_LOG_READ = f"SELECT {_LOG_COLUMNS} FROM log_reads"  # noqa: S608 - our own column names
INSERT_LOG_READ = (
    f"INSERT INTO log_reads ({_LOG_COLUMNS}) "  # noqa: S608 - our own column names
    f"VALUES ({', '.join('?' * len(LOG_READ_COLUMNS))})"
)


def attempt_of(row: Sequence[Any]) -> Attempt:
    """The record of one row of `SELECT_ATTEMPT`."""
    values = dict(zip(ATTEMPT_COLUMNS, row, strict=True))
    values["state"] = _STATES[row[_STATE_AT]]
    return Attempt(**values)


def attempt_values(attempt: Attempt) -> list[Any]:
    """The values for `INSERT_ATTEMPT`."""
    values = [getattr(attempt, name) for name in ATTEMPT_COLUMNS]
    values[_STATE_AT] = attempt.state.value
    return values


def storable(attempt: Attempt) -> Attempt:
    """The attempt with text that every database takes: a server may send halves of surrogate pairs.

    Raises:
        StoreFault: a path is not Unicode; it could not be found again.
    """
    broken = {n: v for n in ATTEMPT_COLUMNS if isinstance(v := getattr(attempt, n), str) and not _is_text(v)}
    if not broken:
        return attempt
    paths = sorted(_PATHS & broken.keys())
    if paths:
        shown = broken[paths[0]].encode("utf-8", "backslashreplace").decode()
        raise StoreFault(
            f"the path {shown} is not valid Unicode", help="Rename the folder, then run again.", code="store-path"
        )
    mended: dict[str, Any] = {n: v.encode("utf-8", "backslashreplace").decode() for n, v in broken.items()}
    return replace(attempt, **mended)


def _is_text(value: str) -> bool:
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def results_of(rows: Iterable[Sequence[Any]]) -> dict[str, Result]:
    """Results by fingerprint, from rows of `SELECT_RESULT`."""
    return {
        row[1]: Result(
            namespace=row[0],
            fingerprint=row[1],
            blob=row[2],
            size=row[3],
            attempt=row[4],
            charge=row[5],
            generation_id=row[6],
            made_at=row[7],
        )
        for row in rows
    }


def transition_of(row: Sequence[Any]) -> Transition:
    """The record of one row (attempt, at, event, state, detail)."""
    return Transition(attempt=row[0], at=row[1], event=row[2], state=_STATES[row[3]], detail=json.loads(row[4]))


def detail_text(detail: Mapping[str, Any]) -> str:
    """The JSON of a transition's detail; values that JSON does not know become text."""
    return json.dumps(detail, sort_keys=True, default=str)
