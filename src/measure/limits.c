#include "measure/limits.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"

const char *limit_option(const Limit *limit) {
    return limit->kind == CHECK_AT_LEAST ? "at-least" : "at-most";
}

static limn_status part_of(Text *part, MethodCall *call, const char *begin, const char *end) {
    const char *copy = arena_strndup(call->arena, begin, (size_t)(end - begin));
    *part = (Text){copy, (size_t)(end - begin)};
    return copy != NULL ? LIMN_OK : method_no_memory(call);
}

/* "0.9" or "90%" */
static bool read_limit(double *limit, const char *text) {
    char *end;
    *limit = strtod(text, &end);
    bool percent = *end == '%';
    *limit /= percent ? 100 : 1;
    return end != text && end[percent] == '\0' && isfinite(*limit);
}

/* MEASURE[:CHOICE][@GROUP]=LIMIT; a choice or group may hold any of the signs but the group's '@' and the last '='. */
static limn_status parse(Limit *limit, MethodCall *call, Text text, CheckKind kind) {
    limit->kind = kind;
    const char *begin = text.bytes, *equals = memrchr(text.bytes, '=', text.length);
    if (equals == NULL || equals == begin || !read_limit(&limit->limit, equals + 1)) {
        return fail(LIMN_USAGE, "option '%s': found '%.80s', expected MEASURE=LIMIT, as in accuracy=0.9",
                    limit_option(limit), begin);
    }
    const char *at = memrchr(begin, '@', (size_t)(equals - begin));
    const char *end = at != NULL ? at : equals;
    const char *colon = memchr(begin, ':', (size_t)(end - begin));
    Text given;
    TRY(part_of(&given, call, begin, equals));
    limit->given = given.bytes;
    TRY(part_of(&limit->measure, call, begin, colon != NULL ? colon : end));
    if (colon != NULL) {
        TRY(part_of(&limit->choice, call, colon + 1, end));
    }
    if (at != NULL) {
        limit->each = equals - at == 2 && at[1] == '*';
        TRY(part_of(&limit->group, call, at + 1, equals));
    }
    return LIMN_OK;
}

limn_status limits_parse(Limits *limits, MethodCall *call, const LimitParams *params) {
    int32_t n = params->at_least.n + params->at_most.n;
    *limits = (Limits){ARENA_ARRAY(call->arena, Limit, n + 1), 0};
    if (limits->items == NULL) {
        return method_no_memory(call);
    }
    for (int32_t i = 0; i < n; i++) {
        bool least = i < params->at_least.n;
        Text text = least ? params->at_least.items[i] : params->at_most.items[i - params->at_least.n];
        limits->items[i] = (Limit){0};
        TRY(parse(&limits->items[i], call, text, least ? CHECK_AT_LEAST : CHECK_AT_MOST));
    }
    limits->n = n;
    return LIMN_OK;
}

limn_status limit_unknown(const Limit *limit, const char *known) {
    return fail(LIMN_USAGE, "option '%s': there is no measure '%.60s'; expected one of %s", limit_option(limit),
                limit->measure.bytes, known);
}

void limit_judge(Result *result, const MethodCall *call, const Limit *limit, const char *name, Interval interval,
                 const char *about) {
    bool least = limit->kind == CHECK_AT_LEAST;
    bool known = !isnan(interval.low) && !isnan(interval.high);
    bool good = known && (least ? interval.low >= limit->limit : interval.high <= limit->limit);
    bool bad = known && (least ? interval.high < limit->limit : interval.low > limit->limit);
    if (isnan(interval.value)) {
        result_check(result, name, interval.value, limit->kind, limit->limit,
                     SAY(call, "nothing to measure it on %s", "没有可测的数据%s"), about);
    } else if (!known) {
        result_check_inconclusive(result, name, interval.value, limit->kind, limit->limit,
                                  SAY(call, "has no interval %s", "没有区间，%s"), about);
    } else if (good || bad) {
        result_check(result, name, interval.value, limit->kind, limit->limit,
                     SAY(call, "95%% interval %.4g to %.4g %s", "95%% 区间 %.4g 至 %.4g，%s"), interval.low,
                     interval.high, about);
    } else {
        result_check_inconclusive(result, name, interval.value, limit->kind, limit->limit,
                                  SAY(call, "the limit lies within the 95%% interval, %.4g to %.4g %s",
                                      "限值落在 95%% 区间 %.4g 至 %.4g 之内，%s"),
                                  interval.low, interval.high, about);
    }
}
