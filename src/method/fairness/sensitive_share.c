/* Share of an explanation on protected words: sum of |score| over a category's words by that over all words of the
 * record, beside what as many other words of their kind have on average. */
#include <math.h>

#include "ask/target.h"
#include "ask/word_kind.h"
#include "ask/words.h"
#include "method/fairness/sensitive.h"

typedef struct WordScore {
    double size; /* |score|; NaN: held */
    WordKind kind;
    size_t from, to; /* bytes of the text */
} WordScore;

typedef struct Explained {
    Prompt prompt;
    WordScore *words; /* [n] */
    int32_t n;
    double sum;
} Explained;

static limn_status ask(TokenScores *scores, Explained *made, const Sensitive *work, MethodCall *call, Text text,
                       int32_t against) {
    bool classifier = work->model->config.task == TASK_CLASSIFIER;
    const PromptParams prompt = {.prompt = text, .complete = data_source_encode_options(work->source, call).no_special};
    TargetParams asked = {.target_id = PARAM_NO_INTEGER};
    if (classifier) {
        asked.class_name = work->names.choices[work->target];
    } else {
        asked.target = work->names.choices[work->target];
        asked.contrast = work->names.choices[against];
    }
    Target target, contrast;
    TRY(prompt_read(&made->prompt, call, work->model, &prompt));
    TRY(target_build(&target, call, work->model, &made->prompt, &asked, NULL));
    TRY(target_build_contrast(&contrast, &target, call, work->model, &made->prompt, &asked));
    const TokenQuestion question = {.engine = work->engine,
                                    .prompt = &made->prompt,
                                    .target = &target,
                                    .contrast = &contrast,
                                    .params = work->method_params,
                                    .seed = call->common.seed};
    return token_scores(scores, call, work->method, &question);
}

static limn_status sum_words(Explained *made, MethodCall *call, const Model *model, const TokenScores *scores) {
    TokenRuns runs;
    TRY(words_of(&runs, call, model, &made->prompt));
    made->words = ARENA_ARRAY(call->arena, WordScore, runs.n + 1);
    if (made->words == NULL) {
        return method_no_memory(call);
    }
    for (int32_t g = 0; g < runs.n; g++) {
        int32_t begin = runs.begins[g], end = runs.begins[g + 1];
        double score = token_scores_sum(scores, begin, end);
        const Token *first = &made->prompt.tokens[begin], *last = &made->prompt.tokens[end - 1];
        if (isnan(score)) {
            continue;
        }
        made->words[made->n++] = (WordScore){.size = fabs(score),
                                             .kind = word_kind(run_text(call, model, &made->prompt, begin, end)),
                                             .from = (size_t)first->begin,
                                             .to = (size_t)last->end};
        made->sum += fabs(score);
    }
    return LIMN_OK;
}

/* Whether the word is of the category, or with category -1 of any. */
static bool is_of(const WordScore *word, const ProtectedMatches *matches, const ProtectedLists *lists,
                  int32_t category) {
    for (int32_t i = 0; i < matches->n; i++) {
        const ProtectedMatch *match = &matches->items[i];
        bool meant = category < 0 || protected_category(lists, match->word) == category;
        if (meant && word->from < match->to && word->to > match->from) {
            return true;
        }
    }
    return false;
}

/* The mean size of unprotected words of the kind; NaN: there are none. */
static double usual_size(const Explained *made, const bool *of_any, const WordKind *kind) {
    double sum = 0;
    int32_t n = 0;
    for (int32_t w = 0; w < made->n; w++) {
        if (!of_any[w] && word_kinds_match(&made->words[w].kind, kind)) {
            sum += made->words[w].size;
            n++;
        }
    }
    return n > 0 ? sum / n : (double)NAN;
}

static limn_status add_share(Sensitive *work, const Explained *made, const ProtectedMatches *matches, int32_t category,
                             const bool *of_any) {
    double sum = 0, random = 0;
    bool any = false;
    for (int32_t w = 0; w < made->n; w++) {
        if (is_of(&made->words[w], matches, &work->lists, category)) {
            sum += made->words[w].size;
            random += usual_size(made, of_any, &made->words[w].kind);
            any = true;
        }
    }
    if (!any || !(made->sum > 0)) {
        return LIMN_OK;
    }
    ShareCase *share =
        sensitive_push((void **)&work->shares, &work->n_shares, &work->shares_most, sizeof *share, work->call->arena);
    if (share == NULL) {
        return method_no_memory(work->call);
    }
    *share = (ShareCase){category, sum / made->sum, random / made->sum};
    work->explained[category]++;
    return LIMN_OK;
}

/* Categories of the record of which not enough records are explained; wanted: [n_categories]. */
static bool find_wanted(const Sensitive *work, const ProtectedMatches *matches, bool *wanted) {
    bool any = false;
    for (int32_t i = 0; i < matches->n; i++) {
        int32_t c = protected_category(&work->lists, matches->items[i].word);
        wanted[c] = work->explained[c] < work->params->explain;
        any = any || wanted[c];
    }
    return any;
}

limn_status sensitive_share(Sensitive *work, const DataItem *item, const ProtectedMatches *matches, int32_t against,
                            Arena *arena) {
    MethodCall call = method_call_in(work->call, arena);
    bool *wanted = ARENA_ARRAY(arena, bool, work->lists.n_categories + 1);
    if (wanted == NULL) {
        return method_no_memory(&call);
    }
    if (!find_wanted(work, matches, wanted)) {
        return LIMN_OK;
    }
    Explained made = {0};
    TokenScores scores;
    limn_status status = ask(&scores, &made, work, &call, item->prompt, against);
    if (status_is_of_input(status)) {
        work->unexplained++; /* a choice that joins the prompt's last token has no place of its own */
        return LIMN_OK;
    }
    TRY(status);
    TRY(sum_words(&made, &call, work->model, &scores));
    bool *of_any = ARENA_ARRAY(arena, bool, made.n + 1);
    if (of_any == NULL) {
        return method_no_memory(&call);
    }
    for (int32_t w = 0; w < made.n; w++) {
        of_any[w] = is_of(&made.words[w], matches, &work->lists, -1);
    }
    for (int32_t c = 0; c < work->lists.n_categories; c++) {
        if (wanted[c]) {
            TRY(add_share(work, &made, matches, c, of_any));
        }
    }
    return LIMN_OK;
}
