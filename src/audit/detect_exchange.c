/* Words that go with errors, and do they cause them?
 *
 * One half of the records nominates: for each label, the words whose records are decided wrongly oftener than the
 * others of that label (Fisher's exact test). The surest is taken first; who comes after it is judged by the records
 * that hold none of those taken, so that of words that stand together one is named, and none for another's errors. The
 * other half tests: in the records of that label that hold the word, and none taken before it, it is exchanged for
 * other words of its kind out of the data, and the model decides again. The effect is how much oftener the decision is
 * right then, in points, with Tango's interval of a paired difference and McNemar's exact test, one-sided.
 *
 * It costs no more than some hundred decisions. How it fails: words that do not go with errors in the half that
 * nominates are not tested (`attribute` asks gradients instead); other words can make a text senseless, which mends
 * nothing and hides a harm; of a phrase one word is named. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "audit/detect.h"
#include "audit/features.h"
#include "base/file.h"
#include "files/records.h"

enum { HELD_LEAST = 5, TESTED_LEAST = 8, TESTED_MOST = 60, POOL_LEAST = 3, SUSPECTS = 200 };
static const double everywhere = 0.9, suspicious = 0.01;

typedef struct Candidate {
    int32_t feature, label;
    double p;
    uint8_t *held; /* [cases->n] has the label and holds the word */
} Candidate;

typedef struct Exchange {
    StepRunner *runner;
    const Cases *cases;
    Features features;
    Candidate *suspects;   /* [n_suspects], the surest first */
    Candidate *candidates; /* [n] those that are tested, in the order they were taken */
    uint8_t *told;         /* [cases->n] the record holds one that was taken, of its own label */
    int32_t n_suspects, n, most;
    int32_t step; /* that decides on the exchanged records; -1: none */
} Exchange;

static limn_status no_memory(const Exchange *exchange) {
    return method_no_memory(exchange->runner->call);
}

/* ---- nominating ---- */

/* By the records of its label that hold none taken so far. */
static double suspicion(const Exchange *exchange, Candidate *candidate) {
    Share with = {0, 0}, without = {0, 0};
    for (int64_t i = 0; i < exchange->cases->n; i++) {
        const Case *item = &exchange->cases->items[i];
        if (!item->nominates || item->label != candidate->label || item->prompt == NULL || exchange->told[i]) {
            continue;
        }
        Share *share = candidate->held[i] ? &with : &without;
        share->n++;
        share->count += case_is_wrong(item);
    }
    bool oftener = with.n >= HELD_LEAST && without.n >= HELD_LEAST && share_value(with) > share_value(without);
    return oftener ? fisher_exact(with.count, with.n - with.count, without.count, without.n - without.count) : 1;
}

static void find_held(const Exchange *exchange, Candidate *candidate) {
    const Feature *feature = &exchange->features.items[candidate->feature];
    for (int64_t i = 0; i < exchange->cases->n; i++) {
        const Case *item = &exchange->cases->items[i];
        candidate->held[i] =
            item->label == candidate->label && item->prompt != NULL && word_find(item->prompt, feature->text) != NULL;
    }
}

static bool is_surer(const Exchange *exchange, const Candidate *a, const Candidate *b) {
    const Feature *words = exchange->features.items;
    return a->p != b->p ? a->p < b->p : strlen(words[a->feature].text) > strlen(words[b->feature].text);
}

/* Into its place among the surest. made->held is taken over, and gets the room of one that is gone. */
static void insert(Exchange *exchange, Candidate *made) {
    Candidate *items = exchange->suspects;
    if (exchange->n_suspects == SUSPECTS && !is_surer(exchange, made, &items[SUSPECTS - 1])) {
        return;
    }
    int32_t place = exchange->n_suspects -= exchange->n_suspects == SUSPECTS;
    uint8_t *spare = items[place].held;
    for (; place > 0 && is_surer(exchange, made, &items[place - 1]); place--) {
        items[place] = items[place - 1];
    }
    items[place] = *made;
    made->held = spare;
    exchange->n_suspects++;
}

static limn_status suspect(Exchange *exchange, Candidate *made) {
    const Cases *cases = exchange->cases;
    int64_t nominating = 0;
    for (int64_t i = 0; i < cases->n; i++) {
        nominating += cases->items[i].nominates;
    }
    for (int32_t f = 0; f < exchange->features.n; f++) {
        const Feature *feature = &exchange->features.items[f];
        bool common = (double)feature->n > everywhere * (double)nominating;
        for (int32_t label = 0; label < cases->names.n && feature->n >= HELD_LEAST && !common; label++) {
            made->feature = f;
            made->label = label;
            find_held(exchange, made);
            made->p = suspicion(exchange, made);
            if (made->p < suspicious) {
                insert(exchange, made);
            }
        }
        TRY(progress_tick(exchange->runner->call->progress, "words", f, exchange->features.n));
    }
    return LIMN_OK;
}

