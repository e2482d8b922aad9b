"""A template from a stranger can neither leave the sandbox nor occupy the machine."""

from __future__ import annotations

import resource
import time

import pytest

from kling_render.shotlist.metering import STEPS, Meter, TemplateFault
from tests.shotlist.build import expanded, files, project, prompts, shot

DOUBLING = "".join(f"{{% set a{n + 1} = [a{n}, a{n}] %}}" for n in range(40))
MACROS = "{% macro m0() %}xxxxxxxxxx{% endmacro %}" + "".join(
    f"{{% macro m{n + 1}() %}}{{{{ m{n}() }}}}{{{{ m{n}() }}}}{{% endmacro %}}" for n in range(40)
)
BLOCKS = "{% set b0 %}xxxxxxxxxx{% endset %}" + "".join(
    f"{{% set b{n + 1} %}}{{{{ b{n} }}}}{{{{ b{n} }}}}{{% endset %}}" for n in range(40)
)


def growing(expression, start="'xxxx'"):
    """A value that is made from itself 99 times."""
    return f"{{% set n = namespace(x={start}) %}}{{% for i in range(99) %}}{{% set n.x = {expression} %}}{{% endfor %}}"


def loops(inner, depth=2):
    """Nested loops of 999 rounds."""
    return "".join("{% for " + name + " in range(999) %}" for name in "abc"[:depth]) + inner + "{% endfor %}" * depth


