-- name: store_decisions
-- New keys and their decisions in one statement. Keys are claimed in their order, so that two workers cannot deadlock;
-- decisions are inserted in the order in which they come, most often that of their times, which suits the indexes.
-- Returns the keys that were new, or null when all were. An array of nulls may be null itself; for matched and fact_type
-- an array of one stands for as many of the same (unnest fills the shorter arrays up with nulls, which neither can be).
WITH input AS (
    SELECT i.key, i.stored_at_ns, coalesce(i.matched, ($3::boolean[])[1]) AS matched, i.fact_id,
           coalesce(i.fact_type, ($5::text[])[1]) AS fact_type, i.body, i.effects, i.traceparent, i.fact
      FROM unnest($1::bytea[], $2::bigint[], $3::boolean[], $4::text[], $5::text[], $6::bytea[], $7::bytea[], $8::text[],
                  $9::bytea[])
        AS i (key, stored_at_ns, matched, fact_id, fact_type, body, effects, traceparent, fact)
), claimed AS (
    INSERT INTO fact_key (key, stored_at_ns) SELECT key, stored_at_ns FROM input ORDER BY key
    ON CONFLICT (key) DO NOTHING
    RETURNING key
), kept AS (
    INSERT INTO decision (stored_at_ns, matched, key, fact_id, fact_type, body, effects, traceparent, fact)
    SELECT i.stored_at_ns, i.matched, i.key, i.fact_id, i.fact_type, i.body, i.effects, i.traceparent, i.fact
      FROM input i JOIN claimed USING (key)
)
SELECT CASE WHEN count(*) < cardinality($1::bytea[]) THEN coalesce(array_agg(key), '{}') END FROM claimed;

-- name: first_decisions
-- The decisions that stand for keys that were there already; in a statement of its own, for its own snapshot. One key
-- at a time (LIMIT keeps the planner from joining otherwise), so that each is sought in its own partition alone.
SELECT d.key, d.stored_at_ns, d.fact_id, d.fact_type, d.matched, d.body, d.effects, d.traceparent
  FROM unnest($1::bytea[]) AS wanted (key)
  JOIN fact_key k ON k.key = wanted.key
 CROSS JOIN LATERAL (SELECT * FROM decision WHERE stored_at_ns = k.stored_at_ns AND key = k.key LIMIT 1) d;

-- name: find_decision
-- The decision under a key, with its fact where that is kept.
SELECT d.key, d.stored_at_ns, d.fact_id, d.fact_type, d.matched, d.body, d.effects, d.traceparent, d.fact
  FROM fact_key k
 CROSS JOIN LATERAL (SELECT * FROM decision WHERE stored_at_ns = k.stored_at_ns AND key = k.key LIMIT 1) d
 WHERE k.key = $1::bytea;

-- name: decisions_of_fact
-- The decisions of facts with an id, newest first.
SELECT key, stored_at_ns, fact_id, fact_type, matched, body, effects, traceparent
  FROM decision
 WHERE fact_id = $1::text
 ORDER BY stored_at_ns DESC
 LIMIT 100;

-- name: newest_decision
-- When the stream stored the newest fact that was decided.
SELECT max(stored_at_ns) FROM decision;

-- name: list_decisions
-- Decisions between two times, newest first, that meet the criteria. So many are looked at from an offset on; a page
-- ends early for its bytes. place is the offset behind a decision, met how many there are, the page's and one more.
SELECT key, stored_at_ns, fact_id, fact_type, matched, body, effects, traceparent, place, met
  FROM (
        SELECT *, count(*) OVER () AS met, row_number() OVER (ORDER BY place) AS number,
               sum(octet_length(body)) OVER (ORDER BY place) - octet_length(body) AS bytes_before
          FROM (
                SELECT *
                  FROM (
                        SELECT *, row_number() OVER (ORDER BY stored_at_ns DESC, key DESC) AS place
                          FROM decision
                         WHERE ($1::text = '') AND stored_at_ns >= $2::bigint AND stored_at_ns < $3::bigint
                         ORDER BY stored_at_ns DESC, key DESC
                        OFFSET $4::bigint LIMIT $5::bigint
                       ) AS looked_at
                 WHERE ($6::text IS NULL OR fact_type ~ $6) AND ($7::boolean IS NULL OR matched = $7)
                 ORDER BY stored_at_ns DESC, key DESC
                 LIMIT $8::bigint + 1
               ) AS found
       ) AS page
 WHERE number <= $8::bigint AND bytes_before < $9::bigint
 ORDER BY place;

-- name: list_decisions_go_on
-- Whether there are decisions behind those looked at.
SELECT EXISTS (
    SELECT FROM decision
     WHERE ($1::text = '') AND stored_at_ns >= $2::bigint AND stored_at_ns < $3::bigint
     ORDER BY stored_at_ns DESC
    OFFSET $4::bigint LIMIT 1
);

-- name: list_decisions_of_fact
-- The same of facts with an id, newest first, that meet the criteria. So many are looked at from an offset on; a page
-- ends early for its bytes. place is the offset behind a decision, met how many there are, the page's and one more.
SELECT key, stored_at_ns, fact_id, fact_type, matched, body, effects, traceparent, place, met
  FROM (
        SELECT *, count(*) OVER () AS met, row_number() OVER (ORDER BY place) AS number,
               sum(octet_length(body)) OVER (ORDER BY place) - octet_length(body) AS bytes_before
          FROM (
                SELECT *
                  FROM (
                        SELECT *, row_number() OVER (ORDER BY stored_at_ns DESC, key DESC) AS place
                          FROM decision
                         WHERE fact_id = $1::text AND stored_at_ns >= $2::bigint AND stored_at_ns < $3::bigint
                         ORDER BY stored_at_ns DESC, key DESC
                        OFFSET $4::bigint LIMIT $5::bigint
                       ) AS looked_at
                 WHERE ($6::text IS NULL OR fact_type ~ $6) AND ($7::boolean IS NULL OR matched = $7)
                 ORDER BY stored_at_ns DESC, key DESC
                 LIMIT $8::bigint + 1
               ) AS found
       ) AS page
 WHERE number <= $8::bigint AND bytes_before < $9::bigint
 ORDER BY place;

-- name: list_decisions_of_fact_go_on
-- Whether there are decisions behind those looked at.
SELECT EXISTS (
    SELECT FROM decision
     WHERE fact_id = $1::text AND stored_at_ns >= $2::bigint AND stored_at_ns < $3::bigint
     ORDER BY stored_at_ns DESC
    OFFSET $4::bigint LIMIT 1
);
