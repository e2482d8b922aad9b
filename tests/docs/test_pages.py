"""The pages agree with the code, with each other, and with what runs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib

import click
import pytest

from kling_render.cli.main import COMMANDS, Commands
from kling_render.config.sources import SETTINGS
from kling_render.models import MODELS, PROMPT_LIMIT, Kinds, MediaLimits
from kling_render.planning.states import STATES
from kling_render.shotlist.sandboxing import FILTERS

from .pages import DOCS, ROOT, blocks, pages, text

SCHEMAS = sorted((ROOT / "schemas").glob("*.schema.json"))


def section(page: str, heading: str) -> str:
    """From a heading to the next one of the same depth."""
    marks = heading.split(" ", 1)[0]
    found = re.search(
        rf"^{re.escape(heading)}.*?\n(.*?)(?=^#{{1,{len(marks)}}} |\Z)", text(page), re.MULTILINE | re.DOTALL
    )
    assert found is not None, f"{page} has no heading {heading}"
    return found[1]


def commands() -> dict[str, click.Command]:
    group = Commands("kling-render")
    found = {name: group.get_command(click.Context(group), name) for name in COMMANDS}
    return {name: command for name, command in found.items() if command is not None}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_a_command_is_described(name: str) -> None:
    """A section per command names its options; the global ones have a table of their own."""
    said = section("docs/cli.md", f"### `{name}") + section("docs/cli.md", "## Global options")
    options = [
        spelling for option in commands()[name].params if isinstance(option, click.Option) for spelling in option.opts
    ]
    assert [spelling for spelling in options if f"`{spelling}" not in said] == []


def test_no_page_describes_a_command_that_is_not_there() -> None:
    """`kling-render NAME` in a page, and every heading for a command, names a real one."""
    headings = re.findall(r"^### `([a-z]+)", text("docs/cli.md"), re.MULTILINE)
    assert headings == list(COMMANDS)
    for page in pages():
        used = set(re.findall(r"`kling-render ([a-z]+)", page.read_text("utf-8")))
        used |= set(re.findall(r"^(?:[^`#\n]*&& )?kling-render ([a-z]+)", page.read_text("utf-8"), re.MULTILINE))
        assert used <= set(COMMANDS), page.name


def test_the_readme_lists_every_command() -> None:
    """The table of the README is the help page's."""
    assert re.findall(r"^\| `([a-z]+)", text("README.md"), re.MULTILINE) == list(COMMANDS)


def test_every_setting_is_described() -> None:
    """The table of settings names each, and its default where it has one."""
    said = section("docs/cli.md", "## Settings")
    assert [s.name for s in SETTINGS if f"`{s.name}`" not in said] == []
    assert [s.variable for s in SETTINGS if s.variable and f"`{s.variable}`" not in said] == []


def test_the_example_of_a_settings_file_holds_real_settings() -> None:
    """It is TOML, and each name is a setting."""
    (example,) = blocks("docs/cli.md", "toml")
    names = {
        f"{table}_{name}"
        for table, inner in tomllib.loads(example).items()
        if isinstance(inner, dict)
        for name in inner
    }
    names |= {name for name, value in tomllib.loads(example).items() if not isinstance(value, dict)}
    assert names <= {setting.name for setting in SETTINGS}


def test_every_state_and_every_filter_is_listed() -> None:
    """What selectors and templates know."""
    assert [state for state in STATES if f"`{state}`" not in section("docs/cli.md", "## Selecting jobs")] == []
    assert [name for name in FILTERS if f"`{name}`" not in section("docs/shotlist.md", "## Templates")] == []


def test_every_code_of_the_program_has_its_row() -> None:
    """`docs/errors.md` and the code name the same codes, each once."""
    used = {
        code
        for file in (ROOT / "kling_render").rglob("*.py")
        for code in re.findall(r'"(KR\d{4})"', file.read_text("utf-8"))
    }
    rows = re.findall(r"^\| (KR\d{4}) \|", text("docs/errors.md"), re.MULTILINE)
    assert rows == sorted(used)


def test_every_dependency_has_its_reason() -> None:
    """What `pyproject.toml` asks for stands in `docs/dependencies.md`, and nothing else."""
    project = tomllib.loads(text("pyproject.toml"))["project"]
    wanted = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    names = sorted({re.split(r"[<>=\[; ]", one)[0] for one in wanted})
    assert sorted(
        re.findall(r"^\| ([a-z][a-z0-9-]*)(?= \||\s\(`)", text("docs/dependencies.md"), re.MULTILINE)
    ) == sorted([*names, "library", "library"])


def test_the_limits_in_the_page_are_those_that_are_checked() -> None:
    """Every figure of the model's limits stands in the table of `docs/media.md`."""
    said = section("docs/media.md", "## Limits")
    for name, limit in ((n, getattr(MediaLimits(), n)) for n in MediaLimits.__dataclass_fields__):
        if isinstance(limit, Kinds):
            assert all(kind.upper() in said for kind in limit.values), name
            continue
        value = limit.value / 1_000_000 if name.endswith("_bytes") else limit.value
        assert f"{value.normalize():,f}" in said, name
    assert f"{PROMPT_LIMIT:,}" in said


def test_every_model_is_named() -> None:
    """The models that the code knows stand in `docs/aimlapi.md`."""
    assert [model for model in MODELS if f"`{model}`" not in text("docs/aimlapi.md")] == []


def test_generated_parts_are_fresh() -> None:
    """The states, their diagram and the sandbox's tables say what the code says."""
    done = subprocess.run(
        [sys.executable, str(DOCS / "generate.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), "run: python docs/generate.py"


def test_links_between_pages_lead_somewhere() -> None:
    """Relative links name files that exist, and headings that exist."""
    for page in pages():
        for target in re.findall(r"\]\(([^)]+)\)", page.read_text("utf-8")):
            if target.startswith(("http:", "https:")):
                continue
            name, _, anchor = target.partition("#")
            file = (page.parent / name) if name else page
            assert file.exists(), f"{page.name}: {target}"
            heads = re.findall(r"^#+ (.*)$", file.read_text("utf-8"), re.MULTILINE) if anchor else []
            assert not anchor or anchor in {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in heads}, target


def test_the_two_commands_of_the_readme_are_what_the_checks_run() -> None:
    """`.ci/run` runs them as they stand; there are exactly two."""
    lines = blocks("README.md", "sh")[0].splitlines()
    assert len(lines) == 2
    runs = text(".ci/run").splitlines()
    assert [line for line in lines if runs.count(line) != 1] == []


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda path: path.name)
def test_every_schema_is_a_schema(schema) -> None:  # type: ignore[no-untyped-def] # ids are made from it
    """Valid draft 2020-12, and its examples fit it."""
    from jsonschema import Draft202012Validator

    document = json.loads(schema.read_text("utf-8"))
    assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(document)
    for example in document.get("examples", []):
        Draft202012Validator(document).validate(example)
