/* `ablate`: what must hold between its answers. A log-probability of two tokens is the sum of both, a lead is a
 * difference, estimates are linear in what takes a unit's place, a layer is the sum of its positions; pairs, curves and
 * means follow from single effects. */
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
#include "method/ablated.h"
#include "method/calls.h"
#include "method/references.h"

#include <cmocka.h> /* last: it has a macro named fail */

static void same(const char *what, double found, double expected) {
    if (!(fabs(found - expected) <= 2e-5 * fmax(1.0, fabs(expected)))) {
        fail_msg("%s: found %.9g, expected %.9g", what, found, expected);
    }
}

static void all_same(const char *what, const double *found, const double *expected, int n) {
    double size = 0.0;
    for (int i = 0; i < n; i++) {
        same(what, found[i], expected[i]);
        size = fmax(size, fabs(found[i]));
    }
    assert_true(size > 1e-3); /* something is compared */
}

/* ---- what is measured ---- */

static void metrics_are_of_one_another(void **state) {
    Cells log3 = cells_of(ablated("'target-id': 3, 'metric': 'logprob'")), plain = cells_of(ablated("'target-id': 3"));
    Cells log9 = cells_of(ablated("'target-id': 9")), logit3 = cells_of(ablated("'target-id': 3, 'metric': 'logit'"));
    Cells logit9 = cells_of(ablated("'target-id': 9, 'metric': 'logit'"));
    Cells share = cells_of(ablated("'target-id': 3, 'metric': 'prob'"));
    assert_int_equal(log3.n, CELLS);
    same("before", plain.before, log3.before);
    same("share", share.before, exp(log3.before));
    same("a lead of logits is one of log-probabilities", logit3.before - logit9.before, log3.before - log9.before);
    double largest = 0.0;
    for (int i = 0; i < CELLS; i++) {
        same("the default", plain.effects[i], log3.effects[i]);
        same("share", share.before + share.effects[i], exp(log3.before + log3.effects[i]));
        same("share's estimate", share.estimates[i], exp(log3.before) * log3.estimates[i]);
        same("lead", logit3.effects[i] - logit9.effects[i], log3.effects[i] - log9.effects[i]);
        same("lead's estimate", logit3.estimates[i] - logit9.estimates[i], log3.estimates[i] - log9.estimates[i]);
        largest = fmax(largest, fabs(logit3.effects[i] - log3.effects[i]));
    }
    assert_true(largest > 1e-3);
}

static void contrasts_are_differences(void **state) {
    const char *const prompt = "'prompt': 'a cab', ";
    char text[256];
    static const char *const asked[] = {"'target': 'd', 'metric': 'logit'", "'target': 'e', 'metric': 'logit'",
                                        "'target': 'd', 'contrast': 'e'"};
    Cells cells[3];
    for (int i = 0; i < 3; i++) {
        snprintf(text, sizeof text, "%s%s", prompt, asked[i]);
        cells[i] = cells_of(lettered(text));
        cells[0].before -= i == 1 ? cells[1].before : 0.0;
        for (int c = 0; c < cells[0].n && i == 1; c++) {
            cells[0].effects[c] -= cells[1].effects[c];
            cells[0].estimates[c] -= cells[1].estimates[c];
        }
    }
    same("before", cells[2].before, cells[0].before);
    all_same("effects", cells[2].effects, cells[0].effects, cells[2].n);
    all_same("estimates", cells[2].estimates, cells[0].estimates, cells[2].n);
}

