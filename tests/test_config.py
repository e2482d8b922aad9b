"""Settings: sources and their order, what is refused, and that a key never shows."""

from __future__ import annotations

import copy
import dataclasses
import os
import pickle
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from kling_render.config import (
    Settings,
    describe,
    load_settings,
    namespace_of,
    require_key,
    tightest,
    watch_allowance,
)
from kling_render.config.file import user_config_file, user_folder
from kling_render.config.secrets import Secret, account_id, key_from
from kling_render.errors import AccountRefused, InputProblems, UsageError
from kling_render.shotlist.records import WatchAllowance

KEY = "k3y-abcdefgh-CANARY"


class Home:
    """A user's home with a folder to work in."""

    def __init__(self, root: Path) -> None:
        self.home, self.cwd = root / "home", root / "work"
        self.config = self.home / ".config" / "kling-render" / "config.toml"
        self.config.parent.mkdir(parents=True)
        self.cwd.mkdir()

    def write(self, text: str, mode: int = 0o600) -> None:
        self.config.write_text(text, "utf-8")
        self.config.chmod(mode)

    def load(self, environ: dict[str, str] | None = None, **flags: Any) -> Settings:
        return load_settings(environ or {}, flags, self.config, home=self.home, cwd=self.cwd)

    def refused(self, environ: dict[str, str] | None = None, **flags: Any) -> str:
        """The problems as one text; exit code 2."""
        with pytest.raises((InputProblems, UsageError)) as caught:
            self.load(environ, **flags)
        error = caught.value
        assert error.exit_code == 2
        if isinstance(error, InputProblems):
            return "\n".join(f"{d.place or ''} {d.message} [{d.help}]" for d in error.diagnostics)
        return f"{error.message} [{error.help}]"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_without_any_source_the_defaults_hold(home: Home) -> None:
    """The documented defaults, each with the origin `default`."""
    settings = home.load()
    assert settings.base_url == "https://api.aimlapi.com"
    assert (settings.poll_seconds, settings.absence_seconds) == (15.0, 3600.0)
    assert (settings.jobs, settings.retries, settings.max_jobs) == (8, 2, 100_000)
    assert (settings.budget_total_usd, settings.budget_per_day_usd, settings.max_usd) == (None, None, None)
    assert (settings.watch_per_save_usd, settings.watch_per_hour_usd) == (Decimal(5), Decimal(15))
    assert settings.store == home.home / ".local/share/kling-render/store"
    assert (settings.key, settings.provider, settings.input_roots, settings.color) == (None, None, (), "auto")
    assert set(settings.origins.values()) == {"default"}
    assert settings.warnings == ()


def test_flags_beat_the_environment_beats_the_file(home: Home) -> None:
    """Each source overrides the weaker one, and the origin says which it was."""
    home.write("jobs = 2\nretries = 3\npoll_seconds = 4\n")
    settings = home.load({"KLING_RENDER_RETRIES": "4", "KLING_RENDER_POLL_SECONDS": "5"}, poll_seconds=0.5, jobs=None)
    assert (settings.jobs, settings.retries, settings.poll_seconds) == (2, 4, 0.5)
    assert settings.origins["jobs"] == f"{home.config}:1"
    assert settings.origins["retries"] == "KLING_RENDER_RETRIES"
    assert settings.origins["poll_seconds"] == "--poll-seconds"


def test_tables_of_the_file_are_prefixes(home: Home) -> None:
    """`[watch] per_save_usd` is `watch_per_save_usd`; money keeps its digits."""
    home.write('[watch]\nper_save_usd = 2.10\n\n[budget]\ntotal_usd = "40.00"\nper_day_usd = 25\n')
    settings = home.load()
    assert str(settings.watch_per_save_usd) == "2.10"
    assert (settings.budget_total_usd, settings.budget_per_day_usd) == (Decimal(40), Decimal(25))
    assert settings.origins["watch_per_save_usd"] == f"{home.config}:2"


