-- Purpose: deletes one claim or one watcher.
-- Parameters: 1 name, 2 seq. Result: none.
-- Invariant: only with the row read in the same transaction.
DELETE FROM claims WHERE name = ?1 AND seq = ?2;
