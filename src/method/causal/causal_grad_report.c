/* What `limn causal-grad` says: maps of streams, MLPs and heads, tables of the strongest sites, what came of changing
 * some of them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ask/values_file.h"
#include "measure/target_score.h"
#include "method/causal/causal_grad.h"
#include "statistics/correlation.h"

static const double least_correlation = 0.7, sum_tolerance = 0.05;
/* Of the largest true effect: below it a family did nothing that could be compared. */
static const double least_effect = 1e-6;
enum { WORST = 12 };

/* Where patterns are constants no gradient reaches queries and keys. */
static bool is_estimated(const CausalGrad *work, CausalFamily family) {
    RuleSet rules = (RuleSet)work->params->rules;
    bool constant = rules == RULES_FROZEN || rules == RULES_RELP;
    return !(constant && (family == FAMILY_QUERY || family == FAMILY_KEY));
}

static const char *family_title(const CausalGrad *work, CausalFamily family) {
    static const char *const titles[] = {"the stream",       "MLP",   "head", "queries of a head", "keys of a head",
                                         "values of a head", "neuron"};
    static const char *const chinese[] = {"残差流", "MLP", "注意力头", "头的查询", "头的键", "头的值", "神经元"};
    return SAY(work->call, titles, chinese)[family];
}

static bool by_row(CausalFamily family) {
    return family == FAMILY_RESID || family == FAMILY_MLP;
}

static double figure(const CausalGrad *work, CausalFamily family, int32_t layer, int32_t column) {
    bool there = (!by_row(family) || work->there[column]) && causal_node_of(work, family, layer, column) != NULL;
    return there ? work->effects.of[family][causal_cell(work, family, layer, column)] : (double)NAN;
}

/* "France", or "France/Italy" where the prompts differ. */
static Text row_text(const CausalGrad *work, int32_t row) {
    const int32_t *ids = work->base->sequence.ids;
    if (work->source == NULL) {
        return text_bare(token_text(work->call, work->model, ids[row]));
    }
    const Pair *pair = &work->pair;
    Alignment turned = alignment_turned(&pair->alignment);
    int32_t corrupt = work->base == &pair->corrupt ? row : alignment_source(&turned, row);
    return corrupt < 0 ? text_bare(token_text(work->call, work->model, ids[row]))
                       : pair_token_text(work->call, work->model, pair, corrupt);
}

/* ---- the strongest ---- */

typedef struct Place {
    CausalFamily family;
    int32_t layer, column;
    double effect;
} Place;

static bool stronger(const Place *a, const Place *b) {
    return fabs(a->effect) > fabs(b->effect);
}

/* The `top` strongest of a family, best first. */
static int32_t strongest(const CausalGrad *work, CausalFamily family, Place *best, int32_t top) {
    int32_t n = 0;
    for (int32_t layer = 0; layer < work->n_layers; layer++) {
        for (int32_t column = 0; column < work->columns[family]; column++) {
            const Place place = {family, layer, column,
                                 work->effects.of[family][causal_cell(work, family, layer, column)]};
            bool enters = n < top || stronger(&place, &best[n - 1]);
            if (!enters || isnan(figure(work, family, layer, column))) {
                continue;
            }
            int32_t at = n < top ? n++ : n - 1;
            for (; at > 0 && stronger(&place, &best[at - 1]); at--) {
                best[at] = best[at - 1];
            }
            best[at] = place;
        }
    }
    return n;
}

static const char *place_text(const CausalGrad *work, CausalFamily family, int32_t layer, int32_t column) {
    MethodCall *call = work->call;
    const char *text;
    if (by_row(family)) {
        Text token = row_text(work, column);
        text = arena_printf(call->arena, SAY(call, "layer %d, \"%.*s\" (position %d)", "第 %d 层，“%.*s”（位置 %d）"),
                            (int)layer, (int)token.length, token.bytes, (int)column);
    } else {
        text = arena_printf(call->arena, "%d.%d", (int)layer, (int)column);
    }
    return text == NULL ? "" : text;
}

static void say_place(const CausalGrad *work, TextBuffer *line, const Place *place) {
    const MethodCall *call = work->call;
    bool sizes = work->params->kind == CAUSAL_ATP_STAR;
    Text token = by_row(place->family) ? row_text(work, place->column) : (Text){"", 0};
    if (place->family == FAMILY_RESID) {
        text_buffer_printf(line, SAY(call, "the stream before layer %d at \"%.*s\"", "第 %d 层之前“%.*s”处的残差流"),
                           (int)place->layer, (int)token.length, token.bytes);
    } else {
        text_buffer_printf(line, SAY(call, "%s %d.%d", "%s %d.%d"), family_title(work, place->family),
                           (int)place->layer, (int)place->column);
    }
    text_buffer_printf(line, sizes ? SAY(call, " (%.3g)", "（%.3g）") : SAY(call, " (%+.3g)", "（%+.3g）"),
                       place->effect);
}

