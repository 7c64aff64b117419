#include "method/fairness/ordinary.h"

#include <stdlib.h>
#include <string.h>

#include "ask/word_kind.h"
#include "ask/word_lists.h"
#include "base/random.h"

struct Ordinary {
    MethodCall *call;
    const ProtectedLists *lists;
    WordLists common;
    bool open;
    int32_t n;
    Text **drawn;  /* [n_words] NULL: not yet */
    int32_t *made; /* [n_words] */
};

void ordinary_free(Ordinary *ordinary) {
    if (ordinary != NULL && ordinary->open) {
        word_lists_close(&ordinary->common);
    }
    free(ordinary);
}

limn_status ordinary_new(Ordinary **ordinary, MethodCall *call, const ProtectedLists *lists, int32_t n) {
    Ordinary *made = calloc(1, sizeof *made);
    *ordinary = made;
    if (made == NULL) {
        return method_no_memory(call);
    }
    *made = (Ordinary){.call = call, .lists = lists, .n = n};
    made->drawn = ARENA_ARRAY(call->arena, Text *, lists->n_words + 1);
    made->made = ARENA_ARRAY(call->arena, int32_t, lists->n_words + 1);
    if (made->drawn == NULL || made->made == NULL) {
        return method_no_memory(call);
    }
    TRY(word_lists_open(&made->common, call->arena));
    made->open = true;
    return LIMN_OK;
}

/* Parts of speech: of the word as it is listed, else of what its form suggests. */
static uint64_t parts_of(const Ordinary *ordinary, Text word, const WordKind *kind) {
    static const struct {
        WordCase case_;
        bool alone;
        const char *examples[3];
    } usual[] = {{WORD_TITLE, false, {"Toyota", "Vienna", "Monday"}},
                 {WORD_UPPER, false, {"NATO", "NATO", "NATO"}},
                 {WORD_UNCASED, true, {"时间", "安静", "花"}},
                 {WORD_LOWER, false, {"garden", "happy", "garden"}}};
    uint64_t bits = word_lists_categories(&ordinary->common, word);
    for (size_t i = 0; i < sizeof usual / sizeof usual[0] && bits == 0; i++) {
        for (int k = 0; k < 3 && usual[i].case_ == kind->case_ && usual[i].alone == kind->alone; k++) {
            bits |= word_lists_categories(&ordinary->common, text_of(usual[i].examples[k]));
        }
    }
    return bits;
}

static bool is_protected(const ProtectedLists *lists, Text text) {
    for (int32_t w = 0; w < lists->n_words; w++) {
        if (words_related(lists->words[w].text, text)) {
            return true;
        }
    }
    return false;
}

/* The kind of the word's last part where it is a phrase. */
static Text head_of(Text word) {
    const char *space = memrchr(word.bytes, ' ', word.length);
    return space == NULL ? word : (Text){space + 1, (size_t)(word.bytes + word.length - space - 1)};
}

static bool was_drawn(const Text *drawn, int32_t n, Text text) {
    for (int32_t i = 0; i < n; i++) {
        if (same_text(drawn[i], text)) {
            return true;
        }
    }
    return false;
}

/* A random order of the common words of the kind; the first n of them that may stand. */
static limn_status draw(Ordinary *ordinary, int32_t word) {
    Text head = head_of(ordinary->lists->words[word].text);
    WordKind kind = word_kind(head);
    uint64_t bits = parts_of(ordinary, head, &kind);
    const WordLists *common = &ordinary->common;
    Text *drawn = ARENA_ARRAY(ordinary->call->arena, Text, ordinary->n + 1);
    int32_t *order = malloc(((size_t)common->n + 1) * sizeof *order);
    if (drawn == NULL || order == NULL) {
        free(order);
        return method_no_memory(ordinary->call);
    }
    int32_t n = 0, made = 0;
    for (int32_t i = 0; i < common->n; i++) {
        WordKind other = word_kind(common->items[i].text);
        if ((bits >> common->items[i].category & 1U) != 0 && word_kinds_match(&kind, &other)) {
            order[n++] = i;
        }
    }
    Random random;
    random_seed(&random, (uint64_t)ordinary->call->common.seed ^ hash_bytes(head.bytes, head.length));
    for (; n > 0 && made < ordinary->n; n--) {
        int32_t at = (int32_t)random_below(&random, (uint64_t)n);
        Text text = common->items[order[at]].text;
        order[at] = order[n - 1];
        if (!was_drawn(drawn, made, text) && !is_protected(ordinary->lists, text)) {
            drawn[made++] = text;
        }
    }
    free(order);
    ordinary->drawn[word] = drawn;
    ordinary->made[word] = made;
    return LIMN_OK;
}

limn_status ordinary_word(Text *text, Ordinary *ordinary, int32_t word, int32_t k) {
    if (ordinary->drawn[word] == NULL) {
        TRY(draw(ordinary, word));
    }
    *text = k < ordinary->made[word] ? ordinary->drawn[word][k] : (Text){NULL, 0};
    return LIMN_OK;
}
