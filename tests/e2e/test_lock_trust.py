"""What an entry of the lock file is believed, what it promises, and how keeping travels with it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.e2e.harness import Ended, Studio, paid_once, valid
from tests.e2e.test_lock import CAT, FOX, clone, conflict, damage, lock_of, locked, lost

DUSK = [{"id": "sc010", "prompt": "on a roof, at dusk"}]
ROOF = [{"id": "sc010", "prompt": "on a roof"}]


def totals(studio: Studio, *words: str) -> dict[str, Any]:
    """What a plan comes to."""
    ended = studio.run("plan", "--json", *words)
    assert ended.code == 0, ended.text
    valid(ended.json, "plan")
    return dict(ended.json["totals"])


def no_work(studio: Studio) -> bool:
    """Whether a plan is empty: every job is up to date."""
    sums = totals(studio)
    return bool(sums["up_to_date"] == sums["jobs"])


def keep(studio: Studio, *words: str) -> Ended:
    ended = studio.run("keep", *words)
    assert ended.code == 0, ended.text
    return ended


def test_what_was_taken_back_is_as_if_it_had_never_been_kept(studio: Studio) -> None:
    """The lock file is the one from before; `pull`, `render` and a saved plan know an edited job, and pay for it."""
    assert studio.render().code == 0
    assert no_work(studio)
    studio.write_list(shots=DUSK)
    before = lock_of(studio).read_bytes()
    keep(studio, "sc010", "--yes", "--note", "a comma")
    assert no_work(studio)
    valid(locked(studio), "lock")
    assert locked(studio)["jobs"][FOX]["kept"]["why"] == "a comma"
    assert "taken back: 2 results" in keep(studio, "sc010", "--undo", "--yes").out
    assert lock_of(studio).read_bytes() == before
    assert studio.run("pull").code == 0
    assert (totals(studio)["render"], lock_of(studio).read_bytes()) == (2, before)
    assert studio.run("render").code == 5
    assert studio.run("plan", "-o", "friday.plan.json", "sc010/fox").code == 0
    applied = studio.run("render", "--plan", "friday.plan.json", "--yes")
    assert (applied.code, studio.accepted()) == (0, 3), applied.text
    assert studio.render().code == 0
    assert (studio.accepted(), no_work(studio)) == (4, True)
    assert "kept" not in lock_of(studio).read_text()


def test_what_was_taken_back_stays_so_where_the_file_cannot_be_written(studio: Studio) -> None:
    """A read-only file, or one in conflict, still says that it was kept: it is told, and not believed here."""
    assert studio.render().code == 0
    studio.write_list(shots=DUSK)
    keep(studio, "sc010", "--yes")
    kept = lock_of(studio).read_bytes()
    lock_of(studio).chmod(0o444)
    undone = keep(studio, "sc010/fox", "--undo")
    assert "is read-only: it was left as it is" in undone.err, undone.text
    assert "still says that it was kept" in undone.err, undone.text
    assert lock_of(studio).read_bytes() == kept
    assert studio.run("pull").code == 0
    assert totals(studio)["render"] == 1
    lock_of(studio).chmod(0o644)
    lock_of(studio).write_text(conflict(kept.decode(), kept.decode().replace("dusk", "dawn")))
    mended = keep(studio, "sc010/cat", "--undo")
    assert "has merge conflicts: it was written anew" in mended.err, mended.text
    assert "kept" not in lock_of(studio).read_text()
    assert studio.run("pull").code == 0
    assert (totals(studio)["render"], studio.accepted()) == (2, 2)


def test_an_empty_store_knows_what_was_kept_and_goes_back(studio: Studio, tmp_path: Path) -> None:
    """Who, when and why travel in the file; both clones write the same; undoing works there, the old list is free."""
    assert studio.render().code == 0
    studio.write_list(shots=DUSK)
    keep(studio, "sc010", "--yes", "--note", 'a \x1b[31mcomma\x1b[0m {} "quoted"')
    told = studio.run("explain", FOX, "--json").json["result"]["kept"]
    text = lock_of(studio).read_bytes()
    other = clone(studio, tmp_path / "other")
    planned = other.run("plan", "--json").json
    assert {job["action"] for job in planned["jobs"]} == {"adopt"}
    assert f"kept from {told['fingerprint'][:12]} by {told['by']}" in planned["jobs"][0]["reasons"][0]["text"]
    exact = other.run("render", "--locked")
    assert (exact.code, other.videos(), other.accepted()) == (0, studio.videos(), 2), exact.text
    assert no_work(other)
    assert lock_of(other).read_bytes() == text
    there = other.run("explain", FOX, "--json")
    valid(there.json, "explain")
    assert there.json["result"]["kept"] | {"at": ""} == told | {"at": ""}
    assert there.json["result"]["kept"]["at"][:19] == told["at"][:19]
    assert f"paid for {told['fingerprint'][:12]}…, which {told['by']} kept it from" in other.run("explain", FOX).out
    assert other.run("verify").code == 0
    keep(other, "sc010/fox", "--undo")
    assert (totals(other)["render"], studio.accepted()) == (1, 2)
    assert locked(other)["jobs"][FOX]["fingerprint"] == told["fingerprint"]
    assert "it is not known what changed" in keep(other, FOX, "--yes").out
    keep(other, FOX, "--undo")
    other.write_list(shots=ROOF)
    assert no_work(other)
    shutil.rmtree(other.project / "renders")
    back = other.run("pull")
    assert (back.code, other.accepted(), no_work(other)) == (0, 2, True), back.text
    assert other.videos() == studio.videos()


def swapped(studio: Studio) -> None:
    """Two entries name each other's result: a careless merge, or a hostile pull request."""
    jobs = locked(studio)["jobs"]
    for job, other in ((FOX, jobs[CAT]), (CAT, jobs[FOX])):
        damage(studio, job, sha256=other["sha256"], generation_id=other["generation_id"])


