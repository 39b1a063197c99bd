"""The template environment: everything that comes from a record is escaped."""

from __future__ import annotations

import importlib.resources
import re
from collections.abc import Callable
from functools import cache
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

import exobench
from exobench.metrics.catalogue import METRICS
from exobench.metrics.score import METRICS_VERSION
from exobench.report.cache import ASSETS, TABLES
from exobench.report.plots import DARK, LIGHT
from exobench.report.plots.text import short_label
from exobench.report.scores import HEAT, TOGETHER
from exobench.report.site import glossary
from exobench.report.site.cells import note_mark, region_cells, value_cells
from exobench.report.site.drawn import safe_json
from exobench.report.site.plain_words import metric_term
from exobench.report.wording import count, duration, gibibytes, leaves, plain
from exobench.results import RECORD


def resource(name: str) -> str:
    """The text of a file of this package."""
    return (importlib.resources.files("exobench.report.site") / name).read_text(encoding="utf-8")


@cache
def environment() -> Environment:
    """Templates with their filters and what all pages know."""
    made = Environment(
        loader=FunctionLoader(resource),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., Any]] = {
        "doc": _doc_markup,
        "plain": plain,
        "count": count,
        "duration": duration,
        "gibibytes": gibibytes,
        "value_cells": value_cells,
        "region_cells": region_cells,
        "symbol": lambda parameter: Markup(short_label(parameter)),
    }
    made.filters.update(filters)
    made.globals.update(
        glossary=glossary,
        note_mark=note_mark,
        metric_terms=lambda names: [term for term in map(metric_term, names) if term],
        metrics=METRICS,
        metrics_version=METRICS_VERSION,
        version=exobench.__version__,
        assets=ASSETS,
        tables=TABLES,
        record_name=RECORD,
        heat_names=HEAT,
        together_names=TOGETHER,
        leaves=lambda content: list(leaves(content)),
        palette=Markup(safe_json({LIGHT[name]: DARK[name] for name in LIGHT})),
    )
    return made


def _doc_markup(text: str) -> Markup:
    """Escaped text with `names` set as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))
