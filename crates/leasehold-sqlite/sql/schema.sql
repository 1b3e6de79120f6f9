-- Purpose: makes the tables of a new database file, and nothing else.
-- Parameters: none. Result: none.
-- Invariant: `meta` has exactly one row, and no fence ever granted by this file is above `meta.fence`. A claim with
-- state 4 is no claim but a watcher: it has a negative seq, a waker, and counts its wake-ups in `woken`.
-- Times: *_ns count on CLOCK_BOOTTIME of the boot in `meta.boot`; *_wall_us count from 1970, and are read only to
-- carry a claim over a reboot. The index holds only rows marked as woken, so a lock that nobody waits for never
-- writes to it.
CREATE TABLE meta (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    fence INTEGER NOT NULL,
    boot TEXT NOT NULL,
    clock TEXT NOT NULL
) STRICT;

CREATE TABLE claims (
    name TEXT NOT NULL,
    seq INTEGER NOT NULL,
    id BLOB NOT NULL,
    state INTEGER NOT NULL,
    mode INTEGER NOT NULL,
    take INTEGER NOT NULL,
    places INTEGER NOT NULL,
    queueing INTEGER NOT NULL,
    expires_ns INTEGER NOT NULL,
    expires_wall_us INTEGER NOT NULL,
    since_ns INTEGER NOT NULL,
    lock_delay_ns INTEGER NOT NULL,
    session INTEGER,
    waker INTEGER,
    woken INTEGER NOT NULL,
    fence INTEGER,
    note TEXT,
    PRIMARY KEY (name, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX claims_woken ON claims (waker) WHERE woken > 0;
