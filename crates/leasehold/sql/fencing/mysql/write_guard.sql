-- write_guard: before each write, in the transaction that writes, so that the check and the write commit together.
-- Parameters: ? resource, ? token. Not run by Leasehold's own tests.
-- Rows: 1 = admitted, and the row is locked until the commit; none = stale, or nobody has claimed: roll back and stop.
SELECT token FROM leasehold_fencing WHERE resource = ? AND token <= ? FOR UPDATE;
