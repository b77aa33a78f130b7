-- A decision's body has the fact's sequence and time and the ruleset's revision already; as columns they cost time with
-- every insert and were read by no query. The table is made anew, and not altered: dropped columns would stay in the
-- parent's rows for good, and every row would have to be rearranged on its way into a partition made without them.
ALTER TABLE decision RENAME TO decision_former;
ALTER TABLE decision_default RENAME TO decision_former_default;
DROP INDEX decision_by_stored_at, decision_by_fact_id;

-- Decisions and effects as the bytes that were published; effects are a msgpack list of [name, effectId, payload]. The
-- columns of fixed length come first, so that none is padded. fact has the fact's bytes where facts are kept.
CREATE TABLE decision (
    stored_at_ns bigint  NOT NULL,
    matched      boolean NOT NULL,
    key          bytea   NOT NULL,
    fact_id      text    NOT NULL COLLATE "C",
    fact_type    text    NOT NULL COLLATE "C",
    body         bytea   NOT NULL,
    effects      bytea,
    traceparent  text,
    fact         bytea
) PARTITION BY RANGE (stored_at_ns);
-- For find_decision and first_decisions, which come with the key's stored_at_ns, and for list_decisions and
-- newest_decision. The key is not in it: few facts share a nanosecond.
CREATE INDEX decision_by_stored_at ON decision (stored_at_ns);
-- For decisions_of_fact and list_decisions_of_fact.
CREATE INDEX decision_by_fact_id ON decision (fact_id);
CREATE TABLE decision_default PARTITION OF decision DEFAULT;

-- The days that there are rows of; what a clock that is off has dated into the future stays in the default partition.
DO $$
DECLARE
    day_ns CONSTANT bigint := 86400000000000;
    day bigint;
BEGIN
    FOR day IN
        SELECT DISTINCT stored_at_ns / day_ns FROM decision_former
         WHERE stored_at_ns >= 0 AND stored_at_ns < extract(epoch FROM now())::bigint * 1000000000 + day_ns
    LOOP
        EXECUTE format('CREATE TABLE %I PARTITION OF decision FOR VALUES FROM (%s) TO (%s)',
                       'decision_' || to_char(to_timestamp(day * 86400) AT TIME ZONE 'UTC', 'YYYYMMDD"t"HH24MISS'),
                       day * day_ns, (day + 1) * day_ns);
    END LOOP;
END
$$;
INSERT INTO decision (stored_at_ns, matched, key, fact_id, fact_type, body, effects, traceparent)
SELECT stored_at_ns, matched, key, fact_id, fact_type, body, effects, traceparent FROM decision_former;
DROP TABLE decision_former;
