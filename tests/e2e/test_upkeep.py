"""The store looked after from the command line: verified, tidied up, exported, imported; and nothing is paid again."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.e2e.harness import PAY, Studio, finished, paid_once, valid, wait_until


def blobs(studio: Studio) -> list[Path]:
    return sorted(path for path in (studio.store / "blobs").rglob("*") if path.is_file())


def spoil(path: Path) -> None:
    """Another byte, the same size."""
    path.chmod(0o600)
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


def test_damaged_results_come_from_the_output_or_the_provider_and_are_never_paid_again(studio: Studio) -> None:
    """With the output at hand nobody is asked; without it the provider is, for nothing."""
    assert studio.render().code == 0
    sound = studio.run("verify", "--read-data", "--json")
    valid(sound.json, "verify")
    assert (sound.code, sound.json["sound"], sound.json["totals"]["results"]) == (0, True, 2)
    spoil(blobs(studio)[0])
    assert studio.run("verify").code == 0
    mended = studio.run("verify", "--read-data", AIMLAPI_KEY="")
    assert (mended.code, mended.out.count("was taken from")) == (0, 1), mended.text
    shutil.rmtree(studio.project / "renders")
    for blob in blobs(studio):
        spoil(blob)
    keyless = studio.run("verify", "--read-data", "--json", AIMLAPI_KEY="")
    valid(keyless.json, "verify")
    damage = [finding for finding in keyless.json["findings"] if finding["state"] == "damage"]
    assert (keyless.code, len(damage)) == (7, 2), keyless.text
    assert all("kling-render pull" in finding["help"] and finding["usd"] for finding in damage)
    fetched = studio.run("verify", "--read-data")
    assert (fetched.code, fetched.out.count("fetched again for nothing")) == (0, 2), fetched.text
    assert studio.videos() == {}
    assert (studio.run("pull").code, len(studio.videos()), studio.accepted()) == (0, 4, 2)
    paid_once(studio.book())


def test_verify_is_safe_beside_a_render_and_gc_waits_for_it(studio: Studio) -> None:
    """Both end well; nothing is moved while a run is at work."""
    studio.sandbox.config(generation_seconds=60)
    render = studio.start("render", *PAY)
    wait_until(lambda: studio.accepted() == 2)
    assert studio.run("verify", "--read-data").code == 0
    (studio.store / "tmp" / "dead.0001").write_bytes(b"x")
    refused = studio.run("gc", "--yes", "--json")
    valid(refused.json, "gc")
    assert (refused.code, refused.json["errors"][0]["code"]) == (7, "store-locked"), refused.text
    studio.sandbox.advance(100)
    assert finished(render).code == 0
    paid_once(studio.book())


def test_gc_keeps_what_was_paid_until_told_and_what_is_wanted_again_comes_back(studio: Studio) -> None:
    """The old prompt's results go to the trash only with --paid; going back to it costs nothing."""
    assert studio.render().code == 0
    studio.write_list(shots=[{"id": "sc010", "prompt": "in a park"}])
    assert studio.render("--prune").code == 0
    assert studio.accepted() == 4
    listed = studio.run("gc", "--json")
    valid(listed.json, "gc")
    assert {(item["kind"], item["paid"], item["goes"]) for item in listed.json["items"]} == {
        ("superseded", True, False)
    }
    assert len(listed.json["items"]) == 2
    assert all(item["usd"] not in (None, "0") for item in listed.json["items"])
    assert "--paid" in studio.run("gc", "--yes").out
    assert "`kling-render gc --paid --yes` moves it" in studio.run("gc", "--paid").out
    assert len(blobs(studio)) == 4
    moved = studio.run("gc", "--paid", "--yes", "--json")
    valid(moved.json, "gc")
    assert (moved.json["action"], moved.json["totals"]["files"], len(blobs(studio))) == ("moved", 2, 2)
    assert studio.run("verify").code == 0
    assert len(blobs(studio)) == 4  # what the ledger promises, verify brings back
    assert studio.run("gc", "--paid", "--yes").code == 0
    studio.write_list()
    studio.sandbox.faults("cdn:status,status=500")
    again = studio.render()
    assert (again.code, studio.accepted(), len(blobs(studio))) == (0, 4, 4), again.text
    paid_once(studio.book())


def test_gc_comes_back_and_an_emptied_trash_is_fetched_again_for_nothing(studio: Studio) -> None:
    """Undo, twice; then for good, which takes --paid and --now."""
    assert studio.render().code == 0
    studio.write_list(shots=[{"id": "sc010", "prompt": "in a park"}])
    assert studio.render("--prune").code == 0
    before = [path.read_bytes() for path in blobs(studio)]
    assert studio.run("gc", "--paid", "--yes").code == 0
    undone = studio.run("gc", "--undo", "--json")
    valid(undone.json, "gc")
    assert (undone.json["action"], [path.read_bytes() for path in blobs(studio)]) == ("undone", before)
    assert "nothing to bring back" in studio.run("gc", "--undo").out
    assert studio.run("gc", "--paid", "--yes").code == 0
    for words in (("--yes", "--now"), ("--yes", "--paid")):
        assert studio.run("gc", "--empty-trash", *words).code == 0
        assert len(list((studio.store / "trash").glob("*/blobs/*"))) == 2
    emptied = studio.run("gc", "--empty-trash", "--yes", "--now", "--paid")
    assert (emptied.code, list((studio.store / "trash").iterdir())) == (0, []), emptied.text
    studio.write_list()
    again = studio.render()
    assert (again.code, studio.accepted(), len(blobs(studio))) == (0, 4, 4), again.text
    paid_once(studio.book())


def test_a_store_moves_to_another_machine_and_nothing_is_paid_there(studio: Studio) -> None:
    """What is done is restored, what runs is fetched; the account's log is read before anything is paid."""
    assert studio.render("sc010/fox").code == 0
    assert studio.render("--detach").code == 0
    exported = studio.run("store", "export", "../all.tar", "--json")
    valid(exported.json, "store")
    assert (exported.code, exported.json["attempts"], exported.json["files"]) == (0, 2, 1), exported.text
    assert studio.key.encode() not in (studio.folder / "all.tar").read_bytes()
    assert studio.run("store", "export", "../all.tar").code == 2
    shutil.rmtree(studio.store)
    shutil.rmtree(studio.project / "renders")
    imported = studio.run("store", "import", "../all.tar", "--json")
    valid(imported.json, "store")
    assert (imported.code, imported.json["attempts"], imported.json["files"]) == (0, 2, 1), imported.text
    assert studio.run("verify", "--read-data").out.endswith("sound\n")
    again = studio.render()
    assert (again.code, studio.accepted(), len(studio.videos())) == (0, 2, 4), again.text
    assert studio.render().out.startswith("everything is up to date")
    for words in (("export", "nowhere/all.tar"), ("export", "-"), ("import", "nothing.tar"), ("import", "-")):
        assert studio.run("store", *words).code == 2
    (studio.folder / "bad.tar").write_bytes(b"no export")
    bad = studio.run("store", "import", "../bad.tar")
    assert (bad.code, "no sound export" in bad.err) == (7, True), bad.text
    paid_once(studio.book())
