-- Purpose: calls leasehold.renew. Arguments and reply: there.
SELECT r.outcome, r.span FROM leasehold.renew($1, $2, $3) AS r ORDER BY r.at
