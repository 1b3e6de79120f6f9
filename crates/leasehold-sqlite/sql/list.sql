-- Purpose: all locks from a name onwards, in order of name; the reader stops where the prefix ends.
-- Parameters: 1 the first name. Result: as rows.sql.
-- Invariant: one statement, so all locks are seen at one moment.
SELECT name, seq, id, state, mode, take, places, queueing, expires_ns, expires_wall_us, since_ns, lock_delay_ns,
    session, waker, woken, fence, note
FROM claims WHERE name >= ?1 ORDER BY name, seq;
