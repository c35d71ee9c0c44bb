"""The page on which networks learn: what it shows, and that it works in a browser."""

import json
import re
import shutil
from base64 import b64decode
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from metaplastic.datasets.schema import TEST, About, make_dataset
from metaplastic.explore.page import page, still
from metaplastic.explore.recorded import EDGE, Panel, Shown, recorded
from metaplastic.features import Identity, features_dataset, write_features
from metaplastic.few_shot.spec import FewShot
from metaplastic.io.errors import InputError
from metaplastic.io.storage import read_zarr, write_zarr
from metaplastic.stages.explore import explore
from PIL import Image

ROOT = Path(__file__).parents[2]
PROTOCOL = FewShot(shots=[1, 2], draws=2)
STEPS, CLASSES, EXAMPLES, INPUTS = [0, 2, 9], 3, 60, 16
HOSTILE = "</script><i>two</i>"
RUN: dict[str, Any] = {"run": "quick", "kind": "meta-trained"}


def images() -> xr.Dataset:
    label = np.arange(EXAMPLES) % CLASSES
    pixels = np.random.default_rng(0).integers(0, 255, (EXAMPLES, 8, 2, 1)).astype(np.uint8)
    about = About("toy", f"Toys {HOSTILE}", "free", "nobody")
    names = ["one", HOSTILE, "three"]
    of_source = {"class_names": names, "checksum": ["0"], "checksum_kind": "none", "name": "toys"}
    return make_dataset(pixels, label, np.arange(EXAMPLES) % 2 == 1, about, **of_source)


def store(folder: Path, method: str, *, seed: int = 0, flip: bool = False, steps: Any = STEPS, **identity: Any) -> Path:
    """The features of two networks that tell classes apart better at every step, the first one not at all."""
    dataset, rng, networks = images(), np.random.default_rng(seed), 2
    noise = np.random.default_rng(1).normal(size=(networks, 1, EXAMPLES, 5))
    apart = np.eye(5)[dataset["label"].values] * np.arange(len(steps))[:, None, None]
    features = (noise + (1 + 2 * seed) * apart).astype(np.float32)
    if flip:
        features[:, 1:] *= -1
    variables = {}
    described: dict[str, Any] = {"kind": "oja", "base_model": "small", "depth": 1, "width": 6} | identity
    if described["base_model"]:
        weights = rng.normal(size=(networks, len(steps), INPUTS, 6)).astype(np.float32)
        order = np.stack([rng.permutation(INPUTS) for _ in range(networks)])
        variables = {
            "first_layer_weights": (("seed", "inner_step", "input", "unit"), weights),
            "input_permutation": (("seed", "input"), order),
        }
    if "run" in described:
        features = features[None].repeat(2, 0)
        names = ("meta_seed", "seed", "inner_step", "input", "unit")
        variables["first_layer_weights"] = (names, weights[None].repeat(2, 0))
    path = folder / f"{method}.zarr"
    made = features_dataset(features, steps, dataset, variables)
    write_features(made, path, identity=Identity(method, dataset="toys", **described), spec={}, code="", seconds=1.0)
    return path


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("stores")
    return [
        store(folder, "plain", kind="identity"),
        store(folder, "late", **RUN, meta_step=40, seed=1),
        store(folder, "mine"),
        store(folder, "early", **RUN, meta_step=0),
        store(folder, "ends", kind="untrained-encoder", base_model=None, depth=None, width=None, steps=[7, 8]),
    ]


@pytest.fixture(scope="module")
def shown(stores: list[Path]) -> tuple[Shown, list[Panel]]:
    return recorded(stores, PROTOCOL, cores=1)


