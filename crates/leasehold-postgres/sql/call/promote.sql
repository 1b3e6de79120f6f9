-- Purpose: gives a member of a quorum its vote at once, because an operator knows that nobody holds anything on it.
-- Invariant: leasehold.remembers has answered before, so there is a row.
UPDATE leasehold.member SET since = 0
