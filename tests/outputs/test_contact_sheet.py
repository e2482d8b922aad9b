"""Claim: a contact sheet shows everything, breaks over nothing, stays within bounds, and harms no file but its own."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from decimal import Decimal
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from urllib.parse import unquote

import pytest
from PIL import Image

from kling_render.outputs.contact_sheet import layout
from kling_render.outputs.contact_sheet.files import sheet_files, single_page, single_pictures
from kling_render.outputs.contact_sheet.layout import pages
from kling_render.outputs.contact_sheet.records import Heading, Sheet, ShotSheet, Shown, sums
from kling_render.outputs.contact_sheet.shelf import LIST, Shelved, Wanted, is_ours, shelve
from kling_render.outputs.contact_sheet.words import cost_text, sums_text
from kling_render.outputs.stale import stale_outputs
from kling_render.outputs.tree import OutputTree
from kling_render.store.hashing import sha256_of
from tests.outputs.sheets import sheet


class Read(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.said = ""
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.said += data

    def every(self, tag: str, name: str) -> list[str]:
        return [attrs[name] or "" for found, attrs in self.tags if found == tag and name in attrs]


class Digests:
    """Reads every time."""

    def sha256(self, path: Path) -> str:
        return sha256_of(path)

    def remember(self, path: Path, sha256: str) -> None:
        del path, sha256


def write(root: Path, made: Sheet, stamp: str = "20260801T120000Z") -> Shelved:
    root.mkdir(exist_ok=True)
    return shelve(OutputTree(root=root, digests=Digests(), stamp=stamp), sheet_files(made, root))


def test_a_page_shows_every_take_with_id_state_cost_and_warning(tmp_path: Path) -> None:
    """And links to each film, by a path that a browser understands."""
    made = sheet(tmp_path, shots=1)
    write(tmp_path / "out", made)
    page = Read((tmp_path / "out/contact-sheet.html").read_bytes())
    for take in made.takes:
        assert take.id in page.said
    assert page.said.count("$0.448") >= 4
    assert "frozen at 1.0–3.0 s" in page.said
    links = [unquote(link) for link in page.every("a", "href")]
    assert {(tmp_path / "out" / link).resolve() for link in links} == {t.film for t in made.takes if t.film}


def test_nothing_that_a_shot_list_says_becomes_markup(tmp_path: Path) -> None:
    """Names, prompts, messages and the project's title are text, and nothing is fetched from elsewhere."""
    write(tmp_path / "out", sheet(tmp_path))
    for file in (tmp_path / "out").rglob("*.html"):
        page = Read(file.read_bytes())
        assert not {"i", "script", "iframe"} & {tag for tag, _ in page.tags}
        assert "<b>&" in page.said
        assert "Füchsin 狐 <i>" in page.said
        assert not [link for tag in ("img", "a", "link") for link in page.every(tag, "src") if "://" in link]
        assert b"<script" not in file.read_bytes()


def test_every_picture_of_a_page_lies_where_the_page_looks(tmp_path: Path) -> None:
    """On the project's page, and on those of the shots, which lie deeper."""
    write(tmp_path / "out", sheet(tmp_path))
    found = sorted((tmp_path / "out").rglob("*.html"))
    assert [file.relative_to(tmp_path / "out").as_posix() for file in found] == [
        "contact-sheet.html", "contact-sheets/sc000.html", "contact-sheets/sc001.html",
    ]  # fmt: skip
    for file in found:
        page = Read(file.read_bytes())
        moving = [style.partition('url("')[2].rstrip('")') for style in page.every("span", "style") if "url" in style]
        assert moving
        for link in [*page.every("img", "src"), *moving]:
            assert (file.parent / link).is_file(), link


def test_the_same_sheet_gives_the_same_bytes_and_touches_nothing(tmp_path: Path) -> None:
    """A second export writes no file; a third, into another folder, the same ones."""
    made = sheet(tmp_path)
    first = write(tmp_path / "out", made)
    assert not first.unchanged
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files(tmp_path / "out")}
    again = write(tmp_path / "out", made)
    assert (again.written, sorted(again.unchanged)) == ([], sorted(first.written))
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files(tmp_path / "out")} == before
    write(tmp_path / "oth", made)
    assert {p.relative_to(tmp_path / "oth"): p.read_bytes() for p in files(tmp_path / "oth")} == {
        p.relative_to(tmp_path / "out"): data for p, (_, data) in before.items()
    }


