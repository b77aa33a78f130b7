-- name: begin_trial
-- Count a trial of one message and take back those of others, or ($8) its own from before. The same trial ($7) begun
-- again is counted once. A trial must outlive the worker, not the server, so that the commit does not wait for the
-- disk: the setting holds for this statement alone.
WITH ended AS (
    DELETE FROM fact_trial AS t
     USING unnest($4::text[], $5::bigint[], $6::bigint[]) AS e (stream, sequence, stored_at_ns)
     WHERE (t.stream, t.sequence, t.stored_at_ns) = (e.stream, e.sequence, e.stored_at_ns)
)
INSERT INTO fact_trial AS t (stream, sequence, stored_at_ns, begun, last_trial) VALUES ($1, $2, $3, 1, $7)
ON CONFLICT (stream, sequence, stored_at_ns) DO UPDATE
   SET last_trial = excluded.last_trial,
       begun = CASE WHEN $8::boolean THEN 1 WHEN t.last_trial = excluded.last_trial THEN t.begun ELSE t.begun + 1 END
RETURNING begun, set_config('synchronous_commit', 'off', true);

-- name: end_trials
-- Take trials back; nor is this waited for: one that comes back with a crashed server was counted too often by one.
WITH ended AS (
    DELETE FROM fact_trial AS t
     USING unnest($1::text[], $2::bigint[], $3::bigint[]) AS e (stream, sequence, stored_at_ns)
     WHERE (t.stream, t.sequence, t.stored_at_ns) = (e.stream, e.sequence, e.stored_at_ns)
)
SELECT set_config('synchronous_commit', 'off', true);

-- name: expire_trials
-- Remove trials of facts that the stream stored before a time, so many at most. Returns how many went.
WITH gone AS (
    DELETE FROM fact_trial
     WHERE (stream, sequence, stored_at_ns) IN (
           SELECT stream, sequence, stored_at_ns FROM fact_trial WHERE stored_at_ns < $1 LIMIT $2::bigint
           )
    RETURNING 1
)
SELECT count(*) FROM gone;
