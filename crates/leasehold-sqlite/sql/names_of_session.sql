-- Purpose: the locks on which a session holds, waits or watches.
-- Parameters: 1 session. Result: name.
-- Invariant: reads the whole table; only when a session has ended.
SELECT DISTINCT name FROM claims WHERE session = ?1 OR waker = ?1;