static void say_headline(const CausalGrad *work) {
    static const CausalFamily said[] = {FAMILY_RESID, FAMILY_HEAD, FAMILY_NEURON};
    const MethodCall *call = work->call;
    TextBuffer line = TEXT_BUFFER_INIT;
    if (work->source != NULL) {
        text_buffer_printf(&line, SAY(call, "The prompts differ by %.3g. ", "两个提示相差 %.3g。"),
                           fabs(work->source_value - work->base_value));
    }
    text_buffer_add(&line, SAY(call, "By the gradient it depends most on ", "按梯度估计，最依赖的是"));
    for (size_t i = 0, n = 0; i < sizeof said / sizeof said[0]; i++) {
        Place best;
        if (strongest(work, said[i], &best, 1) > 0) {
            text_buffer_add(&line, n++ == 0 ? "" : SAY(call, ", ", "、"));
            say_place(work, &line, &best);
        }
    }
    if (!line.failed) {
        result_headline(work->result, "%.*s", (int)line.length, line.data);
    }
    text_buffer_free(&line);
}

/* ---- blocks ---- */

static void show_matrix(const CausalGrad *work, CausalFamily family, const char *title) {
    MethodCall *call = work->call;
    char id[32];
    snprintf(id, sizeof id, "effects.%s", causal_family_name(family));
    MatrixBlock *map = result_add_matrix(work->result, id, title, work->n_layers, work->columns[family]);
    matrix_titles(map, SAY(call, "layer", "层"),
                  by_row(family) ? SAY(call, "position", "位置") : SAY(call, "head", "头"));
    for (int32_t layer = 0; layer < work->n_layers; layer++) {
        char label[16];
        matrix_label_row(map, layer, label, (size_t)snprintf(label, sizeof label, "%d", (int)layer));
        for (int32_t column = 0; column < work->columns[family]; column++) {
            matrix_set(map, layer, column, figure(work, family, layer, column));
        }
    }
    for (int32_t column = 0; column < work->columns[family]; column++) {
        char label[16];
        int length = snprintf(label, sizeof label, "%d", (int)column);
        Text text = by_row(family) ? row_text(work, column) : text_of_bytes(label, (size_t)length);
        matrix_label_column(map, column, text.bytes, text.length);
    }
    result_block_unit(work->result, outcome_text(call, &work->outcome));
}

static void note_map(const CausalGrad *work) {
    const MethodCall *call = work->call;
    static const char *const against[] = {"", "zero", "the mean over the prompt"}, *const zh[] = {"", "零",
                                                                                                  "提示内的均值"};
    if (work->source == NULL) {
        result_block_note(work->result,
                          SAY(call, "estimated change of the %s if the place held %s; it is %.4g",
                              "%s的估计变化，若该处改为%s；现为 %.4g"),
                          outcome_text(call, &work->outcome), SAY(call, against, zh)[work->against], work->base_value);
        return;
    }
    result_block_note(work->result,
                      SAY(call,
                          "estimated change of the %s if the place were as in the %s prompt; from %.4g to %.4g in all",
                          "%s的估计变化，若该处如同%s提示；总共从 %.4g 到 %.4g"),
                      outcome_text(call, &work->outcome),
                      work->params->reverse ? SAY(call, "corrupt", "改动后的") : SAY(call, "clean", "原"),
                      work->base_value, work->source_value);
}

static void show_maps(const CausalGrad *work) {
    const MethodCall *call = work->call;
    show_matrix(work, FAMILY_RESID,
                SAY(call, "Where: the stream before each layer, by position", "何处：各层之前的残差流，按位置"));
    note_map(work);
    show_matrix(work, FAMILY_HEAD, SAY(call, "Which heads", "哪些注意力头"));
    show_matrix(work, FAMILY_MLP, SAY(call, "What each MLP writes, by position", "各 MLP 的输出，按位置"));
    if (is_estimated(work, FAMILY_QUERY)) {
        show_matrix(work, FAMILY_QUERY, SAY(call, "Queries of heads", "各头的查询"));
        result_block_detail(work->result);
        show_matrix(work, FAMILY_KEY, SAY(call, "Keys of heads", "各头的键"));
        result_block_detail(work->result);
    }
    show_matrix(work, FAMILY_VALUE, SAY(call, "Values of heads", "各头的值"));
    result_block_detail(work->result);
}

