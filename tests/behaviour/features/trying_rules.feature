Feature: Trying rules before they decide
  Whoever reviews a rule can see what it would make of facts, alone and beside the rules that decide, with nothing done.

  Background:
    Given a worker runs

  Scenario: A reviewer tries a draft beside the active rules
    Given the active rule "base discount" with the DSL:
      """
      then set points = 5
      """
    And ann created the rule "gold discount"
    When the rule is tried beside the active rules on the order:
      """
      {"customer": {"tier": "gold"}}
      """
    Then it would decide the output:
      """
      {"points": 5, "discount": 10}
      """
    But nothing has changed

  Scenario: An author tries a text that is no rule yet
    When the DSL is tried on a gold customer's order:
      """
      when customer.tier == "gold" then set discount = 7
      """
    Then it would decide the output:
      """
      {"discount": 7}
      """
    And the rule "candidate" took its then
    But nothing has changed

  Scenario: A rule that cannot stand beside an active one
    Given the active rule "base discount" with the DSL:
      """
      then set discount.base = 5
      """
    When the DSL is tried on a gold customer's order:
      """
      when customer.tier == "gold" then set discount = 7
      """
    Then the query is refused with BUSINESS_ERROR
    But nothing has changed
