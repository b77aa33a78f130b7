-- A template as it is now; the key on its name is what makes names unique. parameters is JSON as bytes: jsonb would
-- reorder it and refuse texts that hold NUL.
CREATE TABLE template (
    template_id  uuid        PRIMARY KEY,
    revision     integer     NOT NULL,
    version      integer     NOT NULL,
    name         text        NOT NULL COLLATE "C" CONSTRAINT template_name_key UNIQUE,
    description  text        NOT NULL,
    dsl_template text        NOT NULL,
    parameters   bytea       NOT NULL,
    created_by   text        NOT NULL,
    created_at   timestamptz NOT NULL,
    updated_by   text        NOT NULL,
    updated_at   timestamptz NOT NULL
);

-- Where a version's content came from. No reference to template: rules outlive the templates that they were made of.
ALTER TABLE rule_version
    ADD COLUMN template_id         uuid,
    ADD COLUMN template_version    integer,
    ADD COLUMN template_parameters bytea,
    ADD CONSTRAINT rule_version_template_is_whole
        CHECK (num_nulls(template_id, template_version, template_parameters) IN (0, 3));
-- For the rules that lag behind a template; most rules were made of none.
CREATE INDEX rule_version_by_template ON rule_version (template_id, template_version) WHERE template_id IS NOT NULL;

-- What has happened to templates. It outlives them: no reference to template.
CREATE TABLE template_event (
    template_id    uuid        NOT NULL,
    number         bigint      GENERATED ALWAYS AS IDENTITY,
    event_id       uuid        NOT NULL UNIQUE,
    name           text        NOT NULL,
    template_name  text        NOT NULL,
    version        integer     NOT NULL,
    actor          text        NOT NULL,
    occurred_at    timestamptz NOT NULL,
    command_id     text        NOT NULL,
    content_digest bytea       NOT NULL,
    before_digest  bytea,
    data           bytea       NOT NULL,
    PRIMARY KEY (template_id, number)
);
CREATE TRIGGER template_event_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON template_event
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
