/* Choices and labels: how they are read, found and refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "call/method.h"
#include "measure/choice_names.h"

#include <cmocka.h> /* last: it has a macro named fail */

static const Method no_method = {.command = {.name = "ask"}};

/* What is given, between bars; what comes out: choices and names, each before a bar. */
static limn_status read(char *out, size_t capacity, const Model *model, const char *const *given, int32_t n_given,
                        const char *labels, ChoiceNames *names, Arena *arena) {
    MethodCall call = {.method = &no_method, .arena = arena};
    Text *texts = ARENA_ARRAY(arena, Text, (size_t)n_given + 1);
    for (int32_t i = 0; i < n_given; i++) {
        texts[i] = text_of(given[i]);
    }
    const ParamTexts choices = {.items = texts, .n = n_given};
    memset(names, 0x55, sizeof *names);
    TRY(choice_names_read(names, &call, model, &choices, labels != NULL ? text_of(labels) : (Text){0}));
    size_t used = 0;
    for (int32_t i = 0; i < names->n; i++) {
        assert_int_equal(names->names[i].length, strlen(names->names[i].bytes));
        assert_int_equal(names->choices[i].length, strlen(names->choices[i].bytes));
        used += (size_t)snprintf(out + used, capacity - used, "%s=%s|", names->choices[i].bytes, names->names[i].bytes);
        used = used < capacity ? used : capacity - 1;
    }
    return LIMN_OK;
}

static const Model generates = {.path = (char *)"M", .config = {.task = TASK_CAUSAL_LM}};

