"""Install what the tests of pages and pictures need beside Python's packages, where it is missing: Chromium and ``dot``.

``make test`` runs it. Where something cannot be installed it says why, and ends with 1; the tests that need it then skip.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from browser import program
from playwright.sync_api import sync_playwright

APT = "apt-get install -y --no-install-recommends chromium graphviz fonts-dejavu-core".split()
LIMIT = 500
"""Seconds that one command may take."""


def missing() -> list[str]:
    with sync_playwright() as playwright:
        found = {"Chromium": program(playwright), "dot (Graphviz)": shutil.which("dot")}
    return [name for name, path in found.items() if path is None]


def run(*command: str) -> bool:
    print("$", *command, flush=True)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"  {error}")
        return False
    if done.returncode:
        print("  " + "\n  ".join((done.stdout + done.stderr).strip().splitlines()[-3:]))
    return not done.returncode


def main() -> int:
    wanted = missing()
    if not wanted:
        return 0
    print(f"for the tests of pages and pictures, {' and '.join(wanted)} is missing; installing …", flush=True)
    if shutil.which("apt-get") and os.geteuid() == 0:
        os.environ["DEBIAN_FRONTEND"] = "noninteractive"
        run("apt-get", "update")
        run(*APT)
    if "Chromium" in missing():
        run(sys.executable, "-m", "playwright", "install", "chromium")
    left = missing()
    if left:
        print(f"{' and '.join(left)} could not be installed, for the reason above. Tests that need it are skipped.")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
