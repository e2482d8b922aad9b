"""A watch session on a terminal: what a person who saves all day sees, on every screen."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from kling_render.cli.pacing import Pace
from kling_render.cli.watch_live import LiveWatch
from kling_render.engine.work import Progress
from kling_render.watch.news import (
    Broken,
    Changed,
    Dropped,
    Holding,
    Leaving,
    News,
    Rendering,
    RunOver,
    Settled,
    Trouble,
)
from tests.cli.terminal import Terminal
from tests.cli.test_displays import HandClock
from tests.cli.watching import (
    FOLDER,
    IDS,
    PRICE,
    REFUSED,
    TYPO,
    WARNING,
    S,
    at,
    holding,
    note,
    plan,
    replanned,
    shown,
)

PROMPT = (FOLDER / "prompts/wave.j2",)
SUPERSEDED = RunOver(states=[("done", 1)], spent=Decimal(0), stops=(), superseded=True)
WAITS = holding(2, "7.2", None, "$7.20 is more than the $5.00 that a save may cost (watch.per_save_usd)")


class Screen:
    """A session on a terminal, with a clock that is moved by hand."""

    def __init__(self, width: int = 80, height: int = 24, *, keys: bool = True, encoding: str = "utf-8") -> None:
        self.terminal = Terminal(width, height)
        self.clock = HandClock()
        console = self.terminal.console(encoding=encoding)
        self.watch = LiveWatch(console, self.clock, folder=FOLDER, shown=shown, keys=keys)
        self.watch.__enter__()

    def tell(self, *news: News | Progress) -> str:
        """What stands on the terminal afterwards."""
        for each in news:
            self.watch.tell(each)
        return self.terminal.text

    def foot(self) -> str:
        """What stands under the history."""
        return self.terminal.text[self.terminal.text.rindex("── ") :]

    def close(self) -> str:
        self.watch.__exit__(None, None, None)
        return self.terminal.text


def run(*states: Progress) -> list[News | Progress]:
    return [Rendering(plan(3), tuple(IDS[:3])), *(at(n, S.WAITING) for n in range(3)), *states]


def test_it_says_at_once_what_it_does_and_then_what_it_watches() -> None:
    """Reading a large project takes a moment in which a blank screen looks broken."""
    screen = Screen()
    assert "reading   the project" in screen.terminal.text
    screen.tell(replanned())
    foot = screen.foot().splitlines()
    assert foot[0].startswith("── street-dance, 31 files watched ──")
    assert foot[1] == "watching  nothing was saved yet"
    assert foot[2] == "plan      = 8 up to date"
    assert "money     today $4.00   this hour $13.50 of $15.00 left" in foot
    assert foot[-1] == "p plan  e explain  w watched  o open  q quit"


def test_a_save_is_followed_from_the_first_byte_to_its_cost() -> None:
    """Changed, read, planned: each is seen; the history keeps the outcome."""
    screen = Screen()
    screen.tell(replanned(), Changed(PROMPT))
    assert "changed   prompts/wave.j2" in screen.foot()
    screen.tell(Settled(PROMPT))
    assert "reading   prompts/wave.j2" in screen.foot()
    screen.tell(replanned(2, "prompts/wave.j2"))
    assert "saved     prompts/wave.j2 → 2 to render, about $0.896" in screen.foot()
    assert "plan      ▶ 2 to render   = 6 up to date" in screen.foot()
    assert "edits     no result yet  2 jobs  about $0.896" in screen.foot()
    history = screen.close().splitlines()
    assert [line[8:] for line in history] == [
        "  watching   8 up to date",
        "  saved      prompts/wave.j2 → 2 to render, about $0.896",
    ]
    assert all(line[2] == line[5] == ":" for line in history)


def test_a_hold_counts_down_with_its_amount_and_its_keys() -> None:
    """Who sees it can still stop it, and knows what it costs."""
    screen = Screen()
    screen.tell(replanned(2, "a.yaml"), holding(2, "1", 7.0))
    assert "renders   2 jobs, about $0.896, up to $1.00, in 7 s; r now, c hold back" in screen.foot()
    assert screen.foot().splitlines()[-1].startswith("r render  c hold back  p plan")
    screen.clock.at = 4.5
    screen.tell(holding(2, "1", 7.0))
    assert "in 3 s; r now" in screen.foot()
    assert "renders" not in screen.tell(Holding(None))


def test_what_waits_says_why_and_which_key_it_waits_for() -> None:
    """Above the allowance nothing happens by itself, and the reason stands there."""
    screen = Screen(120)
    screen.tell(replanned(2, "a.yaml"), WAITS)
    assert (
        "waits     2 jobs, about $0.896, up to $7.20: $7.20 is more than the $5.00 that a save may cost"
        in screen.foot()
    )
    assert screen.foot().splitlines()[-1].startswith("r render  p plan")
    screen.tell(holding(2, None, None, "its price is not known"))
    assert "2 jobs, price not known: its price is not known" in screen.foot()


def test_an_error_stands_there_with_its_line_until_it_is_mended() -> None:
    """The caret is under the fault although the line is longer than the screen; the history keeps one line of it."""
    screen = Screen()
    screen.tell(replanned(), Broken("1 error in the input", (TYPO,)))
    lines = screen.foot().splitlines()
    (row,) = (n for n, line in enumerate(lines) if "{{ motoin.name }}" in line)
    assert lines[row + 1].index("^") == lines[row].index("{{")
    assert "help: did you mean 'motion'?" in screen.foot()
    screen.tell(replanned(0, "a.j2", differs=False))
    assert "^" not in screen.foot()
    assert (
        sum("broken     prompts/wave.j2:4:14: unknown name 'motoin'" in line for line in screen.close().splitlines())
        == 1
    )


def test_many_errors_leave_room_for_the_rest_and_say_how_to_see_all() -> None:
    """A template with forty mistakes does not push the money and the keys away."""
    screen = Screen(60, 16)
    screen.tell(replanned(), Broken("40 errors", (TYPO,) * 40), WAITS)
    foot = screen.foot()
    assert "… 40 errors in all; `kling-render check` shows them" in foot
    assert "waits     2 jobs" in foot
    assert foot.splitlines()[-1].startswith("r render")
    assert len(foot.splitlines()) < 16


def test_a_run_shows_its_jobs_how_far_it_is_and_what_it_costs() -> None:
    """The same rows as `render` has, with the same words."""
    screen = Screen(100, 30)
    screen.tell(replanned(3), *run(at(0, S.SUBMITTING), at(0, S.RUNNING)))
    screen.clock.at = 60
    screen.tell(at(0, S.DONE, credits=PRICE), at(1, S.SUBMITTING))
    foot = screen.foot()
    assert f"✓ done       {IDS[0]}" in foot
    assert "1/3" in foot
    assert "✓ 1 done   ↑ 1 submitting   · 1 waiting" in foot
    assert "money     today $4.00   spent $0.448   held $0.448" in foot
    assert foot.splitlines()[-1].endswith("q quit, jobs go on")
    screen.tell(RunOver(states=[("done", 3)], spent=Decimal("1.344"), stops=()), replanned(0))
    assert "1/3" not in screen.foot()
    assert "finished   3 done, $1.344 in 1:00" in screen.close()


def test_a_job_that_goes_on_in_the_next_run_keeps_its_time() -> None:
    """A save while jobs run starts another run about them; they are not younger for that."""
    screen = Screen()
    screen.tell(replanned(3), *run(at(0, S.SUBMITTING), at(0, S.RUNNING)))
    screen.clock.at = 90
    screen.tell(SUPERSEDED)
    assert "1:30" in screen.foot()
    screen.tell(*run(at(0, S.RUNNING)))
    assert any("▶ running" in line and "1:30" in line for line in screen.foot().splitlines())


def test_what_may_be_wrong_with_a_result_stays_in_the_history() -> None:
    """No summary follows a run of a session: this is where its user hears of a film that stands still."""
    screen = Screen(120)
    found = Progress(event="look", job=IDS[0], facts={"warnings": ["frozen at 1.0–3.0 s"]})
    screen.tell(replanned(3), *run(at(0, S.DONE)), found)
    history = "\n".join(line[10:] for line in screen.close().splitlines())
    assert f"warning    {IDS[0]}: frozen at 1.0–3.0 s" in history


def test_failures_notes_and_stops_stay_in_the_history_with_their_time_and_once() -> None:
    """What needs the user scrolls up, and does not vanish with the run; a newer save is no trouble."""
    screen = Screen(120)
    screen.tell(replanned(3), *run(at(0, S.FAILED, failure=REFUSED), at(0, S.FAILED, failure=REFUSED)))
    screen.tell(note("found again"), note("no credits", "stop", why="account"))
    screen.tell(note("a newer save goes on from here", "stop", why="superseded"))
    screen.tell(
        RunOver(states=[("failed", 1)], spent=Decimal(0), stops=("no credits", "no room"), notices=("moved a",))
    )
    screen.tell(Dropped((IDS[5],)), Trouble("the store is busy", "end the other process"))
    history = "\n".join(line[10:] for line in screen.close().splitlines())
    assert history.count("✗ failed") == history.count("the prompt was refused") == 1
    assert "note       found again" in history
    assert history.count("stopped    no credits") == history.count("stopped    no room") == 1
    assert "note       moved a" in history
    assert f"dropped    1 job, no longer wanted and not paid for: {IDS[5]}" in history
    assert "trouble    the store is busy; end the other process" in history
    assert "newer save" not in history


def test_what_stopped_a_run_stands_there_until_the_next_save() -> None:
    """Out of credits at three o'clock is still so at five, whatever scrolled since."""
    screen = Screen()
    stopped = RunOver(states=[("waiting", 3)], spent=Decimal(0), stops=("out of credits",))
    screen.tell(replanned(3), *run(), stopped, replanned(3, differs=False))
    assert "trouble   out of credits" in screen.foot()
    screen.tell(replanned(3, "a.yaml"))
    assert "out of credits" not in screen.foot()


