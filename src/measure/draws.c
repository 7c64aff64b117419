#include "measure/draws.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/integers.h"
#include "base/random.h"

enum {
    LEAST_WORDS = 8, /* of a source, for it to be the one a word is drawn from */
    OVERSAMPLE = 2,  /* candidates judged by the right context for each draw */
    LEAST_JUDGED = 4
};

/* Something that could take a unit's place. */
typedef struct Candidate {
    Text text;
    double weight; /* log, how likely it is drawn */
    double key;    /* weight + Gumbel noise: the largest keys are a sample without replacement */
    double fit;
    Rewritten made;
} Candidate;

typedef struct Candidates {
    Candidate *items; /* [n] */
    int32_t n, capacity;
} Candidates;

struct Draws {
    MethodCall *call;
    Rewriter units; /* what is exchanged */
    Rewriter words; /* their words */
    DrawsAsked asked;
    const WordLists *lists;
    WordLists own_lists; /* where none were given */
    Proposals *proposals;
    DrawList *of_units; /* [units] */
    DrawList *of_words; /* [words]; the same where units are words */
    int32_t rounds;     /* calls of draws_take, for the random stream */
};

const char *draw_source_name(DrawSource source) {
    static const char *const names[] = {"file", "data", "model", "lists"};
    return names[source];
}

static bool units_are_words(const Draws *draws) {
    return draws->units.units == draws->words.units;
}

void draws_free(Draws *draws) {
    if (draws != NULL) {
        if (draws->lists == &draws->own_lists) {
            word_lists_close(&draws->own_lists);
        }
        proposals_free(draws->proposals);
        free(draws);
    }
}

limn_status draws_new(Draws **draws, const Rewriter *rewriter, const Units *words, const DrawsAsked *asked) {
    MethodCall *call = rewriter->call;
    *draws = calloc(1, sizeof **draws);
    if (*draws == NULL) {
        return method_no_memory(call);
    }
    Draws *made = *draws;
    *made = (Draws){.call = call, .units = *rewriter, .words = *rewriter, .asked = *asked};
    made->words.units = words;
    made->of_words = ARENA_ARRAY(call->arena, DrawList, words->n);
    made->of_units = units_are_words(made) ? made->of_words : ARENA_ARRAY(call->arena, DrawList, rewriter->units->n);
    limn_status status = LIMN_OK;
    if (made->of_words == NULL || made->of_units == NULL) {
        status = method_no_memory(call);
    } else if (made->asked.lists != NULL) {
        made->lists = made->asked.lists;
    } else {
        status = word_lists_open(&made->own_lists, call->arena);
        made->lists = status == LIMN_OK ? &made->own_lists : NULL;
    }
    if (status != LIMN_OK) {
        draws_free(made);
        *draws = NULL;
    }
    return status;
}

const DrawList *draws_of(const Draws *draws, int32_t unit) {
    return &draws->of_units[unit];
}

/* ---- candidates ---- */

static limn_status add_candidate(Candidates *list, MethodCall *call, Text text, double weight) {
    if (list->n == list->capacity) {
        int32_t capacity = list->capacity < 64 ? 64 : 2 * list->capacity;
        Candidate *grown = ARENA_ARRAY(call->arena, Candidate, capacity);
        if (grown == NULL) {
            return method_no_memory(call);
        }
        if (list->n > 0) {
            memcpy(grown, list->items, (size_t)list->n * sizeof *grown);
        }
        list->items = grown;
        list->capacity = capacity;
    }
    list->items[list->n++] = (Candidate){.text = text, .weight = weight, .fit = (double)NAN};
    return LIMN_OK;
}

/* Any word of the answer. */
static bool answers(const Draws *draws, const Target *target, Text text) {
    for (int32_t i = 0; target != NULL && i < target->n && target->kind != TARGET_CLASS; i++) {
        Text token = text_bare(token_text(draws->call, draws->words.model, target->ids[i]));
        if (token.length > 0 && words_related(token, text)) {
            return true;
        }
    }
    return target != NULL && target->text.bytes != NULL && words_related(text_bare(target->text), text);
}

