-- Purpose: calls leasehold.claim. Arguments and reply: there; the reply is one value in the binary form of the protocol, and then
--   come the start of the server and, for a member of a quorum, the reply of leasehold.remembers. So it is quickly parsed and
--   planned, which it is each time. The last argument is whether the server is a member.
SELECT record_send(leasehold.claim($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)), pg_postmaster_start_time(),
    CASE WHEN $14 THEN leasehold.remembers() END
