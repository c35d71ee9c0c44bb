from pathlib import Path
from textwrap import dedent

import pytest
from refusals import refused

from workflow.fingerprint import closure, fingerprint

FILES = {
    "__init__.py": "",
    "stages/__init__.py": "",
    "stages/train.py": "from pack.model import fit\n",
    "stages/plot.py": "import numpy\nfrom pack import drawing\n",
    "model.py": '''
        """A model."""
        from pack.helpers import number  # a comment


        class Model:
            """What it is."""

            width: int = 3
            """In pixels."""


        def fit():
            return number
    ''',
    "helpers.py": "number = 1\n",
    "drawing.py": "colour = 'red'\n",
}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "pack"
    for name, text in FILES.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(text))
    return folder


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def both(package: Path) -> tuple[str, str]:
    return fingerprint(package, "pack.stages.train"), fingerprint(package, "pack.stages.plot")


def test_closure_follows_imports_and_parent_packages_only(package: Path):
    modules = set(closure(package, "pack.stages.train"))
    assert modules == {"pack", "pack.stages", "pack.stages.train", "pack.model", "pack.helpers"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# a comment", "# another"),
        ('"""A model."""', '"""A better model."""'),
        ('"""What it is."""', '"""What else."""'),
        ('"""In pixels."""', '"""In degrees."""'),
        ("return number", "return (\n        number\n    )"),
    ],
)
def test_comments_docstrings_and_formatting_do_not_count(package: Path, old: str, new: str):
    before = both(package)
    edit(package / "model.py", old, new)
    assert both(package) == before


@pytest.mark.parametrize("file", ["model.py", "helpers.py", "stages/train.py", "stages/__init__.py"])
def test_code_counts_wherever_it_is_in_the_closure(package: Path, file: str):
    train, _ = both(package)
    with (package / file).open("a") as stream:
        stream.write("\nother = 'text'\n")
    assert both(package)[0] != train


def test_the_public_names_of_the_package_do_not_count(package: Path):
    before = both(package)
    (package / "__init__.py").write_text("__all__ = ['fit']\n")
    assert both(package) == before


def test_numbers_facts_and_methods_of_a_spec_count_and_its_fields_and_checks_do_not(package: Path):
    text = (
        "from typing import ClassVar\nfrom pydantic import BaseModel, model_validator\n\nMOST = 7\n\n\n"
        "class Section(BaseModel):\n    trained: ClassVar[bool] = False\n    width: int = 3\n\n"
        "    def double(self):\n        return 2 * self.width\n\n"
        "    @model_validator(mode='after')\n    def _wide(self):\n        return self\n"
    )
    (package / "spec.py").write_text(text)
    imported = "from pack.helpers import number"
    edit(package / "model.py", imported, f"{imported}\nfrom pack.spec import Section")
    before = both(package)
    edit(package / "spec.py", "width: int = 3", "width: int = 4")
    edit(package / "spec.py", "return self\n", "return self or None\n")
    assert both(package) == before
    for old, new in {"2 * self.width": "3 * self.width", "MOST = 7": "MOST = 8", "= False": "= True"}.items():
        edit(package / "spec.py", old, new)
        assert both(package)[0] != before[0]
        before = both(package)


def test_code_outside_the_closure_does_not_count(package: Path):
    train, plot = both(package)
    edit(package / "drawing.py", "red", "blue")
    assert both(package)[0] == train
    assert both(package)[1] != plot


def test_a_string_that_is_a_value_counts(package: Path):
    _, plot = both(package)
    edit(package / "drawing.py", "'red'", "'red '")
    assert both(package)[1] != plot


def test_the_text_of_a_caption_does_not_count(package: Path):
    with (package / "drawing.py").open("a") as stream:
        stream.write("CAPTION = 'Bars are means.'\nNAME = 'bars'\n")
    _, plot = both(package)
    edit(package / "drawing.py", "Bars are means", "Bars show means")
    assert both(package)[1] == plot
    edit(package / "drawing.py", "'bars'", "'marks'")
    assert both(package)[1] != plot
    edit(package / "drawing.py", "CAPTION = 'Bars", "CAPTION = colour + 'Bars")
    assert both(package)[1] != plot


def test_imports_for_type_checkers_alone_do_not_count(package: Path):
    before = both(package)
    with (package / "model.py").open("a") as stream:
        stream.write("if TYPE_CHECKING:\n    from pack.drawing import colour\n")
    assert both(package) == before
    assert "pack.drawing" not in closure(package, "pack.stages.train")


def test_renaming_a_module_counts(package: Path):
    train, plot = both(package)
    (package / "helpers.py").rename(package / "tools.py")
    edit(package / "model.py", "pack.helpers", "pack.tools")
    assert both(package)[0] != train
    assert both(package)[1] == plot


def test_a_module_that_appears_where_an_attribute_was_counts(package: Path):
    _, plot = both(package)
    (package / "drawing").mkdir()
    (package / "drawing.py").rename(package / "drawing/__init__.py")
    assert both(package)[1] == plot
    edit(package / "stages/plot.py", "from pack import drawing", "from pack.drawing import colour")
    changed = both(package)[1]
    (package / "drawing/colour.py").write_text("shade = 1\n")
    assert len({plot, changed, both(package)[1]}) == 3


def test_from_import_finds_modules_and_passes_over_attributes(package: Path):
    assert "pack.drawing" in closure(package, "pack.stages.plot")
    assert "pack.model.fit" not in closure(package, "pack.stages.train")


@pytest.mark.parametrize("statement", ["from . import helpers", "from .helpers import number"])
def test_relative_imports(package: Path, statement: str):
    (package / "drawing.py").write_text(f"{statement}\n")
    assert "pack.helpers" in closure(package, "pack.drawing")


def test_relative_import_of_a_package_starts_at_itself(package: Path):
    (package / "stages/__init__.py").write_text("from . import plot\nfrom .. import helpers\n")
    assert {"pack.stages.plot", "pack.helpers"} <= set(closure(package, "pack.stages"))


def test_cyclic_imports(package: Path):
    (package / "helpers.py").write_text("import pack.model\n")
    assert "pack.helpers" in closure(package, "pack.model")
    assert "pack.model" in closure(package, "pack.helpers")


def test_import_inside_a_function(package: Path):
    edit(package / "model.py", "return number", "from pack.drawing import colour")
    assert "pack.drawing" in closure(package, "pack.stages.train")


def test_a_root_adds_what_is_imported_dynamically(package: Path):
    alone = fingerprint(package, "pack.stages.train")
    with_root = fingerprint(package, "pack.stages.train", "pack.drawing")
    assert with_root != alone
    assert with_root == fingerprint(package, "pack.drawing", "pack.stages.train")


def test_the_place_of_the_package_does_not_count(package: Path):
    before = both(package)
    moved = package.parent / "elsewhere" / "pack"
    moved.parent.mkdir()
    package.rename(moved)
    assert both(moved) == before


def test_syntax_error_names_file_and_line(package: Path):
    (package / "helpers.py").write_text("number = 1\nnumber = = 2\n")
    assert "helpers.py:2: invalid syntax" in refused(fingerprint, package, "pack.stages.train")


@pytest.mark.parametrize("root", ["pack.stages.trian", "elsewhere.stages.train", "pack.model.fit"])
def test_a_root_that_is_no_module_is_an_error(package: Path, root: str):
    assert f"{root}: no such module" in refused(fingerprint, package, root)
