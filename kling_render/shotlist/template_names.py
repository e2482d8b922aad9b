"""What templates see: entities that print as their id and carry fields, and the take's number."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from kling_render.errors import Place
from kling_render.shotlist.records import Character, Motion


class Entity(str):
    """A shot, character or motion: its id as text, with fields."""

    __slots__ = ("fields", "kind", "place")

    fields: dict[str, Any]
    kind: str
    place: Place

    @classmethod
    def of(cls, kind: str, id_: str, fields: dict[str, Any], place: Place) -> Entity:
        """An entity of that id; `fields` is kept as it is."""
        entity = cls(id_)
        entity.kind = kind
        entity.fields = fields
        entity.place = place
        return entity


class Take(int):
    """A take's number: counts like a number, prints as two digits at least."""

    __slots__ = ()

    def __str__(self) -> str:
        return f"{int(self):02d}"


#: Methods of a mapping win over its keys, as everywhere in Jinja.
MAPPING_METHODS = frozenset({"get", "items", "keys", "values"})
#: Types that print as one short text.
SCALARS = frozenset({str, Entity, int, float, bool, type(None), Take, Decimal})


def thawed(value: Any) -> Any:
    """Frozen YAML values as the plain dicts and lists that templates print."""
    if isinstance(value, Mapping):
        return {key: thawed(item) for key, item in value.items()}
    return [thawed(item) for item in value] if isinstance(value, list | tuple) else value


def character_entity(character: Character) -> Entity:
    """A character with its free fields, `id`, `name` and `tags`."""
    own = {"id": character.id, "name": character.name, "tags": list(character.tags)}
    return Entity.of("character", character.id, thawed(character.fields) | own, character.place)


def motion_entity(motion: Motion) -> Entity:
    """A motion with its free fields, `id`, `name`, `tags`, and `start` and `end` in seconds (or none)."""
    own = {"id": motion.id, "name": motion.name, "tags": list(motion.tags), "start": motion.start, "end": motion.end}
    return Entity.of("motion", motion.id, thawed(motion.fields) | own, motion.place)


def shot_entity(shot: str, tags: tuple[str, ...], place: Place) -> Entity:
    """A shot with `id` and `tags`."""
    return Entity.of("shot", shot, {"id": shot, "tags": list(tags)}, place)
