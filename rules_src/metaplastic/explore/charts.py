"""The charts of a panel, and a still of them, as Vega-Lite; `before`, `after` and `moved` say what they show.

`before` and `after` are frames, and `moved`, in [0, 1], is how far places of examples are on the way between them.
"""

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np

from metaplastic.explore.recorded import EDGE, Panel, Shown
from metaplastic.figures.style import CHANCE, DARK
from metaplastic.results.names import labels

FINE = 100
"""Places are written in units of 1 / FINE, of which a panel has about one for each pixel."""
PALETTE = ["#4269d0", "#dc7600", "#d0312d", "#128a8a", "#3a9a4b", "#9a6b00", "#c2468e", "#7a4fd0", "#8a5a44", "#5f6b76"]
"""Colours of classes, of which each has a contrast of at least 3 to 1 with white."""
FONT = "system-ui, sans-serif"
Chart = alt.Chart | alt.LayerChart | alt.FacetChart


def places(panel: Panel, shown: Shown, names: Sequence[str], **size: Any) -> Chart:
    """Place the examples, with the name of each class at the middle of its own."""
    numbers = np.round(FINE * panel.places).astype(int).transpose(2, 1, 0).tolist()
    classes = [names[label] for label in shown.labels]
    rows = [{"class": name, "x": x, "y": y} for name, x, y in zip(classes, *numbers, strict=True)]
    now = {
        f"{axis}_now": f"datum.{axis}[before] + moved * (datum.{axis}[after] - datum.{axis}[before])" for axis in "xy"
    }
    scale = alt.Scale(domain=[-FINE * EDGE, FINE * EDGE], nice=False, zero=False)
    place: dict[str, Any] = {
        "x": alt.X("x_now:Q", axis=None, scale=scale),
        "y": alt.Y("y_now:Q", axis=None, scale=scale),
    }
    colours = alt.Scale(domain=list(names), range=[PALETTE[label % len(PALETTE)] for label in range(len(names))])
    colour = alt.Color("class:N", scale=colours, legend=None)
    base = _chart(rows).transform_calculate(**now)
    dots = base.mark_circle(size=22, opacity=0.6, clip=True).encode(**place, color=colour)
    middles = base.transform_aggregate(x_now="median(x_now)", y_now="median(y_now)", groupby=["class"])
    text: dict[str, Any] = {"fontSize": 17, "fontWeight": 700, "font": FONT}
    halo = middles.mark_text(stroke="white", strokeWidth=4, **text).encode(**place, text="class:N")
    labels = middles.mark_text(**text).encode(**place, text="class:N", color=colour)
    return alt.layer(dots, halo, labels).properties(**size)


def filters(panel: Panel, **size: Any) -> Chart:
    """Show the picture of first-layer filters."""
    pictures = _chart([{"frame": frame, "picture": url} for frame, url in enumerate(panel.filters)])
    shown = pictures.transform_filter("datum.frame == after")
    corner = {"x": alt.value(0), "y": alt.value(0)}
    image = shown.mark_image(align="left", baseline="top", smooth=False, **size)
    return image.encode(url="picture:N", **corner).properties(**size)


def curves(panel: Panel, shown: Shown, chance: float, **size: Any) -> Chart:
    """Draw accuracies over inner steps, with a mark at the step that is shown; an embedding has horizontal lines."""
    steps = shown.inner_steps
    if level := len(panel.inner_steps) == 1:
        panel = panel._replace(inner_steps=[steps[0], steps[-1]], accuracies=panel.accuracies.repeat(2, 1))
    count = len(panel.inner_steps)
    rows = [
        {
            "shots": labels(shots),
            "theta": frame // count,
            "frame": frame,
            "step": panel.inner_steps[frame % count],
            "accuracy": share,
        }
        for shots, of_shots in zip(shown.shots, np.round(panel.accuracies, 4).tolist(), strict=True)
        for frame, share in enumerate(of_shots)
    ]
    ticks = [step for step in (0, 10, 50, 100, 200, 500, 1000, 2000, 5000) if step <= steps[-1]]
    along = alt.Axis(values=ticks, grid=False, tickSize=4, domainColor="#8a8a8a")
    across = alt.X("step:Q", title=None, axis=along, scale=alt.Scale(type="sqrt", domain=[0, steps[-1]], nice=False))
    look: dict[str, Any] = {"domain": False, "ticks": False, "gridColor": "#e4e4e4", "labelPadding": 9}
    beside = alt.Axis(values=[0, 0.25, 0.5, 0.75, 1], format=".0%", **look)
    up = alt.Y("accuracy:Q", title=None, axis=beside, scale=alt.Scale(domain=[0, 1]))
    named = list(map(labels, shown.shots))
    greys = alt.Scale(domain=named, range=["#8a6d1f", DARK] if len(shown.shots) == 2 else [DARK])
    colour = alt.Color("shots:N", scale=greys, legend=None)
    base = _chart(rows).encode(x=across, y=up, color=colour)
    is_shown = f"datum.theta == floor(after / {count})"
    lines = base.mark_line(strokeWidth=2.2, strokeDash=[5, 4] if level else [1, 0]).encode(
        detail="theta:N", opacity=alt.condition(is_shown, alt.value(1), alt.value(0.25))
    )
    guess = _chart([{"accuracy": chance}]).mark_rule(color=CHANCE["color"], strokeDash=[2, 3])
    layers = [guess.encode(y=up), lines]
    if not level:
        layers.append(base.transform_filter("datum.frame == after").mark_circle(size=80, opacity=1))
    ends = base.transform_filter(f"datum.step == {steps[-1]} && ({is_shown})")
    layers.append(ends.mark_text(align="right", dy=-9, font=FONT, fontSize=11.5).encode(text="shots:N"))
    return alt.layer(*layers).properties(**size)


def at(chart: Any, frame: int) -> Any:
    """Return a chart, or several, that can show every frame and shows this one first."""
    values = {"before": frame, "after": frame, "moved": 1}
    return chart.add_params(*(alt.param(name=name, value=value) for name, value in values.items()))


def _chart(rows: list[dict[str, Any]]) -> alt.Chart:
    return alt.Chart(alt.Data(values=rows))  # type: ignore[no-untyped-call]
