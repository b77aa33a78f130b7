DROP INDEX ruleset_member_ended, ruleset_member_begun;
