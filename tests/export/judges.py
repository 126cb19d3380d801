"""Calls tools/judge: programs that nobody here wrote. Where they are absent a test is skipped; in CI it fails."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

JUDGE = Path(__file__).resolve().parents[2] / "tools" / "judge"


def need_node() -> None:
    """Skip, or in CI fail, where node or the judges are absent."""
    if not shutil.which("node") or not (JUDGE / "node_modules").is_dir():
        reason = "needs node, and `npm ci --prefix tools/judge` once; in CI, MONOCAP_JUDGES=absent goes without"
        if os.environ.get("CI") and os.environ.get("MONOCAP_JUDGES") != "absent":
            pytest.fail(reason)
        pytest.skip(reason)


def need_browser() -> None:
    """Skip, or in CI fail, where node, the judges or Chromium are absent."""
    need_node()
    if not shutil.which(os.environ.get("CHROMIUM", "chromium")):
        reason = "needs Chromium, named by CHROMIUM if it is not called so; in CI, MONOCAP_BROWSER=absent goes without"
        if os.environ.get("CI") and os.environ.get("MONOCAP_BROWSER") != "absent":
            pytest.fail(reason)
        pytest.skip(reason)


def open_page(path: Path, *steps: str, picture: Path | None = None) -> dict[str, Any]:
    """What ``page.mjs`` prints: the page's own requests, errors, and its state after each step (see there)."""
    need_browser()
    command = ["node", "page.mjs", str(path), "-" if picture is None else str(picture), *steps]
    done = subprocess.run(command, cwd=JUDGE, capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def judge(mode: str, *arguments: object) -> dict[str, Any]:
    """What ``judge.mjs MODE ARGUMENTS`` prints."""
    need_node()
    command = ["node", "judge.mjs", mode, *map(str, arguments)]
    done = subprocess.run(command, cwd=JUDGE, capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout, done.stderr
    return json.loads(done.stdout)
