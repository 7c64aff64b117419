/* `compare methods`: what it says of one prompt and of many. Over records figures are means of those of each; pairs,
 * headlines, checks and curves follow from what the tables hold; what people marked is found where it stands. */
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
#include "base/text_buffer.h"
#include "method/calls.h"
#include "method/references.h"

#include <cmocka.h> /* last: it has a macro named fail */

static char letters[64];

static void write_file(const char *name, const char *text) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", letters, name);
    assert_int_equal(file_write_atomic(path, text, strlen(text)), LIMN_OK);
}

static int set_up(void **state) {
    open_models();
    make_letters_model(letters);
    write_file("one.txt", "zz\n"); /* the one word that others are exchanged for */
    return 0;
}

static int tear_down(void **state) {
    char path[128];
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", letters, i == 0 ? "one.txt" : "data.jsonl");
        unlink(path);
    }
    remove_letters_model(letters);
    close_models();
    return 0;
}

/* Every word has one other, so that nothing is drawn; no random sets, seeds or versions unless `more` asks. */
static Result *compared(const char *more) {
    char text[1024];
    snprintf(text, sizeof text, "'model': '%%', 'replacements': '%%/one.txt', %s%s%s%s%s", more,
             strstr(more, "'methods'") == NULL ? ", 'methods': ['grad,lrp']" : "",
             strstr(more, "'sets'") == NULL ? ", 'sets': 0" : "", strstr(more, "'seeds'") == NULL ? ", 'seeds': 1" : "",
             strstr(more, "'versions'") == NULL ? ", 'versions': 0" : "");
    return call_json("compare methods", json_of(letters, text));
}

static Result *over(const char *lines, const char *more) {
    char text[512];
    write_file("data.jsonl", lines);
    snprintf(text, sizeof text, "'data': '%%/data.jsonl', 'prompt-field': 'q'%s", more);
    return compared(text);
}

static double number_at(const TableBlock *table, int32_t row, int32_t column) {
    const Value *value = table_cell(table, row, column);
    return value->kind == VALUE_INTEGER ? (double)value->integer : value->kind == VALUE_NUMBER ? value->number : NAN;
}

static int32_t row_of(const TableBlock *table, const char *name) {
    for (int32_t i = 0; i < table->n_rows; i++) {
        if (strcmp(table_cell(table, i, 0)->text.bytes, name) == 0) {
            return i;
        }
    }
    fail_msg("there is no row '%s'", name);
    return -1;
}

/* By the name of the method and of the column. */
static double figure(const Result *result, const char *id, const char *method, const char *column) {
    const TableBlock *table = table_of(result, id);
    for (int32_t c = 0; c < table->n_columns; c++) {
        if (strcmp(table->columns[c].name.bytes, column) == 0) {
            return number_at(table, row_of(table, method), c);
        }
    }
    fail_msg("%s has no column '%s'", id, column);
    return (double)NAN;
}

static void near(const char *what, double found, double expected) {
    if (!(fabs(found - expected) <= 1e-9 * fmax(1.0, fabs(expected)))) {
        fail_msg("%s: found %.12g, expected %.12g", what, found, expected);
    }
}

static const char *const figures[] = {"replacement", "sizes", "cause", "comprehensiveness", "sufficiency"};
enum { FIGURES = sizeof figures / sizeof figures[0] };

#define A "{\"q\": \"a cab de fg h\", \"a\": \"d\"}\n"
#define B "{\"q\": \"b jk lm no p\", \"a\": \"e\"}\n"
#define C "{\"q\": \"x yz de q rst\", \"a\": \" f\"}\n"

static const char *const prompts[] = {"'prompt': 'a cab de fg h', 'target': ' d'",
                                      "'prompt': 'b jk lm no p', 'target': ' e'",
                                      "'prompt': 'x yz de q rst', 'target': ' f'"};

/* ---- many records ---- */