static bool was_drawn(const DrawList *list, Text text) {
    for (int32_t i = 0; i < list->n; i++) {
        if (same_text(list->items[i].text, text)) {
            return true;
        }
    }
    return false;
}

/* Whether the text may take the word's place at all. */
static bool may_stand(const Draws *draws, int32_t word, Text text) {
    return !words_related(unit_text(draws->words.prompt, &draws->words.units->items[word]), text) &&
           !answers(draws, draws->asked.target, text) && !answers(draws, draws->asked.contrast, text) &&
           !was_drawn(&draws->of_words[word], text);
}

/* What the data set has for the place; NULL: nothing. */
static const DrawTexts *data_at(const Draws *draws, const Unit *unit) {
    const DrawsAsked *asked = &draws->asked;
    for (int32_t i = 0; i < asked->n_data; i++) {
        if (asked->spans == NULL || (unit->from >= asked->spans[i].from && unit->to <= asked->spans[i].to)) {
            return &asked->data[i];
        }
    }
    return NULL;
}

static limn_status from_texts(Candidates *list, const Draws *draws, int32_t word, const DrawTexts *texts) {
    const Unit *unit = &draws->words.units->items[word];
    for (int32_t i = 0; texts != NULL && i < texts->n; i++) {
        WordKind kind = word_kind(texts->items[i]);
        if (word_kinds_match(&kind, &unit->kind) && may_stand(draws, word, texts->items[i])) {
            TRY(add_candidate(list, draws->call, texts->items[i], log(texts->count[i])));
        }
    }
    return LIMN_OK;
}

static limn_status from_model(Candidates *list, Draws *draws, int32_t word) {
    if (draws->asked.base == NULL) {
        return LIMN_OK;
    }
    if (draws->proposals == NULL) {
        TRY(proposals_new(&draws->proposals, draws->call, draws->asked.base, draws->words.prompt, draws->words.units));
    }
    int32_t n;
    const Proposal *items = proposals_of(draws->proposals, word, &n);
    for (int32_t i = 0; i < n; i++) {
        if (may_stand(draws, word, items[i].text)) {
            TRY(add_candidate(list, draws->call, items[i].text, items[i].log_probability));
        }
    }
    return LIMN_OK;
}

/* ---- the shipped lists ---- */

static bool ends(Text word, const char *ending) {
    size_t n = strlen(ending);
    return word.length > n + 2 && memcmp(word.bytes + word.length - n, ending, n) == 0;
}

static uint64_t category_of_example(const Draws *draws, const char *example) {
    return word_lists_categories(draws->lists, text_of(example));
}

/* What a word that no list has most likely is: by its ending, else a thing; with a capital a name. */
static uint64_t guess(const Draws *draws, const Unit *unit, Text word) {
    const WordKind *kind = &unit->kind;
    if (kind->case_ == WORD_UPPER) {
        return category_of_example(draws, "NATO");
    }
    if (kind->case_ == WORD_TITLE) {
        return category_of_example(draws, "Emma") | category_of_example(draws, "Vienna") |
               category_of_example(draws, "Portugal") | category_of_example(draws, "Toyota");
    }
    return ends(word, "ly")    ? category_of_example(draws, "quickly")
           : ends(word, "ing") ? category_of_example(draws, "bringing")
           : ends(word, "ed")  ? category_of_example(draws, "happened")
           : ends(word, "s")   ? category_of_example(draws, "companies")
           : kind->alone       ? category_of_example(draws, "时间")
                               : category_of_example(draws, "garden");
}

/* The categories of the word as written, else in small letters: "Today" stands where "today" is listed. */
static uint64_t categories(const Draws *draws, const Unit *unit) {
    Text word = unit_text(draws->words.prompt, unit);
    uint64_t bits = word_lists_categories(draws->lists, word);
    if (bits == 0 && unit->kind.class == WORD_LETTERS) {
        size_t length;
        char *lower = word_in_case(word, WORD_LOWER, &length, draws->call->arena);
        bits = lower == NULL ? 0 : word_lists_categories(draws->lists, (Text){lower, length});
        bits = bits == 0 ? guess(draws, unit, word) : bits;
    }
    return bits;
}