def test_a_warning_is_printed_when_it_is_new() -> None:
    """Once per warning, not once per save."""
    screen = Screen()
    screen.tell(*[replanned(warnings=(WARNING,))] * 3)
    assert screen.close().count("nothing uses 'fox'") == 1


EVERYTHING: list[News | Progress] = [
    replanned(3, *(f"a/long/path/{n}.yaml" for n in range(9)), spent="14", left="0.5"),
    *run(at(0, S.SUBMITTING), at(0, S.RUNNING, detail="queued"), at(1, S.FAILED, failure=REFUSED)),
    Trouble("something does not work " * 20),
    Broken("2 errors in the input", (TYPO, TYPO)),
    WAITS,
]


@pytest.mark.parametrize("news", [EVERYTHING, EVERYTHING[:-2], EVERYTHING[:1], [*EVERYTHING[:1], WAITS]])
@pytest.mark.parametrize(("width", "height"), [(60, 10), (60, 16), (80, 24), (120, 40), (200, 60), (40, 12), (20, 4)])
def test_every_screen_has_room_for_the_history_and_no_line_is_too_long(
    width: int, height: int, news: list[News | Progress]
) -> None:
    """What does not fit is left out, and never the keys."""
    screen = Screen(width, height)
    screen.tell(*news)
    lines = screen.watch._lines()
    assert len(lines) < height
    assert all(sum(segment.cell_length for segment in line) <= width for line in lines)
    last = "".join(segment.text for segment in lines[-1])
    assert "q quit" in last
    if height >= 12:
        text = "\n".join("".join(segment.text for segment in line) for line in lines)
        assert "today $4.00" in text
        assert (WAITS not in news) or "waits     2 jobs" in text
        if width >= 60:
            assert len([line for line in text.splitlines() if "p plan" in line]) == 1


