-- name: store_decisions
-- New keys and their decisions in one statement; the inputs are sorted by key, so that two workers cannot deadlock.
-- Returns the keys that were new.
WITH input AS (
    SELECT *
      FROM unnest($1::bytea[], $2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::boolean[],
                  $8::bigint[], $9::bytea[], $10::bytea[], $11::text[])
        AS i (key, stored_at_ns, fact_id, fact_type, sequence, time_ns, matched, revision, body, effects, traceparent)
), claimed AS (
    INSERT INTO fact_key (key, stored_at_ns) SELECT key, stored_at_ns FROM input
    ON CONFLICT (key) DO NOTHING
    RETURNING key
), kept AS (
    INSERT INTO decision (key, stored_at_ns, fact_id, fact_type, sequence, time_ns, matched, revision, body, effects,
                          traceparent)
    SELECT i.key, i.stored_at_ns, i.fact_id, i.fact_type, i.sequence, i.time_ns::numeric, i.matched, i.revision, i.body,
           i.effects, i.traceparent
      FROM input i JOIN claimed USING (key)
)
SELECT key FROM claimed;

-- name: first_decisions
-- The decisions that stand for keys that were there already; in a statement of its own, for its own snapshot.
SELECT d.key, d.stored_at_ns, d.fact_id, d.fact_type, d.sequence, d.time_ns::text, d.matched, d.revision, d.body, d.effects,
       d.traceparent
  FROM unnest($1::bytea[]) AS wanted (key)
  JOIN fact_key k ON k.key = wanted.key
  JOIN decision d ON d.stored_at_ns = k.stored_at_ns AND d.key = k.key;

-- name: decisions_of_fact
-- The decisions of facts with an id, newest first.
SELECT key, stored_at_ns, fact_id, fact_type, sequence, time_ns::text, matched, revision, body, effects, traceparent
  FROM decision
 WHERE fact_id = $1::text
 ORDER BY stored_at_ns DESC
 LIMIT 100;
