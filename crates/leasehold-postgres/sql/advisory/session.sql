-- Purpose: names the server process of a session, and says whether it can end idle sessions (PostgreSQL 14 and later).
SELECT pg_backend_pid(), current_setting('idle_session_timeout', true) IS NOT NULL