def test_a_terminal_without_keys_unicode_or_colour_says_the_same() -> None:
    """Words carry everything."""
    screen = Screen(keys=False)
    screen.tell(replanned(2, "a.yaml"), holding(2, "0.896", 7.0))
    assert screen.foot().splitlines()[-1] == "Ctrl-C ends watching"
    assert "r now" not in screen.foot()
    assert "\x1b[3" not in screen.terminal.getvalue()
    ascii_only = Screen(200, encoding="ascii")
    text = ascii_only.tell(replanned(2, "a.yaml"), *EVERYTHING[:-3], WAITS)
    assert "x 1 failed" in text
    assert "-- street-dance" in text
    assert text.replace("…", "").isascii(), "rich has one sign for a text that was cut"


def test_a_free_provider_shows_no_money() -> None:
    """A rehearsal must not look like a bill."""
    screen = Screen()
    assert "$" not in screen.tell(replanned(free=True), replanned(2, "a.yaml", free=True))


def test_foreign_texts_act_on_nothing() -> None:
    """Names of files, and what servers say, reach a terminal only as letters."""
    evil = "\x1b]52;c;aGk=\x07\x1b[2J\r[red]x[/red]\u202e"
    screen = Screen()
    named = replanned(0, evil)
    text = screen.tell(named, Changed(named.paths), Trouble(evil, evil), Dropped((evil,)), Leaving(evil), Broken(evil))
    text += screen.tell(note(evil), holding(1, "1", None, evil), at(0, S.IN_DOUBT, detail=evil))
    assert "[red]x[/red]" in text
    assert not {"\x1b", "\x07", "\u202e"} & set(text)


