-- write_guard: before each write, in the transaction that writes, so that the check and the write commit together.
-- Parameters: :resource text, :token integer.
-- Rows changed: 1 = admitted; 0 = stale, or nobody has claimed: roll back and stop.
UPDATE leasehold_fencing SET token = :token WHERE resource = :resource AND token <= :token;
