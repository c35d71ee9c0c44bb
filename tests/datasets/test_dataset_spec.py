"""What the sections say of a source before anyone reads it."""

from pathlib import Path

from metaplastic.datasets.spec import Celeba, Digits, File, ImageFolder, Letters, TwoMoons


def test_the_modality_of_a_file_follows_from_its_side():
    assert File(source="file", path="a.npz").modality == "table"
    assert File(source="file", path="a.npz", side=4).modality == "image"
    assert File(source="file", path="a.npz", side=4).side_known == 4
    assert TwoMoons(source="two-moons").side_known is None


def test_examples_of_the_smallest_class_are_known_where_they_follow_from_the_keys():
    assert File(source="file", path="a.csv").training_examples is None
    assert Digits(source="digits").training_examples == 104


def test_held_out_characters_limit_the_classes_of_a_task():
    assert Letters(source="letters").task_classes == 12
    assert Letters(source="letters", held_out_characters=0.9).task_classes == 6


def test_own_paths_are_those_that_a_user_may_change():
    assert ImageFolder(source="folder", path="a/b").own_paths == {Path("a/b"): "folder"}
    assert File(source="file", path="a.csv").own_paths == {Path("a.csv"): "file"}
    celeba = Celeba(source="celeba", path="faces")
    assert [path.name for path in celeba.own_paths] == list(Celeba.files)
    assert list(celeba.own_paths.values()) == ["folder", "file", "file"]
    assert Digits(source="digits").own_paths == {}
    assert celeba.has_attributes
    assert not Digits(source="digits").has_attributes
