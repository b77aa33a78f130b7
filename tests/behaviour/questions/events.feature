Feature: Lifecycle events
  Whoever subscribes hears of every change of a rule, in the order in which it happened.

  Scenario: A rule's whole life is told, each change once and in order
    Given a worker runs
    And ann created the rule "gold discount"
    And ann and bob took the rule through its whole life
    Then these events of the rule are on the stream, in this order:
      | eventType                | actor | version | status       | revision |
      | RuleCreated              | ann   | 1       | DRAFT        |          |
      | RuleSubmittedForApproval | ann   | 1       | UNDER_REVIEW |          |
      | RuleRejected             | bob   | 1       | DRAFT        |          |
      | RuleSubmittedForApproval | ann   | 1       | UNDER_REVIEW |          |
      | RuleApproved             | bob   | 1       | APPROVED     |          |
      | RuleActivated            | bob   | 1       | ACTIVE       | 1        |
      | RuleUpdated              | ann   | 2       | DRAFT        |          |
      | RuleDeactivated          | bob   | 2       | DRAFT        | 2        |
      | RuleRolledBack           | bob   | 3       | ACTIVE       | 3        |
      | RuleDeprecated           | bob   | 3       | DEPRECATED   | 4        |
    And each of them is in the rule's history, as it was published
    And an approval names the digest of the content that was written

  Scenario: The history of a deleted rule stays
    Given a worker runs
    And ann created the rule "gold discount"
    And ann deleted the rule
    Then these events of the rule are on the stream, in this order:
      | eventType   | actor | version | status | revision |
      | RuleCreated | ann   | 1       | DRAFT  |          |
      | RuleDeleted | ann   | 1       | DRAFT  |          |
    And each of them is in the rule's history, as it was published

  Scenario: A refused command is told to nobody but its sender
    Given a worker runs
    And ann created the rule "gold discount"
    When bob activates the rule
    Then the answer is the error BUSINESS_ERROR
    And these events of the rule are on the stream, in this order:
      | eventType   | actor | version | status | revision |
      | RuleCreated | ann   | 1       | DRAFT  |          |