/* With zeros in a unit's place, P(two tokens) = P(first) P(second behind it): of logprob and of kl. */
static void two_tokens_are_a_sum(void **state) {
    for (int kl = 0; kl < 2; kl++) {
        const char *metric = kl ? "kl" : "logprob";
        char text[3][128];
        snprintf(text[0], 128, "'prompt': 'a cab', 'target': 'de', 'metric': '%s'", metric);
        snprintf(text[1], 128, "'prompt': 'a cab', 'target': 'd', 'metric': '%s'", metric);
        snprintf(text[2], 128, "'prompt': 'a cabd', 'target': 'e', 'metric': '%s'", metric);
        Cells both = cells_of(lettered(text[0])), one = cells_of(lettered(text[1])), two = cells_of(lettered(text[2]));
        for (int i = 0; i < both.n; i++) {
            one.effects[i] += two.effects[i];
            one.estimates[i] += two.estimates[i];
        }
        same("before", both.before, one.before + two.before);
        all_same(metric, both.effects, one.effects, both.n);
        if (!kl) {
            all_same("estimates", both.estimates, one.estimates, both.n);
        } else {
            same("kl of the clean run from itself", both.before, 0.0);
        }
    }
}

/* A model of one output, a number, is measured by it: the logit of the class it was. */
static void a_number_is_a_logit(void **state) {
    char number[64], text[1200];
    make_number_model(number);
    Cells cells[2];
    for (int i = 0; i < 2; i++) {
        snprintf(text, sizeof text, "'model': '%s', 'ids': [5, 17, 40, 9]%s",
                 i == 0 ? number : golden_folder("gpt2-classifier"), i == 0 ? "" : ", 'class': '0'");
        cells[i] = cells_of(call_json("ablate", json_of("", text)));
    }
    same("before", cells[0].before, cells[1].before);
    all_same("effects", cells[0].effects, cells[1].effects, cells[0].n);
    all_same("estimates", cells[0].estimates, cells[1].estimates, cells[0].n);
    refuse_json("ablate", json_of(number, "'model': '%', 'ids': [5, 17], 'metric': 'prob'"), LIMN_USAGE,
                "has one output, a number; expected logit");
    remove_letters_model(number);
}

/* A gradient has nothing to say of kl at its least: nothing is estimated, and nothing is shown of it. */
static void kl_is_not_estimated(void **state) {
    Result *result = ablated("'target-id': 3, 'metric': 'kl', 'curve': 3");
    assert_null(result_find_block(result, "estimates"));
    const TableBlock *table = table_of(result, "strongest");
    assert_int_equal(table->n_columns, 4);
    assert_string_equal(table->columns[3].name.bytes, "after");
    const SeriesBlock *series = result_find_block(result, "curve")->content;
    assert_int_equal(series->n_lines, 2);
    assert_int_equal(result->n_checks, 1);
    result_free(result);
}

/* ---- units ---- */

static void units_add_up_in_estimates(void **state) {
    Cells heads = cells_of(ablated("'target-id': 3")), attention = cells_of(ablated("'target-id': 3, 'what': 'attn'"));
    Cells mlp = cells_of(ablated("'target-id': 3, 'what': 'mlp'")),
          layer = cells_of(ablated("'target-id': 3, 'what': 'layer'")),
          position = cells_of(ablated("'target-id': 3, 'what': 'position'"));
    assert_true(attention.n == LAYERS && mlp.n == LAYERS && layer.n == LAYERS && position.n == 3 * LAYERS);
    for (int l = 0; l < LAYERS; l++) {
        double sum = 0.0, over = 0.0;
        for (int h = 0; h < HEADS; h++) {
            sum += heads.estimates[l * HEADS + h];
        }
        for (int p = 0; p < 3; p++) {
            over += position.estimates[l * 3 + p];
        }
        same("heads", sum, attention.estimates[l]);
        same("both", attention.estimates[l] + mlp.estimates[l], layer.estimates[l]);
        same("positions", over, layer.estimates[l]);
        assert_true(fabs(sum) > 1e-4);
    }
    assert_true(position.effects[3] == 0.0 && position.effects[4] == 0.0); /* the last layer, but for the last row */
    assert_true(fabs(position.effects[5]) > 1e-3);
}

/* ---- what takes a unit's place ---- */

