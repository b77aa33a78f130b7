Feature: Commands that come again or too early
  What was decided stays decided, in whatever order commands and their repeats arrive.

  Scenario: A command that came too early stays refused
    Given a worker runs on streams that forget message ids after a second
    And ann created the rule "gold discount"
    And bob sent the command to approve version 1 of the rule
    And ann submitted the rule
    When bob sends that command again, later
    Then the answer is the first one
    And the answer is the error BUSINESS_ERROR
    And nothing has changed

  Scenario: A repeat of what was undone since changes nothing
    Given a worker runs on streams that forget message ids after a second
    And the rule "gold discount" is active
    And bob sent the command to deactivate the rule
    And bob activated the rule again
    When bob sends that command again, later
    Then the answer is the first one
    And nothing has changed

  Scenario: A rule's steps in the wrong order are refused, and the right order then works
    Given a worker runs
    And ann created the rule "gold discount"
    When the commands activate, approve, submit, approve, activate are sent in this order
    Then their answers are BUSINESS_ERROR, BUSINESS_ERROR, ok, ok, ok
    And the answer is a rule in status ACTIVE at version 1
