-- Purpose: checks in the user's own transaction that a lock is held by a token, and keeps out the next one until it ends.
--
-- Arguments: name and token.
-- Reply: nothing. Raises LH001 unless the claim with this token holds and its time is not over.
-- Invariant: the row is locked in the weakest mode. Renewals and releases pass, a new token does not: leasehold.claim locks
--   the row in the strongest mode before it grants one.

CREATE OR REPLACE FUNCTION leasehold.check_in(p_name bytea, p_fence bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    l leasehold.locks;
BEGIN
    SELECT * INTO l FROM leasehold.locks AS k WHERE k.name = p_name FOR KEY SHARE;
    IF NOT EXISTS (
        SELECT FROM unnest(l.claims) AS c WHERE c.fence = p_fence AND c.state = 1 AND c.expires > leasehold.now()
    ) THEN
        RAISE EXCEPTION 'the lease of fencing token % is over', p_fence
            USING ERRCODE = 'LH001', HINT = 'stop the work of this holder: another one may have begun';
    END IF;
END $$;
