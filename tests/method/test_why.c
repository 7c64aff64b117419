/* `why` says what replacement finds and what turned the answer really turns it; the check of causes passes, fails and
 * leaves open what it should. */
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "call/open.h"
#include "measure/cause.h"
#include "measure/target_score.h"
#include "measure/turning.h"
#include "method/calls.h"

#include <cmocka.h> /* last: it has a macro named fail */

static char letters[64];
static const char prompt_text[] = "the cat sat on a red mat";

static int set_up(void **state) {
    make_letters_model(letters);
    return 0;
}

static int tear_down(void **state) {
    remove_letters_model(letters);
    return 0;
}

static void must(limn_status status) {
    if (status != LIMN_OK) {
        fail_msg("%s", error_message());
    }
}

static const TableBlock *table_of(const Result *result, const char *id) {
    const Block *block = result_find_block(result, id);
    assert_non_null(block);
    return block->content;
}

static const char *answer_text(const Result *result) {
    const Block *block = result_find_block(result, "answer");
    assert_non_null(block);
    return ((const TextBlock *)block->content)->text.bytes;
}

static Result *ask(const char *command, const char *more) {
    Result *result = NULL;
    must(call_method(&result, command, "{\"model\": \"%s\", \"prompt\": \"%s\"%s}", letters, prompt_text, more));
    return result;
}

/* Without a floor causes are the clear supporters of `replace` with the same seed, and nothing else. */
static void causes_are_what_replacement_finds(void **state) {
    static const char *const questions[] = {"", ", \"target\": \"e\", \"floor\": 0",
                                            ", \"target\": \"e\", \"contrast\": \"k\", \"floor\": 0",
                                            ", \"target\": \"ek\", \"seed\": 5, \"floor\": 0"};
    int named = 0;
    for (size_t q = 0; q < sizeof questions / sizeof *questions; q++) {
        Result *why = ask("why", questions[q]), *replace = ask("replace", questions[q]);
        const TableBlock *causes = table_of(why, "causes"), *effects = table_of(replace, "effects");
        int32_t found = 0;
        for (int32_t r = 0; r < effects->n_rows; r++) {
            const Value *low = table_cell(effects, r, 3);
            if (low->kind != VALUE_NUMBER || !(low->number > 0.0)) {
                continue;
            }
            bool there = false;
            for (int32_t c = 0; c < causes->n_rows; c++) {
                there =
                    there || strcmp(table_cell(causes, c, 0)->text.bytes, table_cell(effects, r, 0)->text.bytes) == 0;
            }
            assert_true(there);
            found++;
        }
        /* the word that gradients point at was exchanged often too, which `replace` does not know of */
        assert_in_range(causes->n_rows, found, found + 1);
        named += causes->n_rows;
        bool says = strstr(why->headline.bytes, "no single word decides") == NULL;
        assert_int_equal(says, causes->n_rows > 0);
        assert_int_equal(result_verdict(why), causes->n_rows > 0 ? CHECK_PASS : CHECK_INCONCLUSIVE);
        result_free(why);
        result_free(replace);
    }
    assert_true(named > 0);
}

/* Each change that is said to turn the answer is made, and the model asked. */
static void turns_are_turns(void **state) {
    Result *why = ask("why", "");
    const TableBlock *turns = table_of(why, "counterfactuals");
    assert_true(turns->n_rows > 0);
    for (int32_t r = 0; r < turns->n_rows; r++) {
        const char *word = table_cell(turns, r, 0)->text.bytes, *with = table_cell(turns, r, 1)->text.bytes;
        if (strchr(word, '+') != NULL) {
            continue;
        }
        char changed[128], padded[160], wanted[64];
        snprintf(padded, sizeof padded, " %s ", prompt_text);
        snprintf(wanted, sizeof wanted, " %s ", word);
        const char *at = strstr(padded, wanted);
        assert_non_null(at);
        snprintf(changed, sizeof changed, "%.*s%s%s", (int)(at - padded), prompt_text, with,
                 prompt_text + (at - padded) + strlen(word));
        Result *run;
        must(call_method(&run, "run", "{\"model\": \"%s\", \"prompt\": \"%s\"}", letters, changed));
        const Block *output = NULL;
        for (int32_t b = 0; b < run->n_blocks && output == NULL; b++) {
            output = run->blocks[b].kind == BLOCK_TABLE ? &run->blocks[b] : NULL;
        }
        assert_non_null(output);
        const char *first = table_cell(output->content, 0, 0)->text.bytes;
        const char *answer = table_cell(turns, r, 2)->text.bytes;
        assert_memory_equal(answer, first, strlen(first)); /* the answer is the whole word that begins so */
        assert_string_not_equal(first, why->target.text.bytes);
        result_free(run);
    }
    result_free(why);
}