/* Words of the kind, in its case. any: of every category. */
static limn_status from_categories(Candidates *list, const Draws *draws, int32_t word, uint64_t bits, bool any) {
    const Unit *unit = &draws->words.units->items[word];
    for (int32_t i = 0; i < draws->lists->n; i++) {
        const ListedWord *item = &draws->lists->items[i];
        Text text = item->text;
        if (!any && (bits >> item->category & 1) == 0) {
            continue;
        }
        WordKind kind = word_kind(text);
        bool recase = kind.class == WORD_LETTERS && unit->kind.case_ != WORD_UNCASED && kind.case_ == WORD_LOWER &&
                      unit->kind.case_ != WORD_LOWER;
        if (recase) {
            char *cased = word_in_case(text, unit->kind.case_, &text.length, draws->call->arena);
            if (cased == NULL) {
                return method_no_memory(draws->call);
            }
            text.bytes = cased;
            kind = word_kind(text);
        }
        if (word_kinds_match(&kind, &unit->kind) && may_stand(draws, word, text)) {
            TRY(add_candidate(list, draws->call, text, 0.0));
        }
    }
    return LIMN_OK;
}

/* Another figure or code: a digit for each digit, a letter for each letter; a year stays one of its time. */
static char *other_figure(Random *random, Text word, Arena *arena) {
    char *made = arena_strndup(arena, word.bytes, word.length);
    if (made == NULL) {
        return NULL;
    }
    bool year = word.length == 4 && (memcmp(made, "19", 2) == 0 || memcmp(made, "20", 2) == 0);
    if (year) {
        int value = 1900 + (int)random_below(random, 130);
        for (int i = 3; i >= 0; i--, value /= 10) {
            made[i] = (char)('0' + value % 10);
        }
        return made;
    }
    for (size_t i = 0; i < word.length; i++) {
        bool lower = made[i] >= 'a' && made[i] <= 'z', upper = made[i] >= 'A' && made[i] <= 'Z';
        if (made[i] >= '0' && made[i] <= '9') {
            bool leads = i == 0 && word.length > 1 && made[i] != '0';
            made[i] = (char)(leads ? '1' + (char)random_below(random, 9) : '0' + (char)random_below(random, 10));
        } else if (lower || upper) {
            made[i] = (char)((lower ? 'a' : 'A') + (char)random_below(random, 26));
        }
    }
    return made;
}

static limn_status made_figures(Candidates *list, const Draws *draws, int32_t word, Random *random) {
    enum { ATTEMPTS = 200 };
    Text text = unit_text(draws->words.prompt, &draws->words.units->items[word]);
    for (int i = 0; i < ATTEMPTS; i++) {
        char *made = other_figure(random, text, draws->call->arena);
        if (made == NULL) {
            return method_no_memory(draws->call);
        }
        Text other = {made, text.length};
        bool known = !may_stand(draws, word, other);
        for (int32_t k = 0; k < list->n && !known; k++) {
            known = same_text(list->items[k].text, other);
        }
        if (!known) {
            TRY(add_candidate(list, draws->call, other, 0.0));
        }
    }
    return LIMN_OK;
}

static limn_status from_lists(Candidates *list, const Draws *draws, int32_t word, Random *random) {
    const Unit *unit = &draws->words.units->items[word];
    if (unit->kind.class == WORD_NUMBER || unit->kind.class == WORD_CODE) {
        return made_figures(list, draws, word, random);
    }
    TRY(from_categories(list, draws, word, categories(draws, unit), unit->kind.class != WORD_LETTERS));
    if (list->n < LEAST_WORDS && unit->kind.class == WORD_LETTERS) {
        list->n = 0;
        TRY(from_categories(list, draws, word, 0, true));
    }
    return LIMN_OK;
}

