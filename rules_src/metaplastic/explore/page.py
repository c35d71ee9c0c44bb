"""The page, one file that needs no server, and a still of it."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import altair as alt
import jinja2
import vl_convert
import xarray as xr
from PIL import Image

from metaplastic.explore import charts
from metaplastic.explore.recorded import Panel, Shown
from metaplastic.explore.words import SOURCES, sentence, titles
from metaplastic.results.names import labels

FOLDER = Path(__file__).parent
STILL = 230
"""Width of a panel of the still."""


def page(dataset: xr.Dataset, shown: Shown, panels: Sequence[Panel], *, batch: int) -> str:
    """Return the page as HTML.

    Args:
        dataset: the images.
        shown: the examples that the panels place.
        panels: methods, of which at least one is an update rule.
        batch: examples per inner step.
    """
    names, steps = dataset.attrs["class_names"], shown.inner_steps
    chance = 1 / len(names)
    rules = [panel for panel in panels if panel.filters]
    network, inputs = rules[0].identity, f"{dataset.sizes['column']} x {dataset.sizes['row']} pixels"
    context = {
        "inputs": inputs,
        "batch": batch,
        "steps": steps,
        "labels": list(map(labels, shown.shots)),
        "panels": _panel_texts(panels),
        "title": dataset.attrs["title"],
        "citation": dataset.attrs["citation"],
        "shown": shown,
        "network": network,
        "width": rules[0].width,
        "shots": " or ".join(map(str, shown.shots)),
        "guessing": f"{100 * chance:.0f}",
        "networks": min(panel.networks for panel in rules),
        "sources": [
            SOURCES[kind] for kind in dict.fromkeys(panel.identity.kind for panel in panels) if kind in SOURCES
        ],
        "recorded": {"steps": steps, "panels": [_recorded(panel, shown, names, chance) for panel in panels]},
        # A script ends at the first text that looks like its closing tag.
        "script": vl_convert.javascript_bundle(_text("page.js")).replace("</script", r"<\/script"),
    }
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.from_string(_text("page.html")).render(context)


def still(dataset: xr.Dataset, shown: Shown, panels: Sequence[Panel]) -> bytes:
    """Return a picture of the methods after the last inner step as PNG, legible on light and dark pages."""
    names, columns = dataset.attrs["class_names"], []
    for title, panel in zip(titles(panels), panels, strict=True):
        if panel.meta_steps:
            continue
        shares = zip(shown.shots, panel.accuracies[:, -1], strict=True)
        below = [f"{100 * share:.0f}% right with {labels(shots)}" for shots, share in shares]
        head = alt.TitleParams(title, subtitle=below, anchor="start", fontSize=19, subtitleFontSize=15, offset=12)
        last = panel._replace(places=panel.places[-1:], filters=panel.filters[-1:])
        parts = [charts.places(last, shown, names, width=STILL, height=STILL).properties(title=head)]
        if panel.filters:
            parts.append(charts.filters(last, width=STILL, height=STILL / 4))
        columns.append(alt.vconcat(*parts, spacing=10))
    text = f"{len(shown.labels)} images, placed by what was learned from {shown.n_train:,} others without their labels"
    key = "Colours and names are classes, which no method is told. Under networks: weights of 16 of their first units."
    below = [f"{dataset.attrs['name']}. {key}"]
    head = alt.TitleParams(text, subtitle=below, anchor="start", fontSize=22, subtitleFontSize=15, offset=22)
    drawn = alt.hconcat(*columns, spacing=28, title=head, background="white", padding=20)
    png = vl_convert.vegalite_to_png(charts.at(drawn.configure_view(stroke="#dcdcdc"), 0).to_dict(), scale=2)
    small = BytesIO()
    # A quarter of the bytes.
    Image.open(BytesIO(png)).convert("RGB").quantize(256).save(small, "PNG", optimize=True)
    return small.getvalue()


def _panel_texts(panels: Sequence[Panel]) -> list[dict[str, object]]:
    """Return what the page says of each panel."""
    return [
        {
            "place": place,
            "title": title,
            "sentence": sentence(panel.identity.kind),
            "meta_steps": panel.meta_steps,
            "trains": bool(panel.filters),
        }
        for place, (title, panel) in enumerate(zip(titles(panels), panels, strict=True))
    ]


def _recorded(panel: Panel, shown: Shown, names: Sequence[str], chance: float) -> dict[str, object]:
    """Return what the script of the page shows of a panel."""
    size = {"width": "container", "height": "container"}
    specs = {
        "places": charts.places(panel, shown, names, **size),
        "curves": charts.curves(panel, shown, chance, **size),
    }
    return {
        "specs": {name: _plain(charts.at(spec, len(panel.places) - 1)) for name, spec in specs.items()},
        "meta_steps": panel.meta_steps,
        "frames": len(panel.places),
        "filters": panel.filters,
        "accuracies": panel.accuracies.round(4).tolist(),
    }


def _plain(chart: charts.Chart) -> dict[str, object]:
    return (
        chart.configure_view(stroke=None)
        .properties(padding=0, autosize=alt.AutoSizeParams(type="fit", contains="padding"))
        .to_dict()
    )


def _text(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")