def test_an_empty_variable_is_not_set(home: Home) -> None:
    """CI systems set missing secrets to nothing."""
    settings = home.load({"AIMLAPI_KEY": "", "KLING_RENDER_JOBS": "", "AIMLAPI_BASE_URL": ""})
    assert (settings.key, settings.jobs, settings.base_url) == (None, 8, "https://api.aimlapi.com")


def test_paths_start_where_they_were_written(home: Home) -> None:
    """The file's folder, the working folder, and `~` for the home."""
    home.write('store = "data"\ninput_roots = ["~/clips", "/srv/clips", "more"]\n')
    settings = home.load()
    assert settings.store == home.config.parent / "data"
    assert settings.input_roots == (home.home / "clips", Path("/srv/clips"), home.config.parent / "more")
    assert home.load({"KLING_RENDER_STORE": "../s"}).store == home.cwd.parent / "s"
    assert home.load(store=Path("s")).store == home.cwd / "s"
    roots = home.load({"KLING_RENDER_INPUT_ROOTS": os.pathsep.join(["a", "/b"])}).input_roots
    assert roots == (home.cwd / "a", Path("/b"))


def test_color_follows_the_conventions(home: Home) -> None:
    """`NO_COLOR` beats the file; an own variable or a flag beats `NO_COLOR`."""
    home.write('color = "always"\n')
    assert home.load({"NO_COLOR": "1"}).color == "never"
    assert home.load({"NO_COLOR": ""}).color == "always"
    assert home.load({"NO_COLOR": "1", "KLING_RENDER_COLOR": "always"}).color == "always"
    assert home.load(color="never").color == "never"


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("https://api.aimlapi.com/", "https://api.aimlapi.com"),
        ("HTTPS://API.aimlapi.com:443", "https://api.aimlapi.com"),
        ("https://proxy.example.com:8443", "https://proxy.example.com:8443"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://127.9.9.9", "http://127.9.9.9"),
        ("http://localhost:80/", "http://localhost"),
        ("http://[::1]:9", "http://[::1]:9"),
        ("https://localhost:1", "https://localhost:1"),
    ],
)
def test_the_endpoint_has_one_spelling(home: Home, written: str, normal: str) -> None:
    """Scheme and host in lower case, no default port, no slash."""
    assert home.load({"AIMLAPI_BASE_URL": written}).base_url == normal


@pytest.mark.parametrize(
    "written",
    [
        "http://api.aimlapi.com",
        "http://10.0.0.1",
        "http://0.0.0.0:80",
        "http://169.254.169.254",
        "http://2130706433",
        "http://127.1",
        "http://0x7f000001",
        "http://[::ffff:127.0.0.1]",
        "http://localhost.example.com",
        "http://127.0.0.1.example.com",
        "http://127.0.0.1@example.com",
        "https://user:hunter2@api.aimlapi.com",
        "https://api.aimlapi.com/v1",
        "https://api.aimlapi.com?x=1",
        "https://api.aimlapi.com#x",
        "https://api.aimlapi.com\n",
        "https://api.aimlapi.com\\@evil.example",
        "https://аpi.example.com",
        "https://api.aimlapi.com:0",
        "https://api.aimlapi.com:65536",
        "https://api.aimlapi.com:",
        "ftp://api.aimlapi.com",
        "api.aimlapi.com",
        "https://",
        "https://-x",
    ],
)
def test_an_endpoint_that_could_leak_the_key_is_refused(home: Home, written: str) -> None:
    """https, or http to this machine under a plain name: anything else is exit 2, and a password is not repeated."""
    said = home.refused({"AIMLAPI_BASE_URL": written})
    assert "base_url from AIMLAPI_BASE_URL: expected" in said
    assert "hunter2" not in said


