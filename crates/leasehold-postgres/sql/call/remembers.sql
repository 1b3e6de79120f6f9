-- Purpose: calls leasehold.remembers. Reply: there.
SELECT leasehold.remembers()
