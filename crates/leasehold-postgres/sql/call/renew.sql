-- Purpose: calls leasehold.renew. Arguments and reply: there; the start of the server comes last. The last argument is whether the
--   server is a member of a quorum, whose commits are waited for by leasehold.remembers.
SELECT r.outcome, r.span, pg_postmaster_start_time(), (SELECT CASE WHEN $4 THEN leasehold.remembers() END)
FROM leasehold.renew($1, $2, $3) AS r ORDER BY r.at
