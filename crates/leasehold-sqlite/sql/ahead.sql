-- Purpose: whether a hold of the file began later than now, which only an earlier run of the machine can have written.
-- Parameters: 1 now. Result: one row, 0 or 1.
-- Invariant: reads only. A lock-delay may begin later than now, at the end of its hold, and does not count.
SELECT EXISTS (SELECT 1 FROM claims WHERE state = 1 AND since_ns > ?1);
