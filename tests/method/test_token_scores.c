/* Token scores of every method that has them, asked by name: what measure/token_scores.h promises. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "call/open.h"
#include "measure/token_scores.h"
#include "method/calls.h"

#include <cmocka.h> /* last: it has a macro named fail */

static void must(limn_status status) {
    if (status != LIMN_OK) {
        fail_msg("%s", error_message());
    }
}

/* A call that builds on other methods, on a model opened once. */
typedef struct Asker {
    char folder[64];
    Arena arena;  /* of the call */
    Arena record; /* of one prompt */
    Team team;
    Progress progress;
    Method method;
    MethodCall call;
    ModelCache *models;
    Engine *engine;
} Asker;

static void asker_open(Asker *asker) {
    memset(asker, 0, sizeof *asker);
    make_letters_model(asker->folder);
    arena_init(&asker->arena);
    arena_init(&asker->record);
    must(model_cache_new(&asker->models));
    asker->team = team_of(2, &asker->progress);
    asker->method.command.name = "asker";
    asker->call = (MethodCall){.method = &asker->method,
                               .registry = &test_registry,
                               .models = asker->models,
                               .progress = &asker->progress,
                               .team = &asker->team,
                               .arena = &asker->arena};
    must(method_engine(&asker->call, asker->folder, &asker->engine));
}

static void asker_close(Asker *asker) {
    model_cache_free(asker->models);
    arena_free(&asker->arena);
    arena_free(&asker->record);
    remove_letters_model(asker->folder);
}

typedef struct Asked {
    Prompt prompt;
    Target target, contrast;
    TokenScores scores;
} Asked;

/* Scores of one prompt, in the record's arena. */
static limn_status ask(Asked *asked, Asker *asker, const char *name, const char *given, const char *text,
                       const char *target, const char *contrast, const bool *fixed) {
    MethodCall record = method_call_in(&asker->call, &asker->record);
    const Model *model = engine_model(asker->engine);
    const PromptParams prompt = {.prompt = text_of(text)};
    const TargetParams wanted = {.target = text_of(target),
                                 .target_id = PARAM_NO_INTEGER,
                                 .contrast = contrast == NULL ? (Text){0} : text_of(contrast)};
    must(prompt_read(&asked->prompt, &record, model, &prompt));
    must(target_build(&asked->target, &record, model, &asked->prompt, &wanted, NULL));
    must(target_build_contrast(&asked->contrast, &asked->target, &record, model, &asked->prompt, &wanted));
    const Method *method;
    const void *params;
    TRY(token_scorer_find(&method, &asker->call, name));
    json_t *object = given == NULL ? NULL : json_loads(given, 0, NULL);
    limn_status status = token_scorer_params(&params, &record, method, object);
    json_decref(object);
    TRY(status);
    const TokenQuestion question = {.engine = asker->engine,
                                    .prompt = &asked->prompt,
                                    .target = &asked->target,
                                    .contrast = &asked->contrast,
                                    .fixed = fixed,
                                    .params = params,
                                    .seed = 7};
    return token_scores(&asked->scores, &record, method, &question);
}

/* ---- every method ---- */

static const char text[] = "ab c de fg h i jk lm";
enum { TOKENS = 20, HELD_BEGIN = 3, HELD_END = 6, MANY = 40 };

static void check_scorer(Asker *asker, const char *name) {
    Asked first, again, held;
    bool fixed[TOKENS] = {false};
    for (int t = HELD_BEGIN; t < HELD_END; t++) {
        fixed[t] = true;
    }
    must(ask(&first, asker, name, NULL, text, "d", "e", NULL));
    assert_int_equal(first.scores.n, TOKENS);
    assert_non_null(first.scores.unit);
    assert_true(first.scores.sound == (first.scores.complaint == NULL));
    must(ask(&again, asker, name, NULL, text, "d", "e", NULL));
    assert_memory_equal(first.scores.scores, again.scores.scores, TOKENS * sizeof(double));
    must(ask(&held, asker, name, NULL, text, "d", NULL, fixed));
    bool any = false;
    for (int32_t t = 0; t < TOKENS; t++) {
        assert_true(isnan(held.scores.scores[t]) == fixed[t]);
        assert_true(!isnan(first.scores.scores[t]));
        any = any || first.scores.scores[t] != 0.0;
    }
    assert_true(any);
    assert_true(isnan(token_scores_sum(&held.scores, HELD_BEGIN, HELD_END)));
    double sum = token_scores_sum(&held.scores, HELD_BEGIN - 1, HELD_END);
    assert_memory_equal(&sum, &held.scores.scores[HELD_BEGIN - 1], sizeof sum);
    arena_reset(&asker->record);
}

static void every_scorer_keeps_the_promise(void **state) {
    Asker asker;
    asker_open(&asker);
    int found = 0;
    for (size_t i = 0; i < test_registry.methods->n; i++) {
        const Method *method = test_registry.methods->items[i].method;
        if (method->score_tokens != NULL) {
            check_scorer(&asker, method->command.name);
            found++;
        }
    }
    assert_true(found > 0);
    asker_close(&asker);
}