def files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())


def test_a_change_makes_anew_only_what_shows_it(tmp_path: Path) -> None:
    """One cell of the second shot has another state: the first shot's files stay."""
    made = sheet(tmp_path)
    write(tmp_path / "out", made)
    first, second = made.shots
    (key, takes), *_ = second.cells.items()
    changed = replace(second, cells={**second.cells, key: (replace(takes[0], state="running"),)})
    done = write(tmp_path / "out", replace(made, shots=(first, changed)))
    assert sorted(path for path in done.written if not path.endswith(".webp")) == [
        "contact-sheet.html", "contact-sheet.png", "contact-sheets/sc001.html", "contact-sheets/sc001.png",
    ]  # fmt: skip


def test_what_stands_in_the_way_goes_to_the_trash_and_is_named(tmp_path: Path) -> None:
    """A stranger's file, and one of ours that somebody edited."""
    root = tmp_path / "out"
    root.mkdir()
    (root / "contact-sheet.html").write_text("mine")
    done = write(root, sheet(tmp_path))
    assert done.trashed == [".trash/20260801T120000Z/contact-sheet.html"]
    assert (root / done.trashed[0]).read_text() == "mine"
    (root / "contact-sheets/sc000.html").write_text("edited")
    done = write(root, sheet(tmp_path), "20260802T120000Z")
    assert done.trashed == [".trash/20260802T120000Z/contact-sheets/sc000.html"]
    assert (root / done.trashed[0]).read_text() == "edited"


def test_files_of_a_shot_that_is_gone_go_too_unless_they_were_edited(tmp_path: Path) -> None:
    """Nothing of somebody else's is removed."""
    root, made = tmp_path / "out", sheet(tmp_path, shots=3)
    write(root, made)
    (root / "contact-sheets/sc002.html").write_text("edited")
    (root / "contact-sheets/notes.html").write_text("mine")
    done = write(root, replace(made, shots=made.shots[:2]))
    assert "contact-sheets/sc002.png" in done.removed
    assert (root / "contact-sheets/sc002.html").read_text() == "edited"
    assert (root / "contact-sheets/notes.html").read_text() == "mine"
    assert not (root / "contact-sheets/sc002.png").exists()


@pytest.mark.parametrize("text", ["", "{", '{"format": "kling-render.contact-sheets/1", "files": [1]}', "[" * 9999])
def test_a_broken_list_only_costs_work(text: str, tmp_path: Path) -> None:
    """What stands there counts as somebody's, except where it has the very bytes."""
    root, made = tmp_path / "out", sheet(tmp_path)
    write(root, made)
    (root / LIST).write_text(text)
    done = write(root, made)
    assert (done.written, done.trashed) == ([], [])
    assert json.loads((root / LIST).read_text())["files"]


def test_a_list_that_names_other_files_removes_none_of_them(tmp_path: Path) -> None:
    """It may come from a shared project."""
    root = tmp_path / "out"
    write(root, sheet(tmp_path))
    (tmp_path / "secret.txt").write_text("keep")
    (root / "take.mp4").write_text("keep")
    content = json.loads((root / LIST).read_text())
    for path in ("../secret.txt", "take.mp4", "contact-sheets/../take.mp4", str(tmp_path / "secret.txt")):
        content["files"][path] = {"sha256": sha256_of(root / "take.mp4"), "recipe": ""}
    (root / LIST).write_text(json.dumps(content))
    assert write(root, sheet(tmp_path)).removed == []
    assert (root / "take.mp4").exists()
    assert (tmp_path / "secret.txt").exists()


def test_a_folder_that_leads_elsewhere_is_not_written_through(tmp_path: Path) -> None:
    """A planted symlink is refused."""
    root = tmp_path / "out"
    (tmp_path / "elsewhere").mkdir()
    root.mkdir()
    os.symlink(tmp_path / "elsewhere", root / "contact-sheets")
    with pytest.raises(OSError, match="symlink"):
        write(root, sheet(tmp_path))
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_sheets_are_not_stale_outputs(tmp_path: Path) -> None:
    """`render --prune` leaves them where they are."""
    root = tmp_path / "out"
    write(root, sheet(tmp_path))
    assert stale_outputs(root, ()) == []
    assert all(is_ours(path.relative_to(root).as_posix()) for path in files(root))
    assert not is_ours("contact-sheets/take.mp4")


