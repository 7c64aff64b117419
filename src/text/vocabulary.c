#include "text/vocabulary.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void vocabulary_init(Vocabulary *vocabulary) {
    *vocabulary = (Vocabulary){0};
    arena_init(&vocabulary->arena);
    map_init(&vocabulary->model_ids);
    map_init(&vocabulary->added_ids);
}

void vocabulary_free(Vocabulary *vocabulary) {
    free(vocabulary->pieces);
    map_free(&vocabulary->model_ids);
    map_free(&vocabulary->added_ids);
    arena_free(&vocabulary->arena);
    *vocabulary = (Vocabulary){0};
}

static limn_status reserve(Vocabulary *vocabulary, size_t count) {
    if (count <= (size_t)vocabulary->capacity) {
        return LIMN_OK;
    }
    size_t capacity = vocabulary->capacity < 1024 ? 1024 : (size_t)vocabulary->capacity;
    while (capacity < count) {
        capacity *= 2;
    }
    Piece *pieces = realloc(vocabulary->pieces, capacity * sizeof(Piece));
    if (pieces == NULL) {
        return fail(LIMN_NO_MEMORY, "a vocabulary of %zu pieces", capacity);
    }
    memset(pieces + vocabulary->capacity, 0, (capacity - (size_t)vocabulary->capacity) * sizeof(Piece));
    vocabulary->pieces = pieces;
    vocabulary->capacity = (int32_t)capacity;
    return LIMN_OK;
}

limn_status vocabulary_expect(Vocabulary *vocabulary, const char *where, size_t count) {
    if (count > VOCABULARY_COUNT_MAX) {
        return fail(LIMN_FORMAT, "%s: a vocabulary of %zu pieces, expected at most %d", where, count,
                    VOCABULARY_COUNT_MAX);
    }
    vocabulary->id_limit = (int32_t)count * 2 + 65536;
    TRY(map_reserve(&vocabulary->model_ids, count));
    return reserve(vocabulary, count);
}

static limn_status place(Vocabulary *vocabulary, const char *where, const char *text, size_t length, int64_t id,
                         Piece **piece) {
    if (id < 0 || id >= vocabulary->id_limit) {
        return fail(LIMN_FORMAT, "%s: token '%.*s' has id %" PRId64 ", expected 0 to %d", where,
                    (int)(length < 60 ? length : 60), text, id, vocabulary->id_limit - 1);
    }
    if (length > UINT32_MAX / 4) {
        return fail(LIMN_FORMAT, "%s: token %" PRId64 " is %zu bytes long", where, id, length);
    }
    TRY(reserve(vocabulary, (size_t)id + 1));
    *piece = &vocabulary->pieces[id];
    if ((*piece)->type != PIECE_NONE) {
        return fail(LIMN_FORMAT, "%s: id %" PRId64 " is given to both '%.60s' and '%.*s'", where, id, (*piece)->text,
                    (int)(length < 60 ? length : 60), text);
    }
    char *copy = arena_alloc(&vocabulary->arena, length + 1);
    if (copy == NULL) {
        return fail(LIMN_NO_MEMORY, "%s: a token of %zu bytes", where, length);
    }
    memcpy(copy, text, length);
    copy[length] = '\0';
    (*piece)->text = copy;
    (*piece)->length = (uint32_t)length;
    if (id >= vocabulary->size) {
        vocabulary->size = (int32_t)id + 1;
    }
    return LIMN_OK;
}

limn_status vocabulary_add(Vocabulary *vocabulary, const char *where, const char *text, size_t length, int64_t id,
                           PieceType type, double score) {
    Piece *piece;
    TRY(place(vocabulary, where, text, length, id, &piece));
    piece->type = (uint8_t)type;
    piece->score = score;
    vocabulary->model_count++;
    if (length > vocabulary->longest) {
        vocabulary->longest = (uint32_t)length;
    }
    return map_put(&vocabulary->model_ids, piece->text, length, (uint64_t)id);
}

limn_status vocabulary_add_token(Vocabulary *vocabulary, const char *where, const char *text, size_t length,
                                 int64_t id) {
    Piece *piece;
    TRY(place(vocabulary, where, text, length, id, &piece));
    piece->type = PIECE_USER_DEFINED;
    piece->added = true;
    return map_put(&vocabulary->added_ids, piece->text, length, (uint64_t)id);
}

int32_t vocabulary_model_id(const Vocabulary *vocabulary, const char *text, size_t length) {
    uint64_t id;
    return map_get(&vocabulary->model_ids, text, length, &id) ? (int32_t)id : -1;
}

int32_t vocabulary_id(const Vocabulary *vocabulary, const char *text, size_t length) {
    uint64_t id;
    if (map_get(&vocabulary->added_ids, text, length, &id)) {
        return (int32_t)id;
    }
    return vocabulary_model_id(vocabulary, text, length);
}

const Piece *vocabulary_piece(const Vocabulary *vocabulary, int32_t id) {
    if (id < 0 || id >= vocabulary->size || vocabulary->pieces[id].type == PIECE_NONE) {
        return NULL;
    }
    return &vocabulary->pieces[id];
}

int32_t vocabulary_byte_id(const Vocabulary *vocabulary, unsigned char byte) {
    char name[8];
    int length = snprintf(name, sizeof name, "<0x%02X>", byte);
    return vocabulary_model_id(vocabulary, name, (size_t)length);
}

int32_t vocabulary_model_size(const Vocabulary *vocabulary) {
    return (int32_t)vocabulary->model_ids.count + (vocabulary->has_empty ? 1 : 0);
}

bool vocabulary_is_cased(const Vocabulary *vocabulary) {
    for (int32_t id = 0; id < vocabulary->size; id++) {
        const Piece *piece = vocabulary_piece(vocabulary, id);
        if (piece == NULL || (piece->length > 2 && piece->text[0] == '[' && piece->text[piece->length - 1] == ']')) {
            continue; /* [CLS] and its like */
        }
        for (uint32_t i = 0; i < piece->length; i++) {
            if (piece->text[i] >= 'A' && piece->text[i] <= 'Z') {
                return true;
            }
        }
    }
    return false;
}
