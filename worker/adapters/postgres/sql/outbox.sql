-- name: add_to_outbox
-- An event on its way out, written with the change that caused it.
INSERT INTO outbox (event_id, rule_id, subject, headers, payload)
VALUES ($1::uuid, $2::uuid, $3::text, $4::bytea, $5::bytea);

-- name: claim_rules
-- Rules with events to publish that no other relay is at, but for those that are held: the lock is on each rule's oldest
-- event and lasts as long as the transaction.
SELECT o.rule_id
  FROM outbox o
 WHERE NOT EXISTS (SELECT FROM outbox older WHERE older.rule_id = o.rule_id AND older.position < o.position)
   AND o.rule_id <> ALL ($2::uuid[])
 ORDER BY o.position
 LIMIT $1::integer
   FOR UPDATE OF o SKIP LOCKED;

-- name: outbox_of_rule
-- A rule's unpublished events, oldest first, and the stream sequence that its last published one has.
SELECT o.position, o.event_id, o.subject, o.headers, o.payload, coalesce(s.sequence, 0) AS sequence
  FROM outbox o
  LEFT JOIN outbox_sequence s ON s.rule_id = o.rule_id
 WHERE o.rule_id = $1::uuid
 ORDER BY o.position
 LIMIT $2::integer;

-- name: remove_published
-- An event leaves the outbox when the stream has it, and where it stands there is remembered as its rule's last.
WITH gone AS (DELETE FROM outbox WHERE position = $3::bigint)
INSERT INTO outbox_sequence (rule_id, sequence) VALUES ($1::uuid, $2::bigint)
ON CONFLICT (rule_id) DO UPDATE SET sequence = excluded.sequence;

-- name: outbox_state
-- How much waits in the outbox, and the oldest event of it.
SELECT (SELECT count(*) FROM outbox) AS pending,
       (SELECT payload FROM outbox ORDER BY position LIMIT 1) AS oldest,
       clock_timestamp() AS now;
