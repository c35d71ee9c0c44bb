import re

import pytest

from workflow.readme import dag_block, fill


def test_only_what_stands_between_the_marks_is_replaced():
    text = "a\n<!-- table -->\nold\nrows\n<!-- end of table -->\nb\n"
    assert fill(text, "table", "new\n\n") == "a\n<!-- table -->\nnew\n<!-- end of table -->\nb\n"


def test_missing_marks_are_named():
    with pytest.raises(ValueError, match=re.escape("<!-- table --> ... <!-- end of table -->")):
        fill("nothing here", "table", "new")


def test_the_graph_keeps_its_edges_and_loses_its_colours():
    block = dag_block("flowchart TB\n\tid0[all]\n\tstyle id0 fill:#D95757\n\tid10 --> id0\n\tid2 --> id0\n")
    assert block == "```mermaid\nflowchart TB\n\tid0[all]\n\tid2 --> id0\n\tid10 --> id0\n```"
