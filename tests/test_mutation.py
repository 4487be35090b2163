"""The mutations that are run by hand break lines that the code still has."""

import pytest

from tests.mutation import MUTATIONS, ROOT
from tests.support.mutations import Mutation


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.rule)
def test_a_mutation_finds_its_line(mutation: Mutation) -> None:
    """Each changes a line of its file, and the tests that watch exist."""
    source = (ROOT / mutation.file).read_text()
    assert mutation.line in source
    assert all((ROOT / path).exists() for path in mutation.tests.split())
