#include "ask/half_characters.h"

#include <string.h>

#include "base/utf8.h"

enum { CHARACTER_MOST = 4 };

/* The beginning of a character that the ids' text ends with: bytes, 0 when it ends with a whole one (or with bytes
 * that are none). */
static size_t cut_end(char out[CHARACTER_MOST], MethodCall *call, const Model *model, const int32_t *ids, int32_t n) {
    char tail[CHARACTER_MOST];
    size_t length = 0;
    for (int32_t i = n; i-- > 0 && length < CHARACTER_MOST;) {
        Text text = token_text(call, model, ids[i]);
        for (size_t k = text.length; k-- > 0 && length < CHARACTER_MOST;) {
            tail[CHARACTER_MOST - ++length] = text.bytes[k];
        }
    }
    const char *bytes = tail + CHARACTER_MOST - length;
    for (size_t at = 0; at < length;) {
        Utf8State state;
        size_t taken = utf8_sequence(bytes + at, length - at, &state);
        if (state == UTF8_CUT) {
            memcpy(out, bytes + at, length - at);
            return length - at;
        }
        at += taken;
    }
    return 0;
}

bool ids_end_within_character(MethodCall *call, const Model *model, const int32_t *ids, int32_t n) {
    char cut[CHARACTER_MOST];
    return model->tokenizer != NULL && cut_end(cut, call, model, ids, n) > 0;
}

/* Whether the text can stand behind the beginning of a character. */
static bool goes_on(const char *cut, size_t n, Text text) {
    char both[2 * CHARACTER_MOST];
    size_t more = text.length < CHARACTER_MOST ? text.length : CHARACTER_MOST;
    memcpy(both, cut, n);
    memcpy(both + n, text.bytes, more);
    Utf8State state;
    return more > 0 && utf8_sequence(both, n + more, &state) > n && state != UTF8_BROKEN;
}

int32_t likeliest_rest(MethodCall *call, const Model *model, const int32_t *ids, int32_t n, const float *logits) {
    char cut[CHARACTER_MOST];
    size_t length = cut_end(cut, call, model, ids, n);
    int32_t vocabulary = tokenizer_vocab_size(model->tokenizer), best = -1;
    for (int32_t id = 0; id < model->config.n_vocab && id < vocabulary; id++) {
        if ((best < 0 || logits[id] > logits[best]) && goes_on(cut, length, token_text(call, model, id))) {
            best = id;
        }
    }
    return best;
}

static bool begins_within_character(MethodCall *call, const Model *model, int32_t id) {
    Text text = token_text(call, model, id);
    return text.length > 0 && ((unsigned char)text.bytes[0] & 0xC0) == 0x80;
}

bool span_of_whole_characters(int32_t *begin, int32_t *end, MethodCall *call, const Model *model,
                              const Prompt *prompt) {
    int32_t from = *begin, to = *end;
    if (model->tokenizer == NULL) {
        return false;
    }
    while (*begin > 1 && begins_within_character(call, model, prompt->ids[*begin]) &&
           ids_end_within_character(call, model, prompt->ids, *begin)) {
        --*begin;
    }
    while (*end < prompt->n && ids_end_within_character(call, model, prompt->ids, *end)) {
        ++*end;
    }
    return *begin != from || *end != to;
}
