"""The evaluation's pictures as PNG bytes. The only module that knows matplotlib; draws numbers, never names.

No pyplot: a figure of its own needs no screen and leaves no state behind.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from face_server.evaluation.rates import RULE_OF_30, ErrorRates, OperatingPoint
from face_server.types import RgbImage

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MATED, _OTHER, _GREY = "#0b6e4f", "#b3372f", "#666666"
_SERIES = (_MATED, "#d98200", "#3b4cc0", _OTHER)
_DPI = 130

#: Error rates that get a tick, and how they are written.
_TICKS = {
    1e-6: "0.0001 %",
    1e-5: "0.001 %",
    1e-4: "0.01 %",
    1e-3: "0.1 %",
    2e-3: "0.2 %",
    5e-3: "0.5 %",
    1e-2: "1 %",
    0.02: "2 %",
    0.05: "5 %",
    0.1: "10 %",
    0.2: "20 %",
    0.4: "40 %",
    0.6: "60 %",
    0.8: "80 %",
    0.9: "90 %",
    0.95: "95 %",
}

#: Ticks for which the horizontal axis has no room.
_Y_ONLY = (2e-3, 5e-3, 0.02)


def det_plot(
    rates: ErrorRates, points: Sequence[OperatingPoint], band: Sequence[tuple[float, float, float]] = ()
) -> bytes:
    """Detection error trade-off on normal deviate axes (Martin et al., Eurospeech 1997).

    band: (FMR, low, high FNMR), the interval by the bootstrap over people. Dashed where the rule of 30 fails.
    """
    figure, axes = _figure(7.0, 6.2)
    fmr, fnmr = _trade_off(rates)
    enough = np.minimum(fmr * len(rates.nonmated), fnmr * len(rates.mated)) >= RULE_OF_30 - 1e-6
    least = max(1e-6, min(1e-3, float(fmr.min())))
    lowest = min(1e-2, max(1e-4, float(fnmr[fmr <= 0.4].min(initial=1.0))))
    _band(axes, [one for one in band if one[0] >= float(fmr.min())], lowest)
    axes.plot(_deviate(fmr), _deviate(fnmr), color=_MATED, linestyle=(0, (2, 1.5)), linewidth=1.3)
    solid = np.where(enough, _deviate(fnmr), np.nan)
    axes.plot(_deviate(fmr), solid, color=_MATED, linewidth=2.2, label="measured (dashed: fewer than 30 errors)")
    for point in points:
        _mark(axes, point)
    highest = max(0.4, *(point.missed.share for point in points), 0.0) if points else 0.4
    _deviate_axis(axes, "x", least / 1.6, 0.45)
    _deviate_axis(axes, "y", lowest / 1.4, min(0.97, highest * 1.4))
    if not ((fmr <= 0.45) & (fnmr > 0) & (fnmr < 0.97)).any():
        told = "Nothing to draw: up to an FMR of 45 %\nnone, or all, of the same person's comparisons fail."
        axes.text(0.5, 0.5, told, transform=axes.transAxes, ha="center", color=_GREY)
    axes.set_xlabel("false match rate (FMR)")
    axes.set_ylabel("false non-match rate (FNMR)")
    axes.set_title("Detection error trade-off", loc="left", fontsize=12, fontweight="bold")
    axes.legend(loc="upper right", frameon=False, fontsize=9)
    return _png(figure)


def pad_det_plot(bona_fide: Sequence[float], attacks: dict[str, Sequence[float]]) -> bytes:
    """APCER over BPCER at every threshold of one score, higher being more live; a line per species. b"" without scores.

    On linear axes from 0 to 1: kits are small, and normal deviates of 0 and 1 are not to be drawn.
    """
    honest, drawn = np.sort(np.array(bona_fide)), {name: np.sort(s) for name, s in attacks.items() if len(s)}
    if not len(honest) or not drawn:
        return b""
    figure, axes = _figure(7.0, 6.2)
    for place, (name, scores) in enumerate(drawn.items()):
        thresholds = np.append(np.unique(np.concatenate([honest, scores])), np.inf)
        bpcer = np.searchsorted(honest, thresholds, side="left") / len(honest)
        apcer = 1 - np.searchsorted(scores, thresholds, side="left") / len(scores)
        style, colour = ("-", "--", ":", "-.")[place // 10 % 4], f"C{place % 10}"
        axes.step(bpcer, apcer, style, where="post", color=colour, linewidth=1.5, label=f"{name} ({len(scores)})")
    axes.plot([0, 1], [1, 0], color=_GREY, linewidth=0.8, linestyle=":")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel(f"BPCER: honest presentations refused (of {len(honest)})")
    axes.set_ylabel("APCER: attacks of one species that pass")
    axes.set_title("The passive network alone", loc="left", fontsize=12, fontweight="bold")
    axes.legend(loc="upper right", frameon=False, fontsize=8)
    return _png(figure)


def histogram(rates: ErrorRates, points: Sequence[OperatingPoint]) -> bytes:
    """Scores of the same person's and of different people's comparisons, on a logarithmic scale, and thresholds."""
    figure, axes = _figure(7.0, 4.2)
    low = float(np.floor(min(rates.nonmated[0], rates.mated[0]) * 20) / 20)
    edges = np.linspace(low, 1.0, round((1.0 - low) / 0.02) + 1)
    for scores, colour, label in (
        (rates.nonmated, _OTHER, f"different people ({len(rates.nonmated):,} comparisons)"),
        (rates.mated, _MATED, f"the same person ({len(rates.mated):,})"),
    ):
        shares = np.histogram(np.clip(scores, low, 1.0), edges)[0] / len(scores)
        axes.stairs(shares, edges, fill=True, color=colour, alpha=0.35)
        axes.stairs(shares, edges, color=colour, linewidth=1.4, label=label)
    axes.set_yscale("log")
    top = axes.get_ylim()[1] * 3
    axes.set_ylim(max(axes.get_ylim()[0], 1e-7), top)
    for point in points:
        axes.axvline(point.threshold, color=_GREY, linewidth=0.9, linestyle=":")
        axes.text(
            point.threshold,
            top,
            f" FMR {_power(point.target)}",
            rotation=90,
            va="top",
            ha="right",
            fontsize=8,
            color=_GREY,
        )
    axes.set_xlim(low, 1.0)
    axes.set_xlabel("score (cosine similarity)")
    axes.set_ylabel("share of comparisons per 0.02")
    axes.set_title("Scores", loc="left", fontsize=12, fontweight="bold")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, -0.31), ncols=2, frameon=False, fontsize=9)
    return _png(figure)


def stated_and_measured(series: dict[str, list[tuple[float, float, float, float]]], title: str) -> bytes:
    """Stated against measured FMR on logarithmic axes, with the band of a factor 2.

    series: by its name, (stated, measured, low, high) with ascending or descending stated rates.
    """
    figure, axes = _figure(7.0, 6.2)
    rates = [row[0] for rows in series.values() for row in rows] or [1e-4, 1e-2]
    ends = np.array([min(rates) / 1.3, max(rates) * 1.3])
    axes.fill_between(ends, ends / 2, ends * 2, color=_GREY, alpha=0.13, linewidth=0, label="within a factor 2")
    axes.plot(ends, ends, color=_GREY, linewidth=1.0, linestyle=":")
    for place, (name, rows) in enumerate(series.items()):
        stated, measured, low, high = (np.array(side) for side in zip(*rows, strict=True))
        # Side by side, so that no bar hides another.
        at = stated * 1.06 ** (place - (len(series) - 1) / 2)
        bars = np.maximum([measured - low, high - measured], 0.0)
        colour = _SERIES[place % len(_SERIES)]
        axes.errorbar(at, measured, bars, color=colour, marker="o", markersize=5, capsize=3, linewidth=1.4, label=name)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(*ends)
    axes.set_ylim(ends[0] / 5, ends[1] * 5)
    axes.set_xlabel("stated false match rate (FMR)")
    axes.set_ylabel("FMR measured on other people, 95 % over people")
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold")
    axes.legend(loc="upper left", frameon=False, fontsize=9, title="enrolled + probe images", title_fontsize=9)
    return _png(figure)


def side_by_side(pictures: tuple[RgbImage, RgbImage], crops: tuple[RgbImage, RgbImage], caption: str) -> bytes:
    """Two annotated pictures above their aligned crops, and one line of numbers."""
    figure = Figure(figsize=(8.0, 7.4), layout="constrained", facecolor="white")
    grid: Any = figure.subplots(2, 2, height_ratios=(1.2, 1))
    for column, name in enumerate("AB"):
        for row, image, title in ((0, pictures[column], name), (1, crops[column], f"aligned crop of {name}")):
            axes = grid[row][column]
            axes.imshow(image, interpolation="nearest" if row else "antialiased")
            axes.set_title(title, fontsize=10)
            axes.set_axis_off()
    figure.suptitle(caption, fontsize=12, fontweight="bold")
    return _png(figure)


def gallery_plot(templates: Sequence[int], panels: Sequence[tuple[str, str, dict[str, Sequence[float]]]]) -> bytes:
    """Figures over the size of a gallery: of each panel the title, the axis and lines by their names. Both axes are
    logarithmic, but of shares that reach 1.
    """
    figure = Figure(figsize=(11.0, 3.6 * ((len(panels) + 1) // 2)), layout="constrained", facecolor="white")
    grid = figure.subplots((len(panels) + 1) // 2, 2, squeeze=False)
    for axes, (title, unit, lines) in zip(grid.flat, panels, strict=False):
        for place, (name, values) in enumerate(lines.items()):
            # Each is thinner than the one that it may cover.
            style = {"color": _SERIES[place], "linewidth": 4.6 - 1.1 * place, "markersize": 9 - 1.5 * place}
            axes.plot(templates[: len(values)], values, marker="o", label=name, **style)
        axes.set_xscale("log")
        share = all(0 <= value <= 1 for values in lines.values() for value in values)
        axes.set_yscale("linear" if share else "log")
        axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
        axes.set_xlabel("templates enrolled")
        axes.set_ylabel(unit)
        axes.grid(True, color="#dddddd", linewidth=0.7)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8)
    return _png(figure)


def _trade_off(rates: ErrorRates) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """FMR and FNMR at about 1,200 thresholds: some 200 per decade of FMR, from a single false match on."""
    count = len(rates.nonmated)
    ranks = np.unique(np.geomspace(1, count, 1200).astype(np.int64))
    thresholds = rates.nonmated[-ranks]
    fmr = 1 - np.searchsorted(rates.nonmated, thresholds, side="left") / count
    fnmr = np.searchsorted(rates.mated, thresholds, side="left") / len(rates.mated)
    return fmr, fnmr


def _band(axes: Axes, band: Sequence[tuple[float, float, float]], lowest: float) -> None:
    if band:
        fmr, low, high = (np.array(side) for side in zip(*band, strict=True))
        low, high = (np.clip(side, lowest / 100, 0.999) for side in (low, high))
        label = "95 %, bootstrap over people"
        axes.fill_between(
            _deviate(fmr), _deviate(low), _deviate(high), color=_MATED, alpha=0.16, linewidth=0, label=label
        )


def _mark(axes: Axes, point: OperatingPoint) -> None:
    if not 0 < point.missed.share < 1:
        return
    at = (float(_deviate(np.array(point.target))), float(_deviate(np.array(point.missed.share))))
    axes.plot(*at, marker="o", markersize=6, color="white", markeredgecolor=_MATED, markeredgewidth=1.8)
    label = f"FNMR {point.missed.share:.3f}\nat FMR {_power(point.target)}" + ("" if not point.doubt else " (?)")
    axes.annotate(label, at, xytext=(-9, -7), textcoords="offset points", ha="right", va="top", fontsize=8)


def _deviate(rates: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    inverse: Callable[[float], float] = NormalDist().inv_cdf
    limited = np.clip(rates, 1e-9, 1 - 1e-9)
    return np.array([inverse(float(rate)) for rate in limited.flat]).reshape(limited.shape)


def _deviate_axis(axes: Axes, side: str, low: float, high: float) -> None:
    ticks = [rate for rate in _TICKS if low <= rate <= high and (side == "y" or rate not in _Y_ONLY)]
    places, labels = _deviate(np.array(ticks)), [_TICKS[rate] for rate in ticks]
    ends = tuple(float(end) for end in _deviate(np.array([low, high])))
    if side == "x":
        axes.set_xticks(places, labels, fontsize=9)
        axes.set_xlim(*ends)
    else:
        axes.set_yticks(places, labels, fontsize=9)
        axes.set_ylim(*ends)


def _power(rate: float) -> str:
    return f"1e{round(np.log10(rate))}" if np.isclose(rate, 10.0 ** round(np.log10(rate))) else f"{rate:g}"


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    axes = figure.subplots()
    axes.grid(True, color="#dddddd", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI)
    return buffer.getvalue()
