-- name: find_template
-- One template as it is now.
SELECT template_id, revision, version, name, description, dsl_template, parameters, created_by, created_at, updated_by,
       updated_at
  FROM template
 WHERE template_id = $1::uuid;

-- name: find_template_by_name
-- The template that holds a name.
SELECT template_id, revision, version, name, description, dsl_template, parameters, created_by, created_at, updated_by,
       updated_at
  FROM template
 WHERE name = $1::text;

-- name: insert_template
-- A new template, at revision 1.
INSERT INTO template (template_id, revision, version, name, description, dsl_template, parameters, created_by,
                      created_at, updated_by, updated_at)
VALUES ($1::uuid, 1, $2::integer, $3::text, $4::text, $5::text, $6::bytea, $7::text, $8::timestamptz, $9::text,
        $10::timestamptz);

-- name: update_template
-- A changed template, over exactly the revision that was loaded; no row: someone else was faster.
UPDATE template
   SET revision = revision + 1, version = $2::integer, name = $3::text, description = $4::text, dsl_template = $5::text,
       parameters = $6::bytea, updated_by = $7::text, updated_at = $8::timestamptz
 WHERE template_id = $1::uuid AND revision = $9::integer
RETURNING revision;

-- name: delete_template
-- A template goes, if nobody changed it meanwhile; rules that were made of it stay.
DELETE FROM template WHERE template_id = $1::uuid AND revision = $2::integer RETURNING template_id;

-- name: count_templates
-- How many templates meet the criteria.
SELECT count(*)
  FROM template t
 WHERE ($1::text IS NULL OR t.created_by = $1)
   AND ($2::text IS NULL OR t.name COLLATE pg_c_utf8 ILIKE $2);

-- name: list_templates
-- One page of the templates that meet the criteria. The order is written in by the adapter from a closed list.
SELECT t.template_id, t.revision, t.version, t.name, t.description, t.dsl_template, t.parameters, t.created_by,
       t.created_at, t.updated_by, t.updated_at
  FROM template t
 WHERE ($1::text IS NULL OR t.created_by = $1)
   AND ($2::text IS NULL OR t.name COLLATE pg_c_utf8 ILIKE $2)
 ORDER BY {template_order}
 LIMIT $3::integer OFFSET $4::integer;

-- name: lagging_rules
-- Rules whose latest or deciding version was made of an earlier version of a template, and how many there are in all.
SELECT r.rule_id, r.name, r.status, r.version, r.active_version, min(v.template_version) AS template_version,
       count(*) OVER () AS total
  FROM rule_version v
  JOIN rule r ON r.rule_id = v.rule_id AND v.version IN (r.version, r.active_version)
 WHERE v.template_id = $1::uuid AND v.template_version < $2::integer AND r.status <> 'DEPRECATED'
 GROUP BY r.rule_id
 ORDER BY r.name, r.rule_id
 LIMIT $3::integer;

-- name: add_template_event
-- An entry of a template's history.
INSERT INTO template_event (template_id, event_id, name, template_name, version, actor, occurred_at, command_id,
                            content_digest, before_digest, data)
VALUES ($1::uuid, $2::uuid, $3::text, $4::text, $5::integer, $6::text, $7::timestamptz, $8::text, $9::bytea, $10::bytea,
        $11::bytea);

-- name: events_of_template
-- A template's history, oldest first.
SELECT template_id, event_id, name, template_name, version, actor, occurred_at, command_id, content_digest,
       before_digest, data
  FROM template_event
 WHERE template_id = $1::uuid
 ORDER BY number;
