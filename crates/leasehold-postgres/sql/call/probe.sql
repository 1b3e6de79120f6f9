-- Purpose: sends an empty message to a channel: a listener that does not get it is behind a pooler.
SELECT pg_notify($1, '')