/* Means of each prompt's own, with Student's interval; targets are read behind a space. */
static void figures_are_means_over_records(void **state) {
    static const double student[] = {12.706204736, 4.302652730}; /* 97.5% with 1 and 2 degrees of freedom */
    Result *each[3], *result = over(A B C, ", 'target-field': 'a'"), *two = over(A B, ", 'target-field': 'a'");
    for (int i = 0; i < 3; i++) {
        each[i] = compared(prompts[i]);
    }
    static const char *const methods[] = {"grad", "lrp"};
    for (int m = 0; m < 2; m++) {
        for (int f = 0; f < FIGURES; f++) {
            double sum = 0.0, n = 0.0; /* of those that have one */
            for (int i = 0; i < 3; i++) {
                double own = figure(each[i], "methods", methods[m], figures[f]);
                sum += isnan(own) ? 0.0 : own;
                n += isnan(own) ? 0.0 : 1.0;
            }
            near(figures[f], figure(result, "methods", methods[m], figures[f]), sum / n);
        }
        for (int n = 2; n <= 3; n++) {
            double mean = 0.0, square = 0.0;
            for (int i = 0; i < n; i++) {
                mean += figure(each[i], "methods", methods[m], "replacement") / n;
            }
            for (int i = 0; i < n; i++) {
                double apart = figure(each[i], "methods", methods[m], "replacement") - mean;
                square += apart * apart;
            }
            double half = student[n - 2] * sqrt(square / (n - 1) / n);
            const Result *of = n == 2 ? two : result;
            assert_true(fabs(figure(of, "methods", methods[m], "low") - (mean - half)) < 1e-6);
            assert_true(fabs(figure(of, "methods", methods[m], "high") - (mean + half)) < 1e-6);
        }
    }
    static const char *const pairs[] = {"spearman", "kendall", "top 3"};
    const char *first = table_cell(table_of(result, "agreement"), 0, 0)->text.bytes;
    for (int p = 0; p < 3; p++) {
        double sum = 0.0;
        for (int i = 0; i < 3; i++) {
            sum += number_at(table_of(each[i], "agreement"), 0, 2 + p) / 3;
        }
        near(pairs[p], figure(result, "agreement", first, pairs[p]), sum);
    }
    const SeriesBlock *curve = result_find_block(result, "deletion")->content;
    for (int32_t l = 0; l < 3; l++) { /* methods and random orders, which are those of the record's place */
        for (int32_t p = 0; p < curve->n && l < 2; p++) {
            double sum = 0.0;
            for (int i = 0; i < 3; i++) {
                const SeriesBlock *own = result_find_block(each[i], "deletion")->content;
                int32_t line = strcmp(own->lines[0].name.bytes, curve->lines[l].name.bytes) == 0 ? 0 : 1;
                sum += own->lines[line].y[p] / 3;
            }
            near("deletion", curve->lines[l].y[p], sum);
        }
    }
    assert_true(param_of(result, "records") == 3.0 && isnan(param_of(result, "rationales")));
    assert_null(result_find_block(result, "scores"));
    for (int i = 0; i < 3; i++) {
        result_free(each[i]);
    }
    result_free(two);
    result_free(result);
}

/* Lists of figures grow; nothing of the first 32 is lost. */
static void many_records_are_kept(void **state) {
    TextBuffer lines = TEXT_BUFFER_INIT;
    for (int i = 0; i < 70; i++) {
        text_buffer_add(&lines, i < 35 ? "{\"q\": \"a cab de fg h\", \"a\": \" d\", \"w\": \"cab\"}\n"
                                       : "{\"q\": \"b jk lm no p\", \"a\": \" e\", \"w\": \"jk\"}\n");
    }
    Result *result = over(lines.data, ", 'target-field': 'a', 'rationale-field': 'w', 'draws': 1");
    Result *few = over("{\"q\": \"a cab de fg h\", \"a\": \" d\", \"w\": \"cab\"}\n"
                       "{\"q\": \"b jk lm no p\", \"a\": \" e\", \"w\": \"jk\"}\n",
                       ", 'target-field': 'a', 'rationale-field': 'w', 'draws': 1");
    for (int f = 0; f < FIGURES; f++) {
        near(figures[f], figure(result, "methods", "lrp", figures[f]), figure(few, "methods", "lrp", figures[f]));
    }
    static const char *const marked[] = {"AUPRC", "mean precision", "token F1", "IoU F1"};
    for (int f = 0; f < 4; f++) {
        near(marked[f], figure(result, "rationale", "lrp", marked[f]), figure(few, "rationale", "lrp", marked[f]));
    }
    /* one marked word of five stands at any place in a random order: mean precision is the mean of 1 / place */
    assert_true(fabs(figure(result, "rationale", "random order", "mean precision") - 137.0 / 300) < 0.035);
    assert_true(fabs(figure(result, "rationale", "random order", "token F1") - 0.2) < 0.05);
    assert_true(param_of(result, "rationales") == 70.0 && param_of(result, "records") == 70.0);
    text_buffer_free(&lines);
    result_free(few);
    result_free(result);
}

