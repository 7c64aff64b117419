#include "measure/token_scores.h"

#include <math.h>
#include <string.h>

#include "base/nearest.h"
#include "call/registry.h"

/* ---- by name ---- */

static const char *scorer_name_at(const void *context, size_t index) {
    const Method *method = ((const MethodTable *)context)->items[index].method;
    return method->score_tokens != NULL ? method->command.name : NULL;
}

limn_status token_scorer_find(const Method **method, const MethodCall *call, const char *name) {
    const MethodTable *table = call->registry->methods;
    *method = registry_find(call->registry, name);
    if (*method == NULL || (*method)->score_tokens == NULL) {
        char near[256];
        nearest_names(near, sizeof near, NEAREST_USUAL, name, scorer_name_at, table, table->n);
        return fail(LIMN_USAGE, "%s '%s'; nearest that does: %s",
                    *method == NULL ? "there is no method" : "tokens get no scores by the method", name, near);
    }
    return LIMN_OK;
}

/* ---- parameters ---- */

/* What comes with the question. */
typedef struct Asked {
    Text model;
    PromptParams prompt;
    TargetParams target;
} Asked;

static const limn_param asked_rows[] = {MODEL_ROW(Asked, model), PROMPT_ROWS(Asked, prompt),
                                        PROMPT_PAIR_ROWS(Asked, prompt), TARGET_ROWS(Asked, target),
                                        TARGET_MORE_ROWS(Asked, target)};

static bool comes_with_question(const char *name) {
    for (size_t i = 0; i < sizeof asked_rows / sizeof asked_rows[0]; i++) {
        if (strcmp(asked_rows[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static limn_status check_given(const limn_command *command, const json_t *given) {
    TRY(params_check_names(command->name, command->params, command->n_params, NULL, 0, given));
    for (size_t i = 0; i < command->n_params; i++) {
        const limn_param *row = &command->params[i];
        bool mine = !comes_with_question(row->name) && row->kind != LIMN_PARAM_OUTPUT;
        if (!mine && json_object_get(given, row->name) != NULL) {
            return fail(LIMN_USAGE, "option '%s' of %s has no place here, where it only scores the tokens it is given",
                        row->name, command->name);
        }
    }
    return LIMN_OK;
}

/* The object with something in the place of what a command line must have, and nobody looks at here. */
static limn_status add_required(json_t *object, const MethodCall *call, const limn_command *command) {
    bool made = object != NULL;
    for (size_t i = 0; i < command->n_params && made; i++) {
        if (command->params[i].required && comes_with_question(command->params[i].name)) {
            made = json_object_set_new(object, command->params[i].name, json_string("-")) == 0;
        }
    }
    return made ? LIMN_OK : method_no_memory(call);
}

limn_status token_scorer_params(const void **params, MethodCall *call, const Method *method, const json_t *given) {
    const limn_command *command = &method->command;
    TRY(given != NULL ? check_given(command, given) : LIMN_OK);
    void *own = arena_zalloc(call->arena, method->params_bytes + 1);
    *params = own;
    if (own == NULL) {
        return method_no_memory(call);
    }
    json_t *object = given == NULL ? json_object() : json_copy((json_t *)(uintptr_t)given);
    limn_status status = add_required(object, call, command);
    if (status == LIMN_OK) {
        status = params_fill(own, command->name, command->params, command->n_params, object, call->arena);
    }
    json_decref(object);
    return status;
}

/* ---- several by name ---- */

/* text: taken apart. */
static limn_status read_scorer(NamedScorer *scorer, MethodCall *call, const char *option, char *text) {
    char *rest = strchr(text, ':');
    json_t *given = json_object();
    bool made = given != NULL;
    scorer->name = arena_strdup(call->arena, text);
    if (rest != NULL) {
        *rest++ = '\0';
    }
    limn_status status = token_scorer_find(&scorer->method, call, text);
    while (status == LIMN_OK && rest != NULL && made) {
        char *next = strchr(rest, ':'), *value = strchr(rest, '=');
        if (next != NULL) {
            *next++ = '\0';
        }
        if (value == NULL || value == rest) {
            status = fail(LIMN_USAGE, "option '%s': found '%s' of %s, expected OPTION=VALUE", option, rest, text);
            break;
        }
        *value++ = '\0';
        made = json_object_set_new(given, rest, json_string(value)) == 0;
        rest = next;
    }
    if (status == LIMN_OK) {
        status = made && scorer->name != NULL ? token_scorer_params(&scorer->params, call, scorer->method, given)
                                              : method_no_memory(call);
    }
    json_decref(given);
    return status;
}

static int32_t count_names(const ParamTexts *lists) {
    int32_t n = lists->n;
    for (int32_t i = 0; i < lists->n; i++) {
        for (size_t c = 0; c < lists->items[i].length; c++) {
            n += lists->items[i].bytes[c] == ',' ? 1 : 0;
        }
    }
    return n;
}

limn_status token_scorers_named(NamedScorer **scorers, int32_t *n, MethodCall *call, const char *option,
                                const ParamTexts *lists) {
    *n = 0;
    *scorers = ARENA_ARRAY(call->arena, NamedScorer, count_names(lists) + 1);
    for (int32_t i = 0; i < lists->n; i++) {
        char *text = arena_strndup(call->arena, lists->items[i].bytes, lists->items[i].length);
        if (*scorers == NULL || text == NULL) {
            return method_no_memory(call);
        }
        for (char *next; text != NULL; text = next) {
            next = strchr(text, ',');
            if (next != NULL) {
                *next++ = '\0';
            }
            for (int32_t k = 0; k < *n; k++) {
                if (strcmp((*scorers)[k].name, text) == 0) {
                    return fail(LIMN_USAGE, "option '%s': found '%s' twice", option, text);
                }
            }
            TRY(read_scorer(&(*scorers)[*n], call, option, text));
            (*n)++;
        }
    }
    return *scorers == NULL ? method_no_memory(call) : LIMN_OK;
}

/* ---- scores ---- */

static limn_status check_scores(const TokenScores *scores, const char *name, const TokenQuestion *question) {
    if (scores->n != question->prompt->n || scores->scores == NULL) {
        return fail(LIMN_INTERNAL, "%s scored %d tokens of %d", name, (int)scores->n, (int)question->prompt->n);
    }
    for (int32_t t = 0; t < scores->n; t++) {
        bool held = question->prompt->tokens[t].special || (question->fixed != NULL && question->fixed[t]);
        if (isinf(scores->scores[t]) || (held && !isnan(scores->scores[t]))) {
            return fail(LIMN_FORMAT, "%s gives token %d the score %g, expected %s", name, (int)t, scores->scores[t],
                        held ? "none, as the token is held" : "a number");
        }
    }
    return LIMN_OK;
}

limn_status token_scores(TokenScores *scores, MethodCall *call, const Method *method, const TokenQuestion *question) {
    MethodCall own = *call;
    own.method = method;
    own.params = question->params;
    own.common.seed = question->seed;
    *scores = (TokenScores){.f = (double)NAN, .completeness = (double)NAN};
    TRY(method->score_tokens(scores, &own, question));
    return check_scores(scores, method->command.name, question);
}

double token_scores_sum(const TokenScores *scores, int32_t begin, int32_t end) {
    double sum = 0.0;
    bool any = false;
    for (int32_t t = begin; t < end; t++) {
        if (!isnan(scores->scores[t])) {
            sum += scores->scores[t];
            any = true;
        }
    }
    return any ? sum : (double)NAN;
}
