-- name: schema_version
-- The newest migration applied.
SELECT version_num FROM schema_version;

-- name: is_read_only
-- Whether this server takes no writes now: a standby, or a server that somebody made read-only.
SELECT current_setting('transaction_read_only')::bool
