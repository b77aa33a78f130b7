-- name: find_rule
-- One rule with its latest version and the version that decides.
SELECT r.rule_id, r.revision, r.status, r.was_submitted, r.was_active, r.created_by, r.created_at, r.updated_by,
       r.updated_at, r.version, r.active_version,
       l.name, l.description, l.dsl_content, l.priority, l.tags, l.effective_from, l.effective_until, l.author,
       l.created_at AS version_created_at, l.approved_by, l.approved_at, l.restored_from,
       l.template_id, l.template_version, l.template_parameters,
       a.name AS a_name, a.description AS a_description, a.dsl_content AS a_dsl_content, a.priority AS a_priority,
       a.tags AS a_tags, a.effective_from AS a_effective_from, a.effective_until AS a_effective_until,
       a.author AS a_author, a.created_at AS a_version_created_at, a.approved_by AS a_approved_by,
       a.approved_at AS a_approved_at, a.restored_from AS a_restored_from, a.template_id AS a_template_id,
       a.template_version AS a_template_version, a.template_parameters AS a_template_parameters
  FROM rule r
  JOIN rule_version l ON l.rule_id = r.rule_id AND l.version = r.version
  LEFT JOIN rule_version a ON a.rule_id = r.rule_id AND a.version = r.active_version
 WHERE r.rule_id = $1::uuid;

-- name: lock_rule
-- Nobody else may change a rule before this transaction ends.
SELECT FROM rule WHERE rule_id = $1::uuid FOR UPDATE;

-- name: find_rule_id_by_name
-- Who holds a name.
SELECT rule_id FROM rule_name WHERE name = $1::text;

-- name: find_version
-- One version of a rule.
SELECT version, name, description, dsl_content, priority, tags, effective_from, effective_until, author,
       created_at AS version_created_at, approved_by, approved_at, restored_from, template_id, template_version,
       template_parameters
  FROM rule_version
 WHERE rule_id = $1::uuid AND version = $2::integer;

-- name: versions_of_rule
-- Every version of a rule, the newest first.
SELECT version, name, description, dsl_content, priority, tags, effective_from, effective_until, author,
       created_at AS version_created_at, approved_by, approved_at, restored_from, template_id, template_version,
       template_parameters
  FROM rule_version
 WHERE rule_id = $1::uuid
 ORDER BY version DESC;

-- name: insert_rule
-- A new rule, at revision 1, with its version and its names; a name that another rule holds comes back as not taken.
WITH made AS (
    INSERT INTO rule (rule_id, revision, status, version, active_version, was_submitted, was_active, name,
                      priority_rank, tags, created_by, created_at, updated_by, updated_at)
    VALUES ($1::uuid, 1, $2::text, $3::integer, $4::integer, $5::boolean, $6::boolean, $7::text, $8::smallint,
            $9::text[], $10::text, $11::timestamptz, $12::text, $13::timestamptz)
), written AS (
    INSERT INTO rule_version (rule_id, version, name, description, dsl_content, priority, tags, effective_from,
                              effective_until, author, created_at, approved_by, approved_at, restored_from,
                              content_digest, template_id, template_version, template_parameters)
    VALUES ($1::uuid, $15::integer, $16::text, $17::text, $18::text, $19::text, $20::text[], $21::timestamptz,
            $22::timestamptz, $23::text, $24::timestamptz, $25::text, $26::timestamptz, $27::integer, $28::bytea,
            $29::uuid, $30::integer, $31::bytea)
), taken AS (
    INSERT INTO rule_name (name, rule_id) SELECT unnest($14::text[]), $1::uuid
    ON CONFLICT (name) DO NOTHING
    RETURNING name
)
SELECT count(*) FROM taken;

-- name: update_rule
-- A changed rule, over exactly the revision that was loaded; no row: someone else was faster.
UPDATE rule
   SET revision = revision + 1, status = $2::text, version = $3::integer, active_version = $4::integer,
       was_submitted = $5::boolean, was_active = $6::boolean, name = $7::text, priority_rank = $8::smallint,
       tags = $9::text[], updated_by = $10::text, updated_at = $11::timestamptz
 WHERE rule_id = $1::uuid AND revision = $12::integer
