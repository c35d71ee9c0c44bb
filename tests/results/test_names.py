import xarray as xr
from metaplastic.results.names import learners, named


def test_learners_are_called_by_their_kinds():
    names = ["mine", "oracle-mine", "mine-hyperplanes", "maml", "fast", "new"]
    keys, kinds = ["mine"] * 3 + names[3:], ["protonets"] * 3 + ["maml", "maml", "unheard-of"]
    coords = {"learner": names, "learner_key": ("learner", keys), "learner_kind": ("learner", kinds)}
    called = list(learners(xr.Dataset(coords=coords)).values())
    assert called == ["ProtoNets", "ProtoNets, true labels", "ProtoNets, hyperplanes", "MAML", "MAML: fast", "new"]


def test_a_summary_has_the_names_of_its_methods_in_place_of_keys():
    methods = {"fast": "pretrained", "slow": "pretrained", "mine": "oja", "new": "unheard-of"}
    coords = {"representation": list(methods), "kind": ("representation", list(methods.values()))}
    called = named(xr.Dataset(coords=coords))["representation"].values.tolist()
    assert called == ["pretrained rule: fast", "pretrained rule: slow", "Oja's rule", "new"]
    coords = {"embedding": ["codes"], "embedding_kind": ("embedding", ["acai"])}
    found = named(
        xr.Dataset(coords=coords | {name: ("learner", ["maml"]) for name in ("learner", "learner_key", "learner_kind")})
    )
    assert (found["learner"].item(), found["embedding"].item()) == ("MAML", "ACAI")