static void choices_are_read(void **state) {
    static const struct {
        const char *given[3];
        int32_t n;
        const char *labels, *read, *refused;
    } cases[] = {
        {{" yes, no"}, 1, NULL, " yes=yes| no=no|", NULL},
        {{"a,b ,\tc d\n"}, 1, NULL, "a=a|b =b|\tc d\n=c d|", NULL},
        {{" \r\n\ta \t, \x01"}, 1, NULL, " \r\n\ta \t=a| \x01=\x01|", NULL}, /* no other sign is white space */
        {{" yes,", " no", "x"}, 3, NULL, " yes,=yes,| no=no|x=x|", NULL},    /* given several times: not split */
        {{" yes, no"}, 1, "1,0", " yes=1| no=0|", NULL},
        {{" yes", " no"}, 2, "spam mail,ham", " yes=spam mail| no=ham|", NULL},
        {{NULL}, 0, NULL, NULL, "ask needs --choices, as in --choices ' yes',' no'"},
        {{" yes"}, 1, NULL, NULL, "ask: 1 choices, expected from 2 to 1000 (--choices ' yes',' no')"},
        {{" yes, no"}, 1, "1", NULL, "ask: --labels names 1, there are 2 choices"},
        {{" yes, no"}, 1, "1,0,", NULL, "ask: --labels names 3, there are 2 choices"},
        {{" yes, no"}, 1, "1,", NULL, "ask: --labels: number 2 is empty"},
        {{" yes, "}, 1, NULL, NULL, "ask: --choices: number 2 is empty"},
        {{",a"}, 1, NULL, NULL, "ask: --choices: number 1 is empty"},
        {{"a,b, a "}, 1, NULL, NULL, "ask: --choices: numbers 1 and 3 are the same, 'a'"},
        {{"a,b,c"}, 1, "x,y,y", NULL, "ask: --labels: numbers 2 and 3 are the same, 'y'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Arena arena;
        ChoiceNames names;
        char out[200] = "";
        arena_init(&arena);
        limn_status status =
            read(out, sizeof out, &generates, cases[i].given, cases[i].n, cases[i].labels, &names, &arena);
        if (cases[i].read != NULL ? status != LIMN_OK || strcmp(out, cases[i].read) != 0
                                  : status != LIMN_USAGE || strcmp(error_message(), cases[i].refused) != 0) {
            fail_msg("case %zu: '%s' %s", i, out, status == LIMN_OK ? "" : error_message());
        }
        arena_free(&arena);
    }
}

/* A thousand are as many as there may be. */
static void choices_are_bounded(void **state) {
    static char text[8000], out[16000];
    for (int n = CHOICES_MAX; n <= CHOICES_MAX + 1; n++) {
        Arena arena;
        ChoiceNames names;
        size_t used = 0;
        for (int i = 0; i < n; i++) {
            used += (size_t)snprintf(text + used, sizeof text - used, "%sc%d", i > 0 ? "," : "", i);
        }
        arena_init(&arena);
        limn_status status = read(out, sizeof out, &generates, (const char *const[]){text}, 1, NULL, &names, &arena);
        assert_int_equal(status, n > CHOICES_MAX ? LIMN_USAGE : LIMN_OK);
        assert_true(status != LIMN_OK || names.n == n);
        assert_non_null(strstr(error_message(), n > CHOICES_MAX ? "1001 choices, expected from 2 to 1000" : ""));
        arena_free(&arena);
    }
}

static void classes_are_the_choices(void **state) {
    const char *labels[] = {"NEG", "POS", "NEUTRAL"};
    static const char *const given[] = {"a,b"};
    Model model = {.path = (char *)"M", .config = {.task = TASK_CLASSIFIER, .n_classes = 3}};
    model.config.labels = labels;
    Arena arena;
    ChoiceNames names;
    char out[200];
    arena_init(&arena);
    assert_int_equal(read(out, sizeof out, &model, NULL, 0, NULL, &names, &arena), LIMN_OK);
    assert_string_equal(out, "NEG=NEG|POS=POS|NEUTRAL=NEUTRAL|");
    assert_int_equal(read(out, sizeof out, &model, NULL, 0, "-1,1,0", &names, &arena), LIMN_OK);
    assert_string_equal(out, "NEG=-1|POS=1|NEUTRAL=0|");
    assert_int_equal(read(out, sizeof out, &model, given, 1, NULL, &names, &arena), LIMN_USAGE);
    assert_string_equal(error_message(), "ask: M is a classifier: its classes are the choices");
    model.config.n_classes = 2;
    assert_int_equal(read(out, sizeof out, &model, NULL, 0, NULL, &names, &arena), LIMN_OK);
    model.config.n_classes = 1;
    assert_int_equal(read(out, sizeof out, &model, NULL, 0, NULL, &names, &arena), LIMN_USAGE);
    assert_string_equal(error_message(),
                        "ask: M has one label, between which nothing is chosen (problem_type, id2label)");
    model.config.n_classes = 3;
    model.config.outputs = OUTPUT_VALUE;
    assert_int_equal(read(out, sizeof out, &model, NULL, 0, NULL, &names, &arena), LIMN_USAGE);
    assert_string_equal(error_message(),
                        "ask: M has numbers as outputs, between which nothing is chosen (problem_type, id2label)");
    arena_free(&arena);
}

static void labels_are_found(void **state) {
    static const char *const given[] = {" yes, no,maybe"};
    Arena arena;
    ChoiceNames names;
    char out[200];
    arena_init(&arena);
    assert_int_equal(read(out, sizeof out, &generates, given, 1, NULL, &names, &arena), LIMN_OK);
    static const struct {
        const char *label; /* NULL: the record has none */
        int32_t found;     /* -2: refused */
    } cases[] = {{"yes", 0},  {" no\r\n", 1}, {"\tmaybe ", 2}, {NULL, -1},
                 {"Yes", -2}, {"ye", -2},     {"yess", -2},    {"", -2}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        DataItem item = {.line = 7, .label = cases[i].label != NULL ? text_of(cases[i].label) : (Text){0}};
        int32_t found = -2;
        limn_status status = choice_names_find(&found, &names, "set.jsonl", &item);
        assert_int_equal(status, cases[i].found == -2 ? LIMN_USAGE : LIMN_OK);
        assert_true(status != LIMN_OK || found == cases[i].found);
    }
    DataItem item = {.line = 7, .label = text_of("nein")};
    int32_t found;
    assert_int_equal(choice_names_find(&found, &names, "set.jsonl", &item), LIMN_USAGE);
    assert_string_equal(error_message(), "set.jsonl: line 7: the label 'nein' is none of yes, no, maybe; --labels says "
                                         "how the data spells the choices");
    arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(choices_are_read), cmocka_unit_test(choices_are_bounded),
                                       cmocka_unit_test(classes_are_the_choices), cmocka_unit_test(labels_are_found)};
    return cmocka_run_group_tests_name("choices", tests, NULL, NULL);
}
