-- Purpose: the waiters and watchers of a session that are marked as woken.
-- Parameters: 1 session. Result: name, seq, id, woken.
-- Invariant: reads the index alone to find them.
SELECT name, seq, id, woken FROM claims WHERE waker = ?1 AND woken > 0;
