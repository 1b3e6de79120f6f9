-- Purpose: all locks of the file.
-- Parameters: none. Result: name.
-- Invariant: reads the whole table; only after a reboot.
SELECT DISTINCT name FROM claims;
