-- write_guard: before each write, in the transaction that writes, so that the check and the write commit together.
-- Parameters: $1 resource text, $2 token bigint.
-- Rows changed: 1 = admitted, and the row is locked until the commit; 0 = stale, or nobody has claimed: roll back.
UPDATE leasehold_fencing SET token = $2 WHERE resource = $1 AND token <= $2 RETURNING token;