def test_a_method_has_a_panel_and_a_run_one_for_all_its_thetas(shown: tuple[Shown, list[Panel]]) -> None:
    shared, panels = shown
    assert [panel.identity.method for panel in panels] == ["plain", "late", "mine", "ends"]
    assert [panel.meta_steps for panel in panels] == [[], [0, 40], [], []]
    assert [len(panel.places) for panel in panels] == [3, 6, 3, 1]
    assert [len(panel.filters) for panel in panels] == [3, 6, 3, 0]
    assert [panel.networks for panel in panels] == [2, 4, 2, 2]
    assert panels[-1].inner_steps == [8]
    assert shared.inner_steps == STEPS
    assert (shared.n_train, shared.n_test, len(shared.labels)) == (30, 30, 30)
    assert shared.labels.tolist() == images()["label"].values[images()["split"].values == TEST].tolist()


def test_a_single_theta_of_a_run_is_a_method_like_others(tmp_path: Path) -> None:
    _, (panel,) = recorded([store(tmp_path, "late", **RUN, meta_step=40)], PROTOCOL, cores=1)
    assert panel.meta_steps == []


def test_accuracies_are_those_of_the_protocol_at_every_step(shown: tuple[Shown, list[Panel]]) -> None:
    plain = shown[1][0].accuracies
    assert plain.shape == (2, 3)
    assert (plain[:, 2] > plain[:, 0] + 0.1).all()
    late = shown[1][1].accuracies
    assert np.allclose(late[:, :3], plain)
    assert (late[:, 5] > late[:, 2]).all()


def test_pictures_do_not_jump_where_components_change_their_sign(tmp_path: Path) -> None:
    paths = [store(tmp_path, name, flip=flip) for name, flip in (("as-is", False), ("flipped", True))]
    _, (as_is, flipped) = recorded(paths, PROTOCOL, cores=1)
    assert np.array_equal(as_is.places[0], flipped.places[0])
    assert np.allclose(as_is.places, flipped.places, atol=1e-4)
    assert np.abs(as_is.places).max() <= EDGE
    # Classes come apart, which is what the page is for.
    labels = images()["label"].values[1::2]
    middles = np.stack([as_is.places[:, labels == label].mean(1) for label in range(CLASSES)])
    spread = np.linalg.norm(middles - middles.mean(0), axis=2).mean(0)
    assert spread[2] > spread[0]


def test_filters_are_in_the_order_of_pixels(tmp_path: Path) -> None:
    path = store(tmp_path, "mine")
    with_one = read_zarr(path)
    order = with_one["input_permutation"].values[0]
    weights = np.zeros_like(with_one["first_layer_weights"].values)
    weights[0, :, np.flatnonzero(order == 7), :] = 1.0
    with_one["first_layer_weights"].values[:] = weights
    write_zarr(with_one, path, spec={}, code="")
    _, (panel,) = recorded([path], PROTOCOL, cores=1)
    picture = Image.open(BytesIO(b64decode(panel.filters[0].partition(",")[2]))).convert("RGBA")
    assert picture.size == (8 * 3 - 1, 8)
    colours = np.asarray(picture).astype(int)
    red = colours[..., 0] - colours[..., 2] > 50
    # Pixel 7 of an image of 8 x 2, in each of six units.
    assert np.argwhere(red).tolist() == [[3, 3 * unit + 1] for unit in range(6)]
    assert (colours[:, 2, 3] == 0).all()


def test_what_cannot_be_shown_is_told_in_one_line(tmp_path: Path) -> None:
    ends = store(tmp_path, "ends", kind="umap", base_model=None, depth=None, width=None)
    with pytest.raises(InputError, match="holds no first_layer_weights; give the features of an update rule too"):
        recorded([ends], PROTOCOL, cores=1)
    mine, other = store(tmp_path, "mine"), store(tmp_path, "other")
    elsewhere = read_zarr(other)
    write_zarr(elsewhere.assign_attrs(dataset="elsewhere"), other, spec={}, code="")
    with pytest.raises(InputError, match=r"of another dataset than .*; give features of one"):
        recorded([mine, other], PROTOCOL, cores=1)


