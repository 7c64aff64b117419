/* Text as the model goes on, token by token, with keys and values kept.
 *
 * Greedy unless a temperature is given; then tokens are drawn from softmax(logits / temperature), cut to the
 * smallest set whose probability reaches top-p (Holtzman et al. 2020). The same seed gives the same text. Edits stay
 * in force while decoding: those without a position at every row, those with one at rows of the prompt. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "edit/edits.h"
#include "measure/distribution.h"
#include "measure/overflow.h"
#include "method/generation/generate.h"
#include "model/generation.h"

typedef enum StopReason { STOP_LENGTH, STOP_END_OF_TEXT, STOP_STRING, STOP_CONTEXT } StopReason;

enum { ENDS_MAX = 16 };

typedef struct Generation {
    MethodCall *call;
    const GenerateParams *params;
    Session *session;
    const Model *model;
    Prompt prompt;
    EditPlan edits;
    bool suspected; /* they may have overflowed */
    KvCache *cache;
    StreamDecoder *decoder;
    TextBuffer text; /* all so far */
    size_t told;     /* bytes of it handed to the listener */
    Random random;
    int32_t *ids;              /* [max_tokens] */
    double *log_probabilities; /* [max_tokens] before temperature */
    int64_t *ranks;            /* [max_tokens] */
    int32_t n;
    int32_t ends[ENDS_MAX]; /* [n_ends] ids that end the text */
    int32_t n_ends;
    GenerationNotes notes; /* what the folder says of generated texts */
    StopReason reason;
    Arena step; /* of one decoding step */
} Generation;

/* ---- choosing ---- */

typedef struct Candidate {
    float logit;
    int32_t id;
} Candidate;

static int by_logit(const void *a, const void *b) {
    const Candidate *x = a;
    const Candidate *y = b;
    if (x->logit != y->logit) {
        return x->logit > y->logit ? -1 : 1;
    }
    return x->id < y->id ? -1 : 1;
}

static limn_status sample(int32_t *id, Generation *generation, const float *logits) {
    const GenerateParams *params = generation->params;
    int32_t n = generation->model->config.n_vocab;
    Candidate *candidates = arena_alloc(&generation->step, (size_t)n * sizeof *candidates);
    if (candidates == NULL) {
        return method_no_memory(generation->call);
    }
    for (int32_t i = 0; i < n; i++) {
        candidates[i] = (Candidate){logits[i], i};
    }
    qsort(candidates, (size_t)n, sizeof *candidates, by_logit);
    double largest = (double)candidates[0].logit;
    double total = 0;
    for (int32_t i = 0; i < n; i++) {
        total += exp(((double)candidates[i].logit - largest) / params->temperature);
    }
    double kept = 0;
    int32_t n_kept = 0;
    while (n_kept < n && (n_kept == 0 || kept < params->top_p * total)) {
        kept += exp(((double)candidates[n_kept++].logit - largest) / params->temperature);
    }
    double draw = random_unit(&generation->random) * kept;
    int32_t at = 0;
    for (; at < n_kept - 1; at++) {
        draw -= exp(((double)candidates[at].logit - largest) / params->temperature);
        if (draw < 0) {
            break;
        }
    }
    *id = candidates[at].id;
    return LIMN_OK;
}

static limn_status choose(int32_t *id, Generation *generation, const float *logits) {
    int32_t n = generation->model->config.n_vocab;
    if (generation->params->temperature > 0) {
        TRY(sample(id, generation, logits));
    } else {
        *id = logit_argmax(logits, n);
    }
    generation->log_probabilities[generation->n] = (double)logits[*id] - log_sum_exp(logits, n);
    generation->ranks[generation->n] = logit_rank(logits, n, *id);
    generation->ids[generation->n++] = *id;
    return LIMN_OK;
}

/* ---- text ---- */

/* The first place where a stop string stands at or after `from`; SIZE_MAX: none. */
static size_t find_stop(const Generation *generation, size_t from) {
    const TextBuffer *text = &generation->text;
    size_t first = SIZE_MAX;
    for (int32_t i = 0; i < generation->params->stop.n; i++) {
        const Text *stop = &generation->params->stop.items[i];
        const char *found = text->length > from && stop->length > 0
                                ? memmem(text->data + from, text->length - from, stop->bytes, stop->length)
                                : NULL;
        if (found != NULL && (size_t)(found - text->data) < first) {
            first = (size_t)(found - text->data);
        }
    }
    return first;
}

