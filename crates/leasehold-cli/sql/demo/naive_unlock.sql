-- Purpose: DEL name, in SQL: deletes the lock, whoever has it by now.
-- Parameters: 1 name. Result: none.
-- Invariant: none; that is the mistake.
DELETE FROM naive_lock WHERE name = ?1;
