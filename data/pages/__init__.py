"""Pages for people: what all of them share, and the description of a data set.

A page is one HTML file that needs no other file, no script and no network.
"""

import os

import jinja2

_HERE = os.path.dirname(os.path.abspath(__file__))


def environment(folder: str = _HERE) -> jinja2.Environment:
    """Return what renders the templates of a folder, escaping all values.

    Templates find `look.css`, the style of all pages, and `shared.html.jinja` too.
    """
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, _HERE]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