/* The answer of a record: behind a space, unless the prompt ends in one or the answer begins with one. */
static void targets_stand_behind_a_space(void **state) {
    static const struct {
        const char *line, *prompt;
    } cases[] = {{"{\"q\": \"a cab de\", \"a\": \"d\"}\n", "'prompt': 'a cab de', 'target': ' d'"},
                 {"{\"q\": \"a cab de\", \"a\": \" d\"}\n", "'prompt': 'a cab de', 'target': ' d'"},
                 {"{\"q\": \"a cab de \", \"a\": \"d\"}\n", "'prompt': 'a cab de ', 'target': 'd'"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Result *result = over(cases[i].line, ", 'target-field': 'a'"), *alone = compared(cases[i].prompt);
        for (int f = 0; f < FIGURES; f++) {
            near(cases[i].prompt, figure(result, "methods", "grad", figures[f]),
                 figure(alone, "methods", "grad", figures[f]));
        }
        result_free(alone);
        result_free(result);
    }
    Result *named = over(A, ", 'target': 'e'"), *alone = compared("'prompt': 'a cab de fg h', 'target': 'e'");
    near("an answer for all", figure(named, "methods", "grad", "sufficiency"),
         figure(alone, "methods", "grad", "sufficiency"));
    result_free(named);
    result_free(alone);
}

static void records_are_chosen(void **state) {
    static const struct {
        const char *more;
        double records;
    } cases[] = {{", 'limit': 2", 2}, {", 'sample': 1", 1}, {", 'where': \\\"a != 'd'\\\"", 2}, {"", 3}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_file("data.jsonl", A B C);
        json_t *params = json_of(letters, "'model': '%', 'data': '%/data.jsonl', 'prompt-field': 'q', 'target-field': "
                                          "'a', 'draws': 0, 'seeds': 1, 'methods': ['grad,lrp']");
        if (i == 2) {
            json_object_set_new(params, "where", json_string("a != 'd'"));
        } else if (i < 2) {
            json_object_set_new(params, i == 0 ? "limit" : "sample", json_integer(i == 0 ? 2 : 1));
        }
        Result *result = call_json("compare methods", params);
        assert_true(param_of(result, "records") == cases[i].records);
        result_free(result);
    }
    const char *bad = A "{\"q\": \"\", \"a\": \"d\"}\n" B;
    Result *result = over(bad, ", 'target-field': 'a', 'draws': 0, 'on-error': 'skip'");
    assert_true(param_of(result, "records") == 2.0);
    result_free(result);
    json_t *params = json_of(letters, "'model': '%', 'data': '%/data.jsonl', 'prompt-field': 'q', 'target-field': 'a', "
                                      "'draws': 0, 'methods': ['grad,lrp']");
    refuse_json("compare methods", json_deep_copy(params), LIMN_USAGE, "data.jsonl: line 2: ");
    write_file("data.jsonl", "{\"q\": \"\", \"a\": \"d\"}\n");
    json_object_set_new(params, "on-error", json_string("skip"));
    refuse_json("compare methods", params, LIMN_NOT_FOUND, "no record to compare methods on");
}

/* ---- what is said ---- */

static double spearman_of(const double *a, const double *b, int n) {
    double square = 0.0;
    for (int i = 0; i < n; i++) {
        double ra = 0.0, rb = 0.0;
        for (int k = 0; k < n; k++) {
            ra += a[k] < a[i];
            rb += b[k] < b[i];
        }
        square += (ra - rb) * (ra - rb);
    }
    return 1.0 - 6.0 * square / (n * (n * n - 1.0)); /* no two are alike */
}

static double kendall_of(const double *a, const double *b, int n) {
    double sum = 0.0;
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < i; k++) {
            sum += (a[i] - a[k]) * (b[i] - b[k]) > 0.0 ? 1.0 : -1.0;
        }
    }
    return sum / (n * (n - 1) / 2);
}

