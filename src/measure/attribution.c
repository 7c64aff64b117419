#include "measure/attribution.h"

#include <math.h>

enum { STRONGEST_WORDS = 10 };

static double sum_of(const Attribution *attribution, int32_t begin, int32_t end) {
    double sum = 0.0;
    bool any = false;
    for (int32_t t = begin; t < end; t++) {
        if (!isnan(attribution->scores[t])) {
            sum += attribution->scores[t];
            any = true;
        }
    }
    return any ? sum : (double)NAN;
}

limn_status attribution_rank(Attribution *attribution) {
    MethodCall *call = attribution->call;
    TRY(words_of(&attribution->words, call, attribution->model, attribution->prompt));
    TRY(sentences_of(&attribution->sentences, call, attribution->model, attribution->prompt, &attribution->words));
    const TokenRuns *words = &attribution->words;
    attribution->word_scores = ARENA_ARRAY(call->arena, double, words->n + 1);
    attribution->order = ARENA_ARRAY(call->arena, int32_t, words->n + 1);
    if (attribution->word_scores == NULL || attribution->order == NULL) {
        return method_no_memory(call);
    }
    for (int32_t w = 0; w < words->n; w++) {
        bool reached = words->begins[w] < attribution->reach;
        double score = reached ? sum_of(attribution, words->begins[w], words->begins[w + 1]) : (double)NAN;
        attribution->word_scores[w] = score;
        if (isnan(score)) {
            continue;
        }
        int32_t place = attribution->n_order++;
        while (place > 0 && fabs(attribution->word_scores[attribution->order[place - 1]]) < fabs(score)) {
            attribution->order[place] = attribution->order[place - 1];
            place--;
        }
        attribution->order[place] = w;
    }
    return LIMN_OK;
}

int32_t attribution_first(const Attribution *attribution) {
    for (int32_t i = 0; i < attribution->n_order; i++) {
        if (attribution->word_scores[attribution->order[i]] > 0.0) {
            return attribution->order[i];
        }
    }
    return -1;
}

static Text word_text(const Attribution *attribution, int32_t word) {
    const int32_t *begins = attribution->words.begins;
    return run_text(attribution->call, attribution->model, attribution->prompt, begins[word], begins[word + 1]);
}

/* ---- the headline ---- */

static void say_quoted(const Attribution *attribution, TextBuffer *out, Text text) {
    text_buffer_add(out, SAY(attribution->call, "\"", "“"));
    text_buffer_add_bytes(out, text.bytes, text.length);
    text_buffer_add(out, SAY(attribution->call, "\"", "”"));
}

static void say_target(const Attribution *attribution, TextBuffer *out, const Target *target) {
    TextBuffer words = TEXT_BUFFER_INIT;
    for (int32_t i = 0; i < target->n; i++) {
        Text text = output_text(attribution->call, attribution->model, target->ids[i]);
        text_buffer_add_bytes(&words, text.bytes, text.length);
    }
    Text text = text_bare(text_of_bytes(words.data == NULL ? "" : words.data, words.length));
    say_quoted(attribution, out, text);
    text_buffer_printf(out, SAY(attribution->call, " (%.3g%%)", "（%.3g%%）"), 100.0 * exp(target->log_probability));
    out->failed = out->failed || words.failed;
    text_buffer_free(&words);
}

static void say_strongest(const Attribution *attribution, TextBuffer *out, const char *before, double sign) {
    for (int32_t i = 0; i < attribution->n_order; i++) {
        double score = attribution->word_scores[attribution->order[i]];
        if (score * sign > 0.0) {
            Text text = text_bare(word_text(attribution, attribution->order[i]));
            text_buffer_add(out, before);
            say_quoted(attribution, out, text);
            const char *signed_score = SAY(attribution->call, " (%+.2f)", "（%+.2f）"),
                       *size = SAY(attribution->call, " (%.2f)", "（%.2f）");
            text_buffer_printf(out, attribution->is_signed ? signed_score : size, score);
            return;
        }
    }
}

static void say_headline(const Attribution *attribution) {
    const MethodCall *call = attribution->call;
    TextBuffer line = TEXT_BUFFER_INIT;
    text_buffer_add(&line, SAY(call, "Why ", "为什么是"));
    say_target(attribution, &line, attribution->target);
    if (attribution->contrast != NULL && attribution->contrast->kind != TARGET_NONE) {
        text_buffer_add(&line, SAY(call, " and not ", "而不是"));
        say_target(attribution, &line, attribution->contrast);
    }
    if (attribution->is_signed) {
        bool supported = attribution->n_order > 0 && attribution->word_scores[attribution->order[0]] > 0.0;
        const char *against = supported ? SAY(call, ", most against it ", "，最反对它的是")
                                        : SAY(call, "; most against it ", "；最反对它的是");
        say_strongest(attribution, &line, SAY(call, ": most for it ", "：最支持它的是"), 1.0);
        say_strongest(attribution, &line, against, -1.0);
    } else {
        say_strongest(attribution, &line, SAY(call, ": it reacts most to ", "：反应最强的是"), 1.0);
    }
    if (line.failed) {
        line.length = 0;
    }
    result_headline(attribution->result, "%.*s", (int)line.length, line.data == NULL ? "" : line.data);
    text_buffer_free(&line);
}

