"""The answers of rule sections to those who plan."""

import json
from typing import Any

import pytest
from metaplastic.config.base import parse_spec
from metaplastic.update_rules.spec import Compact, HandMade, Rule

ANSWERS = "learned", "trained", "trained_by", "pretrained", "demanded_features", "hidden_channels"
PUBLISHED = {"kind": "published", "features": 8}


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ({"kind": "oja"}, (False, False, None, None, None, 16)),
        ({"kind": "identity"}, (False, False, None, None, None, 16)),
        ({"kind": "polynomial"}, (True, False, None, None, None, 16)),
        ({"kind": "compact", "channels": 5}, (True, False, None, None, None, 5)),
        (PUBLISHED, (True, False, None, None, 8, 64)),
        ({"kind": "pretrained", "name": "quill"}, (True, True, None, "quill", None, 16)),
        ({"kind": "meta-trained", "run": "own"}, (True, True, "own", None, None, 16)),
        ({"kind": "meta-trained", "run": "own", "meta_step": 0}, (True, False, "own", None, None, 16)),
    ],
    ids=lambda given: given["kind"] if isinstance(given, dict) else "",
)
def test_a_rule_says_what_planning_asks(section: dict[str, Any], expected: tuple[Any, ...]) -> None:
    rule = parse_spec(Rule, json.dumps(section))
    assert tuple(getattr(rule, answer) for answer in ANSWERS) == expected
    assert isinstance(rule, HandMade) != rule.learned


def test_channels_that_are_not_known_count_as_the_compact_rule_s_default() -> None:
    assert parse_spec(Rule, '{"kind": "hebb"}').hidden_channels == Compact(kind="compact").channels