/* How many bytes at the end may be the beginning of a stop string. */
static size_t held_back(const Generation *generation) {
    const TextBuffer *text = &generation->text;
    size_t most = 0;
    for (int32_t i = 0; i < generation->params->stop.n; i++) {
        const Text *stop = &generation->params->stop.items[i];
        size_t n = stop->length > 0 ? stop->length - 1 : 0;
        n = n < text->length ? n : text->length;
        while (n > most && memcmp(text->data + text->length - n, stop->bytes, n) != 0) {
            n--;
        }
        most = n > most ? n : most;
    }
    return most;
}

static void tell(Generation *generation, size_t until) {
    if (until > generation->told && generation->call->text != NULL) {
        generation->call->text(generation->call->text_context, generation->text.data + generation->told,
                               until - generation->told);
    }
    generation->told = until > generation->told ? until : generation->told;
}

/* Adds a token's text (id -1: what is left). True when a stop string ended it. */
static limn_status add_text(bool *stopped, Generation *generation, int32_t id) {
    const char *bytes;
    size_t length;
    size_t before = generation->told;
    TRY(stream_decoder_add(generation->decoder, id, &bytes, &length));
    text_buffer_add_bytes(&generation->text, bytes, length);
    TRY(text_buffer_status(&generation->text));
    size_t stop = find_stop(generation, before);
    *stopped = stop != SIZE_MAX;
    if (*stopped) {
        generation->text.length = stop;
        generation->text.data[stop] = '\0';
    }
    tell(generation, id < 0 || *stopped ? generation->text.length : generation->text.length - held_back(generation));
    return LIMN_OK;
}

/* ---- decoding ---- */

/* Prompt and what was generated so far as one sequence, for a model whose rows all turn by other frequencies now. */
static limn_status whole_sequence(SequenceInput *sequence, Generation *generation) {
    const Prompt *prompt = &generation->prompt;
    int32_t total = prompt->n + generation->n;
    int32_t *ids = ARENA_ARRAY(&generation->step, int32_t, total);
    int32_t *types = ARENA_ARRAY(&generation->step, int32_t, total);
    uint8_t *mask = ARENA_ARRAY(&generation->step, uint8_t, total);
    if (ids == NULL || types == NULL || mask == NULL) {
        return method_no_memory(generation->call);
    }
    for (int32_t i = 0; i < total; i++) {
        bool own = i < prompt->n;
        ids[i] = own ? prompt->ids[i] : generation->ids[i - prompt->n];
        types[i] = own && prompt->types != NULL ? prompt->types[i] : 0;
        mask[i] = own && prompt->mask != NULL ? prompt->mask[i] : 1;
    }
    *sequence = (SequenceInput){.ids = ids, .n = total, .types = types, .mask = mask};
    return LIMN_OK;
}

/* Feeds rows to the model after what the cache holds; the last row's logits. */
static limn_status feed(const float **logits, Generation *generation, const int32_t *ids, int32_t n) {
    arena_reset(&generation->step);
    int32_t before = generation->cache->length;
    SequenceInput sequence = {.ids = ids, .n = n};
    if (before > 0 && !model_lengths_alike(&generation->model->config, before, before + n)) {
        TRY(whole_sequence(&sequence, generation));
        generation->cache->length = before = 0;
        n = sequence.n;
    } else if (before > 0) {
        sequence.prefix = generation->cache;
        sequence.prefix_length = before;
    } else {
        sequence.mask = generation->prompt.mask;
        sequence.types = generation->prompt.types;
    }
    OutputRow output = {.row = n - 1, .target = -1};
    Edit *edits;
    RunRequest request = {.sequences = &sequence,
                          .n_sequences = 1,
                          .outputs = &output,
                          .n_outputs = 1,
                          .logits = true,
                          .append = generation->cache};
    TRY(edit_plan_bind(&edits, &request.n_edits, &generation->edits, before, n, before + n, &generation->step));
    request.edits = edits;
    TRY(session_run(generation->session, &request, before > 0 ? NULL : generation->call->progress));
    *logits = session_logits(generation->session);
    int32_t bad = logit_count_not_finite(*logits, generation->model->config.n_vocab);
    return bad == 0
               ? LIMN_OK
               : fail(LIMN_FORMAT, "%s: %d of %d outputs at position %d are NaN or infinite: nothing to choose from",
                      generation->model->path, (int)bad, (int)generation->model->config.n_vocab, (int)(before + n - 1));
}

/* ---- where a text ends ---- */

static void add_end(Generation *generation, int64_t id) {
    if (id >= 0 && id < generation->model->config.n_vocab && generation->n_ends < ENDS_MAX) {
        generation->ends[generation->n_ends++] = (int32_t)id;
    }
}

