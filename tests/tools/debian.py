"""Programs of Debian, brought without installing them: each runs under its own suite's loader, with that suite's libraries.

apt fetches a package and all that it needs from the Debian mirror that this machine's apt is configured for, or the one that
``DEBIAN_MIRROR`` names, and verifies them as always.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

__all__ = ["CannotBeHad", "bring"]

MIRROR = "DEBIAN_MIRROR"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


class CannotBeHad(Exception):
    """There is no such program on this machine, and none can be brought: the text says why."""


def bring(package: str, suite: str, program: str, place: Path) -> Path:
    """Return a script that runs ``program``, a path inside the package. All is kept in ``place``, which is emptied first.

    Raises:
        CannotBeHad: apt, the mirror or the package is not there.
    """
    shutil.rmtree(place, ignore_errors=True)
    for name in ("lists/partial", "archives/partial", "root", "bin"):
        (place / name).mkdir(parents=True)
    # As if nothing were installed: then the package needs each of its libraries.
    (place / "status").touch()
    trust = f"[signed-by={KEYRING}] " if KEYRING.exists() else ""
    (place / "sources.list").write_text(f"deb {trust}{_mirror()} {suite} main\n")
    options = {
        "Dir::Etc::sourcelist": place / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::State::lists": place / "lists",
        "Dir::State::status": place / "status",
        "Dir::Cache::archives": place / "archives",
        "Dir::Cache::pkgcache": "",
        "Dir::Cache::srcpkgcache": "",
        "Acquire::Languages": "none",
        "Acquire::Retries": "2",
        "APT::Sandbox::User": "",
        "Debug::NoLocking": "true",
    }
    apt = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in options.items())]
    # A mirror that does not answer is only a warning otherwise.
    _run([*apt, "-oAPT::Update::Error-Mode=any", "update"])
    _run([*apt, "install", "--yes", "--download-only", "--no-install-recommends", package])
    for archive in sorted((place / "archives").glob("*.deb")):
        _run(["dpkg-deb", "--extract", str(archive), str(place / "root")])
    loaders = sorted((place / "root").glob("**/ld-linux*.so.*"))
    if not loaders:
        raise CannotBeHad("its packages have no loader for Linux")
    libraries = os.pathsep.join(sorted(str(one) for one in (place / "root").glob("**/lib/*-linux-gnu*")))
    script = place / "bin" / Path(program).name
    script.write_text(f'#!/bin/sh\nexec "{loaders[0]}" --library-path "{libraries}" "{place}/root/{program}" "$@"\n')
    script.chmod(0o755)
    for name in ("archives", "lists"):
        shutil.rmtree(place / name)
    return script


def _mirror() -> str:
    """The mirror of Debian that this machine's apt is configured for, unless the environment names one."""
    if named := os.environ.get(MIRROR):
        return named.rstrip("/")
    told = _run(["apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI)", "Created-By: Packages"], check=False)
    found = re.search(r"^Debian (\S+/debian)/?$", told, re.MULTILINE)
    # What was never updated has no origin yet.
    found = found or re.search(r"(\S+://\S+/debian)/?$", told, re.MULTILINE)
    if not found:
        raise CannotBeHad(f"apt is configured for no mirror of Debian here: {MIRROR}=URL names one")
    return found[1]


def _run(command: Sequence[str], *, check: bool = True) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotBeHad(f"{command[0]}: {error}") from None
    if check and done.returncode:
        raise CannotBeHad(f"{command[0]} ended with {done.returncode}: {(done.stderr or done.stdout).strip()[:600]}")
    return done.stdout
