Feature: A command is decided once
  Under its actor and id a command has one effect and one answer, for ever, whatever dies or comes again.

  Scenario: The same command again, later, gets the same answer
    Given a worker runs on streams that forget message ids after a second
    And ann sent the command to create the rule "gold discount"
    When ann sends the same command again, later
    Then the answer is the first one
    And nothing has changed

  Scenario: The keys of a repeated payload may come in another order
    Given a worker runs on streams that forget message ids after a second
    And ann sent the command to create the rule "gold discount"
    When ann sends the same command again, later, with its keys in another order
    Then the answer is the first one
    And nothing has changed

  Scenario: A refusal is an answer for ever too
    Given a worker runs on streams that forget message ids after a second
    And ann created the rule "gold discount"
    And ann sent the command to create the rule "gold discount"
    And ann updates the rule with the name "golden discount"
    When ann sends the same command again, later
    Then the answer is the first one
    And the answer is the error BUSINESS_ERROR with "rule name already exists"
    And nothing has changed

  Scenario: An id cannot be used for another command
    Given a worker runs on streams that forget message ids after a second
    And ann sent the command to create the rule "gold discount"
    When ann sends a command to create the rule "silver discount" under the same id, later
    Then the answer is the error CONFLICT
    And nothing has changed

  Scenario: Inside the duplicate window the first answer is read by a query
    Given a worker runs
    And ann sent the command to create the rule "gold discount"
    When ann publishes the same command again at once
    Then its acknowledgement says that it is a duplicate
    And the query command gives ann the first answer
    And the query command gives bob the error NOT_FOUND
    And nothing has changed

  Scenario: Another actor may use the same id
    Given a worker runs on streams that forget message ids after a second
    And ann sent the command to create the rule "gold discount"
    When bob sends a command to create the rule "silver discount" under the same id, later
    Then the answer is a rule in status DRAFT at version 1
    And the rule was created by bob

  Scenario: Commands wait while no worker runs
    Given the streams are declared and no worker runs
    And ann published commands to create the rules "first", "second" and "third"
    When a worker starts
    Then the three commands are decided, in the order in which they were published

  Scenario: A worker dies between its decision and its answer
    Given a worker of its own process dies after each decision, before it can answer
    And ann published a command to create the rule "gold discount"
    And the worker has died with the command decided
    When a worker starts
    Then the answer to the command still comes
    And the rule was created once

  Scenario: A command waits while Postgres is away
    Given a worker runs on servers of its own
    And Postgres is stopped
    And ann published a command to create the rule "gold discount"
    When ann asks for the rules
    Then the answer is the error UNAVAILABLE
    And the command waits unanswered
    And when Postgres is back the answer to the command comes

  Scenario: Of many who create one name at once, one does
    Given two workers run
    When 8 actors create the rule "gold discount" at once
    Then one of the answers is ok and the others are the error BUSINESS_ERROR with "rule name already exists"
    And there is one rule, whose events are RuleCreated

  Scenario: Of many who change one version at once, one does
    Given two workers run
    And ann created the rule "gold discount"
    When 8 actors update version 1 of the rule at once
    Then one of the answers is ok and the others are the error CONFLICT
    And there is one rule, whose events are RuleCreated, RuleUpdated