@pytest.mark.parametrize(
    ("base_url", "namespace"),
    [
        ("http://127.0.0.1:8000", "sandbox"),
        ("http://localhost:1", "sandbox"),
        ("https://[::1]", "sandbox"),
        ("https://api.aimlapi.com", "https://api.aimlapi.com"),
        ("https://API.aimlapi.com:443/", "https://api.aimlapi.com"),
    ],
)
def test_all_loopback_origins_are_one_namespace(base_url: str, namespace: str) -> None:
    """A rehearsal against the sandbox never satisfies a paid job, whatever its port."""
    assert namespace_of(base_url) == namespace


BAD = [
    ("jobs", "0"),
    ("jobs", "1.5"),
    ("jobs", "many"),
    ("jobs", "٣"),
    ("retries", "-1"),
    ("poll_seconds", "0"),
    ("poll_seconds", "nan"),
    ("poll_seconds", "1e9"),
    ("absence_seconds", "-5"),
    ("max_usd", "-1"),
    ("max_usd", "$5"),
    ("max_usd", "1,5"),
    ("max_usd", "inf"),
    ("max_usd", "1e3"),
    ("budget_total_usd", "lots"),
    ("color", "blue"),
    ("provider", "other"),
    ("offline", "maybe"),
    ("store", "postgresql://x"),
    ("key_source", "argv"),
]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_value_that_cannot_be_is_refused(home: Home, name: str, value: str) -> None:
    """From the environment and from a flag alike, with what is expected."""
    variable = f"KLING_RENDER_{name.upper()}"
    assert f"{name} from {variable}: expected" in home.refused({variable: value})
    assert f"{name} from --{name.replace('_', '-')}: expected" in home.refused(**dict[str, Any]({name: value}))


@pytest.mark.parametrize(
    "line",
    ["jobs = true", "jobs = 1.5", "max_usd = true", "offline = 3", "store = 3", "input_roots = 3", "max_usd = inf"],
)
def test_a_wrong_type_in_the_file_is_refused_with_its_line(home: Home, line: str) -> None:
    """The file keeps types, so a truth value is no number."""
    home.write(f"# mine\n{line}\n")
    assert f"{home.config}:2:1" in home.refused()


def test_unknown_settings_of_the_file_are_errors(home: Home) -> None:
    """All at once, with the line and the nearest name: a mistyped budget must not pass."""
    home.write("jobs = 0\n\n[budget]\ntotl_usd = 4\n[xyz]\nabc = 1\n")
    said = home.refused()
    assert f"{home.config}:1:1 jobs from" in said
    assert f"{home.config}:4:1 unknown setting 'budget_totl_usd' [did you mean 'budget_total_usd'?]" in said
    assert "unknown setting 'xyz_abc' [settings: key, base_url" in said


def test_a_mistyped_variable_is_an_error_and_a_foreign_one_a_remark(home: Home) -> None:
    """What nearly is a setting was meant to be one."""
    said = home.refused({"KLING_RENDER_BUGET_TOTAL_USD": "5"})
    assert "[did you mean KLING_RENDER_BUDGET_TOTAL_USD?]" in said
    assert "did you mean AIMLAPI_KEY?" in home.refused({"KLING_RENDER_KEY": KEY})
    assert home.load({"KLING_RENDER_XQZ": "1"}).warnings == ("KLING_RENDER_XQZ is not a setting",)


@pytest.mark.parametrize("text", ["jobs = \n", "jobs 4", "[", "jobs = 1\njobs = 2\n", 'store = "\\q"'])
def test_a_file_that_is_not_toml_is_refused_with_its_place(home: Home, text: str) -> None:
    """Line and column, without showing the line: it may hold the key."""
    home.write(text)
    said = home.refused()
    assert f"{home.config}:" in said
    assert "not a valid TOML file" in said


def test_a_file_that_is_not_a_text_is_refused(home: Home) -> None:
    """Bytes, a folder, a FIFO: a sentence, no traceback and no hanging."""
    home.config.write_bytes(b"\xff\xfe")
    assert "not UTF-8" in home.refused()
    home.config.unlink()
    home.config.mkdir()
    assert "cannot read" in home.refused()
    home.config.rmdir()
    os.mkfifo(home.config)
    assert "not a regular file" in home.refused()


