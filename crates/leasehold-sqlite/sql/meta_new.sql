-- Purpose: writes the one row of `meta` into a new file.
-- Parameters: 1 boot, 2 clock. Result: none.
-- Invariant: runs once in the life of a file.
INSERT INTO meta (one, fence, boot, clock) VALUES (1, 0, ?1, ?2);