/* The surest of those that are left; the records that hold it speak for no other any more. false: none is left. */
static bool take_surest(Exchange *exchange) {
    Candidate *surest = NULL;
    for (int32_t i = 0; i < exchange->n_suspects; i++) {
        Candidate *item = &exchange->suspects[i];
        item->p = item->p < suspicious ? suspicion(exchange, item) : 1;
        surest = item->p < suspicious && (surest == NULL || is_surer(exchange, item, surest)) ? item : surest;
    }
    if (surest == NULL) {
        return false;
    }
    exchange->candidates[exchange->n++] = *surest;
    for (int64_t i = 0; i < exchange->cases->n; i++) {
        exchange->told[i] = exchange->told[i] || surest->held[i];
    }
    surest->p = 1;
    return true;
}

static limn_status nominate(Exchange *exchange) {
    Arena *arena = exchange->runner->call->arena;
    size_t bytes = (size_t)exchange->cases->n + 1;
    exchange->most = (int32_t)exchange->runner->plan->findings.most_candidates;
    exchange->suspects = ARENA_ARRAY(arena, Candidate, SUSPECTS + 1);
    exchange->candidates = ARENA_ARRAY(arena, Candidate, exchange->most + 1);
    exchange->told = arena_zalloc(arena, bytes);
    Candidate made = {.held = arena_zalloc(arena, bytes)};
    bool good =
        exchange->suspects != NULL && exchange->candidates != NULL && exchange->told != NULL && made.held != NULL;
    for (int32_t i = 0; good && i < SUSPECTS; i++) {
        exchange->suspects[i].held = arena_zalloc(arena, bytes);
        good = exchange->suspects[i].held != NULL;
    }
    if (!good) {
        return no_memory(exchange);
    }
    TRY(suspect(exchange, &made));
    while (exchange->n < exchange->most && take_surest(exchange)) {
    }
    return LIMN_OK;
}

/* ---- what takes their place ---- */

static bool is_candidate(const Exchange *exchange, int32_t feature) {
    bool found = false;
    for (int32_t i = 0; i < exchange->n; i++) {
        found = found || exchange->candidates[i].feature == feature;
    }
    return found;
}

static bool may_replace(const Exchange *exchange, int32_t feature, const Feature *word) {
    const Feature *other = &exchange->features.items[feature];
    int32_t apart = other->characters - word->characters;
    bool digits = (other->text[0] >= '0' && other->text[0] <= '9') == (word->text[0] >= '0' && word->text[0] <= '9');
    return other->n >= POOL_LEAST && other->words == 1 && other->han == word->han && digits &&
           (other->han ? apart == 0 : abs(apart) <= 3) && other->characters > 1 && !is_candidate(exchange, feature) &&
           strstr(other->text, word->text) == NULL;
}

/* One of those that may, by the record, the word and the seed. NULL: there is none. */
static const char *draw_word(const Exchange *exchange, const Feature *word, const Case *item) {
    char text[FEATURE_BYTES_MAX + 128];
    int32_t n = 0;
    for (int32_t f = 0; f < exchange->features.n; f++) {
        n += may_replace(exchange, f, word);
    }
    if (n == 0) {
        return NULL;
    }
    int length = snprintf(text, sizeof text, "%lld %lld %s", (long long)exchange->runner->plan->seed,
                          (long long)item->record, word->text);
    int32_t wanted = (int32_t)(hash_bytes(text, (size_t)length) % (uint64_t)n);
    for (int32_t f = 0; f < exchange->features.n; f++) {
        if (may_replace(exchange, f, word) && wanted-- == 0) {
            return exchange->features.items[f].text;
        }
    }
    return NULL;
}

/* As many words as the phrase has. */
static const char *draw(const Exchange *exchange, const Feature *phrase, const Case *item) {
    Arena *arena = exchange->runner->call->arena;
    const char *made = "";
    for (const char *at = phrase->text; made != NULL && *at != '\0';) {
        size_t length = phrase->words > 1 ? strcspn(at, " ") : strlen(at);
        Feature word = *phrase;
        word.text = arena_strndup(arena, at, length);
        word.characters = phrase->words > 1 ? (int32_t)length : phrase->characters;
        const char *with = word.text != NULL ? draw_word(exchange, &word, item) : NULL;
        made = with != NULL ? arena_printf(arena, "%s%s%s", made, made[0] != '\0' ? " " : "", with) : NULL;
        at += length;
        at += *at == ' ';
    }
    return made;
}

