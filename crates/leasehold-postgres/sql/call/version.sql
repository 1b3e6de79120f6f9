-- Purpose: reads the version of the schema, the comment that the last statement of its script sets, and the server process that
--   answers: another one than the connection was made with is that of a pooler.
SELECT obj_description(to_regnamespace('leasehold'), 'pg_namespace'), pg_backend_pid()