BOMBS = {
    "a text times a number": "{{ 'A' * 160000000 }}",
    "a number times a text": "{{ 300000000 * 'A' }}",
    "a list times a number": "{{ [1] * 160000000 }}",
    "a power": "{{ 9 ** 9 ** 9 }}",
    "a product of powers": growing("n.x * n.x", "9") + "{{ n.x }}",
    "a centred text": "{{ 'a'.center(300000000) }}",
    "a centring filter": "{{ 'a'|center(300000000) }}",
    "an indenting filter": "{{ 'a\nb'|indent(300000000) }}",
    "a format": "{{ '%300000000d' % 1 }}",
    "a format filter": "{{ '%300000000d'|format(1) }}",
    "a format in a test": "{{ '%300000000d' is odd }}",
    "another format in a test": "{{ '%300000000d' is divisibleby 3 }}",
    "a format method": "{{ '{:300000000}'.format(1) }}",
    "nested loops": loops("", 3),
    "loops that print": loops("xxxxxxxxxx"),
    "loops under a condition": "{% for a in range(999) %}{% for b in range(999) if false %}{% endfor %}{% endfor %}",
    "a large range": "{% for a in range(99999999999999999999) %}{% endfor %}",
    "lorem ipsum": "{{ lipsum(n=100000) }}",
    "slices": "{{ [1]|slice(99999999)|list }}",
    "batches": "{{ [1]|batch(99999999, 0)|list }}",
    "doubling lists": "{% set a0 = [1] %}" + DOUBLING + "{{ a40 }}",
    "comparing doubled lists": "{% set a0 = [1] %}" + DOUBLING + "{{ a40 == a40[1:] }}",
    "doubling macros": MACROS + "{{ m40() }}",
    "doubling blocks": BLOCKS + "{{ b40 }}",
    "doubling texts": growing("n.x ~ n.x"),
    "adding texts": growing("n.x + n.x"),
    "joining": growing("[n.x, n.x]|join(n.x)"),
    "joining by a method": growing("n.x.join([n.x, n.x])"),
    "replacing": growing("n.x.replace('x', n.x)"),
    "a replacing filter": growing("n.x|replace('x', n.x)", "'xx'"),
    "a macro that calls itself": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "a macro that calls itself twice": "{% macro m(n) %}{{ m(n+1) }}{{ m(n+1) }}{% endmacro %}{{ m(0) }}",
    "doubling arguments": "{% macro m() %}{{ m(varargs, varargs) }}{% endmacro %}{{ m(1) }}",
    "hashing doubled arguments": "{% macro m() %}{% set d = {varargs: 1} %}{{ m(varargs, varargs) }}{% endmacro %}"
    "{{ m(1) }}",
    "an include of itself": "{% include 'self.j2' %}",
    "an include in loops": loops("{% include 'empty.j2' %}"),
    "a large include in a macro": "{% set x %}" + loops("{% include 'large.j2' %}", 1) + "{% endset %}",
    "round parentheses": "{{ " + "(" * 16000 + "1" + ")" * 16000 + " }}",
    "brackets": "{{ " + "[" * 16000 + "]" * 16000 + " }}",
    "negations": "{{ " + "not " * 8000 + "1 }}",
    "signs": "{{ " + "-" * 16000 + "1 }}",
    "a long sum": "{{ " + "1+" * 10000 + "1 }}",
    "a chain of filters": "{{ 1" + "|int" * 8000 + " }}",
    "a chain of fields": "{{ vars" + ".a" * 16000 + " }}",
    "nested conditions": "{% if 1 %}" * 3000 + "{% endif %}" * 3000,
    "nested loops in the source": "{% for a in [1] %}" * 40 + "x" + "{% endfor %}" * 40,
    "a long template": "x{{ vars }}" * 10000,
    "a long number": "{{ " + "9" * 32000 + " }}",
    "a long number in a text": "{{ ('f' * 16000)|int(base=16) // 3 }}",
    "rounding": "{{ 1.5|round(999999999, 'floor') }}",
    "sorting in loops": loops("{{ range(999)|sort|length }}"),
    "a namespace in itself": "{% set n = namespace() %}{% set n.n = n %}{{ [n] }}",
    "a loop that prints itself": "{% for a in [1] %}{{ loop }}{% endfor %}",
    "a recursive loop": "{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    "a generator": "{{ [1]|map('upper') }}",
    "unclosed quotes": "{{ '" + "\\'" * 16000,
    "unclosed tags": "{% " * 10000,
    "unclosed comments": "{# " * 10000,
    "spaces": "{{" + " " * 32000 + "x",
}
REFUSED = {"KR0401", "KR0402", "KR0403", "KR0404", "KR0408"}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_quickly_and_in_little_memory(name):
    there = files(self="{% include 'self.j2' %}", empty="", large="x" * 32000)
    prompts("{% if true %}warm{% endif %}")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    found = prompts(BOMBS[name], there)
    took = time.process_time() - start
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert {message.partition(" ")[0] for message in found} <= REFUSED, found
    assert len(found) >= 1
    assert took < 1
    assert grown < 64 * 1024