/* ---- one word ---- */

static Random stream_of(const Draws *draws, int32_t word) {
    Random random;
    uint64_t seed = (uint64_t)draws->call->common.seed * 0x9E3779B97F4A7C15u + (uint64_t)word * 1000003u;
    random_seed(&random, seed + (uint64_t)draws->rounds);
    return random;
}

static double gumbel(Random *random) {
    return -log(-log(random_unit(random) * (1.0 - 1e-12) + 5e-13));
}

static int largest_key(const void *left, const void *right) {
    const Candidate *a = left, *b = right;
    if (a->key != b->key) {
        return a->key > b->key ? -1 : 1;
    }
    size_t n = a->text.length < b->text.length ? a->text.length : b->text.length;
    int order = memcmp(a->text.bytes, b->text.bytes, n);
    return order != 0 ? order : (a->text.length > b->text.length) - (a->text.length < b->text.length);
}

static void order_by_key(Candidates *list) {
    if (list->n > 1) { /* of none there may be no items */
        qsort(list->items, (size_t)list->n, sizeof *list->items, largest_key);
    }
}

/* Keeps, in the order of their keys, the first `most` that stand in the text as whole words, each once. */
static limn_status keep_whole(Candidates *list, const Rewriter *rewriter, int32_t unit, int32_t most) {
    order_by_key(list);
    int32_t kept = 0;
    for (int32_t i = 0; i < list->n && kept < most; i++) {
        Candidate *candidate = &list->items[i];
        bool good = true;
        for (int32_t k = 0; k < kept && good; k++) {
            good = !same_text(list->items[k].text, candidate->text);
        }
        Exchange exchange = {unit, candidate->text};
        if (good) {
            TRY(rewrite_prompt(&candidate->made, &good, rewriter, &exchange, 1));
        }
        if (good) {
            list->items[kept++] = *candidate;
        }
    }
    list->n = kept;
    return LIMN_OK;
}

static limn_status collect(Candidates *list, Draws *draws, int32_t word, DrawSource source, Random *random) {
    switch (source) {
    case DRAW_FILE:
        return from_texts(list, draws, word, draws->asked.file);
    case DRAW_DATA:
        return from_texts(list, draws, word, data_at(draws, &draws->words.units->items[word]));
    case DRAW_MODEL:
        return from_model(list, draws, word);
    default:
        return from_lists(list, draws, word, random);
    }
}

static limn_status candidates_of(Candidates *list, Draws *draws, int32_t word, DrawSource source, int32_t want,
                                 Random *random) {
    *list = (Candidates){0};
    TRY(collect(list, draws, word, source, random));
    for (int32_t i = 0; i < list->n; i++) {
        list->items[i].key = list->items[i].weight + gumbel(random);
    }
    int32_t most = source == DRAW_MODEL ? (int32_t)larger(OVERSAMPLE * want, LEAST_JUDGED) : want;
    return keep_whole(list, &draws->words, word, (int32_t)larger(most, LEAST_WORDS));
}

/* The first time: the first source that has enough, else the one that has most. */
static limn_status choose_source(Candidates *best, Draws *draws, int32_t word, int32_t want, Random *random) {
    DrawList *list = &draws->of_words[word];
    *best = (Candidates){0};
    list->source = draws->asked.file != NULL ? DRAW_FILE : DRAW_LISTS;
    for (DrawSource source = DRAW_FILE; source < DRAW_SOURCES && best->n < LEAST_WORDS; source++) {
        if (source != DRAW_FILE && draws->asked.file != NULL) {
            break;
        }
        Candidates found;
        TRY(candidates_of(&found, draws, word, source, want, random));
        if (found.n > best->n) {
            *best = found;
            list->source = source;
        }
    }
    return LIMN_OK;
}

/* What is judged by the right context, of all words at once. */
typedef struct Judged {
    Rewritten *versions; /* [n] */
    double *fit;         /* [n] */
    int32_t n;
} Judged;

