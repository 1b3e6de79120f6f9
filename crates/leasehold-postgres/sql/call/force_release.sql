-- Purpose: calls leasehold.force_release. Arguments and reply: there, in binary form as in claim.sql; the time comes last.
SELECT record_send(c), leasehold.now() FROM leasehold.force_release($1) AS c
