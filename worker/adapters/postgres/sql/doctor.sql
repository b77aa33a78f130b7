-- name: server
-- What the server is, what it survives, and how we are connected to it.
SELECT current_setting('server_version_num')::integer AS version,
       current_setting('server_version') AS version_text,
       current_user::text AS role,
       (SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = current_database()) AS encoding,
       current_setting('fsync') AS fsync,
       current_setting('full_page_writes') AS full_page_writes,
       current_setting('synchronous_commit') AS synchronous_commit,
       coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false) AS is_encrypted,
       host(inet_client_addr()) AS client,
       coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS may_create;

-- name: server_seconds
-- The server's time of day, in seconds since 1970.
SELECT extract(epoch FROM clock_timestamp())::double precision;

-- name: rights
-- Which of the rights our role has on each table of ours, and whether it owns those that have partitions.
SELECT c.relname::text AS name, r.named AS right,
       has_table_privilege(c.oid, r.named) AS is_granted,
       c.relkind = 'p' AS is_partitioned,
       pg_has_role(c.relowner, 'USAGE') AS is_owned
  FROM pg_class c, unnest($1::text[]) AS r(named)
 WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
   AND c.relname NOT LIKE 'decision\_expired\_%'
   AND (r.named = 'SELECT' OR c.relname NOT IN ('schema_version', 'schema_migration'))
   AND (r.named IN ('SELECT', 'INSERT') OR c.relname NOT IN ('rule_event', 'template_event', 'command_log'))
 ORDER BY c.relname, r.named;

-- name: storage
-- What waits in the outbox, what is kept outside partitions, and which facts may be what kills workers.
SELECT (SELECT count(*) FROM outbox) AS pending,
       (SELECT payload FROM outbox ORDER BY position LIMIT 1) AS oldest,
       (SELECT count(*) FROM (SELECT FROM decision_default LIMIT 10001) AS strays) AS strays,
       (SELECT min(stored_at_ns) FROM decision_default) AS first_stray_ns,
       (SELECT max(stored_at_ns) FROM decision_default) AS last_stray_ns,
       (SELECT count(*) FROM fact_trial WHERE begun > 0) AS suspected;
