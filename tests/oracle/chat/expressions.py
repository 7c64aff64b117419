"""One construct each, for make_golden.py."""
EXPRESSIONS = r'''
{{ 1 + 2 * 3 - 4 // 3 }} {{ 7 % 3 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ -2 ** 2 }}
{{ 1.0 }} {{ 1e20 }} {{ 1.5e-7 }} {{ 0.1 + 0.2 }} {{ 1e16 }} {{ 123456789012345.6 }} {{ 1e15 }} {{ 100.0 }} {{ 0.0001 }} {{ 5e-324 }}
{{ 7.5 // 2 }} {{ -7.5 // 2 }} {{ 7.5 % 2 }} {{ -7.5 % 2 }} {{ 1_000 + 0x1f + 0b11 + 0o17 }} {{ 10 // 0.3 }}
{{ 1 / 0 }}
{{ 1 % 0 }}
{{ 'a' + 1 }}
{{ 'a' ~ 1 ~ none ~ true ~ 1.0 ~ undefined_name ~ [1, 'x', "it's", none, 2.5] ~ (1,) ~ {'a': 1, 2: 'b'} }}
{{ undefined_name + 'a' }}
{{ undefined_name.attribute }}
{{ undefined_name() }}
{{ messages.nothing is defined }} {{ messages[9] is defined }} {{ messages[0].nothing is defined }} [{{ messages[0].nothing }}]
{{ messages[0].nothing.more }}
{{ messages[2]['items'] }} {{ messages[2].n }} {{ messages[2]['n'] + 1 }} {{ messages[2].parts }} {{ messages[2].parts.k[0] }}
{{ messages[-1].role }} {{ messages[1:][0].content }} {{ messages[::-1]|map(attribute='role')|join(',') }} {{ messages[:1]|length }}
{{ 'hello'[1] }} {{ 'hello'[-1] }} {{ 'hello'[1:3] }} {{ 'hello'[::-1] }} {{ 'héllo'[1:] }} {{ 'hello'[10:] }} {{ 'hello'[-3:] }} {{ 'hello'[::2] }}
{{ [1,2,3][-1] }} {{ [1,2,3,4][1:3] }} {{ [1,2,3,4][::-2] }} {{ (1,2,3)[1:] }} {{ range(5)[1:3]|list }} {{ [1,2][5:] }} {{ [1,2,3][-2:] }}
{{ true and false or 'x' }} {{ not true }} {{ 1 and 0 }} {{ '' or 'y' }} {{ none or [] }} {{ 1 if false }} {{ 1 if true else 2 }} {{ 'a' if [] else 'b' if {} else 'c' }}
{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 1 == 1.0 }} {{ true == 1 }} {{ 'a' < 'b' }} {{ [1,2] < [1,3] }} {{ 'a' == none }} {{ none == none }} {{ 'a' != 'b' }}
{{ 'a' < 1 }}
{{ none < 1 }}
{{ 'a' in 'cat' }} {{ 'x' not in 'cat' }} {{ 1 in [1,2] }} {{ 'role' in messages[0] }} {{ 'x' in undefined_name }} {{ 1.0 in [1] }} {{ 3 in (1,2) }}
{{ 1 in 'abc' }}
{{ 1 in 5 }}
{{ [] in {} }}
{{ 'abc' * 2 }} {{ 2 * 'ab' }} {{ [1] * 3 }} {{ [1] + [2] }} {{ (1,) + (2,) }} {{ 'x' * -1 }}
{{ [1] + (2,) }}
{{ {'a': 1}.a }} {{ {'a': 1}['a'] }} {{ {'a': {'b': [10, 20]}}.a.b.1 }} {{ {1: 'x', 1.0: 'y', true: 'z'} }} {{ {}|length }}
{{ {'a': 1, 'b': 2}.items()|list }} {{ {'a': 1}.keys()|list }} {{ {'a': 1}.values()|list }} {{ {'a': 1}.get('b') }} {{ {'a': 1}.get('b', 5) }} {{ {'a': 1}.get('a') }}
{{ {[1]: 2} }}
{% for k, v in {'x': 1, 'y': [2]}.items() %}{{ k }}={{ v }};{% endfor %}{% for k in {'x': 1} %}{{ k }}{% endfor %}
{% for a, b in [(1, 2), [3, 4], 'xy'] %}{{ a }}{{ b }} {% endfor %}{% for (a, b), c in [((1, 2), 3)] %}{{ a + b + c }}{% endfor %}
{% for a, b in [(1, 2, 3)] %}{{ a }}{% endfor %}
{% for x in [1,2,3,4,5] if x is odd %}{{ loop.index }}:{{ x }}/{{ loop.length }}{{ ',' if not loop.last }}{% endfor %}
{% for x in [] %}a{% else %}empty{% endfor %} {% for x in [1] if x > 5 %}a{% else %}none left{% endfor %} {% for x in undefined_name %}a{% else %}u{% endfor %}
{% for x in 'héy' %}{{ loop.index0 }}{{ x }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.previtem }}{{ loop.nextitem }} {% endfor %}
{% for x in 'abc' %}{{ loop.cycle('o', 'e') }}{{ loop.changed(x == 'c') }}{% endfor %}{% for x in [1,1,2,2,1] %}{% if loop.changed(x) %}{{ x }}{% endif %}{% endfor %}
{% for x in 5 %}{% endfor %}
{% for x in none %}{% endfor %}
{% for x in range(3) %}{% for y in range(x) %}{{ loop.index }}{{ x }}{{ y }} {% endfor %}{{ loop.index }}|{% endfor %}
{% for item in [{'n': 1, 'c': [{'n': 2, 'c': [{'n': 3}]}]}, {'n': 4}] recursive %}{{ loop.depth }}{{ item.n }}{% if item.c %}[{{ loop(item.c) }}]{% endif %}{% endfor %}
{% for x in range(10) %}{% if x == 2 %}{% continue %}{% endif %}{% if x == 5 %}{% break %}{% endif %}{{ x }}{% else %}never{% endfor %}
{% break %}
{% set x = 1 %}{% for i in [1, 2] %}{{ x }}{% set x = x + i %}{{ x }} {% endfor %}{{ x }}
{% set x = 1 %}{% if true %}{% set x = 2 %}{% endif %}{{ x }}{% if false %}{% set y = 1 %}{% endif %}{{ y is defined }}
{% for i in [1, 2] %}{% if loop.first %}{% set a = 'first' %}{% endif %}{{ a }}-{% endfor %}
{% set ns = namespace(n=0, s='') %}{% for i in range(4) %}{% set ns.n = ns.n + i %}{% set ns.s = ns.s ~ i %}{% endfor %}{{ ns.n }} {{ ns.s }} {{ ns['n'] }} {{ ns.nothing is defined }}
{% set ns = namespace({'a': 1}, b=2) %}{{ ns.a + ns.b }}{% set ns.c = [ns.a] %}{{ ns.c }}
{% set d = {} %}{% set d.x = 1 %}
{% set ns = namespace(_x=1) %}
{% set ns = namespace() %}{% set ns._x = 1 %}
{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set c = 1, %}{{ c }}{% set (d, e) = [3, 4] %}{{ d + e }}
{% set a, b = 1 %}
{% set t %}x{{ 1 }}y{% endset %}{{ t }}{{ t|length }}{% set t2 | upper | trim %} q {% endset %}[{{ t2 }}]
{% macro m(a, b=2, c='z') %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(1) }} {{ m(1, 3) }} {{ m(1, c='q') }} {{ m(b=1, a=2) }} {{ m() }} {{ m(1)|upper }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=2) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, a=2) }}
{% macro f(n) %}{{ n }}{% if n > 0 %},{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(5) }}
{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(5) }}
{% macro outer() %}{{ x }}{% endmacro %}{% set x = 5 %}{{ outer() }}
{% macro w(title) %}<{{ title }}>{{ caller() }}</{{ title }}>{% endmacro %}{% call w('b') %}bold {{ 1 + 1 }}{% endcall %}
{% macro each(xs) %}{% for x in xs %}{{ caller(x) }}{% endfor %}{% endmacro %}{% call(x) each([1, 2]) %}<{{ x }}>{% endcall %}
{% macro m(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}{{ m(1, *[2]) }}{{ m(**{'a': 3}) }}
{% with x = 1, y = 2 %}{{ x + y }}{% endwith %}{{ x is defined }}{% with %}{% set z = 1 %}{{ z }}{% endwith %}{{ z is defined }}
{% filter upper %}a{{ 'b' }}{% endfilter %}{% filter replace('a', 'b') | upper %}aaa{% endfilter %}
{% raw %}{{ x }}{% endraw %}{%- raw -%}  {% x %}  {%- endraw -%}  z
{% generation %}{% set inside = 1 %}g{{ 1 }}{% endgeneration %}{{ inside is defined }}
{% for i in [1] %}{% generation %}{% break %}{% endgeneration %}{% endfor %}
{{ 'Abc DEF'|upper }} {{ 'Abc'|lower }} {{ 'hello wORLD-foo (bar)'|title }} {{ 'hELLO'|capitalize }} {{ '  x '|trim }}. {{ 'xxaxx'|trim('x') }} {{ 'éa ß'|upper }}
{{ 'aXbX'|replace('X', '-') }} {{ 'aXbX'|replace('X', '-', 1) }} {{ 'ab'|replace('', '.') }} {{ 5|replace('5', '6') }} {{ 'aaa'.replace('aa', 'b') }}
{{ [3,1,2]|sort }} {{ ['b','A','c']|sort }} {{ ['b','A','c']|sort(case_sensitive=true) }} {{ [3,1,2]|sort(reverse=true) }} {{ [{'a': 2}, {'a': 1}]|sort(attribute='a') }}
{{ [1, 'a']|sort }}
{{ {'b': 1, 'A': 2}|dictsort }} {{ {'b': 1, 'A': 2}|dictsort(by='value') }} {{ {'b': 1, 'A': 2}|dictsort(true) }} {{ {'b': 1, 'A': 2}|dictsort(reverse=true) }}
{{ [1,2,3]|first }} {{ [1,2,3]|last }} {{ []|first is defined }} {{ 'abc'|first }} {{ 'abc'|last }} {{ {'a': 1}|first }} {{ [1,2,3]|length }} {{ 'é'|length }} {{ {'a': 1}|count }}
{{ [1,2]|join }} {{ [1,2]|join('-') }} {{ [{'a': 1}, {'a': 'x'}]|join(',', attribute='a') }} {{ 'abc'|join('.') }} {{ [none, 1.5, true]|join(' ') }}
{{ [1,2,3]|reverse|list }} {{ 'abc'|reverse }} {{ 'abc'|list }} {{ {'a': 1}|list }} {{ range(3)|list }} {{ range(5, 1, -2)|list }} {{ range(2, 4)|list }} {{ range(0)|list }}
{{ [1,2,2,1,'a','A']|unique|list }} {{ ['a','A']|unique(true)|list }} {{ [1,2,3]|sum }} {{ [{'x': 1}, {'x': 2.5}]|sum(attribute='x') }} {{ [1,2]|sum(start=10) }} {{ [3,1]|min }} {{ [3,1]|max }} {{ ['b','A']|min }} {{ []|max is defined }}
{{ ['a','b']|map('upper')|list }} {{ [{'a': 1}, {}]|map(attribute='a')|list }} {{ [{'a': 1}, {}]|map(attribute='a', default='d')|list }} {{ [{'a': {'b': 1}}]|map(attribute='a.b')|list }} {{ [[1,2],[3]]|map('first')|list }} {{ ['a']|map('replace', 'a', 'b')|join }}
{{ [1,2,3,4]|select('even')|list }} {{ [0,1,'']|select|list }} {{ [1,2,3]|reject('odd')|list }} {{ [1,2,3]|select('gt', 1)|list }} {{ [0,1]|reject|list }} {{ [1,2,3]|select('in', [1,3])|list }}
{{ [{'a': 1}, {'a': 2}, {}]|selectattr('a')|list }} {{ [{'a': 1}, {'a': 2}]|selectattr('a', 'equalto', 2)|list }} {{ [{'a': 1}, {}]|rejectattr('a', 'defined')|list }} {{ messages|selectattr('role', '==', 'user')|list }}
{{ messages|selectattr('role', 'equalto', 'user')|map(attribute='content')|list }} {{ messages|rejectattr('role', 'in', ['system', 'user'])|list|length }}
{{ x|default('d') }} {{ ''|default('d') }}. {{ ''|default('d', true) }} {{ none|default('d') }} {{ none|d('e', boolean=true) }} {{ messages[0].q|default(messages[0].role) }}
{{ '42'|int }} {{ 'x'|int }} {{ 'x'|int(7) }} {{ 3.9|int }} {{ '3.9'|int }} {{ -3.9|int }} {{ '1.5'|float }} {{ 'x'|float }} {{ 3|float }} {{ true|int }} {{ ' 5 '|int }} {{ '1e3'|float }}
{{ 1.5 - 0.25 }} {{ 1.5 * 2 }} {{ 1.5 / 0.5 }} {{ 2 - 0.5 }} {{ -1.5 * -2 }} {{ 7 / 2.0 }} {{ 0.1 * 3 }}
{{ 1e999 }} {{ -1e999 }} {{ [1e999, -1e999]|tojson }} {{ 1e999 - 1e999 }} {{ [1e999 - 1e999]|tojson }}
{{ 1.5 < 2.5 }} {{ 2.5 < 1.5 }} {{ 1.5 <= 1.5 }} {{ [1.5, 0.5, 1]|sort }} {{ 2 is le 2 }} {{ 3 is le 2 }} {{ 1.5 is le 2 }}
{{ true is sameas true }} {{ true is sameas false }} {{ messages is sameas messages }} {{ 1.5 is sameas 2 }} {{ 'a' is sameas 1 }}
{{ 'x' if 0.0 else 'y' }} {{ 'x' if 0.5 else 'y' }} {{ 'x' if range(0) else 'y' }} {{ 'x' if range(2) else 'y' }} {{ 'x' if namespace() else 'y' }} {{ 'x' if ([]|map('upper')) else 'y' }}
{{ range(3) == range(3) }} {{ range(3) == range(4) }} {{ range(3) == [0, 1, 2] }} {{ namespace() == 1 }} {% set n = namespace() %}{{ n == n }} {{ n == namespace() }}
{{ strftime_now('%F %T') }}
{{ [1, 2].copy() }} {{ {'a': 1}.copy() }} {{ {'a': 1}.copy().a }} {{ (1, 2).index(2) }} {{ (1, 2, 1).count(1) }}
{{ 'abc'|attr('upper') is defined }} {{ 'abc'|attr('nothing') is defined }} {{ namespace(a=1)|attr('a') }}
{{ [[1, 2], [3, 4]]|map(attribute='1')|list }} {{ [{'a': [5, 6]}]|map(attribute='a.1')|list }} {{ [[1, 2], [0, 4]]|sort(attribute=0) }} {{ [[1, 2]]|map(attribute=1)|list }}
{{ '%.2s' % 'abc' }} {{ '%5.1s|' % 'abc' }} {{ '%-5.2s|' % 'éàü' }} {{ '%.0s|' % 'abc' }}
[{{ nothing|default }}] {{ nothing|default(1, true) }} {{ 'a'|default }} {{ dict(a=1, **{'b': 2}) }} {{ dict(**{'b': 2}) }}
{% macro f(a, b) %}{{ a }}-{{ b }}{% endmacro %}{{ f(1, **{'b': 2}) }} {{ f(*[1, 2]) }} {{ f(b=3, *[4]) }} {{ (f)(5, 6) }}
{% for i in [1] %}[{{ loop.nothing }}][{{ loop.nothing is defined }}]{% endfor %}
{{ 'aXbXc'.replace('X', '-', 1) }} {{ 'a b c'.split(none, 1) }} {{ 'abc'.find('c', 1) }} {{ 'abcabc'.find('a', 1) }}
{% macro c() %}{{ caller('x', **{'b': 2}) }}{% endmacro %}{% call(a, b=1) c() %}{{ a }}{{ b }}{% endcall %}
{{ 10 ** 18 }} {{ 2 ** 62 }} {{ 9223372036854775807 }} {{ -9223372036854775807 }} {{ 3 ** 39 }}
{{ 'a' 'b' ~ 'c' "d" }} {{ 'x'.join(['a', 'b']) }} {{ '%d%%' % 5 }} {{ '%5d|%-5d|%05d' % (1, 2, 3) }} {{ '%+d %+d' % (1, -1) }} {{ '%x %X' % (255, 255) }}
{{ '.5'|float }} {{ '5.'|float }} {{ '007.5'|float }} {{ '+5'|float }} {{ '1_0.5'|float }} {{ '-.5e-3'|float }} {{ '1e400'|float }} {{ '99999999999999999999'|float }} {{ '--5'|float }} {{ '1.5.2'|float(9) }} {{ '.'|float(3) }} {{ '_1'|float }} {{ '1__0'|float }}
{{ '1_000'|int }} {{ '9223372036854775807'|int }} {{ '-9223372036854775808'|int }} {{ '1234567890123456789'|int }} {{ '1e400'|int(3) }} {{ '-'|int(4) }} {{ '0x10'|int }} {{ '1_'|int(5) }} {{ '-12'|int }}
{{ 3.14159|round(2) }} {{ 2.5|round }} {{ 3.5|round }} {{ 2.1|round(method='ceil') }} {{ 2.9|round(0, 'floor') }} {{ 7|round }} {{ -5|abs }} {{ -1.5|abs }} {{ 2.675|round(2) }}
{{ [1,2,3,4,5]|batch(2)|list }} {{ [1,2,3]|batch(2, 'x')|list }} {{ {'a': 1}|items|list }} {{ undefined_name|items|list }} {{ 'ab'|center(6) }}. {{ 'abc'.center(6, '*') }} {{ 'abc'.center(8) }}. {{ 'ab'.center(7) }}.
{{ 'a\nb\n\nc'|indent }}|{{ 'a\nb'|indent(2, true) }}|{{ 'a\n\nb'|indent(2, blank=true) }}|{{ 'a\nb\n'|indent('> ') }}|{{ ''|indent(2, true) }}
{{ 'a<b>&"c'|escape }} {{ '<b>'|safe }} {{ '<'|e|length }} {{ '<'|e|e }} {{ 'x'|safe is string }} {{ 'x' is escaped }} {{ 'x'|e is escaped }}
{{ 1|string ~ 2|string }} {{ {'a': "it's"}|string }} {{ ['"\'', '\n', 'é', '\x07', '​']|string }} {{ none|string }} {{ true|string }}
{{ {'a': [1, 2.0, none, true, 'é"<>&\n\x01']}|tojson }} {{ [1]|tojson(indent=2) }} {{ {}|tojson(indent=2) }} {{ {'b': 1, 'a': 2}|tojson(sort_keys=true) }} {{ 'é🙂'|tojson(ensure_ascii=true) }}
{{ {'a': 1, 'b': [1, 2, {}]}|tojson(indent=4) }} {{ {'a': 1, 'b': 2}|tojson(separators=(',', ':')) }} {{ {1: 2, none: 3, true: 4, 1.5: 5}|tojson }} {{ (1, 2)|tojson }} {{ {'a': []}|tojson(indent=2) }} {{ [1, [2]]|tojson(indent='--') }}
{{ undefined_name|tojson }}
{{ range(2)|tojson }}
{{ tools[0]|tojson }} {{ tools[0].function|tojson(indent=2) }} {{ tools[0] | string }} {{ tools|length }}
{{ '%s and %d, %5.2f %% %05d|%-5s|%5s|%x|%+d' % ('a', 3, 2.5, 42, 'l', 'r', 255, 7) }} {{ '%s' % 'x' }} {{ '%s' % [1] }} {{ '%r' % 'q' }} {{ '%s-%s'|format('a', 1) }}
{{ '%s %s' % 'x' }}
{{ '%d' % 'x' }}
{{ '{} {} {{}}'.format(1, 'b') }} {{ '{1}{0}'.format('a', 'b') }} {{ '{x}-{y}'.format(x=1, y=none) }} {{ '{!r}'.format('a') }} {{ '{:05d}|{:.2f}'.format(7, 1.005) }}
{{ '{}'.format() }}
{{ ' a b  c '.split() }} {{ 'a,b,,c'.split(',') }} {{ 'a,b,c'.split(',', 1) }} {{ 'a,b,c'.rsplit(',', 1) }} {{ ' a b c '.split(none, 1) }} {{ ''.split() }} {{ ''.split(',') }} {{ 'a<x>b<x>c'.split('<x>')[-1] }}
{{ 'a\nb\r\nc\n'.splitlines() }} {{ 'a=b=c'.partition('=') }} {{ 'a=b=c'.rpartition('=') }} {{ 'abc'.partition('x') }} {{ 'abc'.rpartition('x') }} {{ 'a\nb'.splitlines(true) }}
{{ 'abc'.split('') }}
{{ 'abc'.startswith('a') }} {{ 'abc'.endswith(('b', 'c')) }} {{ 'abc'.startswith('b', 1) }} {{ 'abc'.find('c') }} {{ 'abc'.find('x') }} {{ 'abcabc'.rfind('b') }} {{ 'abcabc'.index('c') }} {{ 'aaa'.count('a') }} {{ 'aaaa'.count('aa') }} {{ 'éa'.find('a') }}
{{ '  x  '.strip() }}|{{ '  x '.lstrip() }}|{{ ' x  '.rstrip() }}|{{ 'xyax'.strip('xy') }}|{{ '\n\tq\u00a0'.strip() }}|{{ 'x'.strip(none) }}|{{ 'éaé'.strip('é') }}
{{ 'ab cd'.title() }} {{ "they're b2b"|title }} {{ "they're".title() }} {{ 'aB'.swapcase() }} {{ 'aB'.upper() }} {{ 'AB'.lower() }} {{ 'aBC'.capitalize() }} {{ 'a'.ljust(3, '.') }} {{ 'a'.rjust(3) }} {{ ','.join(['a', 'b']) }} {{ 'prefix-x'.removeprefix('prefix-') }} {{ 'x.py'.removesuffix('.py') }}
{{ 'a1'.isalnum() }} {{ 'a'.isalpha() }} {{ '12'.isdigit() }} {{ ' '.isspace() }} {{ 'a'.islower() }} {{ 'A'.isupper() }} {{ ''.isalpha() }} {{ '1'.isdecimal() }} {{ 'aB'.islower() }}
{{ ','.join([1]) }}
{{ 'a'.nothing }}[{{ 'a'.nothing is defined }}]
{{ 'a'.nothing() }}
{{ messages.append(1) }}
{% set l = [] %}{% if l.append(1) %}{% endif %}
{{ messages[0].update({}) }}
{{ messages[0].pop('role') }}
[{{ messages.append }}] {{ messages.append is defined }} {{ messages.index(messages[1]) }} {{ [1,1].count(1) }}
{{ ''.__class__ is defined }} [{{ ''.__class__ }}]
{{ ''.__class__.mro() }}
{{ messages[0].__init__ is defined }}
{{ 1 is number }}{{ 1.5 is float }}{{ true is number }}{{ true is integer }}{{ 1 is integer }}{{ 'a' is string }}{{ {} is mapping }}{{ [] is sequence }}{{ 'a' is sequence }}{{ {} is sequence }}{{ none is none }}{{ true is boolean }}{{ 1 is boolean }}
{{ [] is iterable }}{{ 1 is iterable }}{{ 'a' is iterable }}{{ none is iterable }}{{ undefined_name is iterable }}{{ range(2) is sequence }}{{ range is callable }}{{ 1 is callable }}{{ 3 is odd }}{{ 2 is even }}{{ 6 is divisibleby 3 }}{{ 6 is divisibleby(4) }}
{{ 1 is eq 1 }}{{ 1 is ne 2 }}{{ 1 is lt 2 }}{{ 1 is ge 1 }}{{ 1 is in [1] }}{{ 'a' is lower }}{{ 'A' is upper }}{{ none is sameas none }}{{ true is sameas 1 }}{{ true is true }}{{ 1 is true }}{{ false is false }}{{ 'upper' is filter }}{{ 'no' is filter }}{{ 'odd' is test }}
{{ 1 is not none }}{{ x is not defined }}{{ not x is defined }}{{ 'a' is not string }}{{ 1 is defined and 2 is defined }}{{ (1 is odd) == true }}
{{ strftime_now("%Y-%m-%d %d %B %b %A %a %H:%M:%S %j %y %p %I %e %-d %-m %%") }} {{ strftime_now is defined }}
{{ raise_exception('no: ' ~ 1) }}
{% if false %}{{ raise_exception('no') }}{% endif %}fine
{{ range(100001) }}
{{ dict(a=1, b=2) }} {{ dict([('a', 1)]) }} {{ dict({'x': 1}, y=2) }}
{% set j = joiner(', ') %}{% for x in [1,2,3] %}{{ j() }}{{ x }}{% endfor %}
{{ 'a' 'b' "c" }} {{ "\u00e9\x41\n\t\\\"\'\101" }} {{ '\d' }} {{ 'multi
line' }}
{{ (1, 2) }} {{ () }} {{ (1) }} {{ 1, 2 }} {{ [1, 2,] }} {{ {'a': 1,} }}
{{- 'x' -}}   y   {{- 'z' }}
  {%- if true -%}  a  {%- endif -%}  b
{% if true %}
a
{% endif %}
b
    {% if true %}x{% endif %}  
 t {# comment #} u
{#- c -#} v {#+ d +#}
w
a {%+ if true %} b {% endif +%}
c
{{ bos_token }}{{ eos_token }}{{ unk_token }}{{ cls_token is defined }}{{ add_generation_prompt }}{{ documents }}{{ tools is not none }}
{% if messages|length > 2 and messages[0]['role'] == 'system' and not messages[2].get('tool_calls') %}yes{% endif %}
{% for message in messages %}{{ loop.index }}{{ '<|' ~ message.role ~ '|>' }}{{ message['content'] | trim ~ '\n' }}{% endfor %}
{{ messages | map('tojson') | join(' ') }}
{{ messages[1] == {'role': 'user', 'content': 'Hi'} }} {{ messages[1] in messages }} {{ messages | map(attribute='role') | list | unique | join }}
{% set m = messages | last %}{{ m.n * 2 }} {{ m['items'][0] }} {{ m.parts | tojson }} {{ m.parts.keys() | join(',') }}
{% set g = [1,2]|map('string') %}{{ g|join }}{{ g|join }}.
{{ [1,2]|map('string') | length }}
{{ 'a' if x is defined else 'b' ~ 'c' }} {{ (none).x is defined }} {{ 5.x is defined }}
{{ - 'x' }}
{{ -undefined_name }}
{{ +5 }} {{ - 5 }} {{ 5 -3 }} {{ 5 - -3 }} {{ not 1 == 2 }} {{ 2 + 3 ~ 4 + 5 }} {{ 1 ~ 2 * 3 }}
{{ [x for x in y] }}
{% if %}x{% endif %}
{% if true %}
{% endif %}
{% for x %}{% endfor %}
{{ 'unterminated }}
{{ 1 +
{% endfor %}
{{ a b }}
{{ (1 }}
{{ [1) }}
{% unknown %}
{{ 1|nofilter }}
{{ 1 is notest }}
{{ 1|default(1, 2, 3, 4) }}
{{ 'x'|trim(nope=1) }}
{# never ends
{% raw %} never ends
{% set 5 = 1 %}
{% for loop in [1] %}{% endfor %}
{{ messages[0:2:0] }}
{{ 'abc'[1.5] is defined }}
{{ 'abc'['x'] is defined }} {{ [1]['x'] is defined }} {{ {'a': 1}[[1]] is defined }}
{{ {'a': 1}|tojson|length }} {{ "</script>"|tojson }} {{ "a/b"|tojson }}
{{ ns is defined }}{% set ns = namespace(x=[]) %}{% set ns.x = ns.x + [1] %}{% set ns.x = ns.x + [2] %}{{ ns.x }}
{{ messages[0][1:] }}
{{ bos_token | sort(attribute='nothing') }} {{ [none, none] | sort }} {{ 2.5 is divisibleby 0.5 }} {{ 3.0 is odd }} {{ '%s' % [1, 2] }} {{ 'x' % [1] }}{{ 'x' % undefined_name }}
{{ undefined_name | int }}
{{ undefined_name | float }}
{{ undefined_name | indent }}
{{ 3 | indent }}
{{ 3 ** 1e16 }}
{{ {'a': 'x'}[0] }}{{ {0: 'x'}[0] }}{{ 5[0] }}{{ true[0] }}{{ none[0] }}{{ 1.5[0] }}|
{{ 'abc'[-1] }}{{ 'abc'[3] }}{{ 'abc'[-4] }}{{ 'abc'[-3] }}{{ 'éa'[0] }}{{ 'éa'[1] }}|
{{ [1, 2][2] }}{{ [1, 2][-2] }}{{ [1, 2][-3] }}{{ (1, 2)[1] }}{{ range(3, 9)[2] }}{{ range(3)[5] }}{{ range(3)[-1] }}|
{{ 'abcdef'[1:4] }}{{ 'abcdef'[::-1] }}{{ 'abcdef'[-2:] }}{{ 'abcdef'[4:1:-2] }}{{ 'abc'[5:] }}{{ 'abc'[-9:2] }}|
{% for a, b in [(1, 2)] %}{{ a }}{{ b }}{% endfor %}{% for (a, b) in [(3, 4)] %}{{ a }}{{ b }}{% endfor %}{% set a, b = 5, 6 %}{{ a }}{{ b }}
{% for a, 1 in [(1, 2)] %}{% endfor %}
{% for a.b in [1] %}{% endfor %}
{% set (a, 1) = (1, 2) %}
{% set a, b.c = 1, 2 %}
{{ [1, 2].1 }}{{ [[5, 6]].0[1] }}{{ 'abc'.0 }}|
{{ [[5, 6]].0.1 }}
{{ [1, 2].1.5 }}
{{ [1, 2].'a' }}
{{ 1 | abs is odd }}{{ -3 | abs is even }}{{ (-3) | abs | string is string }}{{ not 1 is odd }}
{{ undefined_name | length }}{{ '' | length }}{{ [] | count }}{{ {'a': 1} | length }}{{ 'éa' | length }}|
{{ [1, 2, 3][1:] }}{{ (1, 2, 3)[:-1] }}{{ range(9)[2:5] | list }}|
{%- set a = [1, 2] -%}{%- for i in a -%}{{ i }}{%- if not loop.last -%}, {%- endif -%}{%- endfor -%}.
{% for i in range(3) -%}
  {{ i }}
{%- endfor %}

{% if true -%}   x   {%- endif %}
{% if true %}   x   {% endif %}

'''
EXPRESSIONS = [line for line in EXPRESSIONS.split("\n")[1:-1]]
# Some stand on several lines.
EXPRESSIONS += ["{% if true %}\na\n{% endif %}\nb\n    {% if true %}x{% endif %}  \n t {# comment #} u\n{#- c -#} v\n",
                "a\n  {{ 'b' }}  \n\n  {%- set x = 1 %}\n\nc\r\nd\n\n", "{% for m in messages %}\n  {{ m.role }}\n{% endfor %}\n",
                "{{ 'a\\\nb' }}\n{{ \"x\ny\" }}", "\n", "", "{{ '' }}", "{% raw %}\n  a\n  {% endraw %}\nb", "x\n\n",
                "{%- for x in [1,2] %}\n    {%- if x == 1 %}\n        {{- 'one' }}\n    {%- else %}\n        {{ x }}\n    {% endif %}\n{%- endfor %}\n"]