def test_another_requests_result_is_not_believed(studio: Studio) -> None:
    """The account's log says what a generation was paid for: --locked fails, and `render` finds the right ones."""
    assert studio.render().code == 0
    right, want = locked(studio), studio.videos()
    swapped(studio)
    lost(studio)
    exact = studio.run("render", "--locked")
    assert (exact.code, studio.videos(), studio.accepted()) == (3, {}, 2), exact.text
    assert "was paid for another request" in exact.text
    assert "does not say that it was kept" in exact.text
    assert studio.run("render").code == 5
    plain = studio.render()
    assert (plain.code, studio.accepted(), studio.videos()) == (0, 2, want), plain.text
    assert locked(studio) == right
    paid_once(studio.book())


def test_a_store_that_knows_better_does_not_believe_either(studio: Studio, tmp_path: Path) -> None:
    """An entry gives an edited job its old result, and nobody kept it: it is neither promised nor linked."""
    assert studio.render().code == 0
    other = clone(studio, tmp_path / "other", store=studio.store)
    studio.write_list(shots=DUSK)
    new = {job["id"]: job["fingerprint"] for job in studio.run("plan", "--json").json["jobs"]}
    damage(studio, FOX, fingerprint=new[FOX])
    damage(studio, CAT, fingerprint=new[CAT], kept={"from": "0" * 64, "by": "eve", "at": "", "why": ""})
    assert totals(studio)["render"] == 2
    pulled = studio.run("pull")
    assert (pulled.code, totals(studio)["render"]) == (0, 2), pulled.text
    assert "does not say that it was kept" in pulled.err
    assert "not for the one that the lock file says it was kept from" in pulled.err
    assert studio.run("render").code == 5
    shutil.rmtree(other.project / "renders", ignore_errors=True)
    assert other.run("pull").code == 0
    assert other.videos() == studio.videos()


def test_a_plan_counts_on_the_file_and_a_render_asks_before_it_pays_for_dead_links(studio: Studio) -> None:
    """Promised, not priced; "up to" if dead. What turns out dead is priced, and no consent is assumed."""
    assert studio.render("sc010/fox").code == 0
    fox = locked(studio)["jobs"][FOX]["generation_id"]
    lost(studio)
    sums = totals(studio)
    assert (sums["adopt"], sums["locked"], sums["render"]) == (1, 1, 1)
    assert (sums["estimate_usd"], sums["locked_up_to_usd"], sums["saved_usd"]) == ("0.336", "0.336", "0")
    shown = studio.run("plan").out
    assert "if links are dead up to $0.672" in shown, shown
    assert f"locked: paid generation {fox}, fetched for nothing while its link lives" in shown
    assert "1  to fetch by the lock file, paid before" in " ".join(shown.split("\n"))
    assert "state:locked" not in studio.run("status", "state:locked").err
    assert "to fetch, free" in studio.run("explain", FOX).out
    assert studio.run("plan", "-o", "friday.plan.json", "sc010/fox").code == 0
    assert json.loads((studio.project / "friday.plan.json").read_text())["ceiling_usd"] == "0"
    damage(studio, FOX, generation_id="nobody-knows-it")
    refused = studio.run("render", "--plan", "friday.plan.json", "--yes")
    assert (refused.code, "to fetch by the lock file, for nothing" in refused.err) == (2, True), refused.text
    unasked = studio.run("render", "sc010/fox")
    assert (unasked.code, "about $0.336" in unasked.err) == (5, True), unasked.text
    assert (totals(studio)["locked"], studio.accepted()) == (0, 1)
    damage(studio, FOX, generation_id=fox)
    assert studio.run("plan", "-o", "friday.plan.json", "sc010/fox").code == 0
    applied = studio.run("render", "--plan", "friday.plan.json")
    assert (applied.code, studio.accepted(), len(studio.videos())) == (0, 1, 2), applied.text


