"""The model card: what a person must know before they use a servable."""

from typing import Any

import jinja2

SHOWN = ("ndcg@10", "hit_rate@10", "recall@100")
_TEMPLATE = """\
# {{ servable }}, version {{ version }}

Made {{ created }} by Tandem from data `{{ data.fingerprint }}`:
{{ number(data.counts["events"]) }} events of {{ number(data.counts["users"]) }} users
with {{ number(data.counts["items"]) }} items; {{ number(data.events_known) }} events
were known to this version.
{% set c = catalogue_changes %}{% if c.added + c.changed + c.removed %}
The catalogue has changed since: {{ number(c.added) }} items added,
{{ number(c.changed) }} changed, {{ number(c.removed) }} removed. New items are known by
what their rows say alone.
{% endif %}
## What it is for
Recommending items of this catalogue to the users of this data set, and to new users
through the history that a request gives. It is not made for decisions about people.

## How it was measured
{% for sentence in protocol %}- {{ sentence }}
{% endfor %}
| model |{% for m in shown %} {{ m }} |{% endfor %}
|---|{% for m in shown %}---|{% endfor %}
{% for name, values in metrics.items() -%}
| {{ name }} |{% for m in shown %} {{ interval(values[m]) }} |{% endfor %}
{% endfor %}
{% if runs.refit %}These figures are of run `{{ runs.evaluation }}`. What is exported
is its refit, run `{{ runs.refit }}`: the same settings and epochs on all events.
{% else %}These figures are of the exported run `{{ runs.evaluation }}`.{% endif %}

## Signatures
{% for name, s in signatures.items() -%}
- `{{ name }}`: {{ s.inputs | join(", ") }} -> {{ s.outputs | join(", ") }}
{% endfor %}
Index: {{ index.kind }} over {{ index["items"] }} servable items. Of the best
{{ index.k }} it finds {{ "%.4f" | format(index.recall) }} ({{ index.queries }} queries,
{{ index.queries_of }}); one query takes {{ "%.2f" | format(index.single.median_ms) }}
ms where it was exported (median).
{% if ops_beyond_stock %}Needs ops that the stock TF Serving image does not have:
{{ ops_beyond_stock | join(", ") }}.
{%- else %}Runs on the stock TF Serving image.
{%- endif %}

## Limits
- It learns from what was shown to people before, and repeats its one-sidedness.
- `like` is calibrated on {{ calibration.distribution }}.
- {% if config.export.user_state -%}
  Ids of users, what they have seen and what was learnt of them are stored in the graph
  (`[export] user_state = false` leaves all of it out).
  {%- else -%}
  No id of a user is stored, nor anything of one: what a request sends is all that is
  known of who asks.
  {%- endif %}
"""


def model_card(manifest: dict[str, Any]) -> str:
    """Render a manifest as Markdown."""
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, autoescape=False, keep_trailing_newline=True
    )
    known: dict[str, Any] = next(iter(manifest["metrics"].values()), {})
    shown = [name for name in SHOWN if name in known]
    template = environment.from_string(_TEMPLATE)
    return template.render(
        shown=shown, interval=_interval, number="{:,}".format, **manifest
    )


def _interval(found: dict[str, float | None]) -> str:
    mean, low, high = (found[name] for name in ("mean", "low", "high"))
    if mean is None or low is None or high is None:
        return "-"
    return f"{mean:.3f} [{low:.3f}, {high:.3f}]"
