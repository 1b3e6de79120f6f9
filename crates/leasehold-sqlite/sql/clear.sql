-- Purpose: deletes all claims and watchers of one lock.
-- Parameters: 1 name. Result: none.
-- Invariant: only to write them anew in the same transaction (after a reboot).
DELETE FROM claims WHERE name = ?1;