static limn_status judge(Draws *draws, Candidates *lists, const int32_t *words, int32_t n_words) {
    int32_t n = 0;
    for (int32_t i = 0; i < n_words; i++) {
        n += draws->of_words[words[i]].source == DRAW_MODEL ? lists[i].n : 0;
    }
    Judged judged = {ARENA_ARRAY(draws->call->arena, Rewritten, n + 1), ARENA_ARRAY(draws->call->arena, double, n + 1),
                     0};
    if (judged.versions == NULL || judged.fit == NULL) {
        return method_no_memory(draws->call);
    }
    for (int32_t i = 0; i < n_words; i++) {
        for (int32_t k = 0; draws->of_words[words[i]].source == DRAW_MODEL && k < lists[i].n; k++) {
            judged.versions[judged.n++] = lists[i].items[k].made;
        }
    }
    if (judged.n == 0) {
        return LIMN_OK;
    }
    TRY(proposals_fit(draws->proposals, judged.versions, judged.n, judged.fit));
    const double *fit = judged.fit;
    for (int32_t i = 0; i < n_words; i++) {
        Random random = stream_of(draws, -1 - words[i]);
        for (int32_t k = 0; draws->of_words[words[i]].source == DRAW_MODEL && k < lists[i].n; k++, fit++) {
            lists[i].items[k].fit = lists[i].items[k].weight + *fit;
            lists[i].items[k].key = *fit + gumbel(&random);
        }
        order_by_key(&lists[i]);
    }
    return LIMN_OK;
}

static limn_status append(DrawList *list, MethodCall *call, const Candidates *from, int32_t want) {
    int32_t n = from->n < want ? from->n : want;
    Draw *grown = ARENA_ARRAY(call->arena, Draw, list->n + n + 1);
    if (grown == NULL) {
        return method_no_memory(call);
    }
    if (list->n > 0) {
        memcpy(grown, list->items, (size_t)list->n * sizeof *grown);
    }
    for (int32_t i = 0; i < n; i++) {
        grown[list->n + i] = (Draw){from->items[i].text, from->items[i].fit, from->items[i].made};
    }
    list->items = grown;
    list->n += n;
    list->exhausted = n < want;
    return LIMN_OK;
}

static limn_status take_words(Draws *draws, const int32_t *words, int32_t n_words, int32_t k) {
    Candidates *lists = ARENA_ARRAY(draws->call->arena, Candidates, n_words + 1);
    if (lists == NULL) {
        return method_no_memory(draws->call);
    }
    draws->rounds++;
    for (int32_t i = 0; i < n_words; i++) {
        DrawList *list = &draws->of_words[words[i]];
        int32_t want = k - list->n;
        Random random = stream_of(draws, words[i]);
        if (want <= 0 || list->exhausted || draws->words.units->items[words[i]].fixed) {
            continue;
        }
        if (list->n == 0) {
            TRY(choose_source(&lists[i], draws, words[i], want, &random));
        } else {
            TRY(candidates_of(&lists[i], draws, words[i], list->source, want, &random));
        }
    }
    TRY(judge(draws, lists, words, n_words));
    for (int32_t i = 0; i < n_words; i++) {
        DrawList *list = &draws->of_words[words[i]];
        if (k > list->n && !list->exhausted && !draws->words.units->items[words[i]].fixed) {
            TRY(append(list, draws->call, &lists[i], k - list->n));
        }
    }
    return LIMN_OK;
}

/* ---- larger units ---- */

static limn_status whole_texts(Candidates *list, const Draws *draws, int32_t unit, const DrawTexts *texts,
                               Random *random) {
    Text own = unit_text(draws->units.prompt, &draws->units.units->items[unit]);
    for (int32_t i = 0; i < texts->n; i++) {
        if (!same_text(own, texts->items[i]) && !was_drawn(&draws->of_units[unit], texts->items[i])) {
            TRY(add_candidate(list, draws->call, texts->items[i], log(texts->count[i])));
            list->items[list->n - 1].key = list->items[list->n - 1].weight + gumbel(random);
        }
    }
    return LIMN_OK;
}

