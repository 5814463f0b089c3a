"""Tests that share what takes long to make run in one worker."""

import pytest


def test_the_id_names_the_group(request: pytest.FixtureRequest) -> None:
    by_group = getattr(request.config.option, "loadgroup", False)
    group = f"@{request.path}" if by_group else ""
    assert request.node.nodeid == f"tests/test_groups.py::{request.node.name}{group}"
