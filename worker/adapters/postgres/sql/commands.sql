-- name: find_command
-- A command that was decided.
SELECT verb, payload_digest, answer FROM command_log WHERE actor = $1::text AND command_id = $2::text;

-- name: add_command
-- Log a command, unless one is logged under the id: that one stands.
INSERT INTO command_log (actor, command_id, verb, payload_digest, answer, decided_at)
VALUES ($1::text, $2::text, $3::text, $4::bytea, $5::bytea, $6::timestamptz)
ON CONFLICT DO NOTHING
RETURNING actor;

-- name: add_event
-- An entry of a rule's history.
INSERT INTO rule_event (rule_id, event_id, name, rule_name, version, status, actor, occurred_at, command_id, revision,
                        content_digest, before_digest, data)
VALUES ($1::uuid, $2::uuid, $3::text, $4::text, $5::integer, $6::text, $7::text, $8::timestamptz, $9::text, $10::bigint,
        $11::bytea, $12::bytea, $13::bytea);

-- name: events_of_rule
-- A rule's history, oldest first.
SELECT rule_id, event_id, name, rule_name, version, status, actor, occurred_at, command_id, revision, content_digest,
       before_digest, data
  FROM rule_event
 WHERE rule_id = $1::uuid
 ORDER BY number;
