-- Purpose: calls leasehold.release. Arguments and reply: there.
SELECT leasehold.release($1, $2, $3)
