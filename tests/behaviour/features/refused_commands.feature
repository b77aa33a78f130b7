Feature: Commands that are refused
  A command that cannot be done is answered with a code of the contract, and changes nothing.

  Background:
    Given a worker runs
    And ann created the rule "gold discount"

  Scenario Outline: A payload that is no request
    When ann sends the command create with <payload>
    Then the answer is the error INVALID_REQUEST
    And nothing has changed

    Examples:
      | payload                 |
      | bytes that are not JSON |
      | a JSON list             |
      | JSON nested 65 deep     |
      | more than 1 MiB         |
      | an unknown field        |

  Scenario Outline: A required field is absent
    When ann sends the command <verb> without <field>
    Then the answer is the error MISSING_PARAMETER
    And its details name the field <field>
    And nothing has changed

    Examples:
      | verb       | field           |
      | create     | name            |
      | create     | dslContent      |
      | create     | priority        |
      | update     | ruleId          |
      | update     | expectedVersion |
      | submit     | ruleId          |
      | approve    | ruleId          |
      | approve    | expectedVersion |
      | reject     | ruleId          |
      | reject     | reason          |
      | activate   | ruleId          |
      | deactivate | ruleId          |
      | deprecate  | ruleId          |
      | rollback   | ruleId          |
      | rollback   | toVersion       |
      | delete     | ruleId          |

  Scenario Outline: A field of the wrong kind
    When ann sends the command <verb> with <field> set to <value>
    Then the answer is the error VALIDATION_ERROR
    And nothing has changed

    Examples:
      | verb    | field           | value                           |
      | create  | name            | 7                               |
      | create  | tags            | "gold"                          |
      | create  | effectiveFrom   | "tomorrow"                      |
      | create  | effectiveUntil  | "2026-01-01T00:00:00"           |
      | create  | dslContent      | "set a = "                      |
      | update  | expectedVersion | "1"                             |
      | update  | ruleId          | "gold discount"                 |
      | approve | comment         | 1                               |

  Scenario Outline: A rule that is not there
    When ann sends the command <verb> for an unknown rule
    Then the answer is the error NOT_FOUND
    And nothing has changed

    Examples:
      | verb       |
      | update     |
      | submit     |
      | approve    |
      | reject     |
      | activate   |
      | deactivate |
      | deprecate  |
      | rollback   |
      | delete     |

  Scenario: A verb that is not there
    When ann sends the command promote with the payload:
      """
      {}
      """
    Then the answer is the error NOT_FOUND
    And nothing has changed

  Scenario Outline: A command that nobody can be answered for is a dead letter
    When ann publishes a command <fault>
    Then a dead letter of the command is stored, with its bytes and the reason <reason>
    And nothing has changed

    Examples:
      | fault                                  | reason             |
      | without an id                          | COMMAND_WITHOUT_ID |
      | with the id "short"                    | COMMAND_WITHOUT_ID |
      | with the id "sixteen characters."      | COMMAND_WITHOUT_ID |
      | that a stream republished              | COMMAND_FORGED     |
      | that came by another subject           | COMMAND_FORGED     |
      | that a schedule sent                   | COMMAND_FORGED     |
      | that names a schedule's target         | COMMAND_FORGED     |
      | under five tokens                      | INVALID_ACTOR      |
