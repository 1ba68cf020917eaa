"""What the package promises by name, compared with what it has."""

from __future__ import annotations

from importlib.resources import files
from types import ModuleType

import mageflow_temporal as mageflow
from mageflow_temporal import testing


def test_all_is_sorted_and_names_each_thing_once() -> None:
    assert mageflow.__all__ == sorted(set(mageflow.__all__))


def test_all_is_what_the_package_has() -> None:
    has = {
        name for name, thing in vars(mageflow).items() if not (name.startswith("_") or isinstance(thing, ModuleType))
    }
    assert has == set(mageflow.__all__)


def test_what_is_public_is_ours() -> None:
    for name in mageflow.__all__:
        home = getattr(getattr(mageflow, name), "__module__", mageflow.__name__)
        assert home.startswith(mageflow.__name__), f"{name} is from {home}"


def test_all_of_the_test_kit_is_sorted_and_is_there() -> None:
    assert testing.__all__ == sorted(set(testing.__all__))
    assert all(hasattr(testing, name) for name in testing.__all__)


def test_type_checkers_are_told_that_the_package_is_typed() -> None:
    assert (files(mageflow) / "py.typed").is_file()