def test_the_page_is_one_small_file_that_no_name_breaks(shown: tuple[Shown, list[Panel]]) -> None:
    text = page(images(), *shown, batch=64)
    assert text == page(images(), *shown, batch=64)
    assert len(text.encode()) < 2e6
    assert HOSTILE not in text
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", text)
    assert text.count("<script") == text.count("</script>") == 2
    kept = json.loads(re.search(r'id="recorded">(.*?)</script>', text, re.DOTALL)[1])
    assert kept["steps"] == STEPS
    assert HOSTILE in json.dumps(kept)


def test_the_still_is_legible_on_any_ground(shown: tuple[Shown, list[Panel]]) -> None:
    picture = Image.open(BytesIO(still(images(), *shown)))
    assert picture.width > 1200
    ends = [(0, 0), (picture.width - 1, 0), (0, picture.height - 1)]
    assert all(picture.convert("RGBA").getpixel(place) == (255, 255, 255, 255) for place in ends)
    assert len(picture.convert("RGB").getcolors(1 << 24)) > 20


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip(f"no browser on the path: {', '.join(names)}")
    with playwright.sync_playwright() as running:
        launched = running.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(params=["toys", "docs"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A page of toys as the stage writes it, and the one that the project shows."""
    if request.param == "docs":
        return (ROOT / "docs/explore/index.html").as_uri()
    stores: list[Path] = request.getfixturevalue("stores")
    write_zarr(images(), tmp_path / "toys.zarr", spec={}, code="")
    files = {"output": tmp_path / "page.html", "still": tmp_path / "page.png"}
    explore(PROTOCOL.model_dump_json(), tmp_path / "toys.zarr", stores, 64, **files)
    assert files["still"].read_bytes().startswith(b"\x89PNG")
    return files["output"].as_uri()


@pytest.mark.parametrize("width", [1280, 400])
def test_sliders_move_and_numbers_change(browser: Any, address: str, width: int) -> None:
    view = browser.new_page(viewport={"width": width, "height": 850}, has_touch=True, reduced_motion="reduce")
    said: list[str] = []
    view.on("console", lambda message: said.append(message.text))
    view.on("pageerror", lambda error: said.append(str(error)))
    view.on("request", lambda asked: said.append(asked.url) if asked.url.startswith("http") else None)
    view.goto(address)
    view.wait_for_selector("body[data-ready]")

    def seen() -> tuple[list[str], list[str], list[str]]:
        view.wait_for_timeout(100)
        pictures = "[...document.querySelectorAll('.places canvas')].map((canvas) => canvas.toDataURL())"
        filters = "[...document.querySelectorAll('.filters')].map((image) => image.src)"
        return view.locator("dd[data-shots]").all_inner_texts(), view.evaluate(pictures), view.evaluate(filters)

    begin = seen()
    assert all(re.fullmatch(r"\d+%", number) for number in begin[0])
    view.focus("#step")
    view.keyboard.press("End")
    end = seen()
    # Batches change neither random weights nor what is shown at its end.
    changed = [[a != b for a, b in zip(*pair, strict=True)] for pair in zip(begin, end, strict=True)]
    assert all(map(any, changed))
    view.keyboard.press("Home")
    assert seen() == begin
    theta = view.locator(".theta")
    theta.focus()
    view.keyboard.press("End")
    view.focus("#step")
    view.keyboard.press("End")
    trained = seen()
    theta.focus()
    view.keyboard.press("Home")
    assert seen()[0] != trained[0]
    assert view.locator("section .slider output").last.inner_text() == "0"
    # A finger in the middle of the slider.
    place = view.locator("#step").bounding_box()
    view.touchscreen.tap(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
    assert 0 < int(view.locator("#step").input_value()) < int(view.locator("#step").get_attribute("max"))
    view.click("#play")
    assert view.inner_text("#play") == "Pause"
    before = view.locator("#step").input_value()
    view.wait_for_function("(before) => document.getElementById('step').value !== before", arg=before)
    view.click("#play")
    assert view.evaluate("document.documentElement.scrollWidth") <= width
    assert said == []
    view.close()
