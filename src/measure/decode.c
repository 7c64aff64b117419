#include "measure/decode.h"

#include <string.h>

#include "measure/distribution.h"
#include "measure/overflow.h"

enum { ENDS_MAX = 16 };

typedef struct Decoding {
    Decoded *out;
    MethodCall *call;
    const DecodeOptions *options;
    Engine *engine;
    const Model *model;
    const Prompt *prompt;
    KvCache *cache;
    StreamDecoder *decoder;
    TextBuffer text; /* all so far */
    size_t told;     /* bytes of it handed to the listener */
    Random random;
    int32_t ends[ENDS_MAX]; /* [n_ends] ids that end the text */
    int32_t n_ends;
    Arena step; /* of one decoding step */
} Decoding;

/* ---- choosing ---- */

/* What may come next is chosen of a copy of the logits; what is said of it is of the logits themselves. */
static limn_status masked(const float **allowed, Decoding *decoding, const float *logits) {
    int32_t n = decoding->model->config.n_vocab;
    float *copy = arena_alloc(&decoding->step, (size_t)n * sizeof *copy);
    if (copy == NULL) {
        return method_no_memory(decoding->call);
    }
    memcpy(copy, logits, (size_t)n * sizeof *copy);
    TRY(decoding->options->mask(decoding->options->mask_context, decoding->out->ids, decoding->out->n, copy));
    *allowed = copy;
    if (logit_count_not_finite(copy, n) == n) {
        return fail(LIMN_RANGE, "%s: no token may follow the %d that were generated", decoding->model->path,
                    (int)decoding->out->n);
    }
    return LIMN_OK;
}

static limn_status choose(int32_t *id, Decoding *decoding, const float *logits) {
    Decoded *out = decoding->out;
    int32_t n = decoding->model->config.n_vocab;
    const float *allowed = logits;
    TRY(decoding->options->mask != NULL ? masked(&allowed, decoding, logits) : LIMN_OK);
    TRY(sample_token(id, allowed, n, &decoding->options->sample, &decoding->random, &decoding->step));
    out->log_probabilities[out->n] = (double)logits[*id] - log_sum_exp(logits, n);
    out->ranks[out->n] = logit_rank(logits, n, *id);
    out->ids[out->n++] = *id;
    return LIMN_OK;
}

/* ---- text ---- */

static int32_t n_stops(const Decoding *decoding) {
    return decoding->options->stop != NULL ? decoding->options->stop->n : 0;
}

