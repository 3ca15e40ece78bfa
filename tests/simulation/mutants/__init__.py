"""The test of the simulation itself: the product without one of its rules, in which the histories must find a fault.

Each incident of ``tests/faults/incidents.toml`` is in a mutant, or in `NOT_EXPRESSED` with the reason.
"""

from __future__ import annotations

from tests.simulation.mutants.clock import CLOCK
from tests.simulation.mutants.found import FOUND
from tests.simulation.mutants.gone import GONE
from tests.simulation.mutants.house import HOUSE, SURVIVORS
from tests.simulation.mutants.mutant import Edit, Mutant, find, mutate, mutated
from tests.simulation.mutants.not_expressed import NOT_EXPRESSED
from tests.simulation.mutants.second_survey import SECOND_SURVEY
from tests.simulation.mutants.silent import SILENT
from tests.simulation.mutants.target import TARGET

__all__ = ["HOUSE", "MUTANTS", "NOT_EXPRESSED", "Edit", "Mutant", "find", "mutate", "mutated"]

MUTANTS = (*GONE, *TARGET, *CLOCK, *SILENT, *SECOND_SURVEY, *SURVIVORS, *FOUND)
