"""What a shot list says, as frozen records. Nothing here reads a file, a clock or the environment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kling_render.errors import Diagnostic, Place

if TYPE_CHECKING:
    from kling_render.shotlist.origins import PromptOrigins
    from kling_render.shotlist.settings import Settings

Orientation = Literal["image", "video"]


@dataclass(frozen=True, slots=True, kw_only=True)
class InputRef:
    """An image or a clip as the shot list names it: a local file or an https URL."""

    #: As written: a path relative to the file it stands in, or the URL.
    shown: str
    #: Absolute, symlinks resolved; None for a URL.
    path: Path | None
    url: str | None = None
    #: The SHA-256 (64 hex) that a remote input is pinned to.
    pin: str | None = None
    #: Warnings about it that the user knows and does not want to see (`cuts`, `camera`, …). Changes no pixel.
    allow: tuple[str, ...] = ()
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Character:
    """A character: an image and free fields for the templates."""

    id: str
    name: str
    image: InputRef
    tags: tuple[str, ...]
    #: Everything else the entry says, as plain YAML values.
    fields: Mapping[str, Any]
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Motion:
    """A motion: a clip, an optional trim and free fields for the templates."""

    id: str
    name: str
    video: InputRef
    #: Seconds into the clip; None stands for its beginning or end.
    start: Decimal | None
    end: Decimal | None
    tags: tuple[str, ...]
    fields: Mapping[str, Any]
    place: Place
    #: Where `start` and `end` stand, if they are said.
    trim_places: Mapping[str, Place] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The effective request of a job: everything that changes the pixels, and nothing else."""

    model: str
    image: InputRef
    video: InputRef
    start: Decimal | None
    end: Decimal | None
    prompt: str
    orientation: Orientation
    keep_audio: bool
    #: Parameters that differ from the model's defaults, sorted by name.
    params: tuple[tuple[str, Any], ...]
    take: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One cell of the matrix and a take number: one render."""

    #: `SHOT/CHARACTER/MOTION[/VALUES]/tNN`
    id: str
    shot: str
    character: str
    motion: str
    take: int
    #: Matrix axis → value id, in the order the axes are declared.
    values: tuple[tuple[str, str], ...]
    request: Request
    #: Paths of the take and of the cell's final, POSIX style, relative to the output folder.
    output: str
    final: str
    priority: int
    tags: tuple[str, ...]
    #: Where the shot is declared.
    place: Place
    #: Where the prompt's template stands (line 1 of a prompt file); None without a prompt.
    prompt_place: Place | None
    #: The shot's fields as they hold for its cell, with their places.
    settings: Settings | None = field(default=None, compare=False, repr=False)
    #: Where the motion's `start` and `end` stand.
    trim_places: Mapping[str, Place] = field(default_factory=dict, compare=False, repr=False)

    @property
    def cell(self) -> str:
        """The id of the job's cell."""
        return self.id.rpartition("/")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What the shot list allows; it can only tighten the user's own caps."""

    total_usd: Decimal | None = None
    per_day_usd: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchAllowance:
    """What a save may cost in watch mode."""

    per_save_usd: Decimal = Decimal(5)
    per_hour_usd: Decimal = Decimal(15)
    settle_seconds: Decimal = Decimal(1)
    hold_seconds: Decimal = Decimal(10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A whole shot list, expanded."""

    name: str
    #: The folder of the shot list, absolute.
    folder: Path
    provider: str
    characters: Mapping[str, Character]
    motions: Mapping[str, Motion]
    shots: tuple[str, ...]
    jobs: tuple[Job, ...]
    #: The output folder, POSIX style, relative to `folder`.
    output_dir: str
    budget: Budget
    watch: WatchAllowance
    #: Every text file that was read: shot list, imports, templates, prompt files; absolute.
    sources: tuple[Path, ...]
    #: Gives what says of which pieces each prompt is made, and where they are written.
    origins: Callable[[], PromptOrigins] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Compilation:
    """The answer of the compiler: the project (None when there are errors) and all that was found."""

    project: Project | None
    diagnostics: tuple[Diagnostic, ...]
    #: Without a project: what its cells ask of the model, prompts aside, so that their inputs can be checked as well.
    requests: tuple[Request, ...] = ()
