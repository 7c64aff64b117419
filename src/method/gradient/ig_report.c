/* What `ig` says of its integrals: scores by token, word and sentence, the figures of the path, its checks. */
#include <math.h>
#include <string.h>

#include "ask/baseline.h"
#include "measure/cause.h"
#include "measure/distribution.h"
#include "measure/target_score.h"
#include "method/gradient/ig.h"

enum { STRONGEST_WORDS = 10, LIKELIEST = 5 };

static double group_sum(const IgWork *work, int32_t begin, int32_t end) {
    return token_scores_sum(&(TokenScores){.n = work->prompt.n, .scores = work->score}, begin, end);
}

static void add_grouping(const IgWork *work, TokensBlock *strip, const char *name, const TokenRuns *runs) {
    TokenGroup *groups = tokens_add_grouping(strip, name, runs->n);
    for (int32_t g = 0; groups != NULL && g < runs->n; g++) {
        groups[g].begin = runs->begins[g];
        groups[g].end = runs->begins[g + 1];
        groups[g].score = group_sum(work, runs->begins[g], runs->begins[g + 1]);
        groups[g].spread = (double)NAN;
    }
}

static bool is_target_row(const IgWork *work, int32_t t) {
    const Target *target = &work->target;
    for (int32_t i = 0; i < target->n && target->kind == TARGET_SPAN; i++) {
        if (target->rows[i] + 1 == t) {
            return true;
        }
    }
    return false;
}

static void show_tokens(const IgWork *work) {
    static const char *const shown[] = {"token", "word", "sentence"};
    TokensBlock *strip =
        result_add_tokens(work->result, "attribution", "What each part of the prompt did", work->prompt.n);
    for (int32_t t = 0; t < work->prompt.n; t++) {
        bool fixed = isnan(work->score[t]);
        bool unreached = t >= work->path.n_tokens;
        TokenState state = fixed ? TOKEN_FIXED : unreached ? TOKEN_UNREACHED : TOKEN_SCORED;
        if (state == TOKEN_SCORED && is_target_row(work, t)) {
            state = TOKEN_TARGET;
        }
        tokens_set(strip, t, NULL, 0, work->score[t], state);
        if (work->n_baselines > 1) {
            tokens_set_spread(strip, t, work->spread[t]);
        }
    }
    add_grouping(work, strip, "word", &work->words);
    add_grouping(work, strip, "sentence", &work->sentences);
    tokens_show(strip, shown[work->params->by < 0 ? 1 : work->params->by]);
    static const char *const units[] = {"log-probability", "probability", "logit", "logit difference",
                                        "negative log-likelihood"};
    bool lead = work->contrast.kind != TARGET_NONE && work->path.metric == IG_METRIC_LOG_PROB;
    result_block_unit(work->result, lead ? "lead in log-probability" : units[work->path.metric]);
    bool speaks = strcmp(ig_baseline_spec(work->params, 0), "auto") == 0 && baseline_ends_text(work->model);
    result_block_note(work->result, "baseline: %s%s", work->names[0],
                      work->n_baselines > 1 ? " and others: mean over baselines"
                      : speaks              ? ", which also ends a text and so says something; see --baseline mean too"
                                            : "");
}

/* Word scores, NaN where all of a word is fixed, and the words by size. */
static limn_status rank_words(const IgWork *work, double **scores, int32_t **order, int32_t *n) {
    *scores = ARENA_ARRAY(work->call->arena, double, work->words.n + 1);
    *order = ARENA_ARRAY(work->call->arena, int32_t, work->words.n + 1);
    if (*scores == NULL || *order == NULL) {
        return method_no_memory(work->call);
    }
    *n = 0;
    for (int32_t w = 0; w < work->words.n; w++) {
        double score = group_sum(work, work->words.begins[w], work->words.begins[w + 1]);
        bool reached = work->words.begins[w] < work->path.n_tokens;
        (*scores)[w] = reached ? score : (double)NAN;
        if (isnan((*scores)[w])) {
            continue;
        }
        int32_t place = (*n)++;
        while (place > 0 && fabs((*scores)[(*order)[place - 1]]) < fabs(score)) {
            (*order)[place] = (*order)[place - 1];
            place--;
        }
        (*order)[place] = w;
    }
    return LIMN_OK;
}