/* Nothing of one prompt is kept beyond its own arena, which grows no further either. */
static void many_prompts_cost_what_one_costs(void **state) {
    Asker asker;
    asker_open(&asker);
    size_t after_first = 0;
    const void *block = asker.arena.head;
    for (int i = 0; i < MANY; i++) {
        Asked asked;
        must(ask(&asked, &asker, "ig", "{\"steps\": 4}", text, i % 2 == 0 ? "d" : "e", NULL, NULL));
        arena_reset(&asker.record);
        after_first = i == 1 ? asker.record.next_block_bytes : after_first;
    }
    assert_int_equal(asker.record.next_block_bytes, after_first);
    assert_ptr_equal(asker.arena.head, block);
    asker_close(&asker);
}

/* ---- ig ---- */

static void check_like_command(Asker *asker, const char *given, const char *contrast) {
    Asked asked;
    Result *result;
    char options[256] = "";
    if (given != NULL) {
        snprintf(options, sizeof options, ", %.*s", (int)strlen(given) - 2, given + 1);
    }
    must(ask(&asked, asker, "ig", given, text, "d", contrast, NULL));
    must(call_method(&result, "ig", "{\"model\": \"%s\", \"prompt\": \"%s\", \"target\": \"d\", \"seed\": 7%s%s%s%s}",
                     asker->folder, text, contrast == NULL ? "" : ", \"contrast\": \"",
                     contrast == NULL ? "" : contrast, contrast == NULL ? "" : "\"", options));
    const Block *block = result_find_block(result, "attribution");
    assert_non_null(block);
    const TokensBlock *strip = block->content;
    bool loss = given != NULL && strstr(given, "nll") != NULL; /* there + speaks against the target */
    for (int32_t t = 0; t < TOKENS; t++) {
        double expected = loss ? -strip->items[t].score : strip->items[t].score;
        assert_memory_equal(&asked.scores.scores[t], &expected, sizeof expected);
        if (asked.scores.spreads != NULL) {
            assert_memory_equal(&asked.scores.spreads[t], &strip->items[t].spread, sizeof(double));
        }
    }
    result_free(result);
    arena_reset(&asker->record);
}

static void ig_scores_are_the_commands(void **state) {
    Asker asker;
    asker_open(&asker);
    check_like_command(&asker, NULL, NULL);
    check_like_command(&asker, NULL, "e");
    check_like_command(&asker, "{\"steps\": 12, \"baseline\": [\"mean\", \"zero\"]}", "e");
    check_like_command(&asker, "{\"steps\": 12, \"metric\": \"nll\"}", NULL);
    asker_close(&asker);
}

static void ig_says_when_it_is_off(void **state) {
    Asker asker;
    asker_open(&asker);
    Asked rough, fine;
    must(ask(&rough, &asker, "ig", "{\"steps\": 1, \"tolerance\": 0.001}", text, "d", NULL, NULL));
    assert_false(rough.scores.sound);
    assert_true(rough.scores.completeness > 0.001);
    must(ask(&fine, &asker, "ig", "{\"max-nodes\": 4096}", text, "d", NULL, NULL));
    assert_true(fine.scores.sound);
    double sum = token_scores_sum(&fine.scores, 0, TOKENS);
    assert_true(fabs(sum) > 1e-3 && isfinite(fine.scores.f));
    asker_close(&asker);
}

/* ---- what is refused ---- */

static void refuses(Asker *asker, const char *name, const char *given, const char *message) {
    Asked asked;
    if (ask(&asked, asker, name, given, text, "d", NULL, NULL) != LIMN_USAGE ||
        strstr(error_message(), message) == NULL) {
        fail_msg("expected '%s', found '%s'", message, error_message());
    }
}

static void wrong_names_are_refused(void **state) {
    Asker asker;
    asker_open(&asker);
    refuses(&asker, "run", NULL, "tokens get no scores by the method 'run'; nearest that does: 'ig'");
    refuses(&asker, "gi", NULL, "there is no method 'gi'; nearest that does: 'ig'");
    refuses(&asker, "ig", "{\"stepz\": 3}", "ig has no option 'stepz'; nearest: 'steps'");
    refuses(&asker, "ig", "{\"target\": \"d\"}", "option 'target' of ig has no place here");
    refuses(&asker, "ig", "{\"model\": \"x\"}", "option 'model' of ig has no place here");
    refuses(&asker, "ig", "{\"steps\": \"few\"}", "option 'steps': found 'few'");
    refuses(&asker, "ig", "{\"rule\": \"trapezoid\"}", "option 'rule' names the rule of --steps");
    asker_close(&asker);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_scorer_keeps_the_promise), cmocka_unit_test(many_prompts_cost_what_one_costs),
        cmocka_unit_test(ig_scores_are_the_commands), cmocka_unit_test(ig_says_when_it_is_off),
        cmocka_unit_test(wrong_names_are_refused)};
    return cmocka_run_group_tests_name("token scores", tests, NULL, NULL);
}