/* Share of the three highest that both have. */
static double top_of(const double *a, const double *b, int n) {
    int both = 0;
    for (int i = 0; i < n; i++) {
        int above[2] = {0, 0};
        for (int k = 0; k < n; k++) {
            above[0] += a[k] > a[i];
            above[1] += b[k] > b[i];
        }
        both += above[0] < 3 && above[1] < 3;
    }
    return both / 3.0;
}

/* Three methods on one prompt: the best first everywhere, pairs of them by what the scores say. */
static void tables_follow_from_the_scores(void **state) {
    enum { METHODS = 3, WORDS = 5 };
    Result *result = compared("'prompt': 'a cab de fg h', 'target': 'd', 'methods': ['grad,lrp,ig']");
    const MatrixBlock *scores = matrix_of(result, "scores"), *map = matrix_of(result, "agreement-map");
    const TableBlock *methods = table_of(result, "methods"), *pairs = table_of(result, "agreement");
    double words[METHODS + 1][WORDS];
    assert_true(scores->n_rows == METHODS + 1 && scores->n_columns == 2 * WORDS - 1);
    assert_string_equal(scores->row_labels[0].bytes, "replacement");
    for (int i = 0; i <= METHODS; i++) {
        double largest = 0.0;
        for (int w = 0; w < WORDS; w++) {
            words[i][w] = scores->values[i * scores->n_columns + 2 * w];
            largest = fmax(largest, fabs(words[i][w]));
            for (int space = 0; space < 2; space++) { /* each of its row's largest */
                int at = 2 * w + space;
                assert_true(at >= scores->n_columns || isnan(scores->values[at]) ||
                            fabs(scores->values[i * scores->n_columns + at]) <= 1.0);
            }
        }
        assert_true(i > 0 || largest == 1.0);
    }
    assert_string_equal(scores->column_labels[2].bytes, "cab");
    double last = INFINITY;
    int pair = 0;
    for (int i = 0; i < METHODS; i++) {
        const char *name = table_cell(methods, i, 0)->text.bytes;
        assert_string_equal(scores->row_labels[i + 1].bytes, name);
        assert_string_equal(map->row_labels[i].bytes, name);
        assert_string_equal(map->column_labels[i].bytes, name);
        near("replacement", number_at(methods, i, 1), spearman_of(words[0], words[i + 1], WORDS));
        assert_true(number_at(methods, i, 1) <= last);
        last = number_at(methods, i, 1);
        for (int k = 0; k < METHODS; k++) {
            double rho = i == k ? 1.0 : spearman_of(words[i + 1], words[k + 1], WORDS);
            near("the map", map->values[i * METHODS + k], rho);
            if (k > i) {
                assert_string_equal(table_cell(pairs, pair, 0)->text.bytes, name);
                assert_string_equal(table_cell(pairs, pair, 1)->text.bytes, table_cell(methods, k, 0)->text.bytes);
                near("spearman", number_at(pairs, pair, 2), rho);
                near("kendall", number_at(pairs, pair, 3), kendall_of(words[i + 1], words[k + 1], WORDS));
                near("top 3", number_at(pairs, pair, 4), top_of(words[i + 1], words[k + 1], WORDS));
                assert_true(number_at(pairs, pair, 5) == 1.0);
                pair++;
            }
        }
    }
    assert_int_equal(pairs->n_rows, pair);
    assert_true(result_find_block(result, "agreement")->detail && !result_find_block(result, "agreement-map")->detail);
    assert_true(result_find_block(result, "insertion")->detail && !result_find_block(result, "deletion")->detail);
    /* the check: the best method's curve lies lower than a random order's */
    const SeriesBlock *curve = result_find_block(result, "deletion")->content;
    assert_string_equal(curve->lines[METHODS].name.bytes, "random order");
    double apart = 0.0;
    for (int p = 1; p <= 5; p++) {
        apart += (curve->lines[METHODS].y[p] - curve->lines[0].y[p]) / 5;
    }
    assert_int_equal(result->n_checks, 1);
    assert_string_equal(result->checks[0].name.bytes, "better than chance");
    near("better than chance", result->checks[0].value, apart);
    assert_true(result->checks[0].limit == 0.0 && result->checks[0].kind == CHECK_ABOVE);
    assert_non_null(strstr(result->checks[0].meaning.bytes, table_cell(methods, 0, 0)->text.bytes));
    result_free(result);
}

