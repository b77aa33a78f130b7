-- Decisions whose time was over are gone, and so must their keys be: a key without a decision holds its fact up for good.
DO $$
DECLARE
    expired text;
BEGIN
    FOR expired IN
        SELECT c.oid::regclass::text FROM pg_class c
         WHERE c.relkind = 'r' AND c.relname LIKE 'decision\_expired\_%'
           AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'decision'::regclass)
    LOOP
        EXECUTE format('DELETE FROM fact_key k USING %s d WHERE k.key = d.key AND k.stored_at_ns = d.stored_at_ns', expired);
        EXECUTE format('DROP TABLE %s', expired);
    END LOOP;
END
$$;

ALTER TABLE decision RENAME TO decision_latter;
ALTER TABLE decision_default RENAME TO decision_latter_default;
DROP INDEX decision_by_stored_at, decision_by_fact_id;

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

-- \u0000 is a character that Postgres has not, and is left out for reading (behind a backslash that is escaped itself
-- it is none, and stays). The second of a time and its fraction are read apart: a timestamp knows no nanoseconds.
INSERT INTO decision (key, stored_at_ns, fact_id, fact_type, sequence, time_ns, matched, revision, body, effects,
                      traceparent)
SELECT d.key, d.stored_at_ns, d.fact_id, d.fact_type, (b.said ->> 'factSeq')::bigint,
       extract(epoch FROM (substr(t.said, 1, 19) || 'Z')::timestamptz)::bigint::numeric * 1000000000
           + rpad(coalesce(substring(t.said FROM '\.(\d+)Z$'), ''), 9, '0')::numeric,
       d.matched, (b.said -> 'ruleset' ->> 'revision')::bigint, d.body, d.effects, d.traceparent
  FROM decision_latter d,
       LATERAL (SELECT regexp_replace(convert_from(d.body, 'UTF8'), '(\\\\)|\\u0000', '\1', 'g')::json AS said) b,
       LATERAL (SELECT b.said ->> 'factTime' AS said) t;
DROP TABLE decision_latter;
