import pytest
import yaml
from checkout import Checkout


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """Without results."""
    return Checkout(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """In the state that a finished run leaves as far as Snakemake can tell: empty outputs, true records of them."""
    finished = Checkout(tmp_path_factory.mktemp("finished"))
    config = finished.folder / "config/config.yaml"
    (finished.folder / "mine.csv").write_text("a,y\n1,u\n2,v\n")
    whole = yaml.safe_load(config.read_text())
    whole["studies"]["default"] |= {
        "datasets": ["digits", "movie-sentences", "mine"],
        "rules": ["learned", "untrained", "oja"],
        "embeddings": ["pca", "vae"],
    }
    whole["studies"]["over-meta-training"] = {
        "datasets": ["digits"],
        "base_models": ["small"],
        "rules": ["early", "learned"],
        "figures": ["few_shot_bars"],
    }
    whole["run"].append("over-meta-training")
    whole["rules"]["early"] = {"kind": "meta-trained", "run": "compact-letters", "meta_step": 50}
    whole["datasets"]["mine"] = {"source": "file", "path": "mine.csv"}
    whole["meta_train"]["compact-letters"]["held_out"]["datasets"] = ["digits"]
    config.write_text(yaml.safe_dump(whole))
    finished.finish()
    return finished
