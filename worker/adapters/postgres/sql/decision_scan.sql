-- name: decisions_behind
-- A page of decisions behind a place (time of storage, key) and before a time, oldest first. So many are looked at, so
-- many of the wanted types are taken at most, and the page ends early for its bytes. met is how many were taken.
SELECT key, stored_at_ns, fact_id, fact_type, matched, body, effects, traceparent, fact, met
  FROM (
        SELECT *, count(*) OVER () AS met, sum(bytes) OVER (ORDER BY stored_at_ns, key) - bytes AS bytes_before
          FROM (
                SELECT *, octet_length(body) + coalesce(octet_length(effects), 0) + coalesce(octet_length(fact), 0) AS bytes
                  FROM (
                        SELECT *
                          FROM decision
                         WHERE stored_at_ns >= $1::bigint AND (stored_at_ns, key) > ($1::bigint, $2::bytea)
                           AND stored_at_ns < $3::bigint
                         ORDER BY stored_at_ns, key
                         LIMIT $4::bigint
                       ) AS looked_at
                 WHERE $5::text IS NULL OR fact_type ~ $5
                 ORDER BY stored_at_ns, key
                 LIMIT $6::bigint
               ) AS taken
       ) AS page
 WHERE bytes_before < $7::bigint
 ORDER BY stored_at_ns, key;

-- name: last_looked_at
-- The place of the last decision that such a page looks at, when it looks at as many as it may.
SELECT stored_at_ns, key
  FROM decision
 WHERE stored_at_ns >= $1::bigint AND (stored_at_ns, key) > ($1::bigint, $2::bytea) AND stored_at_ns < $3::bigint
 ORDER BY stored_at_ns, key
OFFSET $4::bigint - 1 LIMIT 1;

-- name: newest_decision
-- When the stream stored the newest fact that was decided.
SELECT max(stored_at_ns) FROM decision;

-- name: count_decisions
-- How many decisions there are between two times, so many at most.
SELECT count(*)
  FROM (
        SELECT FROM decision WHERE stored_at_ns >= $1::bigint AND stored_at_ns < $2::bigint LIMIT $3::bigint
       ) AS counted;