/* What the tokenizer calls the end, and what the folder says ends a generated text. */
static limn_status find_ends(Generation *generation) {
    const Model *model = generation->model;
    if (model->tokenizer != NULL) {
        add_end(generation, tokenizer_special(model->tokenizer, SPECIAL_EOS));
        add_end(generation, tokenizer_special(model->tokenizer, SPECIAL_EOT));
        add_end(generation, tokenizer_special(model->tokenizer, SPECIAL_EOM));
    }
    add_end(generation, generation->prompt.end_of_turn);
    TRY(generation_read(&generation->notes, model, generation->call->arena));
    for (int32_t i = 0; i < generation->notes.n_ends; i++) {
        add_end(generation, generation->notes.ends[i]);
    }
    return LIMN_OK;
}

static bool ends_text(const Generation *generation, int32_t id) {
    for (int32_t i = 0; i < generation->n_ends; i++) {
        if (generation->ends[i] == id) {
            return true;
        }
    }
    return false;
}

static limn_status decode(Generation *generation) {
    const float *logits;
    const Model *model = generation->model;
    int64_t most = generation->params->max_tokens;
    generation->reason = STOP_LENGTH;
    TRY(feed(&logits, generation, generation->prompt.ids, generation->prompt.n));
    generation->suspected = overflow_suspected(&generation->edits, logits, model->config.n_vocab);
    while (generation->n < most) {
        int32_t id = 0;
        bool stopped = false;
        TRY(progress_tick(generation->call->progress, "generate", generation->n, most));
        TRY(choose(&id, generation, logits));
        if (ends_text(generation, id)) {
            generation->reason = STOP_END_OF_TEXT;
            break;
        }
        if (generation->decoder != NULL && id < tokenizer_vocab_size(model->tokenizer)) {
            TRY(add_text(&stopped, generation, id)); /* padded vocabularies have ids without text */
        }
        if (stopped) {
            generation->reason = STOP_STRING;
            return LIMN_OK;
        }
        if (generation->cache->length >= model->config.n_context) {
            generation->reason = STOP_CONTEXT;
            break;
        }
        if (generation->n < most) {
            TRY(feed(&logits, generation, &generation->ids[generation->n - 1], 1));
        }
    }
    bool stopped;
    return generation->decoder != NULL ? add_text(&stopped, generation, -1) : LIMN_OK;
}

static limn_status prepare(Generation *generation) {
    MethodCall *call = generation->call;
    const GenerateParams *params = generation->params;
    TRY(method_session(call, params->model.bytes, &generation->session));
    generation->model = session_model(generation->session);
    const Model *model = generation->model;
    if (model->config.task != TASK_CAUSAL_LM) {
        return fail(LIMN_USAGE, "%s needs a causal language model; %s is %s", call->method->command.name, model->path,
                    model->config.architecture);
    }
    TRY(prompt_read(&generation->prompt, call, model, &params->prompt));
    TRY(find_ends(generation));
    TRY(edit_plan(&generation->edits, &model->graph, &params->set, generation->prompt.n, generation->prompt.n,
                  call->arena));
    int64_t capacity = generation->prompt.n + params->max_tokens;
    capacity = model->config.n_context > 0 && capacity > model->config.n_context ? model->config.n_context : capacity;
    TRY(kv_cache_new(&generation->cache, model, (int32_t)capacity));
    if (model->tokenizer != NULL) {
        TRY(stream_decoder_new(&generation->decoder, model->tokenizer, true));
        bool answers = generation->prompt.chat != NULL; /* an answer is a text of its own */
        if (!answers && prompt_has_text(&generation->prompt, generation->prompt.n)) {
            stream_decoder_continue(generation->decoder);
        }
    }
    generation->ids = ARENA_ARRAY(call->arena, int32_t, params->max_tokens + 1);
    generation->log_probabilities = ARENA_ARRAY(call->arena, double, params->max_tokens + 1);
    generation->ranks = ARENA_ARRAY(call->arena, int64_t, params->max_tokens + 1);
    if (generation->ids == NULL || generation->log_probabilities == NULL || generation->ranks == NULL) {
        return method_no_memory(call);
    }
    random_seed(&generation->random, (uint64_t)call->common.seed);
    return LIMN_OK;
}