/* With too few draws for an interval nothing is named, and that is what it says. */
static void nothing_decides(void **state) {
    char list[80];
    snprintf(list, sizeof list, "/tmp/limn-why-%d.txt", (int)getpid());
    must(file_write_atomic(list, "fig\nhut\n", 8));
    char more[160];
    snprintf(more, sizeof more, ", \"replacements\": \"%s\"", list);
    Result *why = ask("why", more);
    assert_int_equal(table_of(why, "causes")->n_rows, 0);
    assert_non_null(strstr(answer_text(why), "no single word decides that"));
    assert_int_equal(result_verdict(why), CHECK_INCONCLUSIVE);
    result_free(why);
    unlink(list);
}

/* What makes an answer that is not given a little less likely is no cause of anything: neither named nor called one. */
static void below_the_floor_nothing_is_named(void **state) {
    Result *why = ask("why", ", \"target\": \"e\", \"floor\": 0"), *floored = ask("why", ", \"target\": \"e\"");
    const TableBlock *causes = table_of(why, "causes");
    assert_true(causes->n_rows > 0);
    for (int32_t r = 0; r < causes->n_rows; r++) {
        assert_true(fabs(table_cell(causes, r, 1)->number - table_cell(causes, r, 2)->number) < 0.05);
    }
    assert_int_equal(table_of(floored, "causes")->n_rows, 0);
    assert_non_null(strstr(answer_text(floored), "or moves it by less than 5 points on average"));
    assert_int_equal(result_verdict(floored), CHECK_INCONCLUSIVE);
    result_free(floored);
    /* just below and just above what the first cause moves */
    double moved = table_cell(causes, 0, 1)->number - table_cell(causes, 0, 2)->number;
    for (int above = 0; above <= 1; above++) {
        char more[96];
        snprintf(more, sizeof more, ", \"target\": \"e\", \"floor\": %.17g", moved * (above ? 1.001 : 0.999));
        floored = ask("why", more);
        const TableBlock *left = table_of(floored, "causes");
        const char *first = table_cell(causes, 0, 0)->text.bytes;
        assert_int_equal(left->n_rows > 0 && strcmp(table_cell(left, 0, 0)->text.bytes, first) == 0, !above);
        result_free(floored);
    }
    result_free(why);
    /* `replace` puts no such word into its headline, and leaves open what decides */
    Result *replace = ask("replace", ", \"target\": \"e\"");
    assert_non_null(strstr(replace->headline.bytes, "no single part of the prompt decides it"));
    assert_int_equal(result_verdict(replace), CHECK_INCONCLUSIVE);
    result_free(replace);
    /* a sure answer that is given rests on what clearly lowers its lead where no word moves it by the floor; where one
     * does, on those that do */
    why = ask("why", ", \"floor\": 0");
    causes = table_of(why, "causes");
    assert_true(causes->n_rows > 1);
    double moves[8];
    for (int32_t r = 0; r < causes->n_rows; r++) {
        moves[r] = fabs(table_cell(causes, r, 1)->number - table_cell(causes, r, 2)->number);
    }
    floored = ask("why", ", \"floor\": 1");
    assert_int_equal(table_of(floored, "causes")->n_rows, causes->n_rows);
    result_free(floored);
    double largest = 0.0, next = 0.0; /* of what they move */
    for (int32_t r = 0; r < causes->n_rows; r++) {
        next = fmax(next, fmin(largest, moves[r]));
        largest = fmax(largest, moves[r]);
    }
    char more[64];
    snprintf(more, sizeof more, ", \"floor\": %.17g", 0.5 * (largest + next));
    floored = ask("why", more);
    assert_int_equal(table_of(floored, "causes")->n_rows, 1);
    result_free(floored);
    result_free(why);
}

