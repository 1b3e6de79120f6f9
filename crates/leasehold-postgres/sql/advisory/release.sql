-- Purpose: gives up every advisory lock of the session that asks: it has one at most.
SELECT pg_advisory_unlock_all()
