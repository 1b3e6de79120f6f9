-- Purpose: says that all times of the file now belong to this boot.
-- Parameters: 1 boot, 2 clock. Result: none.
-- Invariant: only in the transaction that has carried every claim over.
UPDATE meta SET boot = ?1, clock = ?2 WHERE one = 1;