static limn_status show_heads(const CausalGrad *work) {
    static const CausalFamily listed[] = {FAMILY_HEAD, FAMILY_QUERY, FAMILY_KEY, FAMILY_VALUE, FAMILY_MLP};
    static const TableColumn columns[] = {{TEXT("site"), COLUMN_TEXT},
                                          {TEXT("where"), COLUMN_TOKEN},
                                          {TEXT("layer"), COLUMN_INTEGER},
                                          {TEXT("effect"), COLUMN_SIGNED}};
    enum { LISTED = sizeof listed / sizeof listed[0] };
    int32_t top = (int32_t)work->params->top, n = 0;
    Place *best = ARENA_ARRAY(work->call->arena, Place, (int64_t)top * LISTED + 1);
    if (best == NULL) {
        return method_no_memory(work->call);
    }
    for (int i = 0; i < LISTED; i++) { /* each family's strongest, merged into the strongest of all */
        Place *own = best + n;
        int32_t more = strongest(work, listed[i], own, top);
        for (int32_t k = n; k < n + more; k++) {
            Place place = best[k];
            int32_t at = k;
            for (; at > 0 && stronger(&place, &best[at - 1]); at--) {
                best[at] = best[at - 1];
            }
            best[at] = place;
        }
        n = n + more < top ? n + more : top;
    }
    TableBlock *table = result_add_table(work->result, "strongest",
                                         SAY(work->call, "Strongest heads and MLPs", "作用最大的头与 MLP"), columns, 4);
    for (int32_t i = 0; i < n; i++) {
        Text token = by_row(best[i].family) ? row_text(work, best[i].column) : (Text){0};
        char name[32];
        int length = snprintf(name, sizeof name, "%d.%d", (int)best[i].layer, (int)best[i].column);
        const Value cells[] = {value_text(family_title(work, best[i].family)),
                               token.bytes != NULL ? value_bytes(token.bytes, token.length)
                                                   : value_bytes(name, (size_t)length),
                               value_integer(best[i].layer), value_number(best[i].effect)};
        table_row(table, cells);
    }
    return LIMN_OK;
}

static limn_status show_neurons(const CausalGrad *work) {
    static const TableColumn columns[] = {{TEXT("layer"), COLUMN_INTEGER},
                                          {TEXT("neuron"), COLUMN_INTEGER},
                                          {TEXT("effect"), COLUMN_SIGNED},
                                          {TEXT("site"), COLUMN_TEXT}};
    int32_t top = (int32_t)work->params->top;
    Place *best = ARENA_ARRAY(work->call->arena, Place, top + 1);
    if (best == NULL) {
        return method_no_memory(work->call);
    }
    int32_t n = strongest(work, FAMILY_NEURON, best, top);
    TableBlock *table =
        result_add_table(work->result, "neurons", SAY(work->call, "Which neurons", "哪些神经元"), columns, 4);
    for (int32_t i = 0; i < n; i++) {
        const CausalNode *node = causal_node_of(work, FAMILY_NEURON, best[i].layer, best[i].column);
        const Value cells[] = {value_integer(best[i].layer), value_integer(best[i].column - node->column),
                               value_number(best[i].effect), value_text(node->name)};
        table_row(table, cells);
    }
    result_block_note(work->result, "%s",
                      SAY(work->call, "all positions together; of a layer of experts: expert times width + place",
                          "所有位置合计；专家层：专家编号乘宽度加位置"));
    return LIMN_OK;
}

/* ---- what came of changing some ---- */

static double off(const CausalGrad *work, const PatchedSite *site) {
    double effect = work->params->kind == CAUSAL_ATP_STAR ? fabs(site->effect) : site->effect;
    return fabs(site->estimate - effect);
}

static limn_status show_patched(const CausalGrad *work, const PatchedSites *patched) {
    static const TableColumn columns[] = {{TEXT("site"), COLUMN_TEXT},
                                          {TEXT("where"), COLUMN_TEXT},
                                          {TEXT("estimate"), COLUMN_SIGNED},
                                          {TEXT("effect"), COLUMN_SIGNED},
                                          {TEXT("off by"), COLUMN_NUMBER}};
    int32_t *order = ARENA_ARRAY(work->call->arena, int32_t, patched->n + 1);
    if (order == NULL) {
        return method_no_memory(work->call);
    }
    for (int32_t i = 0; i < patched->n; i++) {
        int32_t at = i;
        for (; at > 0 && off(work, &patched->items[order[at - 1]]) < off(work, &patched->items[i]); at--) {
            order[at] = order[at - 1];
        }
        order[at] = i;
    }
    TableBlock *table = result_add_table(
        work->result, "patched",
        SAY(work->call, "Changed in earnest: where the estimate is most wrong", "实际替换：估计偏差最大之处"), columns,
        5);
    for (int32_t i = 0; i < patched->n && i < WORST; i++) {
        const PatchedSite *site = &patched->items[order[i]];
        const Value cells[] = {value_text(family_title(work, site->family)),
                               value_text(place_text(work, site->family, site->layer, site->column)),
                               value_number(site->estimate), value_number(site->effect), value_number(off(work, site))};
        table_row(table, cells);
    }
    result_block_note(work->result,
                      SAY(work->call, "%d sites were changed; these are furthest off", "共替换 %d 处；以下偏差最大"),
                      (int)patched->n);
    result_block_detail(work->result);
    return LIMN_OK;
}

