"""Every public incident has a test that names it, and the page of the documentation says which."""

from __future__ import annotations

import pytest

from tests.tools.incidents import ROOT, incidents, named_tests, page

pytestmark = pytest.mark.once


def test_every_incident_has_a_test() -> None:
    tests = named_tests()
    assert [incident.number for incident in incidents() if not tests[incident.number]] == []


def test_a_test_names_no_incident_that_is_not_known() -> None:
    assert set(named_tests()) == {incident.number for incident in incidents()}


def test_each_fault_of_this_project_names_a_commit_that_had_it() -> None:
    """``python -m tests.tools.red_on`` runs its tests there."""
    ours = [incident for incident in incidents() if incident.source.startswith("version 0.1.0 of this project")]
    assert [incident.number for incident in ours if not incident.red_on] == []
    assert {f"I{number}" for number in range(67, 90)} <= {incident.number for incident in ours}


def test_the_page_is_what_the_tests_say() -> None:
    """``python -m tests.tools.incidents > docs/incidents.md`` writes it anew."""
    assert (ROOT / "docs" / "incidents.md").read_text(encoding="utf-8") == page()