static void show_words(const IgWork *work, const double *scores, const int32_t *order, int32_t n) {
    static const TableColumn columns[] = {{{"word", 4}, COLUMN_TOKEN},
                                          {{"position", 8}, COLUMN_INTEGER},
                                          {{"score", 5}, COLUMN_SIGNED},
                                          {{"share", 5}, COLUMN_SHARE}};
    double total = 0.0;
    for (int32_t i = 0; i < n; i++) {
        total += fabs(scores[order[i]]);
    }
    TableBlock *table = result_add_table(work->result, "words", "Strongest words", columns, 4);
    for (int32_t i = 0; i < n && i < STRONGEST_WORDS; i++) {
        int32_t w = order[i];
        Text text = run_text(work->call, work->model, &work->prompt, work->words.begins[w], work->words.begins[w + 1]);
        Value cells[] = {value_bytes(text.bytes, text.length), value_integer(work->words.begins[w]),
                         value_number(scores[w]), value_number(total > 0.0 ? scores[w] / total : 0.0)};
        table_row(table, cells);
    }
    result_block_note(work->result,
                      "share: of the sum of all words' sizes; + supports the target, - speaks against it");
}

/* "Paris" (59.4%) */
static void say_target(const IgWork *work, TextBuffer *out, const Target *target) {
    TextBuffer words = TEXT_BUFFER_INIT;
    for (int32_t i = 0; i < target->n; i++) {
        Text text = output_text(work->call, work->model, target->ids[i]);
        text_buffer_add_bytes(&words, text.bytes, text.length);
    }
    Text text = text_bare(text_of_bytes(words.data == NULL ? "" : words.data, words.length));
    text_buffer_add_char(out, '"');
    text_buffer_add_bytes(out, text.bytes, text.length);
    text_buffer_printf(out, "\" (%.3g%%)", 100.0 * exp(target->log_probability));
    out->failed = out->failed || words.failed;
    text_buffer_free(&words);
}

/* The strongest word of one sign, in the order of size. */
static void say_strongest(const IgWork *work, TextBuffer *out, const char *before, double sign, const double *scores,
                          const int32_t *order, int32_t n) {
    for (int32_t i = 0; i < n; i++) {
        int32_t w = order[i];
        if (scores[w] * sign > 0.0) {
            Text text = text_bare(
                run_text(work->call, work->model, &work->prompt, work->words.begins[w], work->words.begins[w + 1]));
            text_buffer_printf(out, "%s \"", before);
            text_buffer_add_bytes(out, text.bytes, text.length);
            text_buffer_printf(out, "\" (%+.2f)", scores[w]);
            return;
        }
    }
}

static void say_headline(const IgWork *work, const double *scores, const int32_t *order, int32_t n) {
    TextBuffer line = TEXT_BUFFER_INIT;
    text_buffer_add(&line, "Why ");
    say_target(work, &line, &work->target);
    if (work->contrast.kind != TARGET_NONE) {
        text_buffer_add(&line, " and not ");
        say_target(work, &line, &work->contrast);
    }
    say_strongest(work, &line, ": most for it", 1.0, scores, order, n);
    say_strongest(work, &line, n > 0 && scores[order[0]] > 0.0 ? ", most against it" : "; most against it", -1.0,
                  scores, order, n);
    if (line.failed) {
        line.length = 0;
    }
    result_headline(work->result, "%.*s", (int)line.length, line.data == NULL ? "" : line.data);
    text_buffer_free(&line);
}

static const char *end_text(const IgWork *work, IgEnd end) {
    static const char *const texts[] = {"converged", "down to the rounding noise of the model's own output",
                                        "NOT converged: the node limit came first", "fixed rule"};
    return end == IG_NOISE_FLOOR && ig_is_routed(work)
               ? "down to jumps where the choice of experts changes, and rounding"
               : texts[end];
}

static void show_one_path(const IgWork *work, TableBlock *table, const char *baseline, const IgIntegral *integral) {
    const struct {
        const char *name;
        Value value;
    } lines[] = {{"F(input)", value_number(integral->f_input)},
                 {"F(baseline)", value_number(integral->f_baseline)},
                 {"baseline", value_text(baseline)},
                 {"nodes", value_integer(integral->nodes)},
                 {"sum of gaps", value_number(integral->gap_sum)},
                 {"largest token change", value_number(integral->token_change)},
                 {"end", value_text(end_text(work, integral->end))}};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        const Value cells[] = {value_text(lines[i].name), lines[i].value};
        table_row(table, cells);
    }
}

/* One baseline: a line for each figure. Several: a line for each baseline. */
static void show_integration(const IgWork *work) {
    static const TableColumn one[] = {{{"figure", 6}, COLUMN_TEXT}, {{"value", 5}, COLUMN_VALUE}};
    static const TableColumn several[] = {
        {{"baseline", 8}, COLUMN_TEXT}, {{"F(input)", 8}, COLUMN_NUMBER},     {{"F(baseline)", 11}, COLUMN_NUMBER},
        {{"nodes", 5}, COLUMN_INTEGER}, {{"sum of gaps", 11}, COLUMN_NUMBER}, {{"token change", 12}, COLUMN_NUMBER},
        {{"end", 3}, COLUMN_TEXT}};
    bool single = work->n_baselines == 1;
    TableBlock *table = result_add_table(work->result, "integration", "The path from baseline to input",
                                         single ? one : several, single ? 2 : 7);
    if (single) {
        show_one_path(work, table, work->names[0], &work->integrals[0]);
        return;
    }
    for (int32_t b = 0; b < work->n_baselines; b++) {
        const IgIntegral *integral = &work->integrals[b];
        Value cells[] = {value_text(work->names[b]),
                         value_number(integral->f_input),
                         value_number(integral->f_baseline),
                         value_integer(integral->nodes),
                         value_number(integral->gap_sum),
                         value_number(integral->token_change),
                         value_text(end_text(work, integral->end))};
        table_row(table, cells);
    }
}