def test_shots_whose_ids_differ_in_case_only_get_files_of_their_own(tmp_path: Path) -> None:
    """Some disks see no difference."""
    one = sheet(tmp_path, shots=1).shots[0]
    both = Sheet(project="p", provider="aimlapi", shots=(replace(one, id="A"), replace(one, id="a")))
    done = write(tmp_path / "out", both)
    assert {"contact-sheets/A.html", "contact-sheets/a~2.html"} <= set(done.written)


def test_a_shots_second_page_is_not_another_shots_first(tmp_path: Path) -> None:
    """The shot `a` goes on over several pages, and there is a shot `a-2`; an id of any length makes a name."""
    one = sheet(tmp_path, shots=1).shots[0]
    shots = tuple(replace(plain(60, 12, 1), id=id_) for id_ in ("a", "a-2", "x" * 255, "x" * 254 + "y"))
    done = write(tmp_path / "out", Sheet(project="p", provider="aimlapi", shots=(*shots, one)))
    assert len(set(done.written)) == len(done.written)
    assert {"contact-sheets/a.2.png", "contact-sheets/a-2.png", "contact-sheets/a-2.2.png"} <= set(done.written)
    again = write(tmp_path / "out", Sheet(project="p", provider="aimlapi", shots=(*shots, one)))
    assert (again.written, again.trashed) == ([], [])


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_a_film_below_a_folder_whose_name_is_no_text_is_linked(tmp_path: Path) -> None:
    """Its bytes are quoted as they are."""
    made = sheet(tmp_path, shots=1)
    page = Read(single_page(made, Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")) / "a.html"))
    assert page.every("a", "href")[0].startswith("../takes/")
    moved = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9/film.mp4"))
    shot = replace(made.shots[0], cells={key: (replace(t[0], film=moved),) for key, t in made.shots[0].cells.items()})
    page = Read(single_page(replace(made, shots=(shot,)), tmp_path / "a.html"))
    assert page.every("a", "href")[0] == "caf%E9/film.mp4"


def test_a_payment_counts_once_and_what_was_sent_has_a_sum_of_its_own(tmp_path: Path) -> None:
    """Three jobs share a result; one runs, one has a result of unknown cost; one failed and would not be sent again."""
    first = next(take for take in sheet(tmp_path, shots=1).takes if take.stills)
    paid = [replace(first, id=f"{n}/t01", payment="A1", usd=Decimal("0.4")) for n in range(3)]
    others = [
        replace(first, id="r", state="running", paid=False, payment="A2", usd=Decimal("0.3")),
        replace(first, id="u", paid=False, payment="A3", usd=Decimal("0.2")),
        replace(first, id="f", state="failed", paid=False, usd=Decimal("0.1")),
    ]
    said = sums_text(sums([*paid, *others]), free=False)
    assert said.endswith(" · $0.40 and 1 of unknown cost · about $0.30 under way or in doubt")
    assert [cost_text(take, free=False) for take in others] == ["~$0.30", "~$0.20", ""]


def test_two_exports_at_once_take_nothing_of_each_other_for_a_strangers(tmp_path: Path) -> None:
    """The other one writes the same bytes while this one makes them."""
    root = tmp_path / "out"
    (root / "contact-sheets").mkdir(parents=True)
    path = root / "contact-sheets/a.html"

    def meanwhile() -> bytes:
        path.write_bytes(b"page")
        return b"page"

    tree = OutputTree(root=root, digests=Digests(), stamp="20260801T120000Z")
    done = shelve(tree, [Wanted("contact-sheets/a.html", "", meanwhile)])
    assert (done.written, done.unchanged, done.trashed) == ([], ["contact-sheets/a.html"], [])


def test_an_export_that_ends_midway_leaves_pages_that_the_next_one_knows(tmp_path: Path) -> None:
    """Nothing of ours goes to the trash because a kill came before the end."""
    root, made = tmp_path / "out", sheet(tmp_path)

    def killed() -> bytes:
        raise KeyboardInterrupt

    files = sheet_files(made, root)
    tree = OutputTree(root=root, digests=Digests(), stamp="20260801T120000Z")
    root.mkdir()
    with pytest.raises(KeyboardInterrupt):
        shelve(tree, [*files[:-1], replace(files[-1], make=killed)])
    assert write(root, replace(made, project="renamed")).trashed == []


def test_a_damaged_copy_of_a_picture_is_replaced_and_nobodys_work(tmp_path: Path) -> None:
    """Its name says what it holds."""
    root, made = tmp_path / "out", sheet(tmp_path)
    write(root, made)
    copy = next((root / "contact-sheets/media").iterdir())
    whole = copy.read_bytes()
    copy.write_bytes(b"")
    done = write(root, made)
    assert (done.written, done.trashed) == ([copy.relative_to(root).as_posix()], [])
    assert copy.read_bytes() == whole


@pytest.mark.parametrize(("rows", "columns", "takes"), [(1, 1, 1), (10, 20, 1), (60, 3, 1), (2, 90, 1), (3, 3, 9)])
def test_a_picture_is_never_larger_than_its_bound(rows: int, columns: int, takes: int, tmp_path: Path) -> None:
    """What does not fit goes on over further pages, and every take is on exactly one."""
    shot = plain(rows, columns, takes)
    found = pages([shot])
    assert all(max(page.width, page.height) <= layout.MOST for page in found)
    cells = [(row.id, column.id) for page in found for g in page.grids for row in g.rows for column in g.columns]
    assert sorted(cells) == sorted(shot.cells)
    assert len(found) == 1 or rows * columns > 100


def plain(rows: int, columns: int, takes: int) -> ShotSheet:
    heads = tuple(Heading(id=f"r{n}") for n in range(rows)), tuple(Heading(id=f"c{n}") for n in range(columns))
    cells = {
        (row.id, column.id): tuple(
            Shown(id=f"{row.id}/{column.id}/t{n}", take=n, values=(), state="to-render", usd=None, paid=False)
            for n in range(takes)
        )
        for row in heads[0]
        for column in heads[1]
    }
    return ShotSheet(id="s", rows=heads[0], columns=heads[1], cells=cells)


def test_a_picture_shows_the_posters_and_is_marked_as_ours(tmp_path: Path) -> None:
    """Its colours are those of the posters; a poster that was deleted meanwhile leaves its place empty."""
    made = sheet(tmp_path, shots=1)
    ((path, data),) = single_pictures(made, tmp_path / "sheet.png")
    with Image.open(BytesIO(data)) as image:
        assert image.info["Software"] == "kling-render contact-sheet"
        colours = {colour for count, colour in image.getcolors(1 << 20) or [] if count > 2000}
    assert path == tmp_path / "sheet.png"
    assert {(200, 40, 40), (40, 160, 60), (60, 80, 220)} <= colours
    first = next(take for take in made.takes if take.stills)
    assert first.stills is not None
    first.stills.poster.unlink()
    assert list(single_pictures(made, tmp_path / "sheet.png"))


def test_names_of_every_script_stand_on_the_picture(tmp_path: Path) -> None:
    """In Latin letters, since the font has no others."""
    made = sheet(tmp_path, shots=1)

    def drawn(name: str) -> bytes:
        shots = tuple(replace(shot, rows=tuple(replace(row, name=name) for row in shot.rows)) for shot in made.shots)
        ((_path, data),) = single_pictures(replace(made, shots=shots), tmp_path / "sheet.png")
        return data

    assert drawn("キツネ") != drawn("")
    assert drawn("キツネ") == drawn("kitsune")


def test_a_page_of_its_own_holds_its_pictures(tmp_path: Path) -> None:
    """It can be sent by mail; only films are linked."""
    page = Read(single_page(sheet(tmp_path), tmp_path / "mail.html"))
    assert all(source.startswith("data:image/webp;base64,") for source in page.every("img", "src"))


def test_an_empty_selection_has_a_page_all_the_same(tmp_path: Path) -> None:
    """A project without jobs breaks nothing."""
    empty = Sheet(project="p", provider="previz")
    assert b"0 jobs" in single_page(empty, tmp_path / "a.html")
    assert len(list(single_pictures(empty, tmp_path / "a.png"))) == 1
