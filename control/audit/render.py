"""A report as a page that needs no script, no other file and no network."""

from importlib.resources import files
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_environment: Final = Environment(
    loader=FileSystemLoader(str(files("control.audit") / "templates")),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(report: dict[str, Any]) -> str:
    """The report's HTML."""
    plain = {name: value for name, value in report.items() if name != "controls"}
    lists = ("violations", "critical_events", "separation_of_duties", "unapproved_changes")
    plain |= {name: [{"exception": "", **row} for row in report[name]] for name in lists}
    return _environment.get_template("report.html").render(
        report=plain | {"controls": [{**one, "events": dict(one["events"])} for one in report["controls"]]}
    )
