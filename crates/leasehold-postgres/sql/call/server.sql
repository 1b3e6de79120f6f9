-- Purpose: names the server that answers: its system identifier, its clock, and whether it is a standby.
SELECT s.system_identifier, leasehold.now(), pg_is_in_recovery() FROM pg_control_system() AS s