RETURNING revision;

-- name: put_version
-- A version's content is written once; only its approval may be added afterwards.
INSERT INTO rule_version (rule_id, version, name, description, dsl_content, priority, tags, effective_from,
                          effective_until, author, created_at, approved_by, approved_at, restored_from, content_digest,
                          template_id, template_version, template_parameters)
VALUES ($1::uuid, $2::integer, $3::text, $4::text, $5::text, $6::text, $7::text[], $8::timestamptz, $9::timestamptz,
        $10::text, $11::timestamptz, $12::text, $13::timestamptz, $14::integer, $15::bytea, $16::uuid, $17::integer,
        $18::bytea)
ON CONFLICT (rule_id, version) DO UPDATE
   SET approved_by = excluded.approved_by, approved_at = excluded.approved_at
 WHERE rule_version.approved_by IS DISTINCT FROM excluded.approved_by;

-- name: release_names
-- Give back the names that a rule no longer holds.
DELETE FROM rule_name WHERE rule_id = $1::uuid AND name <> ALL ($2::text[]);

-- name: hold_names
-- Take names; a name that another rule holds comes back as not taken.
WITH taken AS (
    INSERT INTO rule_name (name, rule_id) SELECT unnest($2::text[]), $1::uuid
    ON CONFLICT (name) DO UPDATE SET rule_id = rule_name.rule_id WHERE rule_name.rule_id = excluded.rule_id
    RETURNING name
)
SELECT count(*) FROM taken;

-- name: delete_rule
-- A rule goes with its versions and names, if nobody changed it meanwhile.
DELETE FROM rule WHERE rule_id = $1::uuid AND revision = $2::integer RETURNING rule_id;

-- name: plan_for_values
-- A listing's best plan depends on the values: most rules, or a few of them, may have a status or a tag. Until the end of
-- the transaction.
SET LOCAL plan_cache_mode = force_custom_plan;

-- name: count_rules
-- How many rules meet the criteria. These are written in by the adapter from a closed list, so that each choice of them
-- has a plan of its own.
SELECT count(*) FROM rule r WHERE {criteria};

-- name: list_rules
-- One page of the rules that meet the criteria. Criteria and order are written in by the adapter from closed lists; the
-- page is found by its index alone, then its rules are read.
SELECT r.rule_id, r.revision, r.status, r.was_submitted, r.was_active, r.created_by, r.created_at, r.updated_by,
       r.updated_at, r.version, r.active_version,
       l.name, l.description, l.dsl_content, l.priority, l.tags, l.effective_from, l.effective_until, l.author,
       l.created_at AS version_created_at, l.approved_by, l.approved_at, l.restored_from,
       l.template_id, l.template_version, l.template_parameters,
       a.name AS a_name, a.description AS a_description, a.dsl_content AS a_dsl_content, a.priority AS a_priority,
       a.tags AS a_tags, a.effective_from AS a_effective_from, a.effective_until AS a_effective_until,
       a.author AS a_author, a.created_at AS a_version_created_at, a.approved_by AS a_approved_by,
       a.approved_at AS a_approved_at, a.restored_from AS a_restored_from, a.template_id AS a_template_id,
       a.template_version AS a_template_version, a.template_parameters AS a_template_parameters
  FROM (
        SELECT r.rule_id
          FROM rule r
         WHERE {criteria}
         ORDER BY {order}
         LIMIT $1::integer OFFSET $2::integer
       ) page
  JOIN rule r ON r.rule_id = page.rule_id
  JOIN rule_version l ON l.rule_id = r.rule_id AND l.version = r.version
  LEFT JOIN rule_version a ON a.rule_id = r.rule_id AND a.version = r.active_version
 ORDER BY {order};
