"""The shared cases of CEL's conformance suite, where they are; the project's own cases are in tests/unit/language."""

import os
from pathlib import Path

import pytest

from tests.conformance.suite import cases, run

FOLDER = Path(os.environ.get("RULESTREAM_CONFORMANCE", Path(__file__).parents[3] / "shared" / "conformance" / "cel"))
# What the language lacks still; empty when it is complete.
LACKING = ("math_ext/", "network_ext/", "encoders_ext/", "optionals/", "string_ext/format", "string_ext/reverse")


@pytest.mark.skipif(not FOLDER.is_dir(), reason="the conformance cases are not here")
def test_every_case_of_the_shared_suite_passes():
    failed = [result for result in map(run, cases(FOLDER)) if result.problem is not None]
    assert [result for result in failed if not result.id.startswith(LACKING)] == []