/* Another seed, another random order; the methods' curves stay. */
static void random_orders_are_drawn_by_the_seed(void **state) {
    double apart = 0.0;
    Result *first = NULL;
    for (int seed = 0; seed < 4; seed++) {
        char text[96];
        snprintf(text, sizeof text, "'prompt': 'a cab de fg h', 'target': 'd', 'seed': %d", seed);
        Result *result = compared(text);
        first = first == NULL ? result : first;
        const SeriesBlock *a = result_find_block(first, "deletion")->content,
                          *b = result_find_block(result, "deletion")->content;
        for (int32_t p = 0; p < a->n; p++) {
            apart = fmax(apart, fabs(a->lines[2].y[p] - b->lines[2].y[p]));
            near("a method's curve", b->lines[0].y[p], a->lines[0].y[p]);
        }
        if (result != first) {
            result_free(result);
        }
    }
    assert_true(apart > 1e-4);
    result_free(first);
}

static void headlines_say_who_is_best(void **state) {
    char said[256];
    for (int i = 0; i < 4; i++) {
        bool chinese = i % 2 == 1, many = i / 2 == 1;
        const char *language = chinese ? ", 'language': 'zh', 'target-field': 'a'" : ", 'target-field': 'a'";
        Result *result = many ? over(A B C, language)
                              : compared(chinese ? "'prompt': 'a cab de fg h', 'target': 'd', 'language': 'zh'"
                                                 : "'prompt': 'a cab de fg h', 'target': 'd'");
        const TableBlock *methods = table_of(result, "methods");
        snprintf(said, sizeof said,
                 chinese ? "%s 最能预测替换词语的作用：秩相关 %.2f；其次 %s（%.2f）%s"
                         : "%s predicts best what exchanging words does: rank correlation %.2f; then %s (%.2f)%s",
                 table_cell(methods, 0, 0)->text.bytes, number_at(methods, 0, 1), table_cell(methods, 1, 0)->text.bytes,
                 number_at(methods, 1, 1),
                 many      ? chinese ? "，共 3 条记录" : ", over 3 records"
                 : chinese ? "，仅一个提示"
                           : ", on one prompt");
        assert_string_equal(result->headline.bytes, said);
        assert_int_equal(result->n_warnings, many ? 0 : 1);
        result_free(result);
    }
    Result *result = compared("'prompt': 'cab', 'target': 'd'");
    assert_string_equal(result->headline.bytes, "Nothing to compare: no two words have different effects");
    assert_int_equal(result->n_checks, 0);
    result_free(result);
    result = compared("'prompt': 'a cab de fg h', 'target': 'd', 'draws': 0");
    assert_string_equal(result->headline.bytes, "How far the methods agree; no word was exchanged");
    assert_null(result_find_block(result, "deletion"));
    assert_int_equal(result->n_checks, 0);
    result_free(result);
    result = compared("'prompt': 'a cab de fg h', 'target': 'd', 'draws': 0, 'rationale': 'cab de'");
    double areas[] = {figure(result, "rationale", "grad", "AUPRC"), figure(result, "rationale", "lrp", "AUPRC")};
    assert_true(areas[0] != areas[1]);
    snprintf(said, sizeof said, "%s finds best what people marked: area under precision over recall %.2f",
             areas[0] > areas[1] ? "grad" : "lrp", fmax(areas[0], areas[1]));
    assert_string_equal(result->headline.bytes, said);
    result_free(result);
}