/* The unit's text with draw number `which` of each of its words. *there false: none of them has one. */
static limn_status exchange_words(Text *made, bool *there, const Draws *draws, int32_t unit, int32_t which) {
    const Unit *whole = &draws->units.units->items[unit];
    const char *bytes = draws->words.prompt->text.bytes;
    TextBuffer text = TEXT_BUFFER_INIT;
    size_t at = whole->from;
    *there = false;
    for (int32_t w = 0; w < draws->words.units->n; w++) {
        const Unit *word = &draws->words.units->items[w];
        const DrawList *list = &draws->of_words[w];
        if (word->fixed || word->begin < whole->begin || word->end > whole->end || list->n == 0) {
            continue;
        }
        Text draw = list->items[which % list->n].text;
        text_buffer_add_bytes(&text, bytes + at, word->from - at);
        text_buffer_add_bytes(&text, draw.bytes, draw.length);
        at = word->to;
        *there = true;
    }
    text_buffer_add_bytes(&text, bytes + at, whole->to - at);
    limn_status status = text_buffer_status(&text);
    if (status == LIMN_OK) {
        char *copy = arena_strndup(draws->call->arena, text.data == NULL ? "" : text.data, text.length);
        *made = (Text){copy, text.length};
        status = copy == NULL ? method_no_memory(draws->call) : LIMN_OK;
    }
    text_buffer_free(&text);
    return status;
}

static limn_status draw_inner_words(Draws *draws, int32_t unit, int32_t k) {
    const Unit *whole = &draws->units.units->items[unit];
    int32_t *inner = ARENA_ARRAY(draws->call->arena, int32_t, draws->words.units->n + 1);
    if (inner == NULL) {
        return method_no_memory(draws->call);
    }
    int32_t n = 0;
    for (int32_t w = 0; w < draws->words.units->n; w++) {
        const Unit *word = &draws->words.units->items[w];
        if (word->begin >= whole->begin && word->end <= whole->end) {
            inner[n++] = w;
        }
    }
    return take_words(draws, inner, n, k);
}

static limn_status take_unit(Draws *draws, int32_t unit, int32_t k) {
    DrawList *list = &draws->of_units[unit];
    const DrawTexts *data = data_at(draws, &draws->units.units->items[unit]);
    const DrawTexts *given = draws->asked.file != NULL ? draws->asked.file : data;
    Random random = stream_of(draws, unit);
    Candidates candidates = {0};
    int32_t want = k - list->n;
    draws->rounds++;
    if (given != NULL) {
        TRY(whole_texts(&candidates, draws, unit, given, &random));
        list->source = given == draws->asked.file ? DRAW_FILE : DRAW_DATA;
    } else {
        TRY(draw_inner_words(draws, unit, k));
        for (int32_t j = list->n; j < k; j++) {
            Text text;
            bool there;
            TRY(exchange_words(&text, &there, draws, unit, j));
            if (there && !was_drawn(list, text)) {
                TRY(add_candidate(&candidates, draws->call, text, 0.0));
                candidates.items[candidates.n - 1].key = -j; /* in this order */
            }
        }
        list->source = draws->asked.base != NULL ? DRAW_MODEL : DRAW_LISTS;
    }
    TRY(keep_whole(&candidates, &draws->units, unit, want));
    return append(list, draws->call, &candidates, want);
}

limn_status draws_take(Draws *draws, const int32_t *units, int32_t n_units, int32_t k) {
    if (units_are_words(draws)) {
        return take_words(draws, units, n_units, k);
    }
    for (int32_t i = 0; i < n_units; i++) {
        const DrawList *list = &draws->of_units[units[i]];
        if (!draws->units.units->items[units[i]].fixed && list->n < k && !list->exhausted) {
            TRY(take_unit(draws, units[i], k));
        }
    }
    return LIMN_OK;
}
