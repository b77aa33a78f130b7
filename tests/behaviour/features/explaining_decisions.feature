Feature: Why a rule applied, or did not
  Whoever is asked about a decision can have it explained: what each rule looked at, and what it saw.

  Background:
    Given a worker runs

  Scenario: A customer asks why there was no discount
    Given the active rule "gold discount" with the DSL:
      """
      when customer.tier == "gold" && order.total >= 100.0 then set discount = 10
      """
    And a decision under revision 1 on the order:
      """
      {"customer": {"tier": "gold"}, "order": {"total": 99.5}}
      """
    When the decision is explained
    Then the rule "gold discount" is not applied, because the condition is false
    And its condition is shown as:
      """
      customer.tier == "gold" && order.total >= 100.0: false
        customer.tier == "gold": true
          customer.tier: "gold"
        order.total >= 100.0: false
          order.total: 99.5
      """

  Scenario: The shop left out what the rule needs
    Given the active rule "gold discount" with the DSL:
      """
      when customer.tier == "gold" && order.total >= 100.0 then set discount = 10 else set discount = 0
      """
    And a decision under revision 1 on the order:
      """
      {"customer": {"tier": "gold"}, "order": {}}
      """
    When the decision is explained
    Then the rule "gold discount" is not applied, because missing: order.total

  Scenario: Another rule stopped it
    Given the active rule "blocked customer" of priority HIGH with the DSL:
      """
      when customer.blocked then set refused = true stop
      """
    And the active rule "gold discount" with the DSL:
      """
      when customer.tier == "gold" then set discount = 10
      """
    And a decision under revision 2 on the order:
      """
      {"customer": {"tier": "gold", "blocked": true}}
      """
    When the decision is explained
    Then the rule "blocked customer" took its then
    And the rule "gold discount" is stopped, because the rule 'blocked customer' stopped the rules of a lower priority

  Scenario: A decision is explained by the rule as it was then
    Given the active rule "gold discount" with the DSL:
      """
      when customer.tier == "gold" then set discount = 10
      """
    And a decision under revision 1 on the order:
      """
      {"customer": {"tier": "silver"}}
      """
    And bob deactivated the rule
    When the decision is explained
    Then the rule "gold discount" is not applied, because the condition is false
    And its condition is shown as:
      """
      customer.tier == "gold": false
        customer.tier: "silver"
      """
