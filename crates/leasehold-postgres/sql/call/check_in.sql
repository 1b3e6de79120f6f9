-- Purpose: calls leasehold.check_in. Arguments and reply: there.
SELECT leasehold.check_in($1, $2)
