-- Purpose: whether a claim of the file began later than now, which only an earlier run of the machine can have written.
-- Parameters: 1 now. Result: one row, 0 or 1.
-- Invariant: reads only.
SELECT EXISTS (SELECT 1 FROM claims WHERE since_ns > ?1);
