-- Purpose: the names of locks from one onwards, in order; the reader stops where the prefix ends.
-- Parameters: 1 the first name. Result: name.
-- Invariant: the locks are read in the same transaction, so all are seen at one moment.
SELECT DISTINCT name FROM claims WHERE name >= ?1 ORDER BY name;
