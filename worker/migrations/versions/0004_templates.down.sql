-- Rules made of templates stay, as rules that were written by hand.
DROP TABLE template_event, template;
ALTER TABLE rule_version DROP COLUMN template_id, DROP COLUMN template_version, DROP COLUMN template_parameters;
