"""Every scenario of the features, against a real worker on real servers."""

from __future__ import annotations

from pytest_bdd import scenarios

scenarios("features")
