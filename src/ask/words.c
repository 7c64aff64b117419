#include "ask/words.h"

#include <string.h>

#include "ask/segment.h"
#include "text/characters.h"

/* The bytes of one token: from the text where it is known, else as the token decodes. */
static Text token_slice(MethodCall *call, const Model *model, const Prompt *prompt, int32_t i) {
    const Token *token = &prompt->tokens[i];
    bool from_text = prompt->text.bytes != NULL && token->type == 0 && token->end > token->begin &&
                     (size_t)token->end <= prompt->text.length;
    if (from_text) {
        return (Text){prompt->text.bytes + token->begin, (size_t)(token->end - token->begin)};
    }
    return token_text(call, model, prompt->ids[i]);
}

typedef enum CharacterClass { CLASS_NONE, CLASS_SPACE, CLASS_WORD, CLASS_PUNCTUATION, CLASS_ALONE } CharacterClass;

bool joins_words(uint32_t codepoint) {
    return char_is_word(codepoint) && !stands_alone(codepoint);
}

static CharacterClass classify(uint32_t c) {
    if (c == ' ' || (c >= '\t' && c <= '\r') || c == 0xA0) {
        return CLASS_SPACE;
    }
    if (c < 0x80) {
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        return letter || c == '_' || c == '\'' ? CLASS_WORD : CLASS_PUNCTUATION;
    }
    return stands_alone(c) ? CLASS_ALONE : CLASS_WORD;
}

/* The character that begins at `at`; *length bytes of it. Broken bytes count as letters. */
static uint32_t character_at(Text text, size_t at, size_t *length) {
    static const uint8_t lengths[16] = {1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 2, 2, 3, 4};
    unsigned char first = (unsigned char)text.bytes[at];
    size_t n = lengths[first >> 4];
    *length = 1;
    if (n < 2 || at + n > text.length) {
        return n == 1 ? first : 0xFFFD;
    }
    uint32_t c = first & (0x7Fu >> n);
    for (size_t i = 1; i < n; i++) {
        c = c << 6 | ((unsigned char)text.bytes[at + i] & 0x3Fu);
    }
    *length = n;
    return c;
}

static CharacterClass first_class(Text text) {
    size_t length;
    return text.length == 0 ? CLASS_NONE : classify(character_at(text, 0, &length));
}

static CharacterClass last_class(Text text) {
    CharacterClass class = CLASS_NONE;
    for (size_t at = 0, length = 0; at < text.length; at += length) {
        class = classify(character_at(text, at, &length));
    }
    return class;
}

static bool continues_character(Text text) {
    return text.length > 0 && ((unsigned char)text.bytes[0] & 0xC0) == 0x80;
}

/* begins: where words begin in scripts without spaces (segment_words); NULL: each character is one. */
static bool begins_word(MethodCall *call, const Model *model, const Prompt *prompt, const uint8_t *begins, int32_t i) {
    const Token *token = &prompt->tokens[i];
    if (i == 0 || token->special || prompt->tokens[i - 1].special || token->type != prompt->tokens[i - 1].type) {
        return true;
    }
    Text text = token_slice(call, model, prompt, i);
    bool shares = token->end > token->begin && token->begin < prompt->tokens[i - 1].end; /* parts of one character */
    if (shares || continues_character(text)) {
        return false;
    }
    if (prompt_of_template(prompt, i) != prompt_of_template(prompt, i - 1)) {
        return true; /* what somebody said begins or ends */
    }
    bool gap = prompt->text.bytes != NULL && token->begin > prompt->tokens[i - 1].end;
    CharacterClass before = last_class(token_slice(call, model, prompt, i - 1));
    CharacterClass now = first_class(text);
    if (begins != NULL && now == CLASS_ALONE && before == CLASS_ALONE && !gap && token->type == 0) {
        return begins[token->begin] != 0;
    }
    return gap || now == CLASS_SPACE || before == CLASS_SPACE || now == CLASS_ALONE || now != before;
}

/* Only a text that has such scripts is asked for its words. */
static limn_status cut_text(uint8_t **begins, MethodCall *call, const Prompt *prompt) {
    *begins = NULL;
    for (size_t at = 0, length = 0; prompt->text.bytes != NULL && at < prompt->text.length; at += length) {
        if (classify(character_at(prompt->text, at, &length)) == CLASS_ALONE) {
            return segment_words(begins, prompt->text, call->arena);
        }
    }
    return LIMN_OK;
}

limn_status words_of(TokenRuns *words, MethodCall *call, const Model *model, const Prompt *prompt) {
    words->n = 0;
    words->begins = ARENA_ARRAY(call->arena, int32_t, prompt->n + 1);
    if (words->begins == NULL) {
        return method_no_memory(call);
    }
    uint8_t *begins;
    TRY(cut_text(&begins, call, prompt));
    for (int32_t i = 0; i < prompt->n; i++) {
        bool alone = model != NULL && model->tokenizer == NULL; /* ids are all there is */
        if (alone || begins_word(call, model, prompt, begins, i)) {
            words->begins[words->n++] = i;
        }
    }
    words->begins[words->n] = prompt->n;
    return LIMN_OK;
}

static bool ends_sentence(Text text) {
    for (size_t at = 0, length = 0; at < text.length; at += length) {
        uint32_t c = character_at(text, at, &length);
        if (c == '.' || c == '!' || c == '?' || c == '\n' || c == 0x3002 || c == 0xFF01 || c == 0xFF1F) {
            return true;
        }
    }
    return false;
}

limn_status sentences_of(TokenRuns *sentences, MethodCall *call, const Model *model, const Prompt *prompt,
                         const TokenRuns *words) {
    sentences->n = 0;
    sentences->begins = ARENA_ARRAY(call->arena, int32_t, words->n + 2);
    if (sentences->begins == NULL) {
        return method_no_memory(call);
    }
    bool fresh = true;
    for (int32_t w = 0; w < words->n; w++) {
        if (fresh) {
            sentences->begins[sentences->n++] = words->begins[w];
        }
        fresh = ends_sentence(run_text(call, model, prompt, words->begins[w], words->begins[w + 1])) ||
                prompt->tokens[words->begins[w]].special;
    }
    sentences->begins[sentences->n] = prompt->n;
    return LIMN_OK;
}

Text run_text(MethodCall *call, const Model *model, const Prompt *prompt, int32_t begin, int32_t end) {
    TextBuffer buffer = TEXT_BUFFER_INIT;
    for (int32_t i = begin; i < end; i++) {
        const Token *token = &prompt->tokens[i];
        bool shares = i > begin && token->end > token->begin && token->begin < prompt->tokens[i - 1].end;
        if (!shares) { /* tokens that are parts of one character all name its bytes */
            Text slice = token_slice(call, model, prompt, i);
            text_buffer_add_bytes(&buffer, slice.bytes, slice.length);
        }
    }
    size_t from = 0, to = buffer.length;
    while (from < to && strchr(" \t\r\n", buffer.data[from]) != NULL && buffer.data[from] != '\0') {
        from++;
    }
    while (to > from && strchr(" \t\r\n", buffer.data[to - 1]) != NULL && buffer.data[to - 1] != '\0') {
        to--;
    }
    if (from == to) { /* white space is all there is */
        from = 0;
        to = buffer.length;
    }
    char *copy = arena_strndup(call->arena, buffer.data == NULL ? "" : buffer.data + from, to - from);
    text_buffer_free(&buffer);
    return (Text){copy == NULL ? "" : copy, copy == NULL ? 0 : to - from};
}
