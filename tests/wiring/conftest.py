"""A shop whose pseudonyms can be rotated, as new for each test."""

from __future__ import annotations

from pathlib import Path
from shutil import copytree

import pytest
from tests.wiring.rotated import Shop, shop_in


@pytest.fixture(scope="module")
def made(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shop_in(tmp_path_factory.mktemp("rotate") / "shop", shop)


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return copytree(made, tmp_path / "shop")
