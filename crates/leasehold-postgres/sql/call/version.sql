-- Purpose: reads the version of the schema: the comment that the last statement of its script sets.
SELECT obj_description(to_regnamespace('leasehold'), 'pg_namespace')
