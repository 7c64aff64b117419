/* What a method is: a row that says its name, its parameters and the function that answers.
 *
 * To add one: CONTRIBUTING.md.
 * A run function reads its own struct (filled and checked from the rows), opens what it needs through the call,
 * and adds blocks and checks to the result. The common parts (params, provenance, measured) are added around it. */
#ifndef LIMN_CALL_METHOD_H
#define LIMN_CALL_METHOD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/parallel.h"
#include "call/params.h"
#include "limn.h"
#include "model/model.h"
#include "result/result.h"
#include "run/engine.h"

/* Order of the choice "en|zh". */
typedef enum Language { LANGUAGE_EN, LANGUAGE_ZH } Language;

/* Options every method takes (rows: common_params). */
typedef struct CommonOptions {
    int32_t dtype;   /* Compute: COMPUTE_F32, COMPUTE_BF16 */
    int32_t backend; /* 0 cpu, 1 ref */
    int32_t bos;     /* BosMode */
    int32_t frame;   /* Frame */
    int64_t threads; /* 0: all cores */
    size_t memory;   /* bytes; 0: what the machine has; PARAM_BYTES_LEAST: as little as possible */
    int64_t seed;
    int32_t language;    /* Language: of the texts a method writes */
    ParamTexts adapters; /* DIR or DIR:weight, as typed */
    ParamTexts edits;    /* edit files */
} CommonOptions;

/* A method's own words in the language of the call; both may be formats of the same arguments in the same order. */
#define SAY(call, english, chinese) ((call)->common.language == (int32_t)LANGUAGE_ZH ? (chinese) : (english))

extern const limn_param common_params[]; /* [common_params_count] */
extern const size_t common_params_count;
bool command_takes(const limn_command *command, const limn_param *common); /* limn_command_takes */

typedef struct ModelCache ModelCache; /* models and engines a context has opened (open.h) */
typedef struct Registry Registry;     /* the methods and formats there are (registry.h) */
typedef struct Method Method;
typedef struct TokenQuestion TokenQuestion; /* measure/token_scores.h */
typedef struct TokenScores TokenScores;

typedef struct MethodCall {
    const Method *method;
    const void *params; /* the method's own struct */
    CommonOptions common;
    const Progress *progress; /* never NULL; its tick may be */
    Team *team;               /* who works for this call; its progress is the same */
    /* Text as it is generated, whole UTF-8 characters; NULL: nobody listens. */
    void (*text)(void *context, const char *bytes, size_t length);
    void *text_context;
    void (*remark)(void *context, const char *line); /* method_tell; NULL: nobody listens */
    void *remark_context;
    void (*block)(void *context, const char *json, size_t length); /* method_blocks_done; NULL: nobody listens */
    void *block_context;
    int32_t blocks_told;      /* of the result's */
    const Registry *registry; /* never NULL */
    ModelCache *models;
    Arena *arena;     /* lives until the call has ended */
    Model *described; /* the model the result is about: set by method_engine, hashed while the method runs */
    Engine *engine;   /* the engine it ran in; NULL: none */
    const struct ModelEdits *edits; /* what its edit files change (model_edits.h); NULL: none were named */
} MethodCall;

/* Adds to the result, which already holds the effective parameters, and ends with `return result_status(result)`;
 * on failure the result is thrown away. */
typedef limn_status (*MethodFunction)(MethodCall *call, Result *result);

/* What each token of one prompt did, for those that build on it: comparisons, data sets, audits. call->params is the
 * method's own struct, of which the model, prompt and target are not looked at: they come with the question. All that
 * is made lies in call->arena, which the caller empties from prompt to prompt. Reached through measure/token_scores.h.
 */
typedef limn_status (*TokenScorer)(TokenScores *scores, MethodCall *call, const TokenQuestion *question);

/* What people should know of an explanation before they believe it: docs/methods.md is made of it
 * (tests/method/test_methods_page.c). Markdown; a sentence or two each. NULL: nothing is to be said. */
typedef struct MethodAbout {
    const char *answers;  /* the question it answers */
    const char *formula;  /* lines as they are typed */
    const char *paper;    /* authors, year, arXiv number */
    const char *cost;     /* in forward and backward passes */
    const char *lies;     /* when it lies */
    const char *measured; /* what came of it where the truth is known, with the command; NULL: nothing yet */
} MethodAbout;

struct Method {
    limn_command command;
    const char *title;   /* "Integrated gradients" */
    size_t params_bytes; /* size of the method's own struct, zeroed before it is filled */
    MethodFunction run;
    bool explains;            /* answers about a model's behaviour: `limn verify` can run it again */
    bool undated;             /* says nothing of when it ran and how long: files of it are the same again */
    TokenScorer score_tokens; /* NULL: it gives tokens no scores */
    MethodAbout about;        /* of methods that explain */
};

/* The row of the model itself: a bare word. */
#define MODEL_ROW(type, member)                                                                                        \
    {                                                                                                                  \
        "model", 0, LIMN_PARAM_FILE,                                                                                   \
            .positional = true, .required = true, .metavar = "MODEL",                                                  \
            .help = "a model folder, a .gguf file, or org/name in the local Hugging Face cache",                       \
            .field = offsetof(type, member)                                                                            \
    }

/* Opened on first use, shared by later calls of the same context with the same options; borrowed. An engine is the
 * call's own until it ends: a call made meanwhile, from a callback, gets another. */
limn_status method_model(MethodCall *call, const char *path, Model **model);
/* Header and configuration only: for methods that never run the network. */
limn_status method_model_config(MethodCall *call, const char *path, Model **model);
limn_status method_engine(MethodCall *call, const char *path, Engine **engine);
/* The same without the adapters that the options name; with those of another option of the method's own, as typed. */
limn_status method_base_engine(MethodCall *call, const char *path, Engine **engine);
limn_status method_adapted_engine(MethodCall *call, const char *path, const char *option, const ParamTexts *adapters,
                                  Engine **engine);
/* The model of an engine without its adapters and edits, for little work beside it: the weights are the same ones in
 * memory, and the result stays about the engine's own model. Without either the engine itself. */
limn_status method_beside_engine(MethodCall *call, Engine *engine, Engine **base);

/* What a context keeps warm between calls, one thing at a time: a run that the next call goes on from. Taken, it is the
 * call's own (so a call made meanwhile finds none) until it is kept again; whatever else was kept by then is freed.
 * key: all that it depends on; another key finds nothing. It goes before the context's models and engines do. */
void *method_take_kept(MethodCall *call, const char *key); /* NULL: there is none */
limn_status method_keep(MethodCall *call, const char *key, void *object, void (*free_object)(void *object));

/* The blocks that the result holds so far are final, and who listens gets them: after a part that took long, before one
 * that will. Those left are told when the method has ended. */
limn_status method_blocks_done(MethodCall *call, const Result *result);

/* The same call with another arena: for one record of many, which leaves nothing behind when its arena is emptied. */
static inline MethodCall method_call_in(const MethodCall *call, Arena *arena) {
    MethodCall own = *call;
    own.arena = arena;
    return own;
}

/* Tells the result's newest warning at once: what should be known before long work, not after it. */
void method_tell(const MethodCall *call, const Result *result);

/* For an allocation that failed. */
static inline limn_status method_no_memory(const MethodCall *call) {
    return fail(LIMN_NO_MEMORY, "%s: out of memory", call->method->command.name);
}

#endif
