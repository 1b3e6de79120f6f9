-- Purpose: subscribes a session to the changes of a lock.
-- Parameters: 1 name, 2 seq (negative, made of the session), 3 session. Result: none.
-- Invariant: one watcher a session and lock; asking again changes nothing.
INSERT OR IGNORE INTO claims (name, seq, id, state, mode, take, places, queueing, expires_ns, expires_wall_us,
    since_ns, lock_delay_ns, session, waker, woken, fence, note)
VALUES (?1, ?2, x'', 4, 0, 0, 0, 0, 0, 0, 0, 0, NULL, ?3, 0, NULL, NULL);