static void speaks_chinese(void **state) {
    Result *why = ask("why", ", \"language\": \"zh\"");
    assert_non_null(strstr(answer_text(why), "它"));
    assert_null(strstr(answer_text(why), "It said"));
    result_free(why);
}

/* ---- the check of causes ---- */

typedef struct Asked {
    Arena arena;
    ModelCache *models;
    Team team;
    Progress progress;
    Method method;
    MethodCall call;
    Engine *engine;
    Prompt prompt;
    Target target, contrast;
    TokenRuns words;
    YardstickParams yardstick;
    double scores[32];
} Asked;

static void open_question(Asked *asked, const char *wanted, const char *against) {
    memset(asked, 0, sizeof *asked);
    arena_init(&asked->arena);
    must(model_cache_new(&asked->models));
    asked->team = team_of(2, &asked->progress);
    asked->method.command.name = "asker";
    asked->call = (MethodCall){.method = &asked->method,
                               .registry = &test_registry,
                               .models = asked->models,
                               .progress = &asked->progress,
                               .team = &asked->team,
                               .arena = &asked->arena};
    must(method_engine(&asked->call, letters, &asked->engine));
    const Model *model = engine_model(asked->engine);
    const PromptParams prompt = {.prompt = text_of(prompt_text)};
    const TargetParams target = {.target = text_of(wanted),
                                 .target_id = PARAM_NO_INTEGER,
                                 .contrast = against == NULL ? (Text){NULL, 0} : text_of(against)};
    must(prompt_read(&asked->prompt, &asked->call, model, &prompt));
    must(target_resolve(&asked->target, &asked->contrast, &asked->call, asked->engine, &asked->prompt, &target, NULL,
                        NULL));
    must(words_of(&asked->words, &asked->call, model, &asked->prompt));
    assert_in_range(asked->words.n, 1, 32);
}

static void close_question(Asked *asked) {
    model_cache_free(asked->models);
    arena_free(&asked->arena);
}

/* Of an attribution that names word `named` first; -1: none. */
static Result *checked(Asked *asked, int32_t named, CauseEffort effort, bool advisory) {
    for (int32_t w = 0; w < asked->words.n; w++) {
        asked->scores[w] = w == named ? 1.0 : -0.1;
    }
    const CauseAsked cause = {.call = &asked->call,
                              .engine = asked->engine,
                              .prompt = &asked->prompt,
                              .target = &asked->target,
                              .contrast = &asked->contrast,
                              .words = &asked->words,
                              .params = &asked->yardstick,
                              .scores = asked->scores,
                              .effort = effort,
                              .advisory = advisory};
    Result *result;
    must(result_new(&result, "asker", NULL));
    must(cause_check(result, &cause));
    must(result_status(result));
    return result;
}

static CheckState state_of(const Result *result, const char *name) {
    for (int32_t i = 0; i < result->n_checks; i++) {
        if (strcmp(result->checks[i].name.bytes, name) == 0) {
            return result->checks[i].state;
        }
    }
    fail_msg("no check %s", name);
    return CHECK_FAIL;
}

