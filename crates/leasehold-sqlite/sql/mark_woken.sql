-- Purpose: marks a waiter or watcher as woken, before its session file is touched.
-- Parameters: 1 name, 2 seq. Result: none.
-- Invariant: a waiter's own claim sets it back to 0; a watcher only ever compares it with what it saw before.
UPDATE claims SET woken = woken + 1 WHERE name = ?1 AND seq = ?2;
