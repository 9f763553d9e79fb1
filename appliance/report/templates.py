"""The templates: loaded once, escaped always, with style and script put in whole and named by hash in the page's own security policy."""

import base64
import functools
import hashlib
import re

import jinja2
from markupsafe import Markup

from appliance import paths
from appliance.report import numbers

_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@functools.cache
def environment() -> jinja2.Environment:
    """Autoescape is on for every template, whatever its name; an unknown name in a template is an error."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(paths.share("reports")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["asset"] = asset
    made.globals["policy"] = policy
    made.globals["plural"] = numbers.plural
    return made


@functools.cache
def asset(name: str) -> Markup:
    """A style or script of ours, as it stands; comments and indents go."""
    text = (paths.share("reports") / name).read_text(encoding="utf-8")
    if name.endswith(".css"):
        text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
        text = re.sub(r"\s*\n\s*", "\n", text)
        text = re.sub(r"\s*([{};,])\s*", r"\1", text)
    else:
        text = re.sub(r"^\s*//.*\n", "", text, flags=re.MULTILINE)
        text = re.sub(r"^[ \t]+", "", text, flags=re.MULTILINE)
    return Markup(text.strip())  # noqa: S704  our own file, never a night's text


@functools.cache
def policy(*scripts: str, connect: bool = False) -> str:
    """Content-Security-Policy: nothing is loaded from anywhere; only our own scripts run, by the hash of their text."""
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(str(asset(s)).encode()).digest()).decode()}'" for s in scripts)
    rules = [
        "default-src 'none'",
        "style-src 'unsafe-inline'",
        f"script-src {hashes or chr(39) + 'none' + chr(39)}",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    return "; ".join(rules + (["connect-src 'self'"] if connect else []))


@functools.cache
def fingerprint() -> str:
    """Of everything in `reports/`: a page made by other templates is an old page."""
    digest = hashlib.sha256()
    for file in sorted(paths.share("reports").iterdir()):
        if file.suffix in {".html", ".css", ".js"}:
            digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def rendered(name: str, /, **values: object) -> str:
    """One page. What could hide or reorder text (control characters, bidirectional overrides, lone surrogates) is shown as U+FFFD."""
    return _UNSEEN.sub("\ufffd", environment().get_template(name).render(**values))
