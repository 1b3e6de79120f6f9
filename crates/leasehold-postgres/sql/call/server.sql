-- Purpose: names the server that answers: its system identifier, its clock, and whether it is a standby.
SELECT s.system_identifier, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, pg_is_in_recovery() FROM pg_control_system() AS s