def test_leaving_says_what_goes_on_and_leaves_only_the_history() -> None:
    """After `q` the shell's prompt stands under the history."""
    screen = Screen()
    screen.tell(
        replanned(3), *run(at(0, S.RUNNING)), Leaving("1 job left running; `kling-render pull` brings the results")
    )
    assert "leaving; what runs is left running" in screen.foot()
    assert (
        screen.close()
        .splitlines()[-1]
        .endswith("left       1 job left running; `kling-render pull` brings the results")
    )


def test_a_shell_that_gets_the_terminal_is_not_drawn_over() -> None:
    """Ctrl-Z and `bg`: the history goes on, the picture comes back with `fg`."""
    screen = Screen()
    screen.tell(replanned())
    screen.watch.hide()
    assert screen.terminal.text.endswith("watching   8 up to date")
    assert screen.tell(replanned(2, "a.yaml")).endswith("a.yaml → 2 to render, about $0.896")
    screen.watch.anew()
    assert screen.foot().splitlines()[-1].startswith("p plan")


def test_texts_and_plans_are_shown_above() -> None:
    """p, e and w print; the picture stays where it is."""
    screen = Screen()
    screen.tell(replanned(2))
    screen.watch.show("\x1b[1mwhy\x1b[0m it is so\n  and so")
    screen.watch.show_plan(plan(2))
    text = screen.terminal.text
    assert text.index("why it is so\n  and so\n") < text.index("cost: about $0.896") < text.index("── street-dance")


class Count:
    """Counts drawings, and says when there was one."""

    def __init__(self) -> None:
        self.drawn = 0
        self.happened = asyncio.Event()

    def draw(self) -> None:
        self.drawn += 1
        self.happened.set()

    async def another(self) -> None:
        self.happened.clear()
        await self.happened.wait()


def test_a_burst_of_news_is_one_drawing_and_rest_is_none() -> None:
    """A thousand polls a second do not keep the processor busy, and an idle session costs nothing."""

    async def burst() -> int:
        count = Count()
        pace = Pace(count.draw, lambda _now: None, asyncio.get_running_loop().time)
        pace.start()
        for _ in range(1000):
            pace.soon()
        await count.another()
        await asyncio.sleep(0.3)
        pace.stop()
        return count.drawn

    assert asyncio.run(burst()) == 2


def test_what_moves_by_itself_is_drawn_until_it_stops() -> None:
    """A countdown ticks, and news between two ticks are not put off until the next."""

    async def tick() -> list[float | None]:
        asked: list[float | None] = []
        left = [0.01, 0.01, 60.0, None]

        def ticks(_now: float) -> float | None:
            asked.append(left[len(asked)])
            return asked[-1]

        count = Count()
        pace = Pace(count.draw, ticks, asyncio.get_running_loop().time)
        pace.start()
        await count.another()
        await count.another()
        pace.soon()
        await count.another()
        await asyncio.sleep(0)
        pace.stop()
        return asked

    assert asyncio.run(tick()) == [0.01, 0.01, 60.0, None]