/* ---- deciding again ---- */

/* Of the other half: holds the word and none taken before it. */
static bool is_tested(const Exchange *exchange, int32_t c, int64_t record) {
    bool before = false;
    for (int32_t k = 0; k < c; k++) {
        before = before || exchange->candidates[k].held[record];
    }
    return !exchange->cases->items[record].nominates && exchange->candidates[c].held[record] && !before;
}

/* A line for each candidate and record: {"id": "CANDIDATE RECORD", "label": ..., "prompt": ...}. */
static limn_status write_lines(TextBuffer *out, const Exchange *exchange, int32_t c) {
    const Candidate *candidate = &exchange->candidates[c];
    const Feature *word = &exchange->features.items[candidate->feature];
    int32_t n = 0;
    for (int64_t i = 0; i < exchange->cases->n && n < TESTED_MOST; i++) {
        const Case *item = &exchange->cases->items[i];
        if (!is_tested(exchange, c, i)) {
            continue;
        }
        const char *with = draw(exchange, word, item);
        const char *prompt =
            with != NULL ? word_exchange(exchange->runner->call->arena, item->prompt, word->text, with) : NULL;
        if (prompt == NULL) {
            continue;
        }
        json_t *line = json_pack("{s:o, s:s, s:s}", "id", json_sprintf("%d %lld", (int)c, (long long)i), "label",
                                 exchange->cases->names.items[item->label], "prompt", prompt);
        char *text = line != NULL ? json_dumps(line, JSON_COMPACT) : NULL;
        json_decref(line);
        if (text == NULL) {
            return no_memory(exchange);
        }
        text_buffer_add(out, text);
        text_buffer_add_char(out, '\n');
        free(text);
        n++;
    }
    return text_buffer_status(out);
}

static limn_status write_records(const char **path, const Exchange *exchange) {
    TextBuffer out = TEXT_BUFFER_INIT;
    limn_status status = LIMN_OK;
    for (int32_t c = 0; c < exchange->n && status == LIMN_OK; c++) {
        status = write_lines(&out, exchange, c);
    }
    *path = NULL;
    if (status == LIMN_OK && out.length > 0) {
        *path = arena_printf(exchange->runner->call->arena, "%s/steps/exchange-%s.data.jsonl", exchange->runner->work,
                             exchange->runner->plan->steps[exchange->cases->step].id);
        status = *path != NULL ? file_write_atomic(*path, out.data, out.length) : no_memory(exchange);
    }
    text_buffer_free(&out);
    return status;
}

static limn_status add_step(Exchange *exchange, const char *path) {
    static const char *const same[] = {"model",   "adapter", "edit",  "seed",   "language",
                                       "choices", "labels",  "dtype", "backend"};
    const PlanStep *of = &exchange->runner->plan->steps[exchange->cases->step];
    PlanStep step = {.method = of->method, .model = of->model, .data = -1, .node = of->node};
    bool chat =
        json_is_true(json_object_get(of->params, "as-chat")) || json_object_get(of->params, "messages-field") != NULL;
    step.id = arena_printf(exchange->runner->call->arena, "exchange-%s", of->id);
    step.params = json_pack("{s:s, s:s, s:s, s:s}", "data", path, "prompt-field", "prompt", "label-field", "label",
                            "id-field", "id");
    bool good = step.id != NULL && step.params != NULL;
    for (size_t i = 0; good && i < sizeof same / sizeof same[0]; i++) {
        json_t *value = json_object_get(of->params, same[i]);
        good = value == NULL || json_object_set(step.params, same[i], value) == 0;
    }
    good = good && (!chat || plan_option(of->method, "bos") == NULL ||
                    json_object_set_new(step.params, "bos", json_string("no")) == 0);
    if (!good) {
        json_decref(step.params);
        return no_memory(exchange);
    }
    return plan_add_step(exchange->runner->plan, &step, &exchange->step);
}

/* ---- judging ---- */

typedef struct Turned {
    int64_t n, before, gained, lost; /* wrong before; made right, made wrong */
} Turned;

