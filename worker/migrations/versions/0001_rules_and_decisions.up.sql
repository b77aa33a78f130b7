-- A rule over its versions. name, priority_rank and tags repeat the latest version's, for listing without a join.
CREATE TABLE rule (
    rule_id        uuid PRIMARY KEY,
    revision       integer     NOT NULL,
    status         text        NOT NULL
        CHECK (status IN ('DRAFT', 'UNDER_REVIEW', 'APPROVED', 'ACTIVE', 'INACTIVE', 'DEPRECATED')),
    version        integer     NOT NULL,
    active_version integer,
    was_submitted  boolean     NOT NULL,
    was_active     boolean     NOT NULL,
    name           text        NOT NULL COLLATE "C",
    priority_rank  smallint    NOT NULL,
    tags           text[]      NOT NULL,
    created_by     text        NOT NULL,
    created_at     timestamptz NOT NULL,
    updated_by     text        NOT NULL,
    updated_at     timestamptz NOT NULL
);
CREATE INDEX rule_by_name ON rule (name, rule_id);
CREATE INDEX rule_by_created_at ON rule (created_at, rule_id);
CREATE INDEX rule_by_updated_at ON rule (updated_at, rule_id);

-- The names that rules hold: the latest version's and the deciding version's. The key is what makes them unique.
CREATE TABLE rule_name (
    name    text COLLATE "C" PRIMARY KEY,
    rule_id uuid NOT NULL REFERENCES rule ON DELETE CASCADE
);
CREATE INDEX rule_name_by_rule ON rule_name (rule_id);

-- Content never changes within a version; only its approval is added.
CREATE TABLE rule_version (
    rule_id         uuid        NOT NULL REFERENCES rule ON DELETE CASCADE,
    version         integer     NOT NULL,
    name            text        NOT NULL,
    description     text        NOT NULL,
    dsl_content     text        NOT NULL,
    priority        text        NOT NULL CHECK (priority IN ('LOW', 'MEDIUM', 'HIGH', 'CRITICAL')),
    tags            text[]      NOT NULL,
    effective_from  timestamptz,
    effective_until timestamptz,
    author          text        NOT NULL,
    created_at      timestamptz NOT NULL,
    approved_by     text,
    approved_at     timestamptz,
    restored_from   integer,
    content_digest  bytea       NOT NULL,
    PRIMARY KEY (rule_id, version)
);

-- A command is decided once, for ever, under (actor, command_id).
CREATE TABLE command_log (
    actor          text        NOT NULL COLLATE "C",
    command_id     text        NOT NULL COLLATE "C",
    verb           text        NOT NULL,
    payload_digest bytea       NOT NULL,
    answer         bytea       NOT NULL,
    decided_at     timestamptz NOT NULL,
    PRIMARY KEY (actor, command_id)
);

-- What has happened to rules. It outlives them: no reference to rule.
CREATE TABLE rule_event (
    rule_id        uuid        NOT NULL,
    number         bigint      GENERATED ALWAYS AS IDENTITY,
    event_id       uuid        NOT NULL UNIQUE,
    name           text        NOT NULL,
    rule_name      text        NOT NULL,
    version        integer     NOT NULL,
    status         text        NOT NULL,
    actor          text        NOT NULL,
    occurred_at    timestamptz NOT NULL,
    command_id     text        NOT NULL,
    revision       bigint,
    content_digest bytea       NOT NULL,
    data           bytea       NOT NULL,
    PRIMARY KEY (rule_id, number)
);

-- Entries are only ever added, whoever is connected: changing history takes dropping this trigger, which is seen.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER rule_event_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON rule_event
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Events written with their change and not yet published. Rows leave when they are.
CREATE TABLE outbox (
    position   bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id   uuid        NOT NULL,
    rule_id    uuid        NOT NULL,
    subject    text        NOT NULL,
    headers    bytea       NOT NULL,
    payload    bytea       NOT NULL
);
CREATE INDEX outbox_by_rule ON outbox (rule_id, position);

-- The stream sequence of the last event published for a rule: what the next publish expects.
CREATE TABLE outbox_sequence (
    rule_id  uuid   PRIMARY KEY,
    sequence bigint NOT NULL
);

-- The current ruleset: one row, whose lock orders all changes of the active rules.
CREATE TABLE ruleset (
    is_current boolean     PRIMARY KEY DEFAULT true CHECK (is_current),
    revision   bigint      NOT NULL,
    digest     bytea       NOT NULL,
    changed_at timestamptz NOT NULL
);
INSERT INTO ruleset (revision, digest, changed_at) VALUES (0, sha256(''::bytea), now());

-- Which versions decide, from which revision on and until before which: any revision's ruleset can be made again.
CREATE TABLE ruleset_member (
    rule_id        uuid    NOT NULL,
    version        integer NOT NULL,
    content_digest bytea   NOT NULL,
    from_revision  bigint  NOT NULL,
    until_revision bigint,
    PRIMARY KEY (rule_id, from_revision)
);
CREATE INDEX ruleset_member_current ON ruleset_member (rule_id) WHERE until_revision IS NULL;

-- The only uniqueness of decisions: one narrow row a fact. stored_at_ns is the stream's time for the fact, in
-- nanoseconds since 1970, and leads to the decision's partition.
CREATE TABLE fact_key (
    key          bytea  PRIMARY KEY,
    stored_at_ns bigint NOT NULL
);

-- Decisions and effects as the bytes that were published; effects are a msgpack list of [name, effectId, payload].
CREATE TABLE decision (
    key          bytea   NOT NULL,
    stored_at_ns bigint  NOT NULL,
    fact_id      text    NOT NULL COLLATE "C",
    fact_type    text    NOT NULL COLLATE "C",
    sequence     bigint  NOT NULL,
    time_ns      numeric NOT NULL, -- the fact's own time, in years 1 to 9999: more nanoseconds than a bigint counts
    matched      boolean NOT NULL,
    revision     bigint  NOT NULL,
    body         bytea   NOT NULL,
    effects      bytea,
    traceparent  text
) PARTITION BY RANGE (stored_at_ns);
CREATE INDEX decision_by_stored_at ON decision (stored_at_ns);
CREATE INDEX decision_by_fact_id ON decision (fact_id);
CREATE TABLE decision_default PARTITION OF decision DEFAULT;
