"""The promises, checked after each durable step and each decision of the server, from durable state alone."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kling_render.disk.publish import is_part
from kling_render.lifecycle.states import SPENT_NOTHING, TRANSITIONS, Event, State

if TYPE_CHECKING:
    from tests.sim.machine import Machine, Process
    from tests.sim.server import Generation
    from tests.sim.world import Sim

_ATTEMPTS = "SELECT id, state, fingerprint, client_request_id, generation_id, charge, hold, owner, blob FROM attempts"
_NEWS = "SELECT seq, attempt, event, state FROM transitions WHERE seq > ? ORDER BY seq"


@dataclass(slots=True)
class Seen:
    """What is known of one machine's store."""

    connection: sqlite3.Connection
    states: dict[str, str] = field(default_factory=dict)
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """One attempt as the ledger holds it."""

    id: str
    state: State
    fingerprint: str
    client_request_id: str
    generation_id: str | None
    charge: int | None
    hold: int | None
    owner: str
    blob: str | None


class Watch:
    """Looks at every store by a connection of its own."""

    def __init__(self, sim: Sim) -> None:
        self._sim = sim
        self._seen: dict[Path, Seen] = {}
        self.cap: int | None = None
        #: Client request ids → the machine that sent them.
        self.sent: dict[str, Machine] = {}
        #: The fingerprint of every path that may be written.
        self.owners_of: dict[Path, str] = {}
        self.checks = 0
        #: True time when something was last seen in doubt.
        self.doubted_at = -1.0

    # -- moments -----------------------------------------------------------------------------------------------

    def sending(self, process: Process, stopped: str) -> None:
        """I8: who was told to stop before the connection stood sends nothing; holds within the budget may be used."""
        if stopped and stopped != "budget":
            self._sim.fail("I8 no submit after stop", f"{process.name} sends although it was stopped: {stopped}")

    def accepted(self, generation: Generation) -> None:
        """I1 and I2, at the moment the server takes a job."""
        machine = self.sent[generation.client_request_id]
        row = self._row(machine, generation.client_request_id)
        if row is None:
            self._sim.fail("I2 known to the store", f"{generation.id} was accepted, and the store knows nothing of it")
            return
        if row.state not in (State.INTENT, State.IN_DOUBT, State.NEEDS_USER):
            self._sim.fail("I2 known to the store", f"{generation.id} was accepted for an attempt that is {row.state}")
        count = self._sim.server.charged().get(generation.prefix, 0)
        if count > 1:
            self._sim.fail("I1 paid once", f"{generation.prefix} was accepted {count} times")

    def committed(self, machine: Machine) -> None:
        """I2, I3, I7 and I16, after each commit."""
        self.checks += 1
        rows = self.rows(machine)
        self._transitions(machine, rows)
        by_request = {row.client_request_id: row for row in rows}
        if any(row.state in (State.IN_DOUBT, State.NEEDS_USER) for row in rows):
            self.doubted_at = self._sim.true()
        for generation in self._sim.server.generations.values():
            if self.sent[generation.client_request_id] is not machine or generation.fate:
                continue
            row = by_request.get(generation.client_request_id)
            if row is None:
                self._sim.fail("I2 known to the store", f"{generation.id} has vanished from the store")
            elif row.state in SPENT_NOTHING or row.state is State.RESERVED:
                self._sim.fail("I3 charged and not forgotten", f"{generation.id} is charged, its attempt {row.state}")
            elif row.generation_id not in (None, generation.id, "ghost-of-a-request"):
                self._sim.fail("I2 known to the store", f"{generation.id} goes by the name {row.generation_id}")
        if self.cap is not None:
            self._within_cap(rows, self.cap)

    def files(self, machine: Machine) -> None:
        """I4: what stands under a final name is the whole video of its own job."""
        from tests.sim.server import whole

        for folder, _, names in os.walk(machine.out):
            for name in names:
                path = Path(folder, name)
                if is_part(name):
                    continue
                generation = self._sim.server.generations.get(whole(path.read_bytes()) or "")
                if generation is None:
                    self._sim.fail("I4 complete or absent", f"{path.name} is not a complete result")
                elif generation.prefix != self.owners_of[path][:32]:
                    self._sim.fail("I4 complete or absent", f"{path.name} holds another job's result")

    def kept(self, process: Process) -> None:
        """An id that came is kept, in the ledger or in the spool, unless the disk took nothing at all."""
        if process.machine.disk.died or not process.told_ids:
            return
        known = {row.client_request_id: row.generation_id for row in self.rows(process.machine)}
        for request, generation_id in process.told_ids.items():
            if known.get(request) == generation_id:
                continue
            slots = (process.machine.store / "spool").iterdir()
            if not any(generation_id.encode() in slot.read_bytes() for slot in slots):
                self._sim.fail("I2 known to the store", f"{process.name} was told {generation_id} and kept it nowhere")

    # -- what stands in a store --------------------------------------------------------------------------------

    def rows(self, machine: Machine) -> list[Row]:
        if not (machine.store / "ledger.sqlite3").exists():
            return []  # nothing was ever begun there
        try:
            found = self._look(machine).connection.execute(_ATTEMPTS).fetchall()
        except sqlite3.OperationalError:
            return []  # whoever began it died before the tables were made
        return [Row(row[0], State(row[1]), *row[2:]) for row in found]

    def snapshot(self, machine: Machine) -> tuple[list[Any], list[Any]]:
        """Attempts and results, whole."""
        connection = self._look(machine).connection
        attempts = connection.execute("SELECT * FROM attempts ORDER BY seq").fetchall()
        return attempts, connection.execute("SELECT * FROM results ORDER BY fingerprint").fetchall()

    def forget(self, machine: Machine) -> None:
        """The machine's store is gone."""
        seen = self._seen.pop(machine.store, None)
        if seen:
            seen.connection.close()

    def close(self) -> None:
        for seen in self._seen.values():
            seen.connection.close()
        self._seen.clear()

    def _look(self, machine: Machine) -> Seen:
        path = machine.store
        if path not in self._seen:
            connection = sqlite3.connect(path / "ledger.sqlite3", isolation_level=None)
            self._seen[path] = Seen(connection)
        return self._seen[path]

    def _row(self, machine: Machine, client_request_id: str) -> Row | None:
        text = f"{_ATTEMPTS} WHERE client_request_id = ?"
        row = self._look(machine).connection.execute(text, (client_request_id,)).fetchone()
        return Row(row[0], State(row[1]), *row[2:]) if row else None

    def _transitions(self, machine: Machine, rows: list[Row]) -> None:
        """I16: every step that the history shows is one of the table."""
        seen = self._look(machine)
        blobs = {row.id: row for row in rows}
        for seq, attempt, event, state in seen.connection.execute(_NEWS, (seen.seq,)).fetchall():
            seen.seq = seq
            before = seen.states.get(attempt)
            seen.states[attempt] = state
            if event in ("reserve", "adopt") and before is None:
                continue
            legal = before is not None and TRANSITIONS.get((State(before), Event(event)))
            if legal != State(state):
                self._sim.fail("I16 legal steps", f"{attempt[-6:]}: {before} --{event}--> {state}")
            if state == State.DONE.value and attempt in blobs:
                self._done(machine, blobs[attempt])
        now = {row.id: row.state.value for row in rows}
        for attempt, before in list(seen.states.items()):
            if attempt not in now:
                if before != State.RESERVED.value:
                    self._sim.fail("I16 legal steps", f"{attempt[-6:]} was deleted when it was {before}")
                del seen.states[attempt]
            elif now[attempt] != before:
                self._sim.fail("I16 legal steps", f"{attempt[-6:]} is {now[attempt]}, its history says {before}")

    def _done(self, machine: Machine, row: Row) -> None:
        """I5: what is done has its bytes in the store and its file in the tree."""
        blob = row.blob or ""
        path = machine.store / "blobs" / blob[:2] / blob
        if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != blob:
            self._sim.fail("I5 done is stored", f"{row.id[-6:]} is done, its bytes are not in the store")
        for file, owner in self.owners_of.items():
            if owner == row.fingerprint and file.is_relative_to(machine.out) and not file.exists():
                self._sim.fail("I5 done is stored", f"{row.id[-6:]} is done, {file.name} is not there")

    def _within_cap(self, rows: list[Row], cap: int) -> None:
        """I7: charges and holds fit under the cap; only what the server charged beyond its hold is excused."""
        committed = excused = 0
        for row in rows:
            if row.charge is not None:
                committed += row.charge
                excused += max(row.charge - (row.hold or 0), 0)
            elif row.state not in SPENT_NOTHING:
                committed += row.hold or 0
        if committed > cap + excused:
            self._sim.fail("I7 within the budget", f"{committed} credits are charged or held, the cap is {cap}")