static char *written(char path[64], const char *lines) {
    snprintf(path, 64, "/tmp/limn-ablate-sums-XXXXXX.jsonl");
    int descriptor = mkstemps(path, 6);
    assert_true(descriptor >= 0);
    close(descriptor);
    assert_int_equal(file_write_atomic(path, lines, strlen(lines)), LIMN_OK);
    return path;
}

#define X    "{\"text\": \"fg h\", \"q\": \"z\"}\n"
#define Y    "{\"text\": \"e\", \"q\": \"zz\"}\n"
#define Z    "{\"text\": \"kk l mno\", \"q\": \"k\"}\n"
#define OWN  "{\"text\": \"a cab\"}\n"
#define FIVE X X X X X

/* The prompt's cells with values of these records. */
static Cells with(const char *how, const char *records, const char *more) {
    char path[64], text[512];
    written(path, records);
    snprintf(text, sizeof text, "'prompt': 'a cab', 'target': 'd', 'with': '%s', 'reference': '%s'%s", how, path, more);
    Cells cells = cells_of(lettered(text));
    unlink(path);
    return cells;
}

static void means_are_over_rows(void **state) {
    Cells own = cells_of(lettered("'prompt': 'a cab', 'target': 'd', 'with': 'mean'"));
    Cells again = with("mean", OWN, "");
    all_same("own rows", again.effects, own.effects, own.n);
    all_same("own rows", again.estimates, own.estimates, own.n);
    /* four rows of x, one of y, eight of z: estimates are linear in the mean */
    Cells x = with("mean", X, ""), y = with("mean", Y, ""), z = with("mean", Z, ""), all = with("mean", X Y Z, "");
    double expected[MOST];
    for (int i = 0; i < x.n; i++) {
        expected[i] = (4 * x.estimates[i] + y.estimates[i] + 8 * z.estimates[i]) / 13;
    }
    all_same("x, y and z", all.estimates, expected, all.n);
    Cells many = with("mean", FIVE FIVE FIVE FIVE FIVE FIVE FIVE, "");
    all_same("35 of one", many.effects, x.effects, x.n);
    Cells other = with("mean", X Y Z, ", 'template': 'fg h'");
    all_same("a template", other.effects, x.effects, x.n);
}

static void draws_are_means(void **state) {
    Cells x = with("resample", X, ""), y = with("resample", Y, ""), z = with("resample", Z, "");
    double effects[MOST], estimates[MOST];
    for (int i = 0; i < x.n; i++) {
        effects[i] = (x.effects[i] + y.effects[i] + z.effects[i]) / 3;
        estimates[i] = (x.estimates[i] + y.estimates[i] + z.estimates[i]) / 3;
    }
    static const char *const more[] = {"", ", 'draws': 3, 'seed': 5", ", 'draws': 3, 'seed': 6", ", 'draws': 1000"};
    for (int i = 0; i < 4; i++) { /* each of the three once, in whatever order; the prompt itself never */
        Cells all = with("resample", X OWN Y Z, more[i]);
        all_same("all three", all.effects, effects, all.n);
        all_same("all three", all.estimates, estimates, all.n);
    }
    int seen[3] = {0, 0, 0};
    for (int seed = 0; seed < 16; seed++) {
        char text[48];
        snprintf(text, sizeof text, ", 'draws': 1, 'seed': %d", seed);
        Cells one = with("resample", X Y OWN Z, text);
        const Cells *const each[] = {&x, &y, &z};
        int which = 0;
        while (which < 3 && fabs(one.effects[5] - each[which]->effects[5]) > 1e-6) {
            which++;
        }
        assert_true(which < 3);
        seen[which]++;
    }
    assert_true(seen[0] > 0 && seen[1] > 0 && seen[2] > 0);
    /* four of five, unless --draws says otherwise */
    const char *five = X Y Z "{\"text\": \"r\"}\n{\"text\": \"s t\"}\n";
    Cells four = with("resample", five, ", 'draws': 4"), unsaid = with("resample", five, "");
    all_same("by default", unsaid.effects, four.effects, four.n);
    Cells all = with("resample", five, ", 'draws': 5");
    assert_true(fabs(all.effects[5] - four.effects[5]) > 1e-6);
}

