-- Purpose: lets the session that asks live on: the server ends it when it is not heard of for so long.
-- Arguments: milliseconds.
-- Reply: the server process, the setting.
SELECT pg_backend_pid(), set_config('idle_session_timeout', $1, false)
