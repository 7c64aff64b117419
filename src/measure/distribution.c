#include "measure/distribution.h"

#include <math.h>

double log_sum_exp(const float *logits, int32_t n) {
    double largest = -INFINITY;
    for (int32_t i = 0; i < n; i++) {
        largest = fmax(largest, (double)logits[i]);
    }
    if (!isfinite(largest)) {
        return largest;
    }
    double sum = 0;
    for (int32_t i = 0; i < n; i++) {
        sum += exp((double)logits[i] - largest);
    }
    return largest + log(sum);
}

double output_total(const Model *model, const float *logits, int32_t n) {
    return model->config.outputs == OUTPUT_ONE_OF ? log_sum_exp(logits, n) : (double)NAN;
}

double output_log_probability(const Model *model, float logit, double total) {
    double x = (double)logit;
    switch (model->config.outputs) {
    case OUTPUT_ONE_OF:
        return x - total;
    case OUTPUT_EACH:
        return x < 0.0 ? x - log1p(exp(x)) : -log1p(exp(-x));
    case OUTPUT_VALUE:
        break;
    }
    return (double)NAN;
}

static bool ranks_before(const float *logits, int32_t a, int32_t b) {
    return logits[a] > logits[b] || (!(logits[a] < logits[b]) && a < b);
}

int64_t logit_rank(const float *logits, int32_t n, int32_t id) {
    int64_t rank = 1;
    for (int32_t i = 0; i < n; i++) {
        rank += i != id && ranks_before(logits, i, id);
    }
    return rank;
}

int32_t logit_argmax(const float *logits, int32_t n) {
    int32_t best = 0;
    for (int32_t i = 1; i < n; i++) {
        if (logits[i] > logits[best] || isnan(logits[best])) {
            best = i;
        }
    }
    return best;
}

int32_t logit_count_not_finite(const float *logits, int32_t n) {
    int32_t count = 0;
    for (int32_t i = 0; i < n; i++) {
        count += !isfinite(logits[i]);
    }
    return count;
}

void logit_top(int32_t *ids, int32_t count, const float *logits, int32_t n) {
    int32_t kept = 0;
    for (int32_t i = 0; i < n; i++) {
        int32_t place = kept;
        while (place > 0 && ranks_before(logits, i, ids[place - 1])) {
            place--;
        }
        if (place == count) {
            continue;
        }
        kept = kept < count ? kept + 1 : kept;
        for (int32_t k = kept - 1; k > place; k--) {
            ids[k] = ids[k - 1];
        }
        ids[place] = i;
    }
}

void distribution_table(Result *result, MethodCall *call, const Model *model, const char *id, const char *title,
                        const float *logits, int32_t n, int32_t count) {
    static const TableColumn columns[] = {{TEXT("token"), COLUMN_TOKEN},
                                          {TEXT("id"), COLUMN_INTEGER},
                                          {TEXT("probability"), COLUMN_PROBABILITY},
                                          {TEXT("log-probability"), COLUMN_NUMBER},
                                          {TEXT("logit"), COLUMN_NUMBER}};
    static const TableColumn class_columns[] = {{TEXT("class"), COLUMN_TEXT},
                                                {TEXT("id"), COLUMN_INTEGER},
                                                {TEXT("probability"), COLUMN_PROBABILITY},
                                                {TEXT("log-probability"), COLUMN_NUMBER},
                                                {TEXT("logit"), COLUMN_NUMBER}};
    static const TableColumn number_columns[] = {
        {TEXT("output"), COLUMN_TEXT}, {TEXT("id"), COLUMN_INTEGER}, {TEXT("value"), COLUMN_NUMBER}};
    count = count < n ? count : n;
    int32_t *ids = ARENA_ARRAY(call->arena, int32_t, count + 1);
    bool number = model->config.outputs == OUTPUT_VALUE;
    TableBlock *table = number ? result_add_table(result, id, title, number_columns, 3)
                               : result_add_table(result, id, title,
                                                  model->config.task == TASK_CLASSIFIER ? class_columns : columns, 5);
    if (ids == NULL || table == NULL) {
        return;
    }
    logit_top(ids, count, logits, n);
    double total = output_total(model, logits, n);
    for (int32_t i = 0; i < count; i++) {
        double log_probability = output_log_probability(model, logits[ids[i]], total);
        Text text = output_text(call, model, ids[i]);
        Value name = value_bytes(text.bytes, text.length), value = value_number((double)logits[ids[i]]);
        Value cells[] = {name, value_integer(ids[i]), value_number(exp(log_probability)), value_number(log_probability),
                         value};
        Value numbers[] = {name, value_integer(ids[i]), value};
        table_row(table, number ? numbers : cells);
    }
}
