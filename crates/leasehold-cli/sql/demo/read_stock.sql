-- Purpose: how many items are left.
-- Parameters: none. Result: remaining.
-- Invariant: one row.
SELECT remaining FROM stock WHERE one = 1;
