Feature: Who may send what
  A role policy says which actors may send which verbs; four eyes bind whoever has whatever role.

  Background:
    Given a worker runs under the role policy:
      """
      {"ann": ["author"], "bob": ["approver", "operator"], "carl": ["approver"], "olga": ["operator"],
       "vera": ["viewer"], "root": ["admin"]}
      """
    And ann created the rule "gold discount"

  Scenario Outline: A verb of another role is refused and changes nothing
    When <actor> tries the command <verb>
    Then the answer is the error FORBIDDEN
    And its details name the actor <actor>, the verb <verb> and the role <role>
    And nothing has changed

    Examples:
      | actor | verb       | role     |
      | vera  | create     | author   |
      | vera  | update     | author   |
      | vera  | submit     | author   |
      | vera  | approve    | approver |
      | vera  | reject     | approver |
      | vera  | activate   | operator |
      | vera  | deactivate | operator |
      | vera  | deprecate  | operator |
      | vera  | rollback   | operator |
      | vera  | delete     | author   |
      | ann   | approve    | approver |
      | ann   | activate   | operator |
      | ann   | rollback   | operator |
      | carl  | create     | author   |
      | carl  | activate   | operator |
      | olga  | update     | author   |
      | olga  | approve    | approver |
      | eve   | create     | author   |

  Scenario Outline: Templates are the authors'
    When <actor> sends the command <verb> with the payload:
      """
      {}
      """
    Then the answer is the error <code>
    And nothing has changed

    Examples:
      | actor | verb                 | code              |
      | vera  | create-template      | FORBIDDEN         |
      | vera  | update-template      | FORBIDDEN         |
      | vera  | delete-template      | FORBIDDEN         |
      | vera  | instantiate-template | FORBIDDEN         |
      | bob   | create-template      | FORBIDDEN         |
      | bob   | instantiate-template | FORBIDDEN         |
      | ann   | create-template      | MISSING_PARAMETER |

  Scenario: The stream goes on after a refusal
    Given eve is refused with FORBIDDEN for the command create
    When ann submits the rule
    Then the answer is a rule in status UNDER_REVIEW at version 1
    And the event RuleSubmittedForApproval of the rule is published, by ann, with status UNDER_REVIEW

  Scenario: Each role does its part
    Given ann submitted the rule
    And carl approved version 1 of the rule
    When olga activates the rule
    Then the answer is a rule in status ACTIVE at version 1

  Scenario: An admin may send every verb, and four eyes bind the admin too
    Given root created the rule "silver discount"
    And root submitted the rule
    When root approves version 1 of the rule
    Then the answer is the error BUSINESS_ERROR with "whoever wrote or last changed a version cannot approve it"
    And nothing has changed

  Scenario: An admin who changed another's rule cannot approve it
    Given root updates the rule with the name "golden discount"
    And ann submitted the rule
    When root approves version 2 of the rule
    Then the answer is the error BUSINESS_ERROR with "whoever wrote or last changed a version cannot approve it"
    And nothing has changed

  Scenario: An admin approves what somebody else wrote
    Given ann submitted the rule
    When root approves version 1 of the rule
    Then the answer is a rule in status APPROVED at version 1
    And the rule was approved by root

  Scenario: Whether a rule exists is not told to those without the role
    When vera sends the command submit for an unknown rule
    Then the answer is the error FORBIDDEN
    And nothing has changed

  Scenario: A verb that is not there is not found, whoever asks
    When eve sends the command promote with the payload:
      """
      {}
      """
    Then the answer is the error NOT_FOUND
    And nothing has changed

  Scenario: Whoever has a role may ask
    When carl asks for the rules
    Then the query is answered

  Scenario: Without a role nothing is answered
    When eve asks for the rules
    Then the query is refused with FORBIDDEN
