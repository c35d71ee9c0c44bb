"""Every line of `bad_inputs.py`, and of the page that is made of it."""

from pathlib import Path

import pytest
from bad_inputs import ROOT, SECTIONS, Section, page, said

CASES = [pytest.param(section, given, id=given) for section in SECTIONS for given in section.cases]


@pytest.mark.parametrize(("section", "given"), CASES)
def test_what_is_said_is_one_line_and_that_line(section: Section, given: str, tmp_path: Path) -> None:
    text = said(section, given, tmp_path)
    assert text == section.cases[given]
    assert "\n" not in text


def test_the_page_is_what_the_cases_say() -> None:
    assert (ROOT / "docs/bad-input.md").read_text() == page(), "run: make schema"
