Feature: Going back, and retiring rules
  A rule can go back to a version that was approved, be retired for good, and as a mere draft be deleted.

  Background:
    Given a worker runs

  Scenario: An approved version decides again at once, as a new version
    Given the rule "gold discount" is active
    And ann updates the rule with the discount 25
    When bob rolls the rule back to version 1
    Then the answer is a rule in status ACTIVE at version 3
    And the event RuleRolledBack of the rule is published, by bob, with status ACTIVE
    And the event says revision 2
    And a fact of a gold customer is matched with the discount 10 under revision 2

  Scenario Outline: There is no going back to that
    Given the rule "gold discount" is active
    And ann updates the rule with the discount 25
    When bob rolls the rule back to version <version>
    Then the answer is the error NOT_FOUND
    And nothing has changed

    Examples:
      | version |
      | 2       |
      | 7       |

  Scenario: A version that nobody approved does not come back
    Given ann created the rule "gold discount"
    And ann updates the rule with the discount 25
    When bob rolls the rule back to version 1
    Then the answer is the error BUSINESS_ERROR with "only a version that was approved can decide again"
    And nothing has changed

  Scenario: A retired rule decides no more, and nothing brings it back
    Given the rule "gold discount" is active
    When bob deprecates the rule
    Then the answer is a rule in status DEPRECATED at version 1
    And the event RuleDeprecated of the rule is published, by bob, with status DEPRECATED
    And the event says revision 2
    And a fact of a gold customer is unmatched under revision 2

  Scenario: A rule that was never submitted is deleted, not retired
    Given ann created the rule "gold discount"
    When bob deprecates the rule
    Then the answer is the error BUSINESS_ERROR with "a rule that was never submitted cannot be deprecated"
    And nothing has changed

  Scenario: A draft is deleted, and its name is free
    Given ann created the rule "gold discount"
    When ann deletes the rule
    Then the answer is a rule in status DRAFT at version 1
    And the event RuleDeleted of the rule is published, by ann, with status DRAFT
    And bob can create the rule "gold discount"

  Scenario: A rule that decided is kept
    Given the rule "gold discount" is active
    And ann updates the rule with the discount 25
    When ann deletes the rule
    Then the answer is the error BUSINESS_ERROR with "a rule that was active cannot be deleted; deprecate it"
    And nothing has changed
