DROP TABLE decision, fact_key, ruleset_member, ruleset, outbox_sequence, outbox, rule_event, command_log, rule_version,
    rule_name, rule;
DROP FUNCTION refuse_change();