/* Few records decide nothing; from five on, the lower end of the interval must be 0.3. */
static void records_decide_from_five_on(void **state) {
    static const char *const lines[] = {A B C A, A B C A B};
    for (int i = 0; i < 2; i++) {
        Result *result = over(lines[i], ", 'target-field': 'a'");
        const TableBlock *methods = table_of(result, "methods");
        const ResultCheck *check = &result->checks[0];
        assert_int_equal(result->n_checks, 2);
        assert_string_equal(check->name.bytes, "replacement");
        assert_true(check->limit == 0.3 && check->kind == CHECK_AT_LEAST);
        near("the check", check->value, number_at(methods, 0, i == 0 ? 1 : 2));
        assert_true(check->advisory == (i == 0));
        assert_int_equal(check->state, i == 0 ? CHECK_INCONCLUSIVE : check->value >= 0.3 ? CHECK_PASS : CHECK_FAIL);
        assert_non_null(strstr(check->meaning.bytes, i == 0 ? "mean rank correlation of " : "the lower end (95%) of"));
        result_free(result);
    }
}

/* Curves of a contrast are of the lead over it. */
static void curves_of_a_contrast_are_leads(void **state) {
    Result *result = compared("'prompt': 'a cab de fg h', 'target': 'd', 'contrast': 'e'"),
           *one = call_json("run", json_of(letters, "'model': '%', 'prompt': 'a cab de fg h', 'target': 'd'")),
           *other = call_json("run", json_of(letters, "'model': '%', 'prompt': 'a cab de fg h', 'target': 'e'"));
    const SeriesBlock *curve = result_find_block(result, "deletion")->content;
    double lead = one->target.log_probability - other->target.log_probability;
    assert_true(fabs(curve->lines[0].y[0] - lead) < 1e-5 && fabs(lead) > 1e-3);
    assert_string_equal(curve->y_title.bytes, "lead of the target over its contrast");
    assert_string_equal(curve->x_title.bytes, "share of words exchanged");
    const SeriesBlock *kept = result_find_block(result, "insertion")->content;
    assert_true(kept->lines[0].y[6] == curve->lines[0].y[0] && kept->lines[0].y[0] == curve->lines[0].y[6]);
    assert_string_equal(kept->x_title.bytes, "share of words kept");
    assert_string_equal(result->contrast.text.bytes, "e");
    result_free(one);
    result_free(other);
    result_free(result);
}

/* What is not said is as if it had been: four draws, 32 sets, three seeds, one version. */
static void defaults_are_what_help_says(void **state) {
    static const char *const asked = "'model': '%', 'prompt': 'a cab de fg h', 'target': 'd', 'methods': ['shap,grad']";
    char more[256];
    snprintf(more, sizeof more, "%s, 'draws': 4, 'sets': 32, 'seeds': 3, 'versions': 1", asked);
    Result *unsaid = call_json("compare methods", json_of(letters, asked)),
           *said = call_json("compare methods", json_of(letters, more));
    const TableBlock *a = table_of(unsaid, "methods"), *b = table_of(said, "methods");
    for (int32_t row = 0; row < a->n_rows; row++) {
        for (int32_t c = 1; c < a->n_columns; c++) {
            double x = number_at(a, row, c), y = number_at(b, row, c);
            assert_true(x == y || (isnan(x) && isnan(y)));
            assert_true(!isnan(x));
        }
    }
    result_free(unsaid);
    static const char *const others[] = {
        ", 'draws': 3, 'sets': 32, 'seeds': 3, 'versions': 1", ", 'draws': 4, 'sets': 31, 'seeds': 3, 'versions': 1",
        ", 'draws': 4, 'sets': 32, 'seeds': 2, 'versions': 1", ", 'draws': 4, 'sets': 32, 'seeds': 3, 'versions': 2",
        ", 'draws': 4, 'sets': 32, 'seeds': 3, 'versions': 0", ", 'draws': 4, 'sets': 0, 'seeds': 1, 'versions': 1"};
    for (int i = 0; i < 6; i++) {
        snprintf(more, sizeof more, "%s%s", asked, others[i]);
        Result *result = call_json("compare methods", json_of(letters, more));
        const TableBlock *table = table_of(result, "methods");
        bool same = true;
        for (int32_t row = 0; row < table->n_rows; row++) {
            for (int32_t c = 1; c < table->n_columns; c++) {
                same = same && number_at(table, row, c) == number_at(b, row, c);
            }
        }
        assert_false(same);
        int32_t row = row_of(table, "shap");
        assert_int_equal(isnan(number_at(table, row, 6)), i == 5); /* infidelity */
        assert_int_equal(isnan(number_at(table, row, 7)), i == 4); /* sensitivity */
        assert_int_equal(isnan(number_at(table, row, 8)), i == 5); /* deviation */
        result_free(result);
    }
    result_free(said);
}

