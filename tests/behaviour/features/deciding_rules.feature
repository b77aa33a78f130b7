Feature: Rules that decide
  An active rule decides facts; activation and deactivation raise the ruleset's revision by one.

  Background:
    Given a worker runs

  Scenario: An activated rule decides
    Given the rule "gold discount" is approved
    When bob activates the rule
    Then the answer is a rule in status ACTIVE at version 1
    And version 1 of the rule decides
    And the event RuleActivated of the rule is published, by bob, with status ACTIVE
    And the event says revision 1
    And the ruleset is at revision 1 with the rules: gold discount
    And a fact of a gold customer is matched with the discount 10 under revision 1
    And a fact of a silver customer is unmatched

  Scenario: A rule that was not approved cannot be activated
    Given ann created the rule "gold discount"
    When bob activates the rule
    Then the answer is the error BUSINESS_ERROR
    And nothing has changed

  Scenario: The emergency stop
    Given the rule "gold discount" is active
    When bob deactivates the rule
    Then the answer is a rule in status INACTIVE at version 1
    And the rule has no version that decides
    And the event RuleDeactivated of the rule is published, by bob, with status INACTIVE
    And the event says revision 2
    And a fact of a gold customer is unmatched under revision 2

  Scenario: A stopped rule is activated again without another approval
    Given the rule "gold discount" is active
    And bob deactivated the rule
    When bob activates the rule
    Then the answer is a rule in status ACTIVE at version 1
    And a fact of a gold customer is matched with the discount 10 under revision 3

  Scenario: Only what decides can be stopped
    Given the rule "gold discount" is approved
    When bob deactivates the rule
    Then the answer is the error BUSINESS_ERROR with "the rule has no active version to deactivate"
    And nothing has changed

  Scenario: A deciding version goes on beside a newer draft
    Given the rule "gold discount" is active
    When ann updates the rule with the discount 25
    Then the answer is a rule in status DRAFT at version 2
    And version 1 of the rule decides
    And a fact of a gold customer is matched with the discount 10 under revision 1

  Scenario: A newer version takes over when it is activated
    Given the rule "gold discount" is active
    And ann updates the rule with the discount 25
    And ann submitted the rule
    And bob approved version 2 of the rule
    When bob activates the rule
    Then the answer is a rule in status ACTIVE at version 2
    And version 2 of the rule decides
    And a fact of a gold customer is matched with the discount 25 under revision 2

  Scenario: The emergency stop beside a newer draft leaves the draft alone
    Given the rule "gold discount" is active
    And ann updates the rule with the discount 25
    When bob deactivates the rule
    Then the answer is a rule in status DRAFT at version 2
    And the rule has no version that decides
    And a fact of a gold customer is unmatched under revision 2

  Scenario: Rules that wait for each other cannot both decide
    Given the active rule "first" with the DSL:
      """
      when decision.second.done == true then set first.done = true
      """
    And the approved rule "second" with the DSL:
      """
      when decision.first.done == true then set second.done = true
      """
    When bob activates the rule
    Then the answer is the error BUSINESS_ERROR
    And nothing has changed

  Scenario: Rules that write one path in two ways cannot both decide
    Given the active rule "sets" with the DSL:
      """
      then set discount = 10
      """
    And the approved rule "adds" with the DSL:
      """
      then add 10 to discount
      """
    When bob activates the rule
    Then the answer is the error BUSINESS_ERROR
    And nothing has changed
