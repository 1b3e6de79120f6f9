-- Purpose: calls leasehold.release. Arguments and reply: there; the second column is for the server alone.
-- Invariant: the commit of a release is not waited for. The next grant is: its commit writes all that was committed before it.
--   An id that is refused from now on is waited for, too.
SELECT leasehold.release($1, $2, $3), CASE WHEN $3 = 0 THEN set_config('synchronous_commit', 'off', true) END
