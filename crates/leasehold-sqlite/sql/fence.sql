-- Purpose: the highest fencing token of the file.
-- Parameters: none. Result: fence.
-- Invariant: one row.
SELECT fence FROM meta WHERE one = 1;
