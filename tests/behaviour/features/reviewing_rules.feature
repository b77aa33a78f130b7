Feature: Reviewing rules
  What decides was approved by somebody who did not write it.

  Background:
    Given a worker runs
    And ann created the rule "gold discount"

  Scenario: A draft is submitted for approval
    When ann submits the rule
    Then the answer is a rule in status UNDER_REVIEW at version 1
    And the event RuleSubmittedForApproval of the rule is published, by ann, with status UNDER_REVIEW

  Scenario: A rule is submitted once
    Given ann submitted the rule
    When ann submits the rule
    Then the answer is the error BUSINESS_ERROR
    And nothing has changed

  Scenario: Somebody else approves
    Given ann submitted the rule
    When bob approves version 1 of the rule
    Then the answer is a rule in status APPROVED at version 1
    And the rule was approved by bob
    And the event RuleApproved of the rule is published, by bob, with status APPROVED

  Scenario: The author cannot approve
    Given ann submitted the rule
    When ann approves version 1 of the rule
    Then the answer is the error BUSINESS_ERROR with "whoever wrote or last changed a version cannot approve it"
    And nothing has changed

  Scenario: Whoever changed the rule last cannot approve it either
    Given bob updates the rule with the name "golden discount"
    And ann submitted the rule
    When bob approves version 2 of the rule
    Then the answer is the error BUSINESS_ERROR with "whoever wrote or last changed a version cannot approve it"
    And nothing has changed

  Scenario: An approval is for the version that was read
    Given ann updates the rule with the name "golden discount"
    And ann submitted the rule
    When bob approves version 1 of the rule
    Then the answer is the error CONFLICT
    And nothing has changed

  Scenario: A draft cannot be approved
    When bob approves version 1 of the rule
    Then the answer is the error BUSINESS_ERROR
    And nothing has changed

  Scenario: A rejection sends the rule back, with a reason
    Given ann submitted the rule
    When bob rejects the rule because "too generous"
    Then the answer is a rule in status DRAFT at version 1
    And the event RuleRejected of the rule is published, by bob, with status DRAFT
    And the event says the reason "too generous"

  Scenario: A rejection without a reason is none
    Given ann submitted the rule
    When bob rejects the rule because " "
    Then the answer is the error VALIDATION_ERROR with "a rejection needs a reason"
    And nothing has changed