/* ---- blocks ---- */

static void add_grouping(const Attribution *attribution, TokensBlock *strip, const char *name, const TokenRuns *runs) {
    TokenGroup *groups = tokens_add_grouping(strip, name, runs->n);
    for (int32_t g = 0; groups != NULL && g < runs->n; g++) {
        groups[g] = (TokenGroup){.begin = runs->begins[g],
                                 .end = runs->begins[g + 1],
                                 .score = sum_of(attribution, runs->begins[g], runs->begins[g + 1]),
                                 .spread = (double)NAN};
    }
}

static bool is_target_row(const Target *target, int32_t t) {
    for (int32_t i = 0; i < target->n && target->kind == TARGET_SPAN; i++) {
        if (target->rows[i] + 1 == t) {
            return true;
        }
    }
    return false;
}

static void show_strip(const Attribution *attribution) {
    static const char *const shown[] = {"token", "word", "sentence"};
    TokensBlock *strip =
        result_add_tokens(attribution->result, "attribution",
                          SAY(attribution->call, "What each part of the prompt did", "提示的各个部分起了什么作用"),
                          attribution->prompt->n);
    for (int32_t t = 0; t < attribution->prompt->n; t++) {
        bool fixed = isnan(attribution->scores[t]);
        TokenState state = fixed ? TOKEN_FIXED : t >= attribution->reach ? TOKEN_UNREACHED : TOKEN_SCORED;
        state = state == TOKEN_SCORED && is_target_row(attribution->target, t) ? TOKEN_TARGET : state;
        tokens_set(strip, t, NULL, 0, attribution->scores[t], state);
        if (attribution->spreads != NULL) {
            tokens_set_spread(strip, t, attribution->spreads[t]);
        }
    }
    if (strip != NULL) {
        strip->is_signed = attribution->is_signed;
    }
    add_grouping(attribution, strip, "word", &attribution->words);
    add_grouping(attribution, strip, "sentence", &attribution->sentences);
    tokens_show(strip, shown[attribution->by < 0 ? 1 : attribution->by]);
    result_block_unit(attribution->result, attribution->unit);
    result_block_note(attribution->result, "%s", attribution->note);
}

static void show_words(const Attribution *attribution) {
    static const TableColumn columns[] = {{TEXT("word"), COLUMN_TOKEN},
                                          {TEXT("position"), COLUMN_INTEGER},
                                          {TEXT("score"), COLUMN_SIGNED},
                                          {TEXT("share"), COLUMN_SHARE}},
                             sizes[] = {{TEXT("word"), COLUMN_TOKEN},
                                        {TEXT("position"), COLUMN_INTEGER},
                                        {TEXT("score"), COLUMN_NUMBER},
                                        {TEXT("share"), COLUMN_PROBABILITY}};
    double total = 0.0;
    for (int32_t i = 0; i < attribution->n_order; i++) {
        total += fabs(attribution->word_scores[attribution->order[i]]);
    }
    TableBlock *table =
        result_add_table(attribution->result, "words", SAY(attribution->call, "Strongest words", "最有影响的词"),
                         attribution->is_signed ? columns : sizes, 4);
    for (int32_t i = 0; i < attribution->n_order && i < STRONGEST_WORDS; i++) {
        int32_t w = attribution->order[i];
        Text text = word_text(attribution, w);
        double score = attribution->word_scores[w];
        const Value cells[] = {value_bytes(text.bytes, text.length), value_integer(attribution->words.begins[w]),
                               value_number(score), value_number(total > 0.0 ? score / total : 0.0)};
        table_row(table, cells);
    }
    const MethodCall *call = attribution->call;
    const char *with_sign =
                   SAY(call, "share: of the sum of all words' sizes; + supports the target, - speaks against it",
                       "占比：占所有词得分绝对值之和；+ 支持目标，- 反对目标"),
               *without = SAY(call, "share: of the sum of all words' sizes, which have no sign",
                              "占比：占所有词得分之和；得分没有正负");
    result_block_note(attribution->result, "%s", attribution->is_signed ? with_sign : without);
}

void attribution_show(const Attribution *attribution) {
    say_headline(attribution);
    show_strip(attribution);
    show_words(attribution);
}
