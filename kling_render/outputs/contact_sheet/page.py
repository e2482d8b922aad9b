"""A contact sheet as one HTML page: no script, no network, readable light and dark, wide and narrow.

Every text of the project is escaped. Posters and previews come from beside the page, or lie inside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from html import escape
from importlib.resources import files

from kling_render.outputs.contact_sheet.records import Heading, Sheet, ShotSheet, Shown, Sums, sums
from kling_render.outputs.contact_sheet.words import cost_text, said_text, sums_text

Link = Callable[[Shown], str]
"""Where a picture or film of a take is found from the page: a relative link, quoted, or a `data:` URL."""

_POLICY = "default-src 'none'; img-src 'self' file: data:; style-src 'unsafe-inline'"
_MANY, _FEW = 10, 4
_PROMPT = 400
_NARROW = 0.7


class Links:
    """Where the page finds what it shows."""

    def __init__(self, poster: Link, preview: Link, film: Link, shots: Mapping[str, str] | None = None) -> None:
        self.poster, self.preview, self.film = poster, preview, film
        #: Shot → its own page; without them the page's own sections are linked.
        self.shots = shots or {}


def page(sheet: Sheet, links: Links) -> bytes:
    """The page's bytes; the same sheet gives the same bytes."""
    return "\n".join([*_head(sheet), *_body(sheet, links), ""]).encode("utf-8", "replace")


def _head(sheet: Sheet) -> Iterator[str]:
    style = files("kling_render.outputs.contact_sheet").joinpath("style.css").read_text("utf-8")
    yield '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield '<meta name="generator" content="kling-render contact-sheet">'
    yield f"<title>{_text(_title(sheet))} - contact sheet</title>"
    yield f"<style>\n{style}</style>\n</head>"


def _title(sheet: Sheet) -> str:
    return f"{sheet.project} · {sheet.shots[0].id}" if len(sheet.shots) == 1 else sheet.project


def _body(sheet: Sheet, links: Links) -> Iterator[str]:
    free, found = _is_free(sheet), sums(sheet.takes)
    chosen = f"<small>{_text(sheet.selection)}</small>" if sheet.selection else ""
    rehearsal = "<p>Rehearsals, not the model.</p>" if free else ""
    yield f"<body>\n<header><h1>{_text(_title(sheet))}{chosen}</h1>"
    yield f"<p>{_text(sums_text(found, free=free))}</p>{rehearsal}</header>"
    yield _bar(sheet, found)
    if len(sheet.shots) > 1:
        entries = (f'<a href="#shot-{_text(shot.id)}">{_text(shot.id)}</a>' for shot in sheet.shots)
        yield f'<nav aria-label="Shots">{" ".join(entries)}</nav>'
    yield "<main>"
    for shot in sheet.shots:
        yield from _shot(shot, links, free=free, alone=len(sheet.shots) == 1)
    yield "</main>\n</body>\n</html>"


def _bar(sheet: Sheet, found: Sums) -> str:
    """What to show and how large; radio buttons, which the style sheet heeds."""
    tones = {tone: sum(take.tone == tone for take in sheet.takes) for tone in ("good", "quiet", "busy", "stale", "bad")}
    filters = [
        ("all", "All", found.jobs),
        ("warned", "To look at", found.warned),
        ("good", "Done", tones["good"]),
        ("open", "Open", tones["quiet"] + tones["busy"]),
        ("stale", "Stale", tones["stale"]),
        ("bad", "Trouble", tones["bad"]),
    ]
    shown = [entry for entry in filters if entry[0] == "all" or entry[2] > 0]
    columns = max((sum(_across(shot, column) for column in shot.columns) for shot in sheet.shots), default=0)
    size = "s" if columns > _MANY else "l" if columns <= _FEW else "m"
    first = "".join(_radio("f", name, f"{word} {count}", on=name == "all") for name, word, count in shown)
    sizes = (("xs", "tiny"), ("s", "small"), ("m", "medium"), ("l", "large"))
    second = "".join(_radio("size", name, word, on=name == size) for name, word in sizes)
    return (
        f'<div class="bar"><fieldset><legend>Show</legend>{first}</fieldset>'
        f"<fieldset><legend>Pictures</legend>{second}</fieldset></div>"
    )


def _across(shot: ShotSheet, column: Heading) -> int:
    return max((len(shot.at(row, column)) for row in shot.rows), default=0)


def _radio(group: str, name: str, word: str, *, on: bool) -> str:
    checked = " checked" if on else ""
    return f'<label><input type="radio" name="{group}" id="{group}-{name}"{checked}>{_text(word)}</label>'


