"""The shared cases of CEL's conformance suite, where they are; the project's own cases are in tests/unit/language."""

import os
from pathlib import Path

import pytest

from tests.conformance.suite import cases, run

FOLDER = Path(os.environ.get("RULESTREAM_CONFORMANCE", Path(__file__).parents[3] / "shared" / "conformance" / "cel"))
# Case ids that may fail, by prefix; empty, as the language is complete.
LACKING: tuple[str, ...] = ()


@pytest.mark.skipif(not FOLDER.is_dir(), reason="the conformance cases are not here")
def test_every_case_of_the_shared_suite_passes():
    failed = [result for result in map(run, cases(FOLDER)) if result.problem is not None]
    assert [result for result in failed if not result.id.startswith(LACKING)] == []
