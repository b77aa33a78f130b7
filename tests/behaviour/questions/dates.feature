Feature: Effective dates
  A rule decides by the time of the fact, not by the worker's clock, and its dates belong to the version that was approved.

  Scenario: A rule decides from its first moment on and until before its last
    Given a worker runs
    And a rule decides from 2026-03-01T00:00:00+01:00 until 2026-04-01T00:00:00Z
    Then facts of these times are decided so:
      | time                     | outcome   |
      | 2026-02-28T22:59:59.999Z | unmatched |
      | 2026-02-28T23:00:00Z     | matched   |
      | 2026-03-15T12:00:00Z     | matched   |
      | 2026-03-31T23:59:59.999Z | matched   |
      | 2026-04-01T02:00:00+02:00 | unmatched |
      | 2026-04-01T00:00:00.001Z | unmatched |

  Scenario: Dates of a draft change nothing until it is activated
    Given a worker runs
    And a rule decides from 2026-03-01T00:00:00Z until 2026-04-01T00:00:00Z
    And ann updates the rule to be effective until 2026-03-10T00:00:00Z
    Then facts of these times are decided so:
      | time                 | outcome |
      | 2026-03-15T12:00:00Z | matched |
    When the update is reviewed and activated
    Then facts of these times are decided so:
      | time                 | outcome   |
      | 2026-03-09T12:00:00Z | matched   |
      | 2026-03-15T12:00:00Z | unmatched |

  Scenario: A period must have a length
    Given a worker runs
    And ann created the rule "gold discount"
    When ann updates the rule to be effective from 2026-03-01T00:00:00Z until 2026-03-01T01:00:00+01:00
    Then the answer is the error VALIDATION_ERROR
    And nothing has changed