def _shot(shot: ShotSheet, links: Links, *, free: bool, alone: bool) -> Iterator[str]:
    yield f'<section id="shot-{_text(shot.id)}">'
    if not alone:
        name = _text(shot.id)
        own = f'<a href="{_text(links.shots[shot.id])}">{name}</a>' if shot.id in links.shots else name
        yield f"<h2>{own}<small>{_text(sums_text(sums(shot.takes), free=free))}</small></h2>"
    yield f'<div class="scroll" tabindex="0" role="region" aria-label="{_text(shot.id)}"><table>'
    heads = "".join(f'<th scope="col">{_heading(column)}</th>' for column in shot.columns)
    yield f"<thead><tr><th><small>character / motion</small></th>{heads}</tr></thead><tbody>"
    shapes = {column.id: shot.shape(column) for column in shot.columns}
    for row in shot.rows:
        yield f'<tr><th scope="row">{_heading(row)}</th>'
        for column in shot.columns:
            yield from _cell(shot.at(row, column), column, links, shapes[column.id], free=free)
        yield "</tr>"
    yield "</tbody></table></div>\n</section>"


def _heading(heading: Heading) -> str:
    name = f'<small dir="auto" title="{_text(heading.name)}">{_text(heading.name)}</small>' if heading.name else ""
    return f"{_text(heading.id)}{name}"


def _cell(takes: tuple[Shown, ...], column: Heading, links: Links, shape: float, *, free: bool) -> Iterator[str]:
    if not takes:
        yield '<td class="none" aria-label="not in the matrix">–</td>'
        return
    yield f'<td><span class="where">{_text(column.id)}</span><div class="takes">'
    yield from (_take(take, links, shape, free=free) for take in takes)
    yield "</div></td>"


def _take(take: Shown, links: Links, shape: float, *, free: bool) -> str:
    shape = take.stills.width / take.stills.height if take.stills else shape
    classes = ["take", take.tone, *(["warned"] if take.warnings else []), *([] if take.stills else ["empty"])]
    says = f"{take.id}: {take.word}" + (f". {said_text(take)}" if said_text(take) else "")
    prompt = f"\n{take.prompt[:_PROMPT]}" if take.prompt else ""
    inner = f"{_frame(take, links, shape)}{_caption(take, free=free)}"
    area = min(max(shape**0.5, _NARROW), 1 / _NARROW)  # films of any shape get the same area
    named = f'class="{" ".join(classes)}" style="--k:{area:.3f}" title="{_text(says + prompt)}"'
    if take.film is not None:
        return f'<a {named} href="{_text(links.film(take))}">{inner}</a>'
    return f'<div {named} tabindex="0">{inner}</div>'


def _frame(take: Shown, links: Links, shape: float) -> str:
    if take.stills is None:
        said = "no picture" if take.film is not None else take.word
        return f'<span class="frame" style="aspect-ratio:{shape:.3f}"><b class="tone">{_text(said)}</b></span>'
    width, height = take.stills.width, take.stills.height
    mark = '<span class="mark" aria-hidden="true">!</span>' if take.warnings else ""
    length = f'<span class="long">{take.seconds:.1f} s</span>' if take.seconds else ""
    moving = f"aspect-ratio:{width}/{height};--p:url({_quoted(links.preview(take))})"
    image = (
        f'<img src="{_text(links.poster(take))}" alt="{_text(take.id)}" loading="lazy" decoding="async" '
        f'width="{width}" height="{height}">'
    )
    return f'<span class="frame moving" style="{_text(moving)}">{image}{mark}{length}</span>'


def _caption(take: Shown, *, free: bool) -> str:
    cost = cost_text(take, free=free)
    final = '\u00a0<span title="the final of its cell">★</span>' if take.final else ""
    price = f'<span class="price">{_text(cost)}</span>' if cost else ""
    said = f"<em>{_text(said_text(take))}</em>" if said_text(take) else ""
    name = _text(take.id).replace("/", "/<wbr>")
    return (
        f'<span class="cap"><span><b>{_text(take.label)}{final}</b></span>'
        f'<span><span class="tone">{_text(take.word)}</span>{price}</span><code>{name}</code>{said}</span>'
    )


def _is_free(sheet: Sheet) -> bool:
    return sheet.provider == "previz"


def _text(text: str) -> str:
    """Text between tags and inside double quotes."""
    return escape(text, quote=True)


def _quoted(url: str) -> str:
    """A URL inside CSS; links are percent-quoted, so neither quotes nor brackets are left in them."""
    return '"' + url.replace("\\", "%5C").replace('"', "%22") + '"'
