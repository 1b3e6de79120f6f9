-- Purpose: reads what matters for locks of the settings of a server, its standbys, its table and the rights.
SELECT
    current_setting('server_version_num')::integer, current_setting('fsync') = 'on',
    current_setting('synchronous_commit'), current_setting('synchronous_standby_names') <> '',
    pg_is_in_recovery(), (SELECT count(*) FROM pg_stat_replication), current_setting('autovacuum') = 'on'
        AND NOT EXISTS (SELECT FROM pg_class AS t, pg_options_to_table(t.reloptions) AS o WHERE t.oid = 'leasehold.locks'::regclass
            AND o.option_name = 'autovacuum_enabled' AND NOT o.option_value::boolean),
    coalesce((SELECT n_live_tup FROM pg_stat_user_tables WHERE relid = 'leasehold.locks'::regclass), 0),
    coalesce((SELECT n_dead_tup FROM pg_stat_user_tables WHERE relid = 'leasehold.locks'::regclass), 0),
    has_table_privilege('leasehold.locks', 'SELECT') AND has_table_privilege('leasehold.locks', 'INSERT')
        AND has_table_privilege('leasehold.locks', 'UPDATE'),
    leasehold.now()
