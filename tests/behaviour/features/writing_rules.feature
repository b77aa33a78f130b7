Feature: Writing rules
  People write rules, as themselves; a new rule or version is a draft that decides nothing.

  Background:
    Given a worker runs

  Scenario: A new rule is a draft, and everybody hears of it
    When ann creates the rule "gold discount" with the DSL:
      """
      when customer.tier == "gold" then set discount = 10
      """
    Then the answer is a rule in status DRAFT at version 1
    And the rule has no version that decides
    And the rule was created by ann
    And the event RuleCreated of the rule is published, by ann, with status DRAFT
    And the rule can be read back as it was answered

  Scenario: A draft decides nothing
    Given ann created the rule "gold discount"
    When a fact of a gold customer is decided
    Then the decision is unmatched under revision 0

  Scenario: Two rules cannot have one name
    Given ann created the rule "gold discount"
    When bob creates the rule "gold discount" with the DSL:
      """
      then set discount = 20
      """
    Then the answer is the error BUSINESS_ERROR with "rule name already exists"
    And nothing has changed

  Scenario: The name of a deciding version stays taken although a newer draft has another
    Given the rule "gold discount" is active
    And ann updates the rule with the name "golden discount"
    When bob creates the rule "gold discount" with the DSL:
      """
      then set discount = 20
      """
    Then the answer is the error BUSINESS_ERROR with "rule name already exists"
    And nothing has changed

  Scenario: A rule needs DSL
    When ann creates the rule "gold discount" with an empty DSL
    Then the answer is the error VALIDATION_ERROR with "DSL content cannot be empty"
    And nothing has changed

  Scenario: A mistake in the DSL is shown where it is
    When ann creates the rule "gold discount" with the DSL:
      """
      when customer.tier == "gold"
      then set discount = = 10
      """
    Then the answer is the error VALIDATION_ERROR
    And a problem is shown at line 2, column 21, with its code and message
    And nothing has changed

  Scenario: Every mistake of a rule's fields is shown at once
    When ann sends the command create with the payload:
      """
      {"name": "", "dslContent": " ", "priority": "URGENT"}
      """
    Then the answer is the error VALIDATION_ERROR with "rule name cannot be empty"
    And the problems are of the fields name, dslContent, priority
    And nothing has changed

  Scenario: A name has at most 100 characters
    When ann creates a rule with a name of 101 characters
    Then the answer is the error VALIDATION_ERROR with "rule name cannot exceed 100 characters"
    And nothing has changed

  Scenario: An update begins a new draft
    Given ann created the rule "gold discount"
    When bob updates the rule with the name "golden discount"
    Then the answer is a rule in status DRAFT at version 2
    And the event RuleUpdated of the rule is published, by bob, with status DRAFT

  Scenario: An update names the version that it was written against
    Given ann created the rule "gold discount"
    When bob updates version 7 of the rule with the name "golden discount"
    Then the answer is the error CONFLICT
    And nothing has changed

  Scenario: An update changes something
    Given ann created the rule "gold discount"
    When bob updates the rule with no field at all
    Then the answer is the error VALIDATION_ERROR with "an update changes at least one field"
    And nothing has changed
