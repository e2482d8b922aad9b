-- The ledger, format 1. Money is whole credits; times are seconds since the epoch (UTC).

CREATE TABLE attempts (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,      -- the order in which attempts were made
    id TEXT NOT NULL UNIQUE,
    namespace TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    client_request_id TEXT NOT NULL,
    account TEXT NOT NULL,
    state TEXT NOT NULL,
    owner TEXT NOT NULL,
    run TEXT NOT NULL,
    job TEXT NOT NULL,
    project TEXT NOT NULL,
    folder TEXT NOT NULL,
    output TEXT NOT NULL,
    final TEXT NOT NULL,
    root TEXT NOT NULL,
    manifest TEXT NOT NULL,
    model TEXT NOT NULL,
    hold INTEGER CHECK (typeof(hold) IN ('integer', 'null')),
    charge INTEGER CHECK (typeof(charge) IN ('integer', 'null')),
    duration_s REAL,
    generation_id TEXT,
    raw_answer TEXT,
    result_url TEXT,
    failure TEXT,
    message TEXT,
    blob TEXT,
    size INTEGER,
    reserved_at REAL NOT NULL,
    intent_at REAL,
    accepted_at REAL,
    ready_at REAL,
    ended_at REAL,
    set_aside_at REAL,                          -- the user allowed another attempt although this one may have been paid
    acknowledged_at REAL                        -- the user has seen the loss
);

-- At most one live attempt per fingerprint. Live is every state that may have spent something.
CREATE UNIQUE INDEX one_live_attempt ON attempts (namespace, fingerprint)
    WHERE state NOT IN ('planned', 'rejected', 'remote-failed', 'absent') AND set_aside_at IS NULL;

CREATE INDEX attempts_by_fingerprint ON attempts (namespace, fingerprint);
CREATE INDEX attempts_by_state ON attempts (namespace, state);
CREATE INDEX attempts_by_generation ON attempts (namespace, generation_id) WHERE generation_id IS NOT NULL;

-- Everything a budget sum reads, so that it never touches the wide rows.
CREATE INDEX money ON attempts (namespace, folder, run, reserved_at, state, charge, hold);

CREATE TABLE results (
    namespace TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    blob TEXT NOT NULL,
    size INTEGER NOT NULL,
    attempt TEXT NOT NULL REFERENCES attempts (id),
    charge INTEGER CHECK (typeof(charge) IN ('integer', 'null')),
    generation_id TEXT,
    made_at REAL NOT NULL,
    kept_from TEXT,                             -- the fingerprint whose result this is, when the user declared an edit cosmetic
    PRIMARY KEY (namespace, fingerprint)
) WITHOUT ROWID;

CREATE INDEX results_by_attempt ON results (attempt);

CREATE TABLE transitions (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    attempt TEXT NOT NULL REFERENCES attempts (id) ON DELETE CASCADE,
    at REAL NOT NULL,
    event TEXT NOT NULL,
    state TEXT NOT NULL,
    detail TEXT NOT NULL                        -- a JSON object
);

CREATE INDEX transitions_by_attempt ON transitions (attempt);

-- Complete reads of an account's request log.
CREATE TABLE log_reads (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    namespace TEXT NOT NULL,
    account TEXT NOT NULL,
    "start" REAL NOT NULL,                      -- the window that was read
    "end" REAL NOT NULL,
    at REAL NOT NULL,
    newest_own REAL                             -- when the newest request of ours that it showed was made
);

CREATE INDEX log_reads_by_account ON log_reads (namespace, account, at);

-- What was learnt for good.
CREATE TABLE facts (
    fact TEXT PRIMARY KEY
) WITHOUT ROWID;
