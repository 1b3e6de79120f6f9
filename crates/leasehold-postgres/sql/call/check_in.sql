-- Purpose: calls leasehold.check_in. Arguments and reply: there.
SELECT 1::bigint FROM leasehold.check_in($1, $2)
