import pytest

pytest.register_assert_rewrite("tests.acceptance.faults", "tests.acceptance.random_trees")
