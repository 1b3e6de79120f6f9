-- Purpose: sets the boot to which all times of the file belong.
-- Parameters: 1 boot, 2 clock. Result: none.
-- Invariant: only in the transaction that has carried every claim over.
UPDATE meta SET boot = ?1, clock = ?2 WHERE one = 1;