static void the_check_tells_causes_apart(void **state) {
    Asked asked;
    open_question(&asked, "e", NULL);
    const int32_t n = asked.words.n;
    int passed = 0, failed = 0;
    double best = 0.0, best_effect = 0.0;
    for (int32_t w = 0; w < n; w += 2) { /* the spaces between are words of their own */
        Result *result = checked(&asked, w, CAUSE_FULL, false);
        const TableBlock *table = table_of(result, "cause");
        double own = NAN, largest = 0.0;
        bool clear = false, any = false;
        for (int32_t r = 0; r < table->n_rows; r++) {
            double effect = table_cell(table, r, 3)->number;
            bool is_clear = table_cell(table, r, 4)->kind == VALUE_NUMBER && table_cell(table, r, 4)->number > 0.0;
            any = any || is_clear;
            largest = is_clear ? fmax(largest, effect) : largest;
            if (table_cell(table, r, 1)->integer == asked.words.begins[w]) {
                own = effect;
                clear = is_clear;
            }
        }
        assert_true(any);
        bool good = clear && own >= 0.5 * largest;
        assert_int_equal(state_of(result, "cause"), good ? CHECK_PASS : CHECK_FAIL);
        const ResultCheck *check = &result->checks[0];
        assert_true(fabs(check->value - (clear ? own / largest : 0.0)) < 1e-9);
        if (check->value > best) {
            best = check->value;
            best_effect = own;
        }
        passed += good;
        failed += !good;
        result_free(result);
    }
    assert_true(best == 1.0 && best_effect > 0.0);
    assert_true(passed > 0 && failed > 0);
    asked.yardstick.floor = YARDSTICK_FLOOR; /* nothing moves "e" so far */
    Result *result = checked(&asked, 0, CAUSE_QUICK, false);
    assert_int_equal(state_of(result, "cause"), CHECK_INCONCLUSIVE);
    assert_non_null(strstr(result->checks[0].meaning.bytes, "enough to be spoken of"));
    result_free(result);
    close_question(&asked);
}

/* How far a unit moves the answer: a token's geometric mean share, or that of the two; worked out here from the draws.
 */
static double moved_by(const Yardstick *yardstick, int32_t unit, int32_t n_tokens, bool contrast) {
    const Effect *effect = yardstick_effect(yardstick, unit);
    Answered clean = yardstick_clean(yardstick);
    double own = 0.0, of_two = 0.0;
    for (int32_t k = 0; k < effect->n; k++) {
        own += exp(log(effect->answered[k].probability) / n_tokens);
        of_two += exp(effect->answered[k].lead) / (1.0 + exp(effect->answered[k].lead));
    }
    own = fabs(exp(log(clean.probability) / n_tokens) - own / effect->n);
    of_two = contrast ? fabs(exp(clean.lead) / (1.0 + exp(clean.lead)) - of_two / effect->n) : 0.0;
    return fmax(own, of_two);
}

static void the_floor_is_of_a_share(void **state) {
    static const struct {
        const char *target, *contrast;
    } questions[] = {{"e", NULL}, {"ek", NULL}, {"e", "k"}, {"k", "e"}};
    int undecided = 0, clear = 0;
    for (size_t q = 0; q < sizeof questions / sizeof *questions; q++) {
        Asked asked;
        open_question(&asked, questions[q].target, questions[q].contrast);
        for (int factor = 0; factor < 2; factor++) {
            YardstickAsked words = {.floor = 0.0};
            Yardstick *yardstick;
            must(yardstick_new(&yardstick, &asked.call, asked.engine, &asked.prompt, &asked.target, &asked.contrast,
                               &asked.words, &words));
            must(yardstick_run(yardstick, -1));
            int32_t best = -1;
            for (int32_t u = 0; u < yardstick_units(yardstick)->n; u++) {
                double effect = yardstick_effect(yardstick, u)->effect;
                bool more = best < 0 || fabs(effect) > fabs(yardstick_effect(yardstick, best)->effect);
                best = effect_is_clear(yardstick_effect(yardstick, u)) && more ? u : best;
                assert_int_equal(yardstick_counts(yardstick, u), effect_is_clear(yardstick_effect(yardstick, u)));
            }
            assert_true(best >= 0);
            double moved = moved_by(yardstick, best, asked.target.n, questions[q].contrast != NULL);
            bool decided = yardstick_clean(yardstick).decided;
            yardstick_free(yardstick);
            words.floor = moved * (factor == 0 ? 1.0 - 1e-9 : 1.0 + 1e-9);
            must(yardstick_new(&yardstick, &asked.call, asked.engine, &asked.prompt, &asked.target, &asked.contrast,
                               &asked.words, &words));
            must(yardstick_run(yardstick, -1));
            bool any = false; /* does another one move it that far? */
            for (int32_t u = 0; u < yardstick_units(yardstick)->n; u++) {
                bool far = moved_by(yardstick, u, asked.target.n, questions[q].contrast != NULL) >= words.floor;
                any = any || (effect_is_clear(yardstick_effect(yardstick, u)) && far);
            }
            assert_int_equal(yardstick_counts(yardstick, best), factor == 0 || (decided && !any));
            yardstick_free(yardstick);
            undecided += !decided;
            clear++;
        }
        close_question(&asked);
    }
    assert_true(undecided > 0 && undecided < clear);
}