/* The first place where a stop string stands at or after `from`; SIZE_MAX: none. */
static size_t find_stop(const Decoding *decoding, size_t from) {
    const TextBuffer *text = &decoding->text;
    size_t first = SIZE_MAX;
    for (int32_t i = 0; i < n_stops(decoding); i++) {
        const Text *stop = &decoding->options->stop->items[i];
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
static size_t held_back(const Decoding *decoding) {
    const TextBuffer *text = &decoding->text;
    size_t most = 0;
    for (int32_t i = 0; i < n_stops(decoding); i++) {
        const Text *stop = &decoding->options->stop->items[i];
        size_t n = stop->length > 0 ? stop->length - 1 : 0;
        n = n < text->length ? n : text->length;
        while (n > most && memcmp(text->data + text->length - n, stop->bytes, n) != 0) {
            n--;
        }
        most = n > most ? n : most;
    }
    return most;
}

static void tell(Decoding *decoding, size_t until) {
    if (until > decoding->told && decoding->options->text != NULL) {
        decoding->options->text(decoding->options->text_context, decoding->text.data + decoding->told,
                                until - decoding->told);
    }
    decoding->told = until > decoding->told ? until : decoding->told;
}

/* Adds a token's text (id -1: what is left). True when a stop string ended it. */
static limn_status add_text(bool *stopped, Decoding *decoding, int32_t id) {
    const char *bytes;
    size_t length;
    size_t before = decoding->told;
    TRY(stream_decoder_add(decoding->decoder, id, &bytes, &length));
    text_buffer_add_bytes(&decoding->text, bytes, length);
    TRY(text_buffer_status(&decoding->text));
    size_t stop = find_stop(decoding, before);
    *stopped = stop != SIZE_MAX;
    if (*stopped) {
        decoding->text.length = stop;
        decoding->text.data[stop] = '\0';
    }
    tell(decoding, id < 0 || *stopped ? decoding->text.length : decoding->text.length - held_back(decoding));
    return LIMN_OK;
}

/* ---- decoding ---- */

/* Prompt and what was generated so far as one sequence, for a model whose rows all turn by other frequencies now. */
static limn_status whole_sequence(SequenceInput *sequence, Decoding *decoding) {
    const Prompt *prompt = decoding->prompt;
    int32_t total = prompt->n + decoding->out->n;
    int32_t *ids = ARENA_ARRAY(&decoding->step, int32_t, total);
    int32_t *types = ARENA_ARRAY(&decoding->step, int32_t, total);
    uint8_t *mask = ARENA_ARRAY(&decoding->step, uint8_t, total);
    if (ids == NULL || types == NULL || mask == NULL) {
        return method_no_memory(decoding->call);
    }
    for (int32_t i = 0; i < total; i++) {
        bool own = i < prompt->n;
        ids[i] = own ? prompt->ids[i] : decoding->out->ids[i - prompt->n];
        types[i] = own && prompt->types != NULL ? prompt->types[i] : 0;
        mask[i] = own && prompt->mask != NULL ? prompt->mask[i] : 1;
    }
    *sequence = (SequenceInput){.ids = ids, .n = total, .types = types, .mask = mask};
    return LIMN_OK;
}

/* Feeds rows to the model after what the cache holds; the last row's logits. */
static limn_status feed(const float **logits, Decoding *decoding, const int32_t *ids, int32_t n) {
    arena_reset(&decoding->step);
    int32_t before = decoding->cache->length;
    SequenceInput sequence = {.ids = ids, .n = n};
    if (before > 0 && !model_lengths_alike(&decoding->model->config, before, before + n)) {
        TRY(whole_sequence(&sequence, decoding));
        decoding->cache->length = before = 0;
        n = sequence.n;
    } else if (before > 0) {
        sequence.prefix = decoding->cache;
        sequence.prefix_length = before;
    } else {
        sequence.mask = decoding->prompt->mask;
        sequence.types = decoding->prompt->types;
    }
    OutputRow output = {.row = n - 1, .target = -1};
    RunRequest request = {.sequences = &sequence,
                          .n_sequences = 1,
                          .outputs = &output,
                          .n_outputs = 1,
                          .logits = true,
                          .append = decoding->cache};
    if (decoding->options->edits != NULL) {
        Edit *edits;
        TRY(edit_plan_bind(&edits, &request.n_edits, decoding->options->edits, before, n, before + n, &decoding->step));
        request.edits = edits;
    }
    TRY(engine_run(decoding->engine, &request, before > 0 ? NULL : decoding->call->progress));
    *logits = engine_logits(decoding->engine);
    int32_t bad = logit_count_not_finite(*logits, decoding->model->config.n_vocab);
    return bad == 0
               ? LIMN_OK
               : fail(LIMN_FORMAT, "%s: %d of %d outputs at position %d are NaN or infinite: nothing to choose from",
                      decoding->model->path, (int)bad, (int)decoding->model->config.n_vocab, (int)(before + n - 1));
}

/* ---- where a text ends ---- */

static void add_end(Decoding *decoding, int64_t id) {
    if (id >= 0 && id < decoding->model->config.n_vocab && decoding->n_ends < ENDS_MAX) {
        decoding->ends[decoding->n_ends++] = (int32_t)id;
    }
}

/* What the tokenizer calls the end, and what the folder says ends a generated text. */
static limn_status find_ends(Decoding *decoding) {
    const Model *model = decoding->model;
    if (model->tokenizer != NULL) {
        add_end(decoding, tokenizer_special(model->tokenizer, SPECIAL_EOS));
        add_end(decoding, tokenizer_special(model->tokenizer, SPECIAL_EOT));
        add_end(decoding, tokenizer_special(model->tokenizer, SPECIAL_EOM));
    }
    add_end(decoding, decoding->prompt->end_of_turn);
    TRY(generation_read(&decoding->out->notes, model, decoding->call->arena));
    for (int32_t i = 0; i < decoding->out->notes.n_ends; i++) {
        add_end(decoding, decoding->out->notes.ends[i]);
    }
    return LIMN_OK;
}

static bool ends_text(const Decoding *decoding, int32_t id) {
    for (int32_t i = 0; i < decoding->n_ends; i++) {
        if (decoding->ends[i] == id) {
            return true;
        }
    }
    return false;
}

static limn_status go_on(Decoding *decoding) {
    const float *logits;
    const Model *model = decoding->model;
    int64_t most = decoding->options->max_tokens;
    decoding->out->end = DECODE_LENGTH;
    TRY(feed(&logits, decoding, decoding->prompt->ids, decoding->prompt->n));
    decoding->out->suspected =
        decoding->options->edits != NULL && overflow_suspected(decoding->options->edits, logits, model->config.n_vocab);
    while (decoding->out->n < most) {
        int32_t id = 0;
        bool stopped = false;
        TRY(progress_tick(decoding->call->progress, "generate", decoding->out->n, most));
        TRY(choose(&id, decoding, logits));
        if (ends_text(decoding, id)) {
            decoding->out->end = DECODE_END_OF_TEXT;
            break;
        }
        if (decoding->decoder != NULL && id < tokenizer_vocab_size(model->tokenizer)) {
            TRY(add_text(&stopped, decoding, id)); /* padded vocabularies have ids without text */
        }
        if (stopped) {
            decoding->out->end = DECODE_STOP_STRING;
            return LIMN_OK;
        }
        if (decoding->cache->length >= model->config.n_context) {
            decoding->out->end = DECODE_CONTEXT;
            break;
        }
        if (decoding->out->n < most) {
            TRY(feed(&logits, decoding, &decoding->out->ids[decoding->out->n - 1], 1));
        }
    }
    bool stopped;
    return decoding->decoder != NULL ? add_text(&stopped, decoding, -1) : LIMN_OK;
}

limn_status decode_model(const MethodCall *call, const Model *model) {
    return model->config.task == TASK_CAUSAL_LM
               ? LIMN_OK
               : fail(LIMN_USAGE, "%s needs a causal language model; %s is %s", call->method->command.name, model->path,
                      model->config.architecture);
}

static limn_status prepare(Decoding *decoding) {
    const Model *model = decoding->model;
    Decoded *out = decoding->out;
    MethodCall *call = decoding->call;
    int64_t most = decoding->options->max_tokens;
    TRY(decode_model(call, model));
    int64_t capacity = decoding->prompt->n + most;
    capacity = model->config.n_context > 0 && capacity > model->config.n_context ? model->config.n_context : capacity;
    TRY(find_ends(decoding));
    TRY(kv_cache_new(&decoding->cache, model, (int32_t)capacity));
    if (model->tokenizer != NULL) {
        TRY(stream_decoder_new(&decoding->decoder, model->tokenizer, true));
        bool answers = decoding->prompt->chat != NULL; /* an answer is a text of its own */
        if (!answers && prompt_has_text(decoding->prompt, decoding->prompt->n)) {
            stream_decoder_continue(decoding->decoder);
        }
    }
    out->ids = ARENA_ARRAY(call->arena, int32_t, most + 1);
    out->log_probabilities = ARENA_ARRAY(call->arena, double, most + 1);
    out->ranks = ARENA_ARRAY(call->arena, int64_t, most + 1);
    if (out->ids == NULL || out->log_probabilities == NULL || out->ranks == NULL) {
        return method_no_memory(call);
    }
    random_seed(&decoding->random, decoding->options->seed);
    return LIMN_OK;
}

static limn_status keep_text(Decoding *decoding) {
    const TextBuffer *text = &decoding->text;
    const char *copy = arena_strndup(decoding->call->arena, text->data != NULL ? text->data : "", text->length);
    decoding->out->text = (Text){copy, text->length};
    return copy != NULL ? LIMN_OK : method_no_memory(decoding->call);
}

limn_status decode_text(Decoded *decoded, MethodCall *call, Engine *engine, const Prompt *prompt,
                        const DecodeOptions *options) {
    *decoded = (Decoded){0};
    Decoding decoding = {.out = decoded,
                         .call = call,
                         .options = options,
                         .engine = engine,
                         .model = engine_model(engine),
                         .prompt = prompt};
    arena_init(&decoding.step);
    limn_status status = prepare(&decoding);
    status = status == LIMN_OK ? go_on(&decoding) : status;
    status = status == LIMN_OK ? keep_text(&decoding) : status;
    stream_decoder_free(decoding.decoder);
    kv_cache_free(decoding.cache);
    text_buffer_free(&decoding.text);
    arena_free(&decoding.step);
    return status;
}
