Feature: Asking
  Whoever may read gets what there is at that moment, or the code of what is wrong with the question.

  Scenario: A rule is found by its id and by its name
    Given a worker runs
    And ann created the rule "gold discount"
    Then the rule is answered to get by its id and by its name
    And these questions are refused:
      | verb | payload                                            | code              |
      | get  | {"name": "silver discount"}                        | NOT_FOUND         |
      | get  | {"ruleId": "00000000-0000-0000-0000-000000000000"} | NOT_FOUND         |
      | get  | {"ruleId": "gold discount"}                        | VALIDATION_ERROR  |
      | get  | {}                                                 | MISSING_PARAMETER |

  Scenario: Rules are listed by every criterion, in any order
    Given a worker runs
    And these rules:
      | name  | author | priority | tags     | status       |
      | alpha | ann    | LOW      | vip, eu  | DRAFT        |
      | beta  | ann    | HIGH     | vip      | UNDER_REVIEW |
      | gamma | carl   | HIGH     |          | ACTIVE       |
      | delta | carl   | CRITICAL | 100%_off | DRAFT        |
    Then these questions list these rules:
      | payload                                              | names                     |
      | {}                                                   | alpha, beta, delta, gamma |
      | {"sortOrder": "desc"}                                | gamma, delta, beta, alpha |
      | {"sortBy": "createdAt"}                              | alpha, beta, gamma, delta |
      | {"sortBy": "updatedAt", "pageSize": 1}               | alpha                     |
      | {"sortBy": "priority", "status": "DRAFT"}            | delta, alpha              |
      | {"sortBy": "status", "sortOrder": "asc", "pageSize": 1} | gamma                  |
      | {"status": "UNDER_REVIEW"}                           | beta                      |
      | {"status": "DEPRECATED"}                             |                           |
      | {"priority": "HIGH"}                                 | beta, gamma               |
      | {"createdBy": "carl"}                                | delta, gamma              |
      | {"createdBy": "car"}                                 |                           |
      | {"nameContains": "ET"}                               | beta                      |
      | {"nameContains": "%"}                                |                           |
      | {"tag": "vip"}                                       | alpha, beta               |
      | {"tag": "100%_off"}                                  | delta                     |
      | {"tag": "vi"}                                        |                           |
      | {"tag": "vip", "priority": "HIGH", "createdBy": "ann"} | beta                    |
      | {"pageSize": 2}                                      | alpha, beta               |
      | {"pageSize": 2, "pageOffset": 2}                     | delta, gamma              |
      | {"pageOffset": 4}                                    |                           |
    And these questions are refused:
      | verb | payload                     | code             |
      | list | {"pageSize": 0}             | VALIDATION_ERROR |
      | list | {"pageSize": 501}           | VALIDATION_ERROR |
      | list | {"pageOffset": -1}          | VALIDATION_ERROR |
      | list | {"status": "OPEN"}          | VALIDATION_ERROR |
      | list | {"priority": "URGENT"}      | VALIDATION_ERROR |
      | list | {"sortBy": "dslContent"}    | VALIDATION_ERROR |
      | list | {"sortOrder": "down"}       | VALIDATION_ERROR |
      | list | {"tag": 7}                  | VALIDATION_ERROR |
      | list | {"tags": ["vip"]}           | INVALID_REQUEST  |
      | list | ["vip"]                     | INVALID_REQUEST  |

  Scenario: Every version of a rule is kept
    Given a worker runs
    And the rule "gold discount" is active
    And ann updates the rule with the discount 25
    And bob rolled the rule back to version 1
    Then the rule's versions are:
      | version | author | approvedBy | restoredFrom |
      | 3       | bob    | bob        | 1            |
      | 2       | ann    |            |              |
      | 1       | ann    | bob        |              |
    And these questions are refused:
      | verb     | payload                                            | code              |
      | versions | {"ruleId": "00000000-0000-0000-0000-000000000000"} | NOT_FOUND         |
      | versions | {"ruleId": "x"}                                    | VALIDATION_ERROR  |
      | versions | {}                                                 | MISSING_PARAMETER |

  Scenario: The ruleset is told in pages
    Given a worker runs
    And these rules:
      | name  | author | priority | tags | status |
      | alpha | ann    | LOW      |      | ACTIVE |
      | beta  | ann    | HIGH     |      | ACTIVE |
      | gamma | ann    | HIGH     |      | ACTIVE |
    Then the ruleset is told whole in pages of 2, at revision 3
    And these questions are refused:
      | verb    | payload                   | code             |
      | ruleset | {"pageSize": "all"}       | VALIDATION_ERROR |
      | ruleset | {"revision": 1}           | INVALID_REQUEST  |

  Scenario: A page ends early at 512 KiB, and says where the next one begins
    Given a worker runs
    And ann created a rule with a long text in 8 versions
    Then its versions come in pages of at most 512 KiB, each of them once

  Scenario: A text is checked without being stored
    Given a worker runs
    And ann created the rule "gold discount"
    Then validate finds nothing in "then set discount = 10"
    And validate finds "syntax" at line 1, column 21 in "then set discount = = 10"
    And validate finds "empty" at line 1, column 1 in ""
    And nothing has changed
    And these questions are refused:
      | verb     | payload           | code              |
      | validate | {}                | MISSING_PARAMETER |
      | validate | {"dslContent": 1} | VALIDATION_ERROR  |

  Scenario: A decision is found by its id and by its fact
    Given a worker runs
    And the rule "gold discount" is active
    When a fact of a gold customer is decided
    Then the decision is found by its id and by its fact's id
    And these questions are refused:
      | verb     | payload                                            | code              |
      | decision | {"factId": "no such fact"}                         | NOT_FOUND         |
      | decision | {"decisionId": "00000000000000000000000000000000"} | NOT_FOUND         |
      | decision | {"decisionId": "short"}                            | VALIDATION_ERROR  |
      | decision | {}                                                 | MISSING_PARAMETER |

  Scenario: What an actor was answered is told to that actor alone
    Given a worker runs
    And ann sent the command to create the rule "gold discount"
    Then the query command gives ann the first answer
    And the query command gives bob the error NOT_FOUND
    And these questions are refused:
      | verb    | payload                                      | code              |
      | command | {"commandId": "0123456789abcdef-0123456789"} | NOT_FOUND         |
      | command | {"commandId": "short"}                       | INVALID_REQUEST   |
      | command | {}                                           | MISSING_PARAMETER |

  Scenario: A question that is none
    Given a worker runs
    Then these questions are refused:
      | verb     | payload                                            | code              |
      | promote  | {}                                                 | NOT_FOUND         |
      | get      | {"name": "gold", "colour": "red"}                  | INVALID_REQUEST   |
      | get      | {"name": 7}                                        | VALIDATION_ERROR  |
      | get      | not JSON                                           | INVALID_REQUEST   |
      | history  | {"ruleId": "00000000-0000-0000-0000-000000000000"} | NOT_FOUND         |
      | history  | {}                                                 | MISSING_PARAMETER |
      | explain  | {"decisionId": "00000000000000000000000000000000"} | NOT_FOUND         |
      | explain  | {"decisionId": "x"}                                | VALIDATION_ERROR  |
    And a question is answered to an inbox of its actor, and to no other subject
