-- Purpose: writes one claim, new or changed.
-- Parameters: the columns in order. Result: none.
-- Invariant: only with the row of (name, seq) read in the same transaction.
REPLACE INTO claims (name, seq, id, state, mode, take, places, queueing, expires_ns, expires_wall_us, since_ns,
    lock_delay_ns, session, waker, woken, fence, note)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17);
