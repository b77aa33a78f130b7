Feature: Bad input
  Whatever is wrong with a command has its code and changes nothing, and the next command is decided.

  Background:
    Given a worker runs
    And ann created the rule "gold discount"

  Scenario: A field that a verb does not know
    Then these commands are refused, and change nothing:
      | verb       | field           | value  | code            |
      | create     | colour          | "gold" | INVALID_REQUEST |
      | create     | ruleId          | "gold" | INVALID_REQUEST |
      | create     | dsl_content     | "gold" | INVALID_REQUEST |
      | update     | status          | "gold" | INVALID_REQUEST |
      | submit     | comment         | "gold" | INVALID_REQUEST |
      | approve    | actor           | "bob"  | INVALID_REQUEST |
      | reject     | expectedVersion | 1      | INVALID_REQUEST |
      | activate   | expectedVersion | 1      | INVALID_REQUEST |
      | deactivate | Reason          | "gold" | INVALID_REQUEST |
      | deprecate  | reason          | "gold" | INVALID_REQUEST |
      | rollback   | version         | 1      | INVALID_REQUEST |
      | delete     | name            | "gold" | INVALID_REQUEST |
    And the next command is decided

  Scenario: A field of the wrong type
    Then these commands are refused, and change nothing:
      | verb       | field           | value              | code             |
      | create     | name            | 7                  | VALIDATION_ERROR |
      | create     | name            | null               | VALIDATION_ERROR |
      | create     | dslContent      | ["a == 1"]         | VALIDATION_ERROR |
      | create     | priority        | 1                  | VALIDATION_ERROR |
      | create     | description     | {}                 | VALIDATION_ERROR |
      | create     | tags            | "gold"             | VALIDATION_ERROR |
      | create     | tags            | ["gold", 1]        | VALIDATION_ERROR |
      | create     | effectiveFrom   | 1767225600         | VALIDATION_ERROR |
      | create     | effectiveUntil  | true               | VALIDATION_ERROR |
      | update     | ruleId          | 7                  | VALIDATION_ERROR |
      | update     | expectedVersion | "1"                | VALIDATION_ERROR |
      | update     | expectedVersion | 1.5                | VALIDATION_ERROR |
      | update     | expectedVersion | true               | VALIDATION_ERROR |
      | update     | dslContent      | null               | VALIDATION_ERROR |
      | submit     | ruleId          | ["a"]              | VALIDATION_ERROR |
      | submit     | expectedVersion | "1"                | VALIDATION_ERROR |
      | approve    | expectedVersion | null               | VALIDATION_ERROR |
      | approve    | comment         | 7                  | VALIDATION_ERROR |
      | reject     | reason          | {"because": "so"}  | VALIDATION_ERROR |
      | activate   | ruleId          | null               | VALIDATION_ERROR |
      | deactivate | ruleId          | 7                  | VALIDATION_ERROR |
      | deprecate  | ruleId          | false              | VALIDATION_ERROR |
      | rollback   | toVersion       | "1"                | VALIDATION_ERROR |
      | delete     | ruleId          | {}                 | VALIDATION_ERROR |
    And the next command is decided

  Scenario: A value that a field cannot have
    Then these commands are refused, and change nothing:
      | verb       | field           | value                       | code             |
      | create     | priority        | "URGENT"                    | VALIDATION_ERROR |
      | create     | priority        | "low"                       | VALIDATION_ERROR |
      | create     | dslContent      | "then set a = = 1"          | VALIDATION_ERROR |
      | create     | effectiveFrom   | "tomorrow"                  | VALIDATION_ERROR |
      | create     | effectiveFrom   | "2026-01-01T00:00:00"       | VALIDATION_ERROR |
      | create     | effectiveUntil  | "2026-02-30T00:00:00Z"      | VALIDATION_ERROR |
      | update     | priority        | "URGENT"                    | VALIDATION_ERROR |
      | update     | dslContent      | "then set a = = 1"          | VALIDATION_ERROR |
      | update     | effectiveUntil  | "later"                     | VALIDATION_ERROR |
      | update     | ruleId          | "gold discount"             | VALIDATION_ERROR |
      | submit     | ruleId          | "not-a-uuid"                | VALIDATION_ERROR |
      | approve    | ruleId          | "1"                         | VALIDATION_ERROR |
      | reject     | ruleId          | "x"                         | VALIDATION_ERROR |
      | activate   | ruleId          | "rules.event.>"             | VALIDATION_ERROR |
      | deactivate | ruleId          | "*"                         | VALIDATION_ERROR |
      | deprecate  | ruleId          | "'; DROP TABLE rule; --"    | VALIDATION_ERROR |
      | rollback   | toVersion       | 0                           | NOT_FOUND        |
      | rollback   | toVersion       | -1                          | NOT_FOUND        |
      | rollback   | toVersion       | 9223372036854775807         | NOT_FOUND        |
      | delete     | ruleId          | "0"                         | VALIDATION_ERROR |
    And the next command is decided

  Scenario: Nothing where something must be
    Then these commands are refused, and change nothing:
      | verb       | field          | value  | code             | message                     |
      | create     | name           | ""     | VALIDATION_ERROR | rule name cannot be empty   |
      | create     | name           | "  "   | VALIDATION_ERROR | rule name cannot be empty   |
      | create     | dslContent     | ""     | VALIDATION_ERROR | DSL content cannot be empty |
      | create     | dslContent     | " \\n" | VALIDATION_ERROR | DSL content cannot be empty |
      | create     | priority       | ""     | VALIDATION_ERROR |                             |
      | create     | tags           | [""]   | VALIDATION_ERROR |                             |
      | create     | effectiveFrom  | ""     | VALIDATION_ERROR |                             |
      | update     | name           | ""     | VALIDATION_ERROR | rule name cannot be empty   |
      | update     | dslContent     | ""     | VALIDATION_ERROR | DSL content cannot be empty |
      | update     | effectiveUntil | ""     | VALIDATION_ERROR |                             |
      | update     | ruleId         | ""     | VALIDATION_ERROR |                             |
      | submit     | ruleId         | ""     | VALIDATION_ERROR |                             |
      | approve    | ruleId         | ""     | VALIDATION_ERROR |                             |
      | reject     | reason         | ""     | VALIDATION_ERROR | a rejection needs a reason  |
      | activate   | ruleId         | ""     | VALIDATION_ERROR |                             |
      | deactivate | ruleId         | ""     | VALIDATION_ERROR |                             |
      | deprecate  | ruleId         | ""     | VALIDATION_ERROR |                             |
      | rollback   | ruleId         | ""     | VALIDATION_ERROR |                             |
      | delete     | ruleId         | ""     | VALIDATION_ERROR |                             |
    And the next command is decided

  Scenario: A value that is too long
    Then these commands are refused, and change nothing:
      | verb    | field           | value              | code             | message                                  |
      | create  | name            | "n" * 101          | VALIDATION_ERROR | rule name cannot exceed 100 characters   |
      | create  | description     | "d" * 501          | VALIDATION_ERROR | rule description cannot exceed 500 characters |
      | create  | tags            | ["t"] * 51 of a tag | VALIDATION_ERROR |                                          |
      | create  | dslContent      | "a" * 300000       | VALIDATION_ERROR |                                          |
      | create  | description     | "d" * 1048577      | INVALID_REQUEST  |                                          |
      | create  | name            | "n" * 2            | VALIDATION_ERROR |                                          |
      | update  | name            | "n" * 101          | VALIDATION_ERROR | rule name cannot exceed 100 characters   |
      | update  | description     | "d" * 501          | VALIDATION_ERROR | rule description cannot exceed 500 characters |
      | submit  | ruleId          | "a" * 1000         | VALIDATION_ERROR |                                          |
      | approve | comment         | "c" * 501          | VALIDATION_ERROR | comment cannot exceed 500 characters     |
      | reject  | reason          | "r" * 501          | VALIDATION_ERROR | reason cannot exceed 500 characters      |
      | delete  | ruleId          | "a" * 1048577      | INVALID_REQUEST  |                                          |
    And the next command is decided

  Scenario: Text that is none
    Then these commands are refused, and change nothing:
      | verb    | field       | value             | code             |
      | create  | name        | "nul \u0000"      | VALIDATION_ERROR |
      | create  | name        | "half \ud83d"     | INVALID_REQUEST  |
      | create  | name        | "two\\nlines"     | VALIDATION_ERROR |
      | create  | name        | " padded"         | VALIDATION_ERROR |
      | create  | dslContent  | "a == '\u0000'"   | VALIDATION_ERROR |
      | create  | description | "nul \u0000"      | VALIDATION_ERROR |
      | create  | tags        | ["nul \u0000"]    | VALIDATION_ERROR |
      | update  | name        | "bell \u0007"     | VALIDATION_ERROR |
      | submit  | ruleId      | "\u0000"          | VALIDATION_ERROR |
      | approve | comment     | "nul \u0000"      | VALIDATION_ERROR |
      | reject  | reason      | "nul \u0000"      | VALIDATION_ERROR |
      | delete  | ruleId      | "ⅷ"               | VALIDATION_ERROR |
    And the next command is decided

  Scenario: Text in any script is taken as it is
    When ann creates the rule "Größe ✓ 名前 🦊" with the DSL:
      """
      when customer.name == "Ærø 名" then append "✓ 🦊" to notes
      """
    Then the answer is a rule in status DRAFT at version 1
    And the rule can be read back as it was answered

  Scenario: A payload that is no request, whatever the verb
    Then every verb answers INVALID_REQUEST to bytes that are not JSON, a list, and what is too deep or too large
    And the next command is decided

  Scenario: Each verb starts from its statuses only
    Then a rule whose first version was approved takes these verbs in each status:
      | verb       | DRAFT          | UNDER_REVIEW   | APPROVED       | ACTIVE         | INACTIVE       | DEPRECATED     |
      | update     | ok             | ok             | ok             | ok             | ok             | BUSINESS_ERROR |
      | submit     | ok             | BUSINESS_ERROR | BUSINESS_ERROR | BUSINESS_ERROR | BUSINESS_ERROR | BUSINESS_ERROR |
      | approve    | BUSINESS_ERROR | ok             | BUSINESS_ERROR | BUSINESS_ERROR | BUSINESS_ERROR | BUSINESS_ERROR |
      | reject     | BUSINESS_ERROR | ok             | BUSINESS_ERROR | BUSINESS_ERROR | BUSINESS_ERROR | BUSINESS_ERROR |
      | activate   | BUSINESS_ERROR | BUSINESS_ERROR | ok             | BUSINESS_ERROR | ok             | BUSINESS_ERROR |
      | deactivate | BUSINESS_ERROR | BUSINESS_ERROR | BUSINESS_ERROR | ok             | BUSINESS_ERROR | BUSINESS_ERROR |
      | deprecate  | ok             | ok             | ok             | ok             | ok             | BUSINESS_ERROR |
      | rollback   | ok             | ok             | ok             | ok             | ok             | BUSINESS_ERROR |
      | delete     | ok             | BUSINESS_ERROR | BUSINESS_ERROR | BUSINESS_ERROR | BUSINESS_ERROR | BUSINESS_ERROR |

  Scenario: A version that is not the current one
    Given ann updates the rule with the discount 25
    Then these commands are refused, and change nothing:
      | verb    | field           | value               | code     |
      | update  | expectedVersion | 1                   | CONFLICT |
      | update  | expectedVersion | 3                   | CONFLICT |
      | update  | expectedVersion | 0                   | CONFLICT |
      | update  | expectedVersion | -9223372036854775808 | CONFLICT |
      | submit  | expectedVersion | 1                   | CONFLICT |
      | submit  | expectedVersion | 3                   | CONFLICT |
      | approve | expectedVersion | 1                   | CONFLICT |
      | approve | expectedVersion | 9223372036854775807 | CONFLICT |
    And the next command is decided

  Scenario Outline: An actor token of other characters is nobody
    When "<actor>" publishes a command that nobody can be answered for
    Then a dead letter of the command is stored, with its bytes and the reason INVALID_ACTOR
    And nothing has changed
    And the next command is decided

    Examples:
      | actor                                                             |
      | ann@home                                                          |
      | änn                                                               |
      | ann/bob                                                           |
      | $SYS                                                              |
      | aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa |

  Scenario: An actor token may have 64 characters of each kind
    When Ann_9-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa creates the rule "silver discount" with the DSL:
      """
      then set silver = 10
      """
    Then the answer is a rule in status DRAFT at version 1

  Scenario: A defect of ours is told as one, and no more of it
    Given the worker has a defect in its submissions
    When ann submits the rule
    Then the answer is the error INTERNAL_ERROR
    And the answer tells nothing of the defect
    And nothing has changed
    And the next command is decided