/* ---- what people marked ---- */

/* Average precision: over the marked words, the share of marked among those at least as high. */
static double precision_of(const double *scores, const bool *marked, int n) {
    double sum = 0.0, all = 0.0;
    for (int i = 0; i < n; i++) {
        double above = 0.0, right = 0.0;
        for (int k = 0; k < n && marked[i]; k++) {
            above += scores[k] >= scores[i];
            right += scores[k] >= scores[i] && marked[k];
        }
        sum += marked[i] ? right / above : 0.0;
        all += marked[i];
    }
    return sum / all;
}

/* Texts are found whatever their capitals, each behind the one before it, and mark every word they touch. */
static void marked_words_are_found(void **state) {
    static const struct {
        const char *prompt, *rationale;
        bool marked[5];
        bool found;
    } cases[] = {
        {"a cab de fg h", "\"CAB\"", {false, true, false, false, false}, true},
        {"a cab de fg h", "\"ab d\"", {false, true, true, false, false}, true},
        {"a cab de fg h", "\"h\"", {false, false, false, false, true}, true},
        {"cab de cab fg h", "[\"cab\", \"cab\"]", {true, false, true, false, false}, true},
        {"cab de cab fg h", "[\"cab\", \"Fg\", \"de\"]", {true, true, false, true, false}, true},
        {"cab de cab fg h", "\"[\\\"de\\\", \\\"h\\\"]\"", {false, true, false, false, true}, true},
        {"a cab de fg h", "\"cab h\"", {false, false, false, false, false}, false},
        {"a cab de fg h", "[]", {false, false, false, false, false}, false},
        {"a cab de fg h", "[\"h\", \"gone\"]", {false, false, false, false, false}, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char line[256];
        snprintf(line, sizeof line, "{\"q\": \"%s\", \"w\": %s}\n", cases[i].prompt, cases[i].rationale);
        Result *result = over(line, ", 'target': 'd', 'draws': 0, 'rationale-field': 'w'"), *scored;
        assert_int_equal(result_find_block(result, "rationale") != NULL, cases[i].found);
        bool missing = false;
        for (int32_t w = 0; w < result->n_warnings; w++) {
            missing = missing || strstr(result->warnings[w].bytes, "1 records do not stand in their prompts") != NULL;
        }
        assert_int_equal(missing, !cases[i].found);
        if (cases[i].found) {
            char text[128];
            double scores[5], share = 0.0, hits = 0.0;
            snprintf(text, sizeof text, "'model': '%%', 'prompt': '%s', 'target': 'd', 'check': 'none'",
                     cases[i].prompt);
            scored = call_json("grad", json_of(letters, text));
            const TokenGrouping *words = tokens_grouping(tokens_of(scored, "attribution"), "word");
            for (int w = 0; w < 5; w++) {
                scores[w] = words->groups[2 * w].score;
                share += cases[i].marked[w] / 5.0;
            }
            for (int w = 0; w < 5; w++) { /* as many of the highest as are marked */
                int above = 0;
                for (int k = 0; k < 5; k++) {
                    above += scores[k] > scores[w];
                }
                hits += cases[i].marked[w] && above < (int)(5 * share + 0.5);
            }
            near("by chance", param_of(result, "rationale-by-chance"), share);
            near("mean precision", figure(result, "rationale", "grad", "mean precision"),
                 precision_of(scores, cases[i].marked, 5));
            near("the same", figure(result, "methods", "grad", "rationale"), precision_of(scores, cases[i].marked, 5));
            near("token F1", figure(result, "rationale", "grad", "token F1"), hits / (5 * share));
            double chance = figure(result, "rationale", "random order", "mean precision");
            assert_true(chance > 0.6 * share && chance < fmin(1.0, 0.45 + share));
            result_free(scored);
        }
        result_free(result);
    }
    write_file("data.jsonl", "{\"q\": \"a cab\", \"w\": [\"a\", 5]}\n");
    refuse_json("compare methods",
                json_of(letters, "'model': '%', 'data': '%/data.jsonl', 'prompt-field': 'q', 'rationale-field': 'w', "
                                 "'target': 'd', 'draws': 0, 'methods': ['grad,lrp']"),
                LIMN_FORMAT, "element 1 of the list is no text");
    /* all words: no order is better than another */
    Result *result = compared("'prompt': 'a cab', 'target': 'd', 'draws': 0, 'rationale': 'a cab'");
    assert_null(result_find_block(result, "rationale"));
    assert_true(isnan(param_of(result, "rationales")));
    result_free(result);
}

/* ---- what is refused ---- */

static void questions_are_refused(void **state) {
    static const struct {
        const char *asked;
        limn_status status;
        const char *said;
    } cases[] = {
        {"'data': 'none.jsonl', 'ids': [1]", LIMN_USAGE, "found a prompt and --data"},
        {"'data': 'none.jsonl', 'prompt': 'a'", LIMN_USAGE, "found a prompt and --data"},
        {"'data': 'none.jsonl', 'file': 'none.txt'", LIMN_USAGE, "found a prompt and --data"},
        {"'data': 'none.jsonl', 'chat': 'a'", LIMN_USAGE, "found a prompt and --data"},
        {"'data': 'none.jsonl', 'messages': '[]'", LIMN_USAGE, "found a prompt and --data"},
        {"'seed': 1", LIMN_USAGE, "found no prompt, expected a prompt or --data FILE"},
        {"'prompt': 'a', 'rationale-field': 'w'", LIMN_USAGE, "the field 'w' is one of a data set"},
        {"'prompt': 'a', 'target-field': 'v'", LIMN_USAGE, "the field 'v' is one of a data set"},
        {"'data': 'none.jsonl', 'rationale': 'w'", LIMN_USAGE, "--rationale is of one prompt"},
        {"'prompt': 'a', 'draws': -1", LIMN_RANGE, "'draws'"},
        {"'prompt': 'a', 'draws': 9", LIMN_RANGE, "'draws'"},
        {"'prompt': 'a', 'sets': -1", LIMN_RANGE, "'sets'"},
        {"'prompt': 'a', 'sets': 100001", LIMN_RANGE, "'sets'"},
        {"'prompt': 'a', 'seeds': 0", LIMN_RANGE, "'seeds'"},
        {"'prompt': 'a', 'seeds': 1001", LIMN_RANGE, "'seeds'"},
        {"'prompt': 'a', 'versions': -1", LIMN_RANGE, "'versions'"},
        {"'prompt': 'a', 'versions': 65", LIMN_RANGE, "'versions'"},
        {"'prompt': 'a', 'limit': 0", LIMN_RANGE, "'limit'"},
        {"'prompt': 'a', 'sample': 0", LIMN_RANGE, "'sample'"},
        {"'prompt': 'a', 'methods': ['grad']", LIMN_USAGE, "option 'methods': found 1, expected at least two"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[256];
        snprintf(text, sizeof text, "'model': '%%', %s", cases[i].asked);
        refuse_json("compare methods", json_of(letters, text), cases[i].status, cases[i].said);
    }
    static const char *const fine[] = {"'draws': 8, 'seeds': 1000", "'draws': 1, 'versions': 64"};
    for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++) {
        char text[128];
        snprintf(text, sizeof text, "'prompt': 'a cab', 'target': 'd', %s", fine[i]);
        result_free(compared(text));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_are_means_over_records), cmocka_unit_test(many_records_are_kept),
        cmocka_unit_test(targets_stand_behind_a_space),   cmocka_unit_test(records_are_chosen),
        cmocka_unit_test(tables_follow_from_the_scores),  cmocka_unit_test(random_orders_are_drawn_by_the_seed),
        cmocka_unit_test(headlines_say_who_is_best),      cmocka_unit_test(records_decide_from_five_on),
        cmocka_unit_test(curves_of_a_contrast_are_leads), cmocka_unit_test(defaults_are_what_help_says),
        cmocka_unit_test(marked_words_are_found),         cmocka_unit_test(questions_are_refused)};
    return cmocka_run_group_tests_name("compare methods, records", tests, set_up, tear_down);
}
