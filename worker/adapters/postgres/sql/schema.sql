-- name: schema_state
-- The newest migration applied, and the lowest version that a worker must be written for.
SELECT (SELECT version_num FROM schema_migration) AS applied, (SELECT version_num FROM schema_version) AS lowest;

-- name: schema_state_before_phases
-- Both of them where only releases before phases have migrated.
SELECT version_num AS applied, version_num AS lowest FROM schema_version;

-- name: is_read_only
-- Whether this server takes no writes now: a standby, or a server that somebody made read-only.
SELECT current_setting('transaction_read_only')::bool
