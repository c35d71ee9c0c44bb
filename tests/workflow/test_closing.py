from pathlib import Path

import yaml
from metaplastic.config.load import load

from workflow.closing import closing

CONFIG = Path(__file__).parents[2] / "config/config.yaml"


def test_a_run_ends_by_naming_the_pages_that_are_there(tmp_path: Path):
    config = load(yaml.safe_load(CONFIG.read_text()) | {"results": str(tmp_path)})
    assert closing(config) == f"Results are in {tmp_path}."
    study = tmp_path / "studies/default"
    study.mkdir(parents=True)
    (study / "explore.html").touch()
    assert closing(config) == f"Results are in {tmp_path}. Open {study}/explore.html in a browser."
    (study / "table.md").write_text("| Method |\n|---|\n\nBelow.\n")
    assert f"To explore  {study}/explore.html" in closing(config).splitlines()