static void warn_of_ends(const IgWork *work) {
    for (int32_t b = 0; b < work->n_baselines; b++) {
        const IgIntegral *integral = &work->integrals[b];
        if (integral->end == IG_GAVE_UP) {
            result_warn(work->result,
                        "not converged after %lld nodes (baseline: %s): the gaps add up to %.1f%% of F(input) - "
                        "F(baseline); raise --max-nodes or --tolerance",
                        (long long)integral->nodes, work->names[b], 100.0 * integral->gap_sum / integral->gap_scale);
        } else if (integral->end == IG_NOISE_FLOOR &&
                   integral->gap_sum > work->params->tolerance * integral->gap_scale) {
            result_warn(work->result,
                        "%s the sum of gaps at %.1f%% (baseline: %s); the token scores moved by %.2f%% in the last "
                        "refinement",
                        ig_is_routed(work) ? "F jumps where a token's choice of experts changes: the jumps keep"
                                           : "F's own rounding noise keeps",
                        100.0 * integral->gap_sum / integral->gap_scale, work->names[b],
                        100.0 * integral->token_change);
        }
    }
}

/* Checks speak for the worst baseline. */
static void check_integration(const IgWork *work) {
    IgJudgement judgement = ig_judge(work);
    double tolerance = work->params->tolerance;
    warn_of_ends(work);
    if (judgement.end == IG_FIXED_RULE) {
        result_check(work->result, "completeness", judgement.gap, CHECK_AT_MOST, tolerance,
                     "attributions add up to F(input) - F(baseline); a small gap of a fixed rule can be luck");
        return;
    }
    if (judgement.gap_counts) {
        result_check(work->result, "panel gaps", judgement.gap, CHECK_AT_MOST, tolerance,
                     "sum of |rule - difference of F| over all intervals, over |F(input) - F(baseline)|");
    }
    result_check(work->result, "token change", judgement.change, CHECK_AT_MOST, tolerance,
                 "largest change of a token's score in the last refinement, over the largest score");
}

static void show_matrix(const IgWork *work) {
    const IgPath *path = &work->path;
    MatrixBlock *matrix = result_add_matrix(work->result, "matrix", "What each token did to each target token",
                                            work->target.n, path->n_tokens);
    matrix_titles(matrix, "target token", "prompt token");
    for (int32_t c = 0; c < work->target.n; c++) {
        Text label = output_text(work->call, work->model, work->target.ids[c]);
        matrix_label_row(matrix, c, label.bytes, label.length);
        for (int32_t t = 0; t < path->n_tokens; t++) {
            double sum = 0.0;
            for (int32_t b = 0; b < work->n_baselines; b++) {
                sum += work->integrals[b].attribution[(int64_t)c * path->n_tokens + t];
            }
            matrix_set(matrix, c, t, path->fixed[t] ? (double)NAN : sum / work->n_baselines);
        }
    }
    for (int32_t t = 0; t < path->n_tokens; t++) {
        Text label = token_text(work->call, work->model, work->prompt.ids[t]);
        matrix_label_column(matrix, t, label.bytes, label.length);
    }
}

limn_status ig_report(IgWork *work) {
    double *scores = NULL;
    int32_t *order = NULL;
    int32_t n = 0;
    TRY(rank_words(work, &scores, &order, &n));
    result_param_text(work->result, "sign",
                      work->path.metric == IG_METRIC_NLL ? "positive speaks against the target (negative "
                                                           "log-likelihood)"
                                                         : "positive supports the target");
    say_headline(work, scores, order, n);
    show_tokens(work);
    show_words(work, scores, order, n);
    target_describe(work->result, work->call, work->model, &work->target, &work->contrast, LIKELIEST);
    show_integration(work);
    check_integration(work);
    if (work->params->matrix) {
        show_matrix(work);
    }
    for (int32_t w = 0; w < work->words.n && work->path.metric == IG_METRIC_NLL; w++) {
        scores[w] = -scores[w]; /* support */
    }
    const CauseAsked cause = {.call = work->call,
                              .session = work->session,
                              .prompt = &work->prompt,
                              .target = &work->target,
                              .contrast = &work->contrast,
                              .words = &work->words,
                              .scores = scores,
                              .effort = (CauseEffort)work->params->check};
    return cause_check(work->result, &cause);
}