/* Rows take the values of the row at their place; those behind the other prompt's end, of its last. */
static void draws_go_by_place(void **state) {
    Cells alone = with("mean", Y, ""), drawn = with("resample", Y, ""); /* of one row */
    all_same("one row for all", drawn.effects, alone.effects, alone.n);
    Cells longer = with("resample", "{\"text\": \"a cab is\"}\n", "");
    for (int i = 0; i < longer.n; i++) {
        assert_true(fabs(longer.effects[i]) < 1e-5); /* the prompt's own values, and some that are not needed */
    }
    Cells shorter = with("resample", "{\"text\": \"a c\"}\n", ", 'what': 'position'");
    for (int i = 0; i < shorter.n; i++) {
        int place = i % 5;
        assert_true((fabs(shorter.effects[i]) > 1e-5) == (place >= 3 && (i < 5 || place == 4)));
    }
    Cells two = with("resample", "{\"text\": \"ek\"}\n", ", 'what': 'position'"),
          first = with("resample", Y, ", 'what': 'position'");
    same("the first row", two.effects[0], first.effects[0]);
    assert_true(fabs(two.effects[4] - first.effects[4]) > 1e-4); /* the last takes k's place, not e's */
}

static void references_are_refused(void **state) {
    static const struct {
        const char *lines, *with;
        limn_status status;
        const char *said;
    } cases[] = {{OWN, "resample", LIMN_NOT_FOUND, "a prompt other than the one that is explained"},
                 {"", "mean", LIMN_NOT_FOUND, "no record to take values from"},
                 {X "{\"text\": [5]}\n", "mean", LIMN_USAGE, "line 2"},
                 {X "{\"text\": \"\"}\n", "mean", LIMN_USAGE, ": line 2"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char path[64];
        written(path, cases[i].lines);
        json_t *params = json_of(letters, "'model': '%', 'prompt': 'a cab', 'target': 'd'");
        json_object_set_new(params, "with", json_string(cases[i].with));
        json_object_set_new(params, "reference", json_string(path));
        refuse_json("ablate", params, cases[i].status, cases[i].said);
        unlink(path);
    }
}

/* ---- records ---- */

static Result *over(const char *lines, const char *more) {
    char path[64], text[512];
    written(path, lines);
    snprintf(text, sizeof text, "'data': '%s'%s", path, more);
    Result *result = lettered(text);
    unlink(path);
    return result;
}

/* Means, and the standard error of each, over three records whose targets are their labels. */
static void records_are_averaged(void **state) {
    static const char lines[] = "{\"text\": \"a cab\", \"answer\": \"d\"}\n{\"text\": \"fg h i\", \"answer\": \"e\"}\n"
                                "{\"text\": \"mn\", \"answer\": \"qr\"}\n";
    static const char *const each[] = {"'prompt': 'a cab', 'target': 'd'", "'prompt': 'fg h i', 'target': 'e'",
                                       "'prompt': 'mn', 'target': 'qr'"};
    Result *result = over(lines, ", 'label-field': 'answer', 'top': 3, 'pairs': 2, 'curve': 8");
    Cells cells[3];
    double before = 0.0;
    for (int i = 0; i < 3; i++) {
        cells[i] = cells_of(lettered(each[i]));
        before += cells[i].before / 3;
    }
    same("before", param_of(result, "before"), before);
    assert_true(param_of(result, "records") == 3.0);
    const MatrixBlock *effects = matrix_of(result, "effects"), *estimates = matrix_of(result, "estimates");
    double mean[MOST], error[MOST], estimate[MOST];
    for (int c = 0; c < CELLS; c++) {
        const double *e[] = {&cells[0].effects[c], &cells[1].effects[c], &cells[2].effects[c]};
        mean[c] = (*e[0] + *e[1] + *e[2]) / 3;
        estimate[c] = (cells[0].estimates[c] + cells[1].estimates[c] + cells[2].estimates[c]) / 3;
        double squares = 0.0;
        for (int i = 0; i < 3; i++) {
            squares += (*e[i] - mean[c]) * (*e[i] - mean[c]);
        }
        error[c] = sqrt(squares / 2 / 3);
    }
    all_same("effects", effects->values, mean, CELLS);
    all_same("estimates", estimates->values, estimate, CELLS);
    const TableBlock *table = table_of(result, "strongest");
    assert_int_equal(table->n_rows, 3);
    assert_string_equal(table->columns[5].name.bytes, "error");
    double last = INFINITY;
    for (int row = 0; row < 3; row++) {
        int cell = (int)(table_cell(table, row, 0)->integer * HEADS + table_cell(table, row, 1)->integer);
        same("effect", table_cell(table, row, 2)->number, mean[cell]);
        same("estimate", table_cell(table, row, 3)->number, estimate[cell]);
        same("after", table_cell(table, row, 4)->number, before + mean[cell]);
        same("error", table_cell(table, row, 5)->number, error[cell]);
        assert_true(fabs(mean[cell]) <= last);
        last = fabs(mean[cell]);
    }
    const SeriesBlock *curve = result_find_block(result, "curve")->content;
    same("a curve begins", curve->lines[0].y[0], before);
    int least = 0, foreseen = 0;
    for (int c = 1; c < CELLS; c++) {
        least = mean[c] < mean[least] ? c : least;
        foreseen = estimate[c] < estimate[foreseen] ? c : foreseen;
    }
    same("... and without one", curve->lines[0].y[1], before + mean[least]);
    same("... or the one foreseen", curve->lines[1].y[1], before + mean[foreseen]);
    assert_non_null(strstr(result_find_block(result, "effects")->note.bytes, ", mean over records"));
    result_free(result);
}

/* Taken out all together it is the same in whatever order; before that orders differ. */
static void curves_meet_at_their_end(void **state) {
    Result *result = ablated("'target-id': 3, 'curve': 100");
    Cells cells = cells_of(ablated("'target-id': 3"));
    const SeriesBlock *curve = result_find_block(result, "curve")->content;
    assert_true(curve->n == CELLS + 1 && curve->n_lines == 3);
    const SeriesLine *own = &curve->lines[0], *estimated = &curve->lines[1], *random = &curve->lines[2];
    double widest = 0.0;
    for (int i = 0; i <= CELLS; i++) {
        assert_true(curve->x[i] == i);
        assert_true(random->low[i] <= random->y[i] + 1e-9 && random->y[i] <= random->high[i] + 1e-9);
        widest = fmax(widest, random->high[i] - random->low[i]);
        double ends[] = {own->y[i], estimated->y[i], random->y[i], random->low[i], random->high[i]};
        for (int k = 0; k < 5 && (i == 0 || i == CELLS); k++) {
            same("an end", ends[k], i == 0 ? cells.before : own->y[CELLS]);
        }
    }
    assert_true(widest > 1e-3);
    int found = 0; /* the lowest and the highest of one are single effects */
    for (int c = 0; c < CELLS; c++) {
        found += fabs(cells.before + cells.effects[c] - random->low[1]) < 1e-6;
        found += fabs(cells.before + cells.effects[c] - random->high[1]) < 1e-6;
    }
    assert_int_equal(found, 2);
    bool mean = false; /* of both and two others */
    for (int c = 0; c < CELLS * CELLS; c++) {
        double others = 2 * cells.before + cells.effects[c / CELLS] + cells.effects[c % CELLS];
        mean = mean || fabs((random->low[1] + random->high[1] + others) / 4 - random->y[1]) < 1e-6;
    }
    assert_true(mean);
    Result *other = ablated("'target-id': 3, 'curve': 100, 'seed': 5");
    const SeriesBlock *again = result_find_block(other, "curve")->content;
    double apart = 0.0;
    for (int i = 0; i <= CELLS; i++) {
        apart = fmax(apart, fabs(again->lines[2].y[i] - random->y[i]));
        assert_true(again->lines[0].y[i] == own->y[i]);
    }
    assert_true(apart > 1e-4);
    result_free(other);
    result_free(result);
}

/* What two do together beyond the sum of both, from the curve of these two alone. */
static void pairs_follow_from_a_curve(void **state) {
    Result *result = ablated("'target-id': 3, 'head': ['0.1,1.2'], 'pairs': 7, 'curve': 2");
    Result *only = ablated("'target-id': 3, 'head': ['0.1,1.2'], 'pairs': 2");
    const MatrixBlock *pairs = matrix_of(result, "pairs"), *alone = matrix_of(only, "pairs");
    const SeriesBlock *curve = result_find_block(result, "curve")->content;
    const double *effects = matrix_of(result, "effects")->values;
    double beyond = curve->lines[0].y[2] - curve->lines[0].y[0] - effects[1] - effects[6];
    assert_true(pairs->n_rows == 2 && pairs->n_columns == 2 && fabs(beyond) > 1e-5);
    assert_true(isnan(pairs->values[0]) && isnan(pairs->values[3]));
    for (int k = 1; k < 3; k++) {
        assert_true(fabs(pairs->values[k] - beyond) <= 1e-6 && fabs(alone->values[k] - beyond) <= 1e-6);
    }
    bool first = fabs(effects[1]) > fabs(effects[6]);
    assert_string_equal(pairs->row_labels[0].bytes, first ? "0.1" : "1.2");
    assert_string_equal(pairs->column_labels[1].bytes, first ? "1.2" : "0.1");
    assert_string_equal(pairs->column_title.bytes, "head");
    assert_null(result_find_block(only, "curve"));
    result_free(only);
    result_free(result);
    result = ablated("'target-id': 3, 'what': 'mlp', 'pairs': 2");
    effects = matrix_of(result, "effects")->values;
    assert_string_equal(matrix_of(result, "pairs")->row_labels[0].bytes,
                        fabs(effects[0]) > fabs(effects[1]) ? "0" : "1");
    result_free(result);
}

/* A record draws the same prompts when it is measured alone and when it is measured in pairs and curves; two records
 * draw for themselves. */
static void draws_stay_with_their_record(void **state) {
    static const char lines[] = "{\"text\": \"a cab\"}\n{\"text\": \"a cab\"}\n{\"text\": \"a cab\"}\n"
                                "{\"text\": \"a cab\"}\n{\"text\": \"a cab\"}\n{\"text\": \"a cab\"}\n";
    char path[64], more[256];
    written(path, X Y Z OWN);
    snprintf(more, sizeof more, ", 'target': 'd', 'with': 'resample', 'draws': 1, 'curve': 1, 'reference': '%s'", path);
    Result *result = over(lines, more);
    const MatrixBlock *effects = matrix_of(result, "effects");
    double least = INFINITY;
    for (int c = 0; c < CELLS; c++) {
        least = fmin(least, effects->values[c]);
    }
    const SeriesBlock *curve = result_find_block(result, "curve")->content;
    same("the curve's first", curve->lines[0].y[1], param_of(result, "before") + least);
    assert_true(table_cell(table_of(result, "strongest"), 0, 5)->number > 1e-4);
    result_free(result);
    unlink(path);
}

static void records_name_what_is_measured(void **state) {
    static const char lines[] = "{\"text\": \"a cab\", \"answer\": \"d\", \"n\": 1}\n"
                                "{\"text\": \"fg h i\", \"answer\": \"e\", \"n\": 2}\n";
    /* --target is stronger than a label */
    Cells named = cells_of(over(lines, ", 'label-field': 'answer', 'target': 'q'")),
          alone = cells_of(over(lines, ", 'target': 'q'"));
    all_same("a target", named.effects, alone.effects, alone.n);
    named = cells_of(over(lines, ", 'label-field': 'answer', 'target-id': 17"));
    all_same("a target's id", named.effects, alone.effects, alone.n);
    Cells first = cells_of(lettered("'prompt': 'a cab', 'target': 'd'")),
          filtered = cells_of(over(lines, ", 'label-field': 'answer', 'where': 'n == 1'"));
    all_same("a filter", filtered.effects, first.effects, first.n);
    filtered = cells_of(over(lines, ", 'label-field': 'answer', 'limit': 1"));
    all_same("a limit", filtered.effects, first.effects, first.n);
    filtered = cells_of(over(lines, ", 'label-field': 'answer', 'template': 'a cab', 'limit': 1"));
    all_same("a template", filtered.effects, first.effects, first.n);
    /* the data set's own rows, and a reference that is read whole whatever the data set's filter */
    Cells own = cells_of(over(OWN, ", 'target': 'd', 'with': 'mean'")),
          mean = cells_of(lettered("'prompt': 'a cab', 'target': 'd', 'with': 'mean'"));
    all_same("own rows", own.effects, mean.effects, mean.n);
    char path[64], more[256];
    written(path, X Y Z);
    snprintf(more, sizeof more, ", 'target': 'd', 'with': 'mean', 'where': 'n == 1', 'limit': 1, 'reference': '%s'",
             path);
    Cells whole = cells_of(over(lines, more));
    unlink(path);
    mean = with("mean", X Y Z, "");
    all_same("a whole reference", whole.effects, mean.effects, mean.n);
}

static void records_that_cannot_be_used(void **state) {
    static const char lines[] =
        "{\"text\": \"a cab\", \"n\": 1}\n{\"text\": \"\", \"n\": 1}\n{\"text\": \"fg\", \"n\": 1}\n";
    char path[64];
    written(path, lines);
    json_t *params = json_of(letters, "'model': '%', 'target': 'd'");
    json_object_set_new(params, "data", json_string(path));
    refuse_json("ablate", json_deep_copy(params), LIMN_USAGE, "line 2");
    json_t *none = json_deep_copy(params);
    json_object_set_new(none, "where", json_string("n == 7"));
    refuse_json("ablate", none, LIMN_USAGE, "no records that --where leaves");
    none = json_deep_copy(params);
    json_object_set_new(none, "template", json_string("{n}{n}{nothing}"));
    json_object_set_new(none, "on-error", json_string("skip"));
    refuse_json("ablate", none, LIMN_NOT_FOUND, "no record to measure effects on");
    json_object_set_new(params, "on-error", json_string("skip"));
    json_object_set_new(params, "curve", json_integer(2));
    Result *result = call_json("ablate", params);
    assert_true(param_of(result, "records") == 2.0);
    int skipped = 0; /* said once, though the records are read twice */
    for (int32_t i = 0; i < result->n_blocks; i++) {
        skipped += strcmp(result->blocks[i].id, "skipped") == 0;
    }
    assert_int_equal(skipped, 1);
    assert_true(table_cell(table_of(result, "skipped"), 0, 1)->integer == 2);
    result_free(result);
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metrics_are_of_one_another),
        cmocka_unit_test(contrasts_are_differences),
        cmocka_unit_test(two_tokens_are_a_sum),
        cmocka_unit_test(a_number_is_a_logit),
        cmocka_unit_test(kl_is_not_estimated),
        cmocka_unit_test(units_add_up_in_estimates),
        cmocka_unit_test(means_are_over_rows),
        cmocka_unit_test(draws_are_means),
        cmocka_unit_test(draws_go_by_place),
        cmocka_unit_test(references_are_refused),
        cmocka_unit_test(records_are_averaged),
        cmocka_unit_test(curves_meet_at_their_end),
        cmocka_unit_test(draws_stay_with_their_record),
        cmocka_unit_test(records_name_what_is_measured),
        cmocka_unit_test(records_that_cannot_be_used),
        cmocka_unit_test(pairs_follow_from_a_curve),
    };
    return cmocka_run_group_tests_name("ablate, sums", tests, open_letters, close_letters);
}