def test_a_file_that_cannot_be_written_is_told_before_anything_is_paid(studio: Studio) -> None:
    """A folder in its place refuses, exit 2; a read-only one warns before consent, and is left as it is."""
    lock_of(studio).mkdir()
    refused = studio.render("sc010/fox")
    assert (refused.code, "is a folder" in refused.err, studio.accepted()) == (2, True, 0), refused.text
    lock_of(studio).rmdir()
    assert studio.render("sc010/fox").code == 0
    text = lock_of(studio).read_bytes()
    lock_of(studio).chmod(0o444)
    unasked = studio.run("render")
    assert (unasked.code, "known to this store alone" in unasked.err) == (5, True), unasked.text
    ended = studio.render()
    assert (ended.code, lock_of(studio).read_bytes(), studio.accepted()) == (0, text, 2), ended.text


def test_an_entry_with_a_wrong_amount_still_points_to_what_was_paid(studio: Studio) -> None:
    """Said once, used all the same; what nobody can read stays in the file until somebody mends it."""
    assert studio.render().code == 0
    usd = locked(studio)["jobs"][FOX]["usd"]
    damage(studio, FOX, usd="a lot", note="from Ada")
    damage(studio, CAT, fingerprint="half a digest")
    lost(studio)
    shown = studio.run("plan", "--json")
    assert (shown.json["totals"]["locked"], shown.json["totals"]["render"]) == (1, 1)
    assert "the entry of sc010/cat/wave/t01 cannot be read (and 1 more)" in shown.err, shown.text
    assert studio.run("render", "--locked").code == 2
    assert studio.run("pull", "sc010/fox").code == 0
    jobs = locked(studio)["jobs"]
    assert (jobs[FOX]["usd"], jobs[FOX]["note"], jobs[CAT]["fingerprint"]) == (usd, "from Ada", "half a digest")
    assert "the entry of sc010/cat/wave/t01 cannot be read" in studio.run("plan").err
    assert studio.render().code == 0
    valid(locked(studio), "lock")
    assert studio.accepted() == 2


def test_a_generation_that_was_adopted_by_hand_is_believed_elsewhere(studio: Studio, tmp_path: Path) -> None:
    """It was paid for another request, as the log says: the file names who adopted it, and why."""
    assert studio.render("sc010/fox").code == 0
    (paid,) = (entry["generation_id"] for entry in locked(studio)["jobs"].values())
    second, third = clone(studio, tmp_path / "second"), clone(studio, tmp_path / "third")
    for each in (second, third):
        each.write_list(shots=DUSK)
        lock_of(each).unlink()
    assert second.run("adopt", FOX, paid, "--note", "good enough").code == 0
    assert second.run("pull").code == 0
    told = locked(second)["jobs"][FOX]["kept"]
    assert (len(told["from"]), told["why"]) == (32, "good enough")
    text = lock_of(second).read_bytes()
    assert second.run("pull").code == 0
    shutil.copyfile(lock_of(second), lock_of(third))
    exact = third.run("render", "--locked", "sc010/fox")
    assert (exact.code, len(third.videos()), third.accepted()) == (0, 2, 1), exact.text
    assert (lock_of(third).read_bytes(), lock_of(second).read_bytes()) == (text, text)


def test_a_pull_requests_comment_says_what_was_paid_before(studio: Studio) -> None:
    """Somebody rendered what they added, and committed the file: it is not counted as a cost, and said so."""

    def git(*words: str) -> None:
        identity = ("-c", "user.name=n", "-c", "user.email=e@example.com")
        subprocess.run(["git", *identity, *words], cwd=studio.project, capture_output=True, check=True)

    studio.write_list(characters={"fox": {"image": "fox.png"}})
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "base")
    studio.write_list()
    assert studio.render("sc010/cat").code == 0
    told = studio.run("plan", "--base", "HEAD", "--format", "markdown").out
    assert "nothing to render, $0.00" in told
    assert "1 job paid before, as the lock file says; if links are dead up to $0.336." in told
    document = studio.run("plan", "--base", "HEAD", "--json").json
    valid(document, "plan")
    assert (document["totals"]["locked"], document["base"]["added"]) == (1, [CAT])


def test_a_kept_result_that_cannot_be_had_now_is_waited_for_and_never_paid(studio: Studio, tmp_path: Path) -> None:
    """Its links fail, or the log does: it is paid, under the request it was kept from. It comes when it can."""
    assert studio.render("sc010/fox").code == 0
    studio.write_list(shots=DUSK)
    keep(studio, "sc010/fox", "--yes")
    other = clone(studio, tmp_path / "other")
    studio.sandbox.faults("cdn:status,status=404,every=1", "log:status,status=503,every=1")
    tried = other.render("sc010/fox")
    assert (other.accepted(), other.videos()) == (1, {}), tried.text
    assert "is paid, so the run goes on with it" in tried.err
    assert "so it is taken at its word" in tried.err
    again = other.render("sc010/fox")
    assert (other.accepted(), "which it was kept from, is not here yet" in again.err) == (1, True), again.text
    studio.sandbox.faults()
    for _ in range(2):
        assert other.run("pull").code == 0
    assert (other.accepted(), other.videos()) == (1, studio.videos())
    assert "nothing else says what it was paid for" in other.run("explain", FOX).out
    assert lock_of(other).read_bytes() == lock_of(studio).read_bytes()
