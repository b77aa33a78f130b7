-- name: ruleset_state
-- Which ruleset is the current one.
SELECT revision, digest FROM ruleset;

-- name: cache_key
-- What plans in the cache are vouched for with.
SELECT cache_key FROM ruleset;

-- name: lock_ruleset
-- The same, and nobody else may change the active rules before this transaction ends.
SELECT revision, digest FROM ruleset FOR UPDATE;

-- name: end_membership
-- A rule's version stops deciding with a revision.
UPDATE ruleset_member SET until_revision = $2::bigint WHERE rule_id = $1::uuid AND until_revision IS NULL;

-- name: begin_membership
-- A rule's version decides from a revision on.
INSERT INTO ruleset_member (rule_id, version, content_digest, from_revision)
VALUES ($1::uuid, $2::integer, $3::bytea, $4::bigint);

-- name: advance_ruleset
-- The next revision and the digest of what decides now: SHA-256 over the members' content digests in byte order.
UPDATE ruleset
   SET revision = $1::bigint, changed_at = $2::timestamptz,
       digest = sha256((SELECT coalesce(string_agg(content_digest, ''::bytea ORDER BY content_digest), ''::bytea)
                          FROM ruleset_member WHERE until_revision IS NULL))
RETURNING revision, digest;

-- name: members
-- What decides now.
SELECT rule_id, version, content_digest FROM ruleset_member WHERE until_revision IS NULL;

-- name: members_at
-- What decided at a revision.
SELECT rule_id, version, content_digest
  FROM ruleset_member
 WHERE from_revision <= $1::bigint AND (until_revision IS NULL OR until_revision > $1::bigint);

-- name: changes_since
-- Which ruleset is the current one, what decided at a revision and does not now or went and came back, and what does now
-- and did not, with its content. One row with the state alone where nothing changed.
SELECT ruleset.revision, ruleset.digest, changed.rule_id, changed.version, changed.content_digest, changed.is_begun,
       v.name, v.description, v.dsl_content, v.priority, v.tags, v.effective_from, v.effective_until
  FROM ruleset
  LEFT JOIN (
       SELECT rule_id, version, content_digest, false AS is_begun
         FROM ruleset_member
        WHERE until_revision > $1::bigint AND from_revision <= $1::bigint
        UNION ALL
       SELECT rule_id, version, content_digest, true
         FROM ruleset_member
        WHERE from_revision > $1::bigint AND until_revision IS NULL
        LIMIT $2::integer
       ) AS changed ON true
  LEFT JOIN rule_version AS v ON changed.is_begun AND v.rule_id = changed.rule_id AND v.version = changed.version;

-- name: load_versions
-- The content of versions.
SELECT v.rule_id, v.version, v.name, v.description, v.dsl_content, v.priority, v.tags, v.effective_from,
       v.effective_until
  FROM unnest($1::uuid[], $2::integer[]) AS wanted (rule_id, version)
  JOIN rule_version v USING (rule_id, version);
