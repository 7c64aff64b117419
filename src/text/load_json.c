/* tokenizer.json, and the usual names of special tokens. */
#include <string.h>

#include "files/json.h"
#include "text/parts.h"

/* ---- models ---- */

static const ModelKind *const models[] = {&model_bpe, &model_unigram, &model_word_level, &model_word_piece};
enum { MODELS = sizeof models / sizeof models[0] };

/* Old files do not name the model's type. */
static const char *guess_type(const json_t *json) {
    if (json_object_get(json, "merges") != NULL) {
        return "BPE";
    }
    if (json_is_array(json_object_get(json, "vocab"))) {
        return "Unigram";
    }
    return json_object_get(json, "continuing_subword_prefix") != NULL ? "WordPiece" : "WordLevel";
}

limn_status model_parse(Model *model, Loading *loading, const json_t *json) {
    const char *type;
    TRY(json_take_string(&type, json, loading->where, "type", guess_type(json)));
    const char *names[MODELS];
    for (size_t i = 0; i < MODELS; i++) {
        names[i] = models[i]->name;
        if (strcmp(type, models[i]->name) == 0) {
            model->kind = models[i];
            return models[i]->parse(&model->state, loading, json);
        }
    }
    return loading_unknown(loading, "model", type, (KindTable){names, sizeof names[0], MODELS});
}

/* {"piece": id, ...} */
limn_status loading_vocabulary(Loading *loading, const json_t *json) {
    const json_t *pieces;
    TRY(json_need_object(&pieces, json, loading->where, "vocab"));
    TRY(vocabulary_expect(loading->vocabulary, loading->where, json_object_size(pieces)));
    const char *piece;
    size_t length;
    json_t *id;
    json_object_keylen_foreach((json_t *)(uintptr_t)pieces, piece, length, id) {
        if (!json_is_integer(id)) {
            char found[80];
            return fail(LIMN_FORMAT, "%s: vocab: the id of '%.60s' is %s, expected an integer", loading->where, piece,
                        json_describe(id, found));
        }
        TRY(vocabulary_add(loading->vocabulary, loading->where, piece, length, json_integer_value(id), PIECE_NORMAL,
                           0));
    }
    return LIMN_OK;
}

/* ---- added tokens ---- */

static limn_status add_token(Tokenizer *tokenizer, const char *where, const json_t *json) {
    const json_t *content = json_object_get(json, "content");
    AddedToken token = {0};
    int64_t id;
    if (!json_is_string(content)) {
        return fail(LIMN_FORMAT, "%s: added_tokens: a token has no content", where);
    }
    TRY(json_need_integer(&id, json, where, "id", 0, INT32_MAX));
    TRY(json_take_bool(&token.special, json, where, "special", false));
    TRY(json_take_bool(&token.single_word, json, where, "single_word", false));
    TRY(json_take_bool(&token.left_strip, json, where, "lstrip", false));
    TRY(json_take_bool(&token.right_strip, json, where, "rstrip", false));
    TRY(json_take_bool(&token.normalized, json, where, "normalized", !token.special));
    const char *text = json_string_value(content);
    size_t length = json_string_length(content);
    return length == 0 ? LIMN_OK : tokenizer_put_token(tokenizer, where, text, length, token, id);
}

limn_status load_tokenizer_json(Tokenizer *tokenizer, const char *path, const json_t *json) {
    Loading loading = {path, &tokenizer->pool, &tokenizer->vocabulary, 0};
    const json_t *model, *added;
    TRY(json_need_object(&model, json, path, "model"));
    TRY(model_parse(&tokenizer->model, &loading, model));
    TRY(json_take_array(&added, json, path, "added_tokens"));
    if (json_array_size(added) > VOCABULARY_COUNT_MAX) {
        return fail(LIMN_FORMAT, "%s: %zu added_tokens", path, json_array_size(added));
    }
    for (size_t i = 0; i < json_array_size(added); i++) {
        TRY(add_token(tokenizer, path, json_array_get(added, i)));
    }
    TRY(normaliser_parse(&tokenizer->normaliser, &loading, json_object_get(json, "normalizer")));
    TRY(pre_tokenizer_parse(&tokenizer->pre_tokenizer, &loading, json_object_get(json, "pre_tokenizer")));
    TRY(post_processor_parse(&tokenizer->post_processor, &loading, json_object_get(json, "post_processor")));
    return decoder_parse(&tokenizer->decoder, &loading, json_object_get(json, "decoder"));
}

/* ---- names of special tokens ---- */

/* Spellings, for files that come without a config. */
static const char *const usual_specials[SPECIAL_COUNT][4] = {
    [SPECIAL_BOS] = {"<s>", "<|begin_of_text|>", "<bos>"},
    [SPECIAL_EOS] = {"</s>", "<|endoftext|>", "<|end_of_text|>", "<eos>"},
    [SPECIAL_UNK] = {"<unk>", "[UNK]"},
    [SPECIAL_PAD] = {"<pad>", "[PAD]"},
    [SPECIAL_MASK] = {"<mask>", "[MASK]"},
    [SPECIAL_SEP] = {"[SEP]"},
    [SPECIAL_CLS] = {"[CLS]"},
};

void load_usual_specials(Tokenizer *tokenizer) {
    for (int which = 0; which < SPECIAL_COUNT; which++) {
        for (int i = 0; i < 4 && usual_specials[which][i] != NULL && tokenizer->special[which] < 0; i++) {
            const char *spelling = usual_specials[which][i];
            tokenizer->special[which] = vocabulary_id(&tokenizer->vocabulary, spelling, strlen(spelling));
        }
    }
}

/* "chat_template": a text, or [{"name": "default", "template": "..."}, ...]. */
limn_status load_chat_template(Tokenizer *tokenizer, const json_t *config) {
    const json_t *given = json_object_get(config, "chat_template");
    for (size_t i = 0; i < json_array_size(given); i++) {
        const json_t *named = json_array_get(given, i);
        const json_t *name = json_object_get(named, "name"), *text = json_object_get(named, "template");
        if (json_is_string(name) && json_is_string(text)) {
            TRY(tokenizer_keep_template(tokenizer, json_string_value(name), json_string_length(name),
                                        json_string_value(text), json_string_length(text), false));
        }
    }
    return !json_is_string(given) ? LIMN_OK
                                  : tokenizer_keep_template(tokenizer, "default", 7, json_string_value(given),
                                                            json_string_length(given), false);
}
