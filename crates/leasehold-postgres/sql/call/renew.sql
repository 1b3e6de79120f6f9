-- Purpose: calls leasehold.renew. Arguments and reply: there; the start of the server comes last.
SELECT r.outcome, r.span, (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint
FROM leasehold.renew($1, $2, $3) AS r ORDER BY r.at