static void the_check_leaves_open(void **state) {
    Asked asked;
    open_question(&asked, "e", NULL);
    Result *result = checked(&asked, -1, CAUSE_QUICK, false); /* names nothing for the target */
    assert_int_equal(state_of(result, "cause"), CHECK_INCONCLUSIVE);
    assert_int_equal(result_verdict(result), CHECK_INCONCLUSIVE);
    assert_null(result_find_block(result, "deletion"));
    result_free(result);
    result = checked(&asked, 1, CAUSE_QUICK, false); /* names a space, which nothing takes the place of */
    assert_int_equal(state_of(result, "cause"), CHECK_INCONCLUSIVE);
    result_free(result);
    result = checked(&asked, -1, CAUSE_QUICK, true);
    assert_int_equal(result_verdict(result), CHECK_PASS); /* advisory */
    result_free(result);
    result = checked(&asked, 0, CAUSE_NONE, false);
    assert_int_equal(result->n_checks, 0);
    result_free(result);
    close_question(&asked);
}

/* Ids are no text: said, and no failure. */
static void ids_are_not_checked(void **state) {
    Result *result;
    must(call_method(&result, "grad", "{\"model\": \"%s\", \"ids\": [1, 0, 2], \"target-id\": 4}", letters));
    assert_int_equal(result->n_checks, 0);
    bool said = false;
    for (int32_t i = 0; i < result->n_warnings; i++) {
        said = said || strstr(result->warnings[i].bytes, "was not checked") != NULL;
    }
    assert_true(said);
    result_free(result);
}

/* Each method that is named has its first word beside the effect of exchanging it. */
static void methods_are_taken_by_name(void **state) {
    Result *result = ask("why", ", \"methods\": [\"grad,lrp:rules=relp\"]");
    const TableBlock *table = table_of(result, "methods"), *words = table_of(result, "causes");
    assert_int_equal(table->n_rows, 2);
    assert_string_equal(table_cell(table, 1, 0)->text.bytes, "lrp:rules=relp");
    for (int32_t m = 0; m < 2; m++) { /* a cause is one that is listed as such */
        bool listed = false;
        for (int32_t i = 0; i < words->n_rows; i++) {
            listed = listed || strcmp(table_cell(words, i, 0)->text.bytes, table_cell(table, m, 1)->text.bytes) == 0;
        }
        assert_true(listed || !table_cell(table, m, 5)->boolean);
    }
    result_free(result);
    assert_int_equal(
        call_method(&result, "why", "{\"model\": \"%s\", \"prompt\": \"a b\", \"methods\": [\"grat\"]}", letters),
        LIMN_USAGE);
    assert_non_null(strstr(error_message(), "'grad'"));
}

