-- Purpose: the boot to which the times of this file belong.
-- Parameters: none. Result: boot, clock.
-- Invariant: one row.
SELECT boot, clock FROM meta WHERE one = 1;
