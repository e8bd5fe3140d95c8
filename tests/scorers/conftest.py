from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from scorers.spoiling import DEFAULT


@pytest.fixture
def folder(tmp_path):
    """A copy of the shipped artefact."""
    return Path(shutil.copytree(DEFAULT, tmp_path / "scorer"))
