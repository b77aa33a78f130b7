Feature: What was decided
  Whoever looks into a day's decisions finds them by type, outcome and time, newest first.

  Background:
    Given a worker runs
    And the active rule "gold discount" with the DSL:
      """
      when customer.tier == "gold" then set discount = 10
      """

  Scenario: Matched decisions are found
    Given a decision under revision 1 on the order:
      """
      {"customer": {"tier": "gold"}}
      """
    When the matched decisions of order.placed are listed
    Then the decision is the newest of them

  Scenario: Decisions that matched nothing are told apart
    Given a decision under revision 1 on the order:
      """
      {"customer": {"tier": "silver"}}
      """
    When the matched decisions of order.placed are listed
    Then there are none
    When the unmatched decisions of *.placed are listed
    Then the decision is the newest of them

  Scenario: A time that is none is refused
    When the decisions since yesterday are listed
    Then the query is refused with VALIDATION_ERROR
