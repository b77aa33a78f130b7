Feature: Making rules of templates
  A template is a rule's text with typed parameters. Rules are made of it a row of values at a time, all or none; they go
  through review as any rule does, and remember their template.

  Background:
    Given a worker runs
    And ann created the template "tier discount" with the DSL:
      """
      when customer.tier == ${tier} then set discount = ${percent}
      """

  Scenario: A new template is told to everybody
    Then the answer is the template "tier discount" at version 1
    And the event TemplateCreated of the template is published, by ann, at version 1
    And the template can be asked for by its id and by its name
    And the templates are: tier discount

  Scenario: Two templates cannot have one name
    When bob creates the template "tier discount" with the DSL:
      """
      then set discount = ${percent}
      """
    Then the answer is the error BUSINESS_ERROR with "template name already exists"
    And nothing has changed

  Scenario: A rule may have a template's name
    Given ann created the rule "tier discount"
    Then the templates are: tier discount

  Scenario: A template needs DSL
    When bob creates the template "nothing" with an empty DSL
    Then the answer is the error VALIDATION_ERROR with "DSL template cannot be empty"
    And nothing has changed

  Scenario Outline: A mistake in a template is shown where it is
    When bob creates the template "wrong" with the line <line>
    Then the answer is the error VALIDATION_ERROR
    And the problem <code> is shown at line 1, column <column>
    And nothing has changed

    Examples:
      | line                             | code              | column |
      | when a == "${tier}" then stop    | quoted-parameter  | 11     |
      | when a == ${tire} then stop      | unknown-parameter | 11     |
      | when ${percent} then stop        | not-a-bool        | 6      |
      | when ${tier}(1) then stop        | syntax            | 13     |

  Scenario Outline: What is wrong with a template's parameters
    When bob creates the template "wrong" with the parameters <parameters>
    Then the answer is the error <code>
    And nothing has changed

    Examples:
      | parameters                                               | code              |
      | [{"name": "percent"}]                                    | MISSING_PARAMETER |
      | [{"name": "percent", "type": "number"}]                  | VALIDATION_ERROR  |
      | [{"name": "per cent", "type": "int"}]                    | VALIDATION_ERROR  |
      | [{"name": "percent", "type": "int", "default": "10"}]    | VALIDATION_ERROR  |
      | [{"name": "percent", "type": "int", "least": 1}]         | INVALID_REQUEST   |
      | {"percent": "int"}                                       | VALIDATION_ERROR  |

  Scenario: One row becomes a draft
    When ann makes the rule "VIP discount" of the template with:
      """
      {"tier": "VIP", "percent": 15}
      """
    Then 1 rules are made, in DRAFT, of version 1 of the template
    And the rule "VIP discount" says:
      """
      when customer.tier == "VIP" then set discount = 15
      """
    And the event RuleCreated of the rule names the template, its version 1 and the values:
      """
      {"tier": "VIP", "percent": 15}
      """
    And its version 1 remembers the template

  Scenario: A default stands for a value that is not given
    When ann makes the rule "VIP discount" of the template with:
      """
      {"tier": "VIP"}
      """
    Then the rule "VIP discount" says:
      """
      when customer.tier == "VIP" then set discount = 5
      """

  Scenario: A rule of a template is reviewed as any rule is
    Given ann made the rule "gold discount" of the template with:
      """
      {"tier": "gold", "percent": 7}
      """
    And ann submitted the rule
    When ann approves version 1 of the rule
    Then the answer is the error BUSINESS_ERROR with "whoever wrote or last changed a version cannot approve it"
    When bob approves version 1 of the rule
    And bob activates the rule
    Then a fact of a gold customer is matched with the discount 7 under revision 1

  Scenario: Many rows become as many drafts
    When ann makes rules "${tier} gets ${percent}" of the template with the rows:
      """
      [{"tier": "VIP", "percent": 15}, {"tier": "GOLD", "percent": 10}, {"tier": "NEW"}]
      """
    Then 3 rules are made, in DRAFT, of version 1 of the template
    And the rules are named: VIP gets 15, GOLD gets 10, NEW gets 5

  Scenario: All rows become rules or none, and every row's mistakes are shown
    When ann makes rules "${tier} gets ${percent}" of the template with the rows:
      """
      [{"tier": "VIP"}, {"tier": 5, "colour": "red"}, {}, {"tier": "VIP"}]
      """
    Then the answer is the error VALIDATION_ERROR
    And the rows with problems are: 2, 2, 3, 4
    And nothing has changed

  Scenario Outline: A value is a value, whatever it holds
    When ann makes the rule "hostile" of the template with the tier <tier>
    Then 1 rules are made, in DRAFT, of version 1 of the template
    And the rule, once active, is unmatched for a gold customer

    Examples:
      | tier                                     |
      | "\" \|\| true \|\| \""                   |
      | "\"\\nthen set discount = 100 //"        |
      | "${percent}"                             |
      | "x\\\\"                                  |

  Scenario Outline: Values that are not the template's
    When ann makes the rule "some rule" of the template with the values <values>
    Then the answer is the error VALIDATION_ERROR
    And the problem has the code <code> and row 1
    And nothing has changed

    Examples:
      | values                          | code              |
      | {}                              | missing-parameter |
      | {"tier": null}                  | missing-parameter |
      | {"tier": 5}                     | parameter-type    |
      | {"tier": ["VIP"]}               | parameter-type    |
      | {"tier": "VIP", "percent": 1.5} | parameter-type    |
      | {"tier": "VIP", "percent": "1"} | parameter-type    |
      | {"tier": "VIP", "Percent": 1}   | unknown-parameter |

  Scenario: The name of a rule is taken
    Given ann created the rule "VIP discount"
    When ann makes the rule "VIP discount" of the template with:
      """
      {"tier": "VIP"}
      """
    Then the answer is the error BUSINESS_ERROR with "rule name already exists"
    And nothing has changed

  Scenario: An update is a version, and tells the rules that lag behind it
    Given ann made the rule "VIP discount" of the template with:
      """
      {"tier": "VIP"}
      """
    When bob updates version 1 of the template with the DSL:
      """
      when customer.tier == ${tier} && total > 1 then set discount = ${percent}
      """
    Then the answer is the template "tier discount" at version 2
    And the rules that lag behind it are: VIP discount
    And the event TemplateUpdated of the template is published, by bob, at version 2
    And the template tells that 1 rules lag

  Scenario: A rule that was changed by hand does not lag, and its versions keep where they came from
    Given ann made the rule "VIP discount" of the template with:
      """
      {"tier": "VIP"}
      """
    And bob updates the rule with the discount 20
    When bob updates version 1 of the template with the DSL:
      """
      then set discount = ${percent}
      """
    Then the template tells that 0 rules lag
    And its version 1 remembers the template
    And its version 2 remembers no template

  Scenario: An update names the version that it was written against
    When bob updates version 7 of the template with the DSL:
      """
      then set discount = ${percent}
      """
    Then the answer is the error CONFLICT
    And nothing has changed

  Scenario: A deleted template's rules stay, and its name is free
    Given ann made the rule "VIP discount" of the template with:
      """
      {"tier": "VIP"}
      """
    When bob deletes the template
    Then the event TemplateDeleted of the template is published, by bob, at version 1
    And its version 1 remembers the template
    And the template is not there any more, but its history is: TemplateCreated, TemplateDeleted
    And bob can create the template "tier discount"

  Scenario Outline: A required field is absent
    When ann sends the template command <verb> without <field>
    Then the answer is the error MISSING_PARAMETER
    And its details name the field <field>
    And nothing has changed

    Examples:
      | verb                 | field       |
      | create-template      | name        |
      | create-template      | dslTemplate |
      | create-template      | parameters  |
      | update-template      | templateId  |
      | delete-template      | templateId  |
      | instantiate-template | templateId  |
      | instantiate-template | name        |
      | instantiate-template | priority    |
      | instantiate-template | parameters  |

  Scenario Outline: A field that is wrong
    When ann sends the template command <verb> with <field> set to <value>
    Then the answer is the error <code>
    And nothing has changed

    Examples:
      | verb                 | field           | value                                  | code             |
      | create-template      | name            | ""                                     | VALIDATION_ERROR |
      | create-template      | name            | 7                                      | VALIDATION_ERROR |
      | create-template      | colour          | "red"                                  | INVALID_REQUEST  |
      | update-template      | templateId      | "6f1c55a5-0a3c-5c0c-9e49-5d6b7c6d3f10" | NOT_FOUND        |
      | update-template      | templateId      | "tier discount"                        | VALIDATION_ERROR |
      | update-template      | expectedVersion | "1"                                    | VALIDATION_ERROR |
      | update-template      | colour          | "red"                                  | INVALID_REQUEST  |
      | delete-template      | templateId      | "6f1c55a5-0a3c-5c0c-9e49-5d6b7c6d3f10" | NOT_FOUND        |
      | delete-template      | expectedVersion | 9                                      | CONFLICT         |
      | delete-template      | colour          | "red"                                  | INVALID_REQUEST  |
      | instantiate-template | templateId      | "6f1c55a5-0a3c-5c0c-9e49-5d6b7c6d3f10" | NOT_FOUND        |
      | instantiate-template | priority        | "URGENT"                               | VALIDATION_ERROR |
      | instantiate-template | name            | "${colour}"                            | VALIDATION_ERROR |
      | instantiate-template | name            | "no"                                   | VALIDATION_ERROR |
      | instantiate-template | rows            | [{"tier": "VIP"}]                      | VALIDATION_ERROR |
      | instantiate-template | tags            | ["gold"]                               | INVALID_REQUEST  |

  Scenario: An update of a template changes something
    When ann sends the template command update-template without name
    Then the answer is the error VALIDATION_ERROR with "an update changes at least one field"
    And nothing has changed

  Scenario: The same command again gets the first answer
    When ann makes the rule "VIP discount" of the template twice, under one command id
    Then both answers are the same, and 1 rule is there