static limn_status read_turned(Turned *turned, const Exchange *exchange) {
    RecordReader *reader;
    const Record *record;
    limn_status status;
    TRY(record_reader_open(&reader, exchange->runner->runs[exchange->step].decisions, RECORDS_JSONL, NULL));
    while ((status = record_reader_next(reader, &record)) == LIMN_OK && record != NULL) {
        const char *id = json_string_value(json_object_get(record->object, "id"));
        const char *pred = json_string_value(json_object_get(record->object, "pred"));
        char *end = NULL;
        long c = id != NULL ? strtol(id, &end, 10) : -1;
        long long i = end != NULL ? strtoll(end, NULL, 10) : -1;
        if (pred == NULL || c < 0 || c >= exchange->n || i < 0 || i >= exchange->cases->n) {
            continue;
        }
        const Case *item = &exchange->cases->items[i];
        bool was = !case_is_wrong(item), is = strcmp(pred, exchange->cases->names.items[item->label]) == 0;
        turned[c].n++;
        turned[c].before += !was;
        turned[c].gained += is && !was;
        turned[c].lost += was && !is;
    }
    record_reader_close(reader);
    return status;
}

static limn_status add_word(Detection *detection, const Exchange *exchange, int32_t c, const Turned *turned) {
    const Candidate *candidate = &exchange->candidates[c];
    const Feature *word = &exchange->features.items[candidate->feature];
    const char *label = exchange->cases->names.items[candidate->label];
    const char *where =
        arena_printf(detection->arena, TELL(detection, "%s, records labelled %s", "%s，标签为 %s 的记录"),
                     exchange->runner->plan->steps[exchange->cases->step].id, label);
    const char *evidence = arena_printf(
        detection->arena,
        TELL(detection, "wrong on %lld of %lld records that hold it, on %lld of them with other words in its place",
             "含该词的记录判错 %lld / %lld 条，换成其他词后判错 %lld 条"),
        (long long)turned->before, (long long)turned->n, (long long)turned->before - turned->gained + turned->lost);
    if (where == NULL || evidence == NULL) {
        return no_memory(exchange);
    }
    Interval effect = paired_difference(turned->gained, turned->lost, turned->n, 0.95);
    Hypothesis made = {.kind = "word",
                       .what = word->text,
                       .where = where,
                       .label = label,
                       .effect = effect,
                       .points = effect.value,
                       .unit = "points",
                       .p = turned->gained > turned->lost ? mcnemar_exact(turned->gained, turned->lost) / 2 : 1,
                       .n = turned->n,
                       .evidence = evidence,
                       .null =
                           TELL(detection, "McNemar's exact test, one-sided, on the half that did not name the word",
                                "在未参与提名的一半记录上做 McNemar 精确检验（单侧）"),
                       .step = exchange->step,
                       .harmful = true};
    return findings_add(detection->findings, &made);
}

static limn_status judge(Detection *detection, const Exchange *exchange) {
    Turned *turned = ARENA_ARRAY(detection->arena, Turned, exchange->n + 1);
    if (turned == NULL) {
        return no_memory(exchange);
    }
    TRY(read_turned(turned, exchange));
    for (int32_t c = 0; c < exchange->n; c++) {
        TRY(turned[c].n >= TESTED_LEAST ? add_word(detection, exchange, c, &turned[c]) : LIMN_OK);
    }
    return LIMN_OK;
}

static limn_status look(Detection *detection, const Cases *cases) {
    Exchange exchange = {.runner = detection->runner, .cases = cases, .step = -1};
    const char *path = NULL;
    limn_status status = features_count(&exchange.features, cases, detection->arena);
    status = status == LIMN_OK ? nominate(&exchange) : status;
    status = status == LIMN_OK ? write_records(&path, &exchange) : status;
    features_free(&exchange.features);
    if (status == LIMN_OK && path != NULL) {
        status = add_step(&exchange, path);
        status = status == LIMN_OK ? steps_run(detection->runner) : status;
        status = status == LIMN_OK && detection->runner->runs[exchange.step].result != NULL
                     ? judge(detection, &exchange)
                     : status;
    }
    return status;
}

limn_status detect_exchange(Detection *detection) {
    for (int32_t i = 0; i < detection->n_cases; i++) {
        const PlanStep *step = &detection->runner->plan->steps[detection->cases[i].step];
        bool plain =
            plan_option(step->method, "label-field") != NULL && plan_option(step->method, "prompt-field") != NULL;
        TRY(detection->cases[i].labelled > 0 && plain ? look(detection, &detection->cases[i]) : LIMN_OK);
    }
    return LIMN_OK;
}
