-- What changed between two revisions is found without looking at every member.
CREATE INDEX ruleset_member_begun ON ruleset_member (from_revision);
CREATE INDEX ruleset_member_ended ON ruleset_member (until_revision) WHERE until_revision IS NOT NULL;
