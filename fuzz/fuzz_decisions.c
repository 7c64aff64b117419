/* A limit as typed, up to the first line end; behind it a file of decisions. */
#include "method/data/decisions.h"

#include <math.h>
#include <string.h>

#include "fuzz.h"
#include "measure/limits.h"

static void use_limit(const uint8_t *data, size_t length) {
    Arena arena;
    arena_init(&arena);
    MethodCall call = {.arena = &arena};
    char *text = arena_strndup(&arena, (const char *)data, length);
    check(text != NULL, "memory");
    Text given = {text, length};
    LimitParams params = {.at_most = {&given, 1}};
    Limits limits;
    limn_status status = limits_parse(&limits, &call, &params);
    if (status == LIMN_OK) {
        const Limit *limit = &limits.items[0];
        check(limits.n == 1 && isfinite(limit->limit), "a number");
        check(limit->measure.length < length && limit->choice.length < length && limit->group.length < length,
              "its parts");
    } else {
        check(status == LIMN_USAGE, "the user's mistake");
        check_failure(status);
    }
    arena_free(&arena);
}

static void use_text(Text text) {
    check(text.bytes == NULL || text.bytes[text.length] == '\0', "a text to its end");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *end = size > 0 ? memchr(data, '\n', size) : NULL;
    size_t length = end != NULL ? (size_t)(end - data) : size;
    use_limit(data, length);
    size_t rest = end != NULL ? size - length - 1 : 0;
    DecisionReader *reader;
    limn_status status = decision_reader_open(&reader, memory_file(data + (size - rest), rest), NULL);
    if (status != LIMN_OK) {
        check(reader == NULL, "no reader after a failure");
        check_failure(status);
        return 0;
    }
    Decision decision;
    bool there = true;
    while ((status = decision_reader_next(reader, &decision, &there)) == LIMN_OK && there) {
        check(decision.id.bytes != NULL && decision.skipped == (decision.pred.bytes == NULL), "a decision or none");
        check(!(decision.confidence > 1) && !(decision.log_loss < 0) && !(decision.brier < 0), "probabilities");
        use_text(decision.id);
        use_text(decision.pred);
        use_text(decision.label);
        use_text(decision.group);
        use_text(decision.prompt);
        use_text(decision.hash);
    }
    if (status != LIMN_OK) {
        check_failure(status);
    }
    decision_reader_close(reader);
    return 0;
}
