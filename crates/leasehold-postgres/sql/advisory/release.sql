-- Purpose: gives up every advisory lock of the session that asks: it has one at most.
-- Reply: the server process.
SELECT pg_backend_pid(), pg_advisory_unlock_all()
