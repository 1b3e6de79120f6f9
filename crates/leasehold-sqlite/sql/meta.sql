-- Purpose: which boot the times of this file belong to.
-- Parameters: none. Result: boot, clock.
-- Invariant: one row.
SELECT boot, clock FROM meta WHERE one = 1;
