DROP INDEX rule_by_tag, rule_by_creator, rule_by_status, rule_by_priority, rule_by_updated_at, rule_by_created_at,
    rule_by_name;
CREATE INDEX rule_by_name ON rule (name, rule_id);
CREATE INDEX rule_by_created_at ON rule (created_at, rule_id);
CREATE INDEX rule_by_updated_at ON rule (updated_at, rule_id);
ALTER TABLE rule DROP COLUMN name_folded;