def test_the_key_comes_from_its_variables(home: Home) -> None:
    """`AIMLAPI_KEY` beats its alias."""
    settings = home.load({"AIML_API_KEY": "other", "AIMLAPI_KEY": KEY})
    assert require_key(settings).reveal() == KEY
    assert settings.origins["key"] == "AIMLAPI_KEY"
    assert require_key(home.load({"AIML_API_KEY": KEY})).reveal() == KEY


def test_a_private_key_file_is_read(home: Home) -> None:
    """Without its line end; the environment beats it."""
    file = home.cwd / "key"
    file.write_text(f"{KEY}\n")
    file.chmod(0o600)
    assert require_key(home.load(key_file="key")).reveal() == KEY
    assert require_key(home.load({"AIMLAPI_KEY": "env"}, key_file="key")).reveal() == "env"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_a_key_file_that_others_can_read_is_refused(home: Home, mode: int) -> None:
    """When the key is needed, with the command that helps."""
    file = home.cwd / "key"
    file.write_text(KEY)
    file.chmod(mode)
    with pytest.raises(AccountRefused, match=f"chmod 600 {file}"):
        require_key(home.load(key_file="key"))


def test_a_config_file_with_a_key_must_be_private(home: Home) -> None:
    """Readable by others it is refused; private it is a source; without a key its mode does not matter."""
    home.write(f'key = "{KEY}"\n', 0o644)
    said = home.refused()
    assert f"chmod 600 {home.config}" in said
    assert KEY not in said
    home.config.chmod(0o600)
    settings = home.load()
    assert require_key(settings).reveal() == KEY
    assert settings.origins["key"] == f"{home.config}:1"
    home.write("jobs = 3\n", 0o644)
    assert home.load().jobs == 3


@pytest.mark.parametrize("key", [f"{KEY}\n", f'"{KEY}"', f"'{KEY}'", f"{KEY}\x1b", f"a {KEY}", f"{KEY}é", KEY * 99])
def test_a_key_that_is_none_is_refused_when_it_is_needed(home: Home, key: str) -> None:
    """Planning goes on without a key; spending does not, and the message does not repeat the key."""
    settings = home.load({"AIMLAPI_KEY": key})
    assert settings.key is None
    with pytest.raises(AccountRefused) as caught:
        require_key(settings)
    assert caught.value.exit_code == 6
    assert "AIMLAPI_KEY" in caught.value.message
    assert "CANARY" not in caught.value.message + caught.value.help


def test_no_key_names_the_variable(home: Home) -> None:
    """What to do is in the help."""
    with pytest.raises(AccountRefused, match="no API key") as caught:
        require_key(home.load())
    assert "AIMLAPI_KEY" in caught.value.help


def test_a_key_is_never_taken_from_the_command_line(home: Home) -> None:
    """Other users see a process's arguments."""
    assert "never taken from the command line" in home.refused(key=KEY)


def test_the_keyring_is_asked_for_the_endpoint_when_a_key_is_needed(home: Home) -> None:
    """Keys are kept per origin, and nobody is asked before a key is needed."""
    asked: list[str] = []

    def keyring(base_url: str) -> str | None:
        asked.append(base_url)
        return {"https://api.aimlapi.com": KEY, "http://localhost:1": "a b"}.get(base_url)

    settings = home.load({"AIMLAPI_KEY": "ignored"}, key_source="keyring")
    assert settings.key is None
    assert asked == []
    assert require_key(settings, keyring).reveal() == KEY
    with pytest.raises(AccountRefused, match="contains a blank"):
        require_key(home.load(key_source="keyring", base_url="http://localhost:1"), keyring)
    with pytest.raises(AccountRefused, match="no API key"):
        require_key(home.load(key_source="keyring", base_url="http://localhost:2"), keyring)


