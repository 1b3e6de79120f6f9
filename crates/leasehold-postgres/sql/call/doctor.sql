-- Purpose: reads what matters for locks of the settings of a server, its standbys, the table of locks and the rights.
-- Arguments: the name of the table.
SELECT
    current_setting('server_version_num')::integer, current_setting('fsync') = 'on',
    current_setting('synchronous_commit'), current_setting('synchronous_standby_names') <> '',
    pg_is_in_recovery(), (SELECT count(*) FROM pg_stat_replication), current_setting('autovacuum') = 'on'
        AND NOT EXISTS (SELECT FROM pg_class AS t, pg_options_to_table(t.reloptions) AS o WHERE t.oid = to_regclass($1)
            AND o.option_name = 'autovacuum_enabled' AND NOT o.option_value::boolean),
    coalesce((SELECT n_live_tup FROM pg_stat_user_tables WHERE relid = to_regclass($1)), 0),
    coalesce((SELECT n_dead_tup FROM pg_stat_user_tables WHERE relid = to_regclass($1)), 0),
    coalesce(
        has_table_privilege(to_regclass($1), 'SELECT') AND has_table_privilege(to_regclass($1), 'INSERT')
            AND has_table_privilege(to_regclass($1), 'UPDATE'),
        false
    ),
    (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
    EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass($1) AND atttypid = 'timestamptz'::regtype),
    current_setting('transaction_read_only') = 'on'
