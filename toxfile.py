"""Choose the interpreters that tox.ini names by role, such as the newest Python that is installed here.

tox imports this file before it reads tox.ini. uv, which makes the environments, takes one interpreter and no list of
alternatives, so the choice is made here and handed over in environment variables.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from shutil import which

# Oldest first. A newer one may lack wheels of a dependency.
SUPPORTED = ("3.10", "3.11", "3.12", "3.13")


def works(python: str) -> bool:
    """Return whether this interpreter starts. A name on PATH may be a shim with no interpreter behind it."""
    programs = [which(python, path=directory) for directory in os.get_exec_path()]
    return any(
        program and subprocess.run([program, "-c", ""], capture_output=True, check=False).returncode == 0
        for program in programs
    )


def first_of(versions: Sequence[str]) -> str | None:
    """Return the first of these versions that is installed."""
    return next((version for version in versions if works(f"python{version}")), None)


def up_to(newest: str) -> str | None:
    """Return the newest version that is installed and not newer than this one."""
    return first_of(SUPPORTED[SUPPORTED.index(newest) :: -1])


own = getattr(sys, "_base_executable", sys.executable)
os.environ["PYTHON_NEWEST"] = first_of(SUPPORTED[::-1]) or own
os.environ["PYTHON_OLDEST"] = first_of(SUPPORTED) or own
os.environ["PYTHON_UP_TO_311"] = up_to("3.11") or os.environ["PYTHON_OLDEST"]
os.environ["PYTHON_UP_TO_312"] = up_to("3.12") or os.environ["PYTHON_OLDEST"]
# The PostgreSQL server for tests has wheels up to Python 3.12 and no alternative above: tox then skips the environment.
os.environ["PYTHON_POSTGRES"] = up_to("3.12") or "3.12"

# uv, too, uses only what is installed.
os.environ.setdefault("UV_PYTHON_DOWNLOADS", "never")
os.environ.setdefault("UV_PYTHON_PREFERENCE", "only-system")
# It reads none of pip's settings. A machine that reaches packages through a mirror often has only these.
for pip, uv in (("PIP_INDEX_URL", "UV_DEFAULT_INDEX"), ("PIP_CERT", "SSL_CERT_FILE")):
    if pip in os.environ:
        os.environ.setdefault(uv, os.environ[pip])