def test_a_secret_does_not_show(home: Home) -> None:
    """Not in texts, formats, records, errors or pickles."""
    settings = home.load({"AIMLAPI_KEY": KEY})
    key = require_key(settings)
    shown = [str(key), repr(key), f"{key}", f"{key!r:>9}", "%s" % key, repr(settings), repr(describe(settings))]  # noqa: UP031 - this form too
    shown += [repr(dataclasses.asdict(settings)), repr(copy.deepcopy(settings)), repr(vars(type(key)))]
    assert not any("CANARY" in text for text in shown)
    assert ("key", "***", "AIMLAPI_KEY") in describe(settings)
    with pytest.raises(TypeError):
        pickle.dumps(key)
    assert key == Secret(KEY)
    assert key != Secret("x")
    assert len({key, Secret(KEY)}) == 1


def test_an_account_id_tells_keys_apart_and_nothing_else() -> None:
    """Sixteen hex, the same for ever: the ledger keeps it."""
    assert account_id(key_from(KEY)) == "18be397c64cf26bd"
    assert account_id(key_from(KEY)) != account_id(key_from("k"))


def test_every_setting_is_described(home: Home) -> None:
    """`config` shows each setting with its value and origin."""
    home.write("offline = true\ninput_roots = ['/a', '/b']\n")
    rows = {name: (value, where) for name, value, where in describe(home.load(jobs=4))}
    records = {field.name for field in dataclasses.fields(Settings)}
    assert set(rows) == records - {"origins", "key_problem", "warnings"}
    assert rows["jobs"] == ("4", "--jobs")
    assert rows["offline"] == ("true", f"{home.config}:1")
    assert rows["input_roots"][0] == f"/a{os.pathsep}/b"
    assert rows["key"] == ("not set", "")


def test_a_shot_list_tightens_budgets_and_never_widens_them(home: Home) -> None:
    """The lower figure holds, whoever gave it."""
    assert tightest(None, Decimal(40), Decimal(25)) == 25
    assert tightest(None, None) is None
    user = home.load({"KLING_RENDER_WATCH_PER_SAVE_USD": "2", "KLING_RENDER_WATCH_PER_HOUR_USD": "50"})
    listed = WatchAllowance(per_save_usd=Decimal(100), per_hour_usd=Decimal(30), settle_seconds=Decimal("0.2"))
    assert watch_allowance(user, listed) == WatchAllowance(
        per_save_usd=Decimal(2), per_hour_usd=Decimal(30), settle_seconds=Decimal("0.2")
    )
    assert watch_allowance(user, WatchAllowance()).per_hour_usd == 50
    assert watch_allowance(home.load(), WatchAllowance()) == WatchAllowance()


def test_a_short_absence_is_remarked_on_where_it_can_cost(home: Home) -> None:
    """Against the sandbox it is what tests want."""
    assert "paid twice" in home.load({"KLING_RENDER_ABSENCE_SECONDS": "30"}).warnings[0]
    sandbox = {"KLING_RENDER_ABSENCE_SECONDS": "0.5", "AIMLAPI_BASE_URL": "http://127.0.0.1:1"}
    assert home.load(sandbox).warnings == ()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only here the rules are written out")
def test_the_written_out_folders_are_the_platforms(home: Home) -> None:
    """What is computed by hand for speed is what the library says, in a real process."""
    extras: list[dict[str, str]] = [{}, {"XDG_CONFIG_HOME": "/c", "XDG_DATA_HOME": "/d"}]
    for extra in extras:
        environ = {"HOME": str(home.home), "PATH": "", **extra}
        script = "import platformdirs as p; print(p.user_config_path('kling-render'), p.user_data_path('kling-render'))"
        said = subprocess.run([sys.executable, "-c", script], env=environ, capture_output=True, text=True, check=True)
        assert said.stdout.split() == [
            str(user_folder("config", environ, home.home)),
            str(user_folder("data", environ, home.home)),
        ]
    assert user_config_file({"KLING_RENDER_CONFIG": "/x.toml"}, home.home) == Path("/x.toml")
