"""Pages from templates beside this module: one self-contained HTML file each."""

from base64 import b64encode

from jinja2 import Environment, PackageLoader, StrictUndefined

from tieline.reports.drawing import Picture


def render(name: str, **values: object) -> str:
    """Give the page that a template makes of values; text in them is never taken for markup."""
    environment = Environment(
        loader=PackageLoader("tieline.reports", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.globals["source"] = _source
    return environment.get_template(name).render(**values)


def _source(picture: Picture) -> str:
    """Give a picture as an address that holds it."""
    return f"data:image/svg+xml;base64,{b64encode(picture.svg).decode()}"
