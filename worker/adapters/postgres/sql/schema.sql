-- name: schema_version
-- The newest migration applied.
SELECT version_num FROM schema_version;