static void describe(Result *result, Generation *generation) {
    static const TableColumn columns[] = {{{"token", 5}, COLUMN_TOKEN},
                                          {{"id", 2}, COLUMN_INTEGER},
                                          {{"probability", 11}, COLUMN_PROBABILITY},
                                          {{"log-probability", 15}, COLUMN_NUMBER},
                                          {{"rank", 4}, COLUMN_INTEGER}};
    static const char *const reasons[] = {"the limit of tokens was reached", "the model ended the text",
                                          "a stop string appeared", "the context is full"},
                             *const chinese[] = {"达到词元上限", "模型结束了文本", "出现停止字符串", "上下文已满"};
    MethodCall *call = generation->call;
    const Model *model = generation->model;
    prompt_describe(result, call, model, &generation->prompt);
    result_headline(result, SAY(call, "%d tokens; %s", "%d 个词元；%s"), (int)generation->n,
                    SAY(call, reasons, chinese)[generation->reason]);
    result_add_text(result, "text", SAY(call, "Text", "文本"),
                    generation->text.data != NULL ? generation->text.data : "", generation->text.length, true);
    TableBlock *table = result_add_table(result, "tokens", SAY(call, "Tokens", "词元"), columns, 5);
    result_block_detail(result);
    for (int32_t i = 0; i < generation->n; i++) {
        Text text = token_text(call, model, generation->ids[i]);
        Value cells[] = {value_bytes(text.bytes, text.length), value_integer(generation->ids[i]),
                         value_number(exp(generation->log_probabilities[i])),
                         value_number(generation->log_probabilities[i]), value_integer(generation->ranks[i])};
        table_row(table, cells);
    }
    edit_plan_describe(result, &generation->edits);
    for (int32_t i = 0; i < generation->notes.n_warnings; i++) {
        result_warn(result, "%s", generation->notes.warnings[i]);
    }
}

/* With changes in force: whether they overflowed while the prompt was read, so that what was generated says nothing. */
static limn_status check_finite(Result *result, Generation *generation) {
    Overflow overflow = {0};
    if (generation->edits.n == 0) {
        return LIMN_OK;
    }
    if (generation->suspected) {
        SequenceInput sequence = prompt_sequence(&generation->prompt);
        TRY(overflow_find(&overflow, generation->call, generation->session, &sequence, &generation->edits));
    }
    overflow_check(result, generation->call, &overflow, 0);
    return LIMN_OK;
}

limn_status generate_run(MethodCall *call, Result *result) {
    Generation generation = {.call = call, .params = call->params};
    arena_init(&generation.step);
    limn_status status = prepare(&generation);
    if (status == LIMN_OK) {
        status = decode(&generation);
    }
    if (status == LIMN_OK) {
        describe(result, &generation);
        status = check_finite(result, &generation);
    }
    if (status == LIMN_OK) {
        status = result_status(result);
    }
    stream_decoder_free(generation.decoder);
    kv_cache_free(generation.cache);
    text_buffer_free(&generation.text);
    arena_free(&generation.step);
    return status;
}

static const limn_param rows[] = {
    MODEL_ROW(GenerateParams, model),
    PROMPT_ROWS(GenerateParams, prompt),
    {"max-tokens", 'm', LIMN_PARAM_INTEGER, .metavar = "N", .default_text = "64", .minimum = 1, .maximum = 1000000,
     .help = "stop after so many tokens", .field = offsetof(GenerateParams, max_tokens)},
    {"temperature", 't', LIMN_PARAM_NUMBER, .metavar = "X", .default_text = "0", .minimum = 0, .maximum = 100,
     .help = "0: always the likeliest token; higher: more surprise", .field = offsetof(GenerateParams, temperature)},
    {"top-p", 0, LIMN_PARAM_NUMBER, .metavar = "X", .default_text = "1", .minimum = 1e-9, .maximum = 1,
     .help = "draw only from the likeliest tokens that together reach X", .field = offsetof(GenerateParams, top_p)},
    {"stop", 0, LIMN_PARAM_TEXT, .repeated = true, .metavar = "TEXT", .help = "end before this text",
     .field = offsetof(GenerateParams, stop)},
    {"set", 0, LIMN_PARAM_TEXT, .repeated = true, .metavar = "EDIT", .help = EDIT_HELP,
     .field = offsetof(GenerateParams, set)},
};

const Method method_generate = {
    .command = {.name = "generate",
                .summary = "let the model go on with a text",
                .description =
                    "Streams the continuation. Greedy by default; --temperature and --top-p draw, repeatably "
                    "by --seed. Edits (--set) stay in force while decoding.",
                .examples = "limn generate MODEL -p 'Once upon a time'\n"
                            "limn generate MODEL -p 'Once upon a time' --temperature 0.8 --top-p 0.9 --seed 7\n"
                            "limn generate MODEL -p 'The nurse said that' --set 'blocks.12.hook_mlp_out=zero'",
                .params = rows,
                .n_params = sizeof rows / sizeof rows[0]},
    .title = "Generation",
    .params_bytes = sizeof(GenerateParams),
    .run = generate_run,
    .explains = true,
};
