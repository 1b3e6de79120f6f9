-- Purpose: all rows of one lock.
-- Parameters: 1 name. Result: the columns that format.rs reads, in its order; watchers first, then order of arrival.
-- Invariant: reads one range of the primary key.
SELECT name, seq, id, state, mode, take, places, queueing, expires_ns, expires_wall_us, since_ns, lock_delay_ns,
    session, waker, woken, fence, note
FROM claims WHERE name = ?1 ORDER BY seq;
