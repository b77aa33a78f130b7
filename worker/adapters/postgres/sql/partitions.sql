-- name: partitions
-- The partitions of the decisions and their bounds.
SELECT c.relname AS name, pg_get_expr(c.relpartbound, c.oid) AS bounds
  FROM pg_inherits i
  JOIN pg_class c ON c.oid = i.inhrelid
 WHERE i.inhparent = 'decision'::regclass;

-- name: expired_partitions
-- Former partitions whose keys are being taken away, the oldest first, and how many blocks they have.
SELECT c.relname AS name, pg_relation_size(c.oid) / current_setting('block_size')::bigint AS blocks
  FROM pg_class c
 WHERE c.relkind = 'r' AND NOT c.relispartition AND c.relname LIKE 'decision\_expired\_%'
   AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'decision'::regclass)
 ORDER BY c.relname;

-- name: server_time
-- The server's time of day, in nanoseconds since 1970.
SELECT (extract(epoch FROM clock_timestamp()) * 1000000000)::bigint;

-- name: first_stray
-- The oldest time between two at which the default partition has a decision.
SELECT min(stored_at_ns) FROM decision_default WHERE stored_at_ns >= $1::bigint AND stored_at_ns < $2::bigint;

-- name: strays
-- How many decisions the default partition has between two times.
SELECT count(*) FROM decision_default WHERE stored_at_ns >= $1::bigint AND stored_at_ns < $2::bigint;

-- name: attach_partition
-- A new partition, with what the default partition has of its time. Most is moved while others store; the default
-- partition is locked only for what has come meanwhile. The constraint spares reading all of it again under that lock.
-- One statement, so that nobody freezes with the locks.
DO $do$
BEGIN
    IF NOT pg_try_advisory_xact_lock({lock}) THEN
        RAISE EXCEPTION USING ERRCODE = 'lock_not_available', MESSAGE = 'another worker keeps the partitions';
    END IF;
    IF EXISTS (
        SELECT FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
         WHERE i.inhparent = 'decision'::regclass AND c.relname = {literal}
    ) THEN
        RETURN;
    END IF;
    CREATE TABLE {name} (
        LIKE decision INCLUDING ALL, CONSTRAINT span CHECK (stored_at_ns >= {since} AND stored_at_ns < {until})
    );
    WITH moved AS (
        DELETE FROM decision_default WHERE stored_at_ns >= {since} AND stored_at_ns < {until} RETURNING *
    )
    INSERT INTO {name} SELECT * FROM moved;
    LOCK TABLE decision_default IN ACCESS EXCLUSIVE MODE;
    WITH moved AS (
        DELETE FROM decision_default WHERE stored_at_ns >= {since} AND stored_at_ns < {until} RETURNING *
    )
    INSERT INTO {name} SELECT * FROM moved;
    ALTER TABLE decision ATTACH PARTITION {name} FOR VALUES FROM ({since}) TO ({until});
    ALTER TABLE {name} DROP CONSTRAINT span;
END
$do$;

-- name: detach_partition
-- A partition becomes a table by itself, and its name says that it is to be dropped.
DO $do$
BEGIN
    IF NOT pg_try_advisory_xact_lock({lock}) THEN
        RAISE EXCEPTION USING ERRCODE = 'lock_not_available', MESSAGE = 'another worker keeps the partitions';
    END IF;
    IF EXISTS (
        SELECT FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
         WHERE i.inhparent = 'decision'::regclass AND c.relname = {literal}
    ) THEN
        ALTER TABLE decision DETACH PARTITION {name};
        ALTER TABLE {name} RENAME TO {expired};
    END IF;
END
$do$;

-- name: take_turn
-- Whether nobody else keeps the partitions until this transaction ends.
SELECT pg_try_advisory_xact_lock({lock});

-- name: expire_keys
-- Take away the keys of some blocks of a former partition. A key that was claimed again has another time.
DELETE FROM fact_key k
 USING {name} d
 WHERE d.ctid >= $1::tid AND d.ctid < $2::tid AND k.key = d.key AND k.stored_at_ns = d.stored_at_ns;

-- name: drop_expired
-- A former partition without keys goes.
DROP TABLE {name};

-- name: expire_strays
-- Some decisions of the default partition whose time is over go with their keys. Says how many.
WITH gone AS (
    DELETE FROM decision_default
     WHERE ctid IN (SELECT ctid FROM decision_default WHERE stored_at_ns < $1::bigint LIMIT $2::bigint)
    RETURNING key, stored_at_ns
), keys AS (
    DELETE FROM fact_key k USING gone WHERE k.key = gone.key AND k.stored_at_ns = gone.stored_at_ns
)
SELECT FROM gone;