ESCAPES = [
    "{{ ''.__class__ }}",
    "{{ ''['__class__'] }}",
    "{{ ''|attr('__class__') }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ [].__class__.__base__ }}",
    "{{ ().__class__.__bases__[0] }}",
    "{{ character.__class__ }}",
    "{{ character.fields }}",
    "{{ character['__init__'] }}",
    "{{ vars.__class__ }}",
    "{{ vars.pop('hero') }}",
    "{{ vars.update({}) }}",
    "{{ cycler.__init__.__globals__ }}",
    "{{ joiner.__init__.__globals__ }}",
    "{{ lipsum.__globals__ }}",
    "{{ lipsum.__globals__['os'].popen('id').read() }}",
    "{{ self.__init__.__globals__ }}",
    "{{ self._TemplateReference__context }}",
    "{{ self }}",
    "{{ range.__self__ }}",
    "{{ range.__func__.__globals__ }}",
    "{{ namespace.__init__ }}",
    "{{ namespace.mro() }}",
    "{% set n = namespace() %}{{ n.__class__ }}",
    "{% set n = namespace() %}{{ n['_Namespace__attrs'] }}",
    "{% set n = namespace() %}{% set n.__class__ = 1 %}",
    "{{ '{0.__class__}'.format(1) }}",
    "{{ '{a.__class__}'.format_map({'a': 1}) }}",
    "{{ ('{0.__class__}'|string).format(1) }}",
    "{{ ['{0.__class__}']|map('format', 1)|list }}",
    "{{ [1]|map(attribute='__class__')|list }}",
    "{{ [{'a': 1}]|selectattr('__class__')|list }}",
    "{{ [1]|map('attr', '__class__')|list }}",
    "{{ [1]|sort(attribute='__class__') }}",
    "{{ [''.join]|list }}",
    "{{ ''.join.__self__ }}",
    "{{ ''.replace.__globals__ }}",
    "{% macro m() %}{% endmacro %}{{ m.__call__ }}",
    "{% macro m() %}{% endmacro %}{{ m._func.__globals__ }}",
    "{% macro m() %}{% endmacro %}{{ m.name }}",
    "{% for a in [1] %}{{ loop.__class__ }}{% endfor %}",
    "{% for a in [1] %}{{ loop._iterator }}{% endfor %}",
    "{% import 'lib.j2' as lib %}{{ lib.__class__ }}",
    "{% import 'lib.j2' as lib %}{{ lib._body_stream }}",
    "{% from 'lib.j2' import __class__ as c %}{{ c }}",
    "{{ caller }}",
    "{{ config }}",
    "{{ request.application }}",
    "{{ get_flashed_messages.__globals__ }}",
    "{{ url_for }}",
    "{{ dict(a=1).__class__ }}",
    "{{ (1).__class__ }}",
    "{{ 1.0.hex() }}",
    "{{ take.to_bytes(1, 'big') }}",
    "{{ true.__class__ }}",
    "{{ none.__class__ }}",
    "{{ missing.__class__ }}",
    "{{ [1][range] }}",
    "{{ 'x'|pprint }}",
    "{{ 'x'|xmlattr }}",
    "{{ [1, 2]|random }}",
    "{% autoescape true %}{% endautoescape %}",
    "{% block b %}{% endblock %}",
    "{% extends 'lib.j2' %}",
    "{% do 1 %}",
    "{% debug %}",
    "{{ now() }}",
    "{{ (namespace|string).upper() }}",
    "{{ m(_loop_vars=1) }}",
    "{{ '%s'|format(self) }}",
    "{{ ''|e }}{{ ''|safe }}",
]


@pytest.mark.parametrize("text", ESCAPES)
def test_an_escape_is_refused_and_prints_nothing(text):
    found = prompts(text, files(lib="x"), hero="x")
    assert len(found) >= 1
    assert {message.partition(" ")[0] for message in found} <= REFUSED, found
    assert not any("built-in" in message or "0x" in message or "<class" in message for message in found)


def test_a_bomb_is_tried_once_not_once_per_job():
    one = shot(prompt=BOMBS["nested loops"], matrix={"n": [str(n) for n in range(1000)]})
    start = time.process_time()
    found = expanded(project(one))
    assert time.process_time() - start < 1
    assert [d.code for d in found.diagnostics] == ["KR0403"]


def test_all_renderings_share_one_budget():
    meter = Meter(all_steps=3 * STEPS)
    for _ in range(4):
        meter.start()
        meter.spend(STEPS)
    with pytest.raises(TemplateFault, match="need too much work together"):
        meter.start()


def test_rendering_leaves_the_project_s_values_as_they_were():
    variables = {"list": [1, 2], "map": {"a": 1}}
    assert prompts("{{ vars.list.append(3) }}", **variables)[0].startswith("KR0402")
    assert prompts("{% set x = vars.list %}{{ x + [3] }}", **variables) == ["[1, 2, 3]"]
    assert variables == {"list": [1, 2], "map": {"a": 1}}


def test_a_template_may_work_a_lot_within_reason():
    text = "{% for a in range(100) %}{% for b in range(10) %}{{ a * b if b > 8 else '' }}{% endfor %}{% endfor %}"
    assert prompts(text) == ["".join(str(a * 9) for a in range(100))]