/* The draws of one word each that turn the answer: of each word the one that fits best, the best word first. */
static void turnings_are_the_best_draws(void **state) {
    Asked asked;
    Yardstick *yardstick;
    Turnings turnings;
    open_question(&asked, "e", NULL);
    const TargetParams likeliest = {.target_id = PARAM_NO_INTEGER};
    must(target_resolve(&asked.target, &asked.contrast, &asked.call, asked.engine, &asked.prompt, &likeliest, NULL,
                        NULL));
    must(yardstick_new(&yardstick, &asked.call, asked.engine, &asked.prompt, &asked.target, &asked.contrast,
                       &asked.words, &(YardstickAsked){0}));
    must(yardstick_run(yardstick, -1));
    must(turnings_find(&turnings, yardstick, &asked.call));
    const bool clean = yardstick_clean(yardstick).decided;
    int32_t tried = 0, turning = 0;
    for (int32_t u = 0; u < yardstick_units(yardstick)->n; u++) {
        const Effect *effect = yardstick_effect(yardstick, u);
        double best = (double)NAN; /* a draw that was not asked about has no fit and comes behind those that have */
        bool turns = false;
        for (int32_t k = 0; k < effect->n; k++) {
            if (effect->answered[k].decided != clean) {
                best = fmax(best, yardstick_draws(yardstick, u)->items[k].fit);
                turns = true;
            }
        }
        tried += effect->n;
        turning += turns;
        for (int32_t i = 0; i < turnings.n; i++) {
            if (turnings.items[i].exchanges.items[0].unit == u) {
                assert_true(turnings.items[i].fit == best || (isnan(turnings.items[i].fit) && isnan(best)));
                turning--;
            }
        }
    }
    print_message("%d words turn the answer\n", (int)turnings.n);
    assert_int_equal(turning, 0);
    assert_in_range(turnings.n, 2, TURNINGS_MAX);
    assert_int_equal(turnings.tried, tried);
    assert_int_equal(turnings.most, 1);
    for (int32_t i = 0; i < turnings.n; i++) {
        assert_int_equal(turnings.items[i].exchanges.n, 1);
        assert_int_equal(turnings.items[i].answered.decided, !clean);
        assert_true(i == 0 || turnings.items[i].fit <= turnings.items[i - 1].fit || isnan(turnings.items[i].fit));
    }
    yardstick_free(yardstick);
    close_question(&asked);
}

/* The first line of an attribution names the target with its probability, to three digits. */
static void headlines_say_the_probability(void **state) {
    int told_apart = 0; /* from one that is off by a thousandth */
    for (char target = 'a'; target <= 'z'; target++) {
        char more[40], said[40], off[40];
        snprintf(more, sizeof more, ", \"target\": \"%c\"", target);
        Result *result = ask("grad", more);
        double percent = 100 * exp(result->target.log_probability);
        assert_true(percent > 0 && percent < 100);
        snprintf(said, sizeof said, "\"%c\" (%.3g%%)", target, percent);
        snprintf(off, sizeof off, "\"%c\" (%.3g%%)", target, 1.001 * percent);
        if (strstr(result->headline.bytes, said) == NULL) {
            fail_msg("'%s' does not say '%s'", result->headline.bytes, said);
        }
        told_apart += strcmp(said, off) != 0;
        result_free(result);
    }
    assert_true(told_apart > 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(causes_are_what_replacement_finds),
        cmocka_unit_test(turns_are_turns),
        cmocka_unit_test(turnings_are_the_best_draws),
        cmocka_unit_test(nothing_decides),
        cmocka_unit_test(below_the_floor_nothing_is_named),
        cmocka_unit_test(speaks_chinese),
        cmocka_unit_test(the_check_tells_causes_apart),
        cmocka_unit_test(the_floor_is_of_a_share),
        cmocka_unit_test(the_check_leaves_open),
        cmocka_unit_test(methods_are_taken_by_name),
        cmocka_unit_test(ids_are_not_checked),
        cmocka_unit_test(headlines_say_the_probability),
    };
    return cmocka_run_group_tests_name("why", tests, set_up, tear_down);
}