static void check_family(const CausalGrad *work, const PatchedSites *patched, CausalFamily family, double largest) {
    double estimates[512], effects[512], most = 0.0;
    int32_t n = 0;
    const PatchedSite *worst = NULL;
    for (int32_t i = 0; i < patched->n && n < 512; i++) {
        const PatchedSite *site = &patched->items[i];
        if (site->family == family) {
            estimates[n] = site->estimate;
            effects[n] = work->params->kind == CAUSAL_ATP_STAR ? fabs(site->effect) : site->effect;
            most = fmax(most, fabs(effects[n++]));
            worst = worst == NULL || off(work, site) > off(work, worst) ? site : worst;
        }
    }
    char name[32];
    snprintf(name, sizeof name, "patching %s", causal_family_name(family));
    double correlation = pearson(estimates, effects, n);
    const MethodCall *call = work->call;
    if (n < 3 || most <= least_effect * largest || isnan(correlation)) {
        result_check_inconclusive(work->result, name, (double)NAN, CHECK_AT_LEAST, least_correlation, "%s",
                                  SAY(call, "none of the sites that were changed did anything to compare with",
                                      "所替换的各处都没有可比较的作用"));
        return;
    }
    result_check(work->result, name, correlation, CHECK_AT_LEAST, least_correlation,
                 SAY(call, "correlation of estimate and true effect over %d sites; furthest off: %s, %.3g for %.3g",
                     "估计与真实作用在 %d 处的相关系数；偏差最大：%s，估计 %.3g，实际 %.3g"),
                 (int)n, place_text(work, family, worst->layer, worst->column), worst->estimate, worst->effect);
}

static void check_patched(const CausalGrad *work, const PatchedSites *patched) {
    double largest = 0.0;
    for (int32_t i = 0; i < patched->n; i++) {
        largest = fmax(largest, fabs(patched->items[i].effect));
    }
    for (int f = 0; f < FAMILIES; f++) {
        if (is_estimated(work, (CausalFamily)f)) {
            check_family(work, patched, (CausalFamily)f, largest);
        }
    }
}

/* Along the path the first layer's estimates are an integral of the whole difference. */
static void check_sum(const CausalGrad *work) {
    if (work->params->steps == 0 || work->source == NULL || work->params->rules != (int32_t)RULES_TRUE) {
        return;
    }
    double sum = 0.0, whole = work->source_value - work->base_value;
    for (int32_t row = 0; row < work->n_rows; row++) {
        sum += work->effects.of[FAMILY_RESID][row];
    }
    result_check(work->result, "sum", fabs(sum - whole) / fabs(whole), CHECK_AT_MOST, sum_tolerance, "%s",
                 SAY(work->call,
                     "how far the first layer's estimates are from adding up to the whole difference, relative; more "
                     "--steps bring it down where the way is smooth",
                     "第一层各估计之和与总差的相对差距；路径平滑时增大 --steps 可使其变小"));
    result_check_advisory(work->result);
}

static limn_status keep_values(const CausalGrad *work) {
    ValuesFile file;
    TRY(values_file_open(&file, work->call, &work->params->values));
    for (int f = 0; f < FAMILIES && file.path != NULL; f++) {
        char name[32];
        snprintf(name, sizeof name, "effects.%s", causal_family_name((CausalFamily)f));
        const int64_t shape[] = {work->n_layers, work->columns[f]};
        TRY(values_file_add(&file, name, work->effects.of[f], 2, shape));
    }
    return values_file_write(&file, work->model);
}

limn_status causal_grad_report(CausalGrad *work, const PatchedSites *patched) {
    Result *result = work->result;
    result_param_text(result, "metric", outcome_name(work->outcome.metric));
    result_param_text(result, "sign",
                      work->params->kind == CAUSAL_ATP_STAR ? "sizes without a sign"
                                                            : "positive raises what is measured");
    result_param_number(result, "base", work->base_value);
    if (work->source != NULL) {
        result_param_number(result, "source", work->source_value);
    }
    target_describe(result, work->call, work->model, &work->target, &work->contrast, 0);
    say_headline(work);
    show_maps(work);
    TRY(show_heads(work));
    TRY(show_neurons(work));
    if (work->params->check > 0) {
        TRY(show_patched(work, patched));
        check_patched(work, patched);
    }
    check_sum(work);
    TRY(keep_values(work));
    return result_status(result);
}
