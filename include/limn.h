/* limn: opens a language model and says why it said what it said.
 *
 * Everything limn can do is a command: a row with a name, a help text and typed parameters. The command line,
 * the service, the Python package and your own program call the same rows:
 *
 *     limn_context *context;
 *     limn_context_new(&context);
 *     limn_result *result;
 *     if (limn_call(context, "ig",
 *                   "{\"model\": \"out/SmolLM2-135M-Instruct.Q4_1.gguf\", \"prompt\": \"The capital of France is\"}",
 *                   NULL, &result) != LIMN_OK) { // make demo put the model there
 *         fprintf(stderr, "%s\n", limn_error_message());
 *     }
 *     char *json;
 *     size_t length;
 *     limn_result_render(result, "json", NULL, &json, &length);
 *
 * No function prints, exits or aborts. One thread at a time may use a context; contexts are independent. */
#ifndef LIMN_H
#define LIMN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "limn_status.h"

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define LIMN_API __attribute__((visibility("default")))
#else
#define LIMN_API
#endif

LIMN_API const char *limn_version(void); /* "0.1.0" */

/* What went wrong in this thread's last failed call: one line, no newline, UTF-8. */
LIMN_API const char *limn_error_message(void);
LIMN_API const char *limn_status_name(limn_status status);
LIMN_API int limn_status_exit_code(limn_status status);

typedef enum limn_param_kind {
    LIMN_PARAM_TEXT,   /* any UTF-8 (or raw bytes) */
    LIMN_PARAM_NUMBER, /* a real number within [minimum, maximum] */
    LIMN_PARAM_INTEGER,
    LIMN_PARAM_FLAG,   /* true when present */
    LIMN_PARAM_CHOICE, /* one of `choices`, "a|b|c" */
    LIMN_PARAM_IDS,    /* "1,2,3" on a command line, an array of integers in JSON */
    LIMN_PARAM_FILE,   /* a path that is read */
    LIMN_PARAM_OUTPUT, /* a path that is written */
    LIMN_PARAM_BYTES   /* "512M", "2GiB": an amount of memory */
} limn_param_kind;

/* Later versions may add fields at the end: walk the rows with limn_command_param and limn_common_param, or by
 * limn_param_size bytes, never by a sizeof of your own. */
typedef struct limn_param {
    const char *name; /* "max-tokens": the long option without dashes, and the JSON key */
    char letter;      /* 'p' for -p, or 0 */
    limn_param_kind kind;
    bool repeated;   /* may be given several times (a JSON array) */
    bool positional; /* on a command line: a bare word, in the order of the rows */
    bool required;
    bool face;                /* concerns how a result is shown: read by the command line, not by limn_call */
    bool effort;              /* concerns how the work is done: no part of the answer nor of its record */
    const char *metavar;      /* "TEXT" */
    const char *default_text; /* shown in help and used when absent; NULL: none */
    const char *choices;      /* CHOICE: "f32|bf16" */
    double minimum, maximum;  /* NUMBER, INTEGER: both 0: any */
    const char *help;
    size_t field; /* where the value goes inside the command's own struct */
} limn_param;

typedef struct limn_command {
    const char *name;
    const char *summary;     /* one line */
    const char *description; /* a few lines; what it answers, how sure it is, what it costs */
    const char *examples;    /* lines of shell */
    const limn_param *params;
    size_t n_params;
    bool from_record; /* what shapes the answer stands in a record: of the common parameters it takes the others */
} limn_command;

/* All commands, in the order of help. */
LIMN_API const limn_command *const *limn_commands(size_t *count);
LIMN_API const limn_command *limn_command_find(const char *name); /* NULL: none. "compare decisions" is one name */
/* What a person asks who needs it: "look inside". Commands of a group stand together. NULL: no such command. */
LIMN_API const char *limn_command_group(const limn_command *command);
/* The rows of a command, by number; NULL: past the last. */
LIMN_API const limn_param *limn_command_param(const limn_command *command, size_t index);
/* Parameters every command takes besides its own (threads, memory, seed ...). */
LIMN_API const limn_param *limn_common_params(size_t *count);
LIMN_API const limn_param *limn_common_param(size_t index); /* NULL: past the last */
/* From one row to the next in arrays of limn_param, in bytes. */
LIMN_API size_t limn_param_size(void);
/* Whether a command takes this common parameter: not where it has one of that name itself. */
LIMN_API bool limn_command_takes(const limn_command *command, const limn_param *common);

/* All are called on the thread that called limn_call, and may make calls of their own, in the same context too.
 * A struct of an earlier version, whose size is smaller, lacks what came later; of a later one the rest is ignored. */
typedef struct limn_callbacks {
    uint32_t size; /* sizeof(limn_callbacks) */
    void *context;
    /* Progress; total 0: unknown. False stops the call with LIMN_CANCELLED. May be NULL. */
    bool (*progress)(void *context, const char *stage, int64_t done, int64_t total);
    /* Text as it is generated (complete UTF-8 characters). May be NULL. */
    void (*text)(void *context, const char *bytes, size_t length);
    /* A block of the result as soon as it is finished: JSON text, as it will stand in the document's "blocks", in the
     * same order. When the call fails, what it gave so far is void. May be NULL. */
    void (*block)(void *context, const char *json, size_t length);
    /* What should be known before long work is done: a line, one of the result's warnings to be. May be NULL. */
    void (*remark)(void *context, const char *line);
} limn_callbacks;

#define LIMN_CALLBACKS_INIT                                                                                            \
    { sizeof(limn_callbacks), NULL, NULL, NULL, NULL, NULL }

typedef struct limn_context limn_context; /* opened models, settings */
typedef struct limn_result limn_result;   /* one result document, limn.result/1 */

LIMN_API limn_status limn_context_new(limn_context **context);
LIMN_API void limn_context_free(limn_context *context);

/* Runs a command. params_json: an object, keys are the parameters' names. *result is the caller's. */
LIMN_API limn_status limn_call(limn_context *context, const char *command, const char *params_json,
                               const limn_callbacks *callbacks, limn_result **result);
LIMN_API void limn_result_free(limn_result *result);

/* False when one of the result's checks failed. */
LIMN_API bool limn_result_passed(const limn_result *result);
/* LIMN_GATE_FAILED when one of the result's checks failed, else LIMN_INCONCLUSIVE when the evidence for one does not
 * decide, else LIMN_OK. Checks marked advisory have no part in it. */
LIMN_API limn_status limn_result_verdict(const limn_result *result);
/* Its failed checks, and with `warnings` its warnings, a line each ("" when there is none): what must be said where the
 * result itself is not shown. *text is the caller's, freed with limn_free. */
LIMN_API limn_status limn_result_alerts(const limn_result *result, bool warnings, char **text, size_t *length);

typedef struct limn_render_options {
    uint32_t size;        /* sizeof(limn_render_options) */
    int width;            /* terminal columns; 0: 80 */
    int colour;           /* 0 none, 1 16 colours, 2 24-bit */
    bool unicode;         /* false: ASCII only */
    const char *language; /* "en" (default) */
} limn_render_options;

#define LIMN_RENDER_OPTIONS_INIT                                                                                       \
    { sizeof(limn_render_options), 0, 0, true, NULL }

/* format: one of limn_render_formats. *text is the caller's, freed with limn_free. */
LIMN_API limn_status limn_result_render(const limn_result *result, const char *format,
                                        const limn_render_options *options, char **text, size_t *length);
/* "terminal|json|html|svg|md" */
LIMN_API const char *limn_render_formats(void);
/* The format that a file's ending asks for: "a.html" is "html". LIMN_USAGE, naming the endings: no format has it. */
LIMN_API limn_status limn_format_of_file(const char *path, const char **format);
LIMN_API void limn_free(void *memory);

/* Writes bytes to a temporary file beside `path`, syncs, renames: no partial file is ever seen. */
LIMN_API limn_status limn_write_file(const char *path, const void *bytes, size_t length);
/* Whether limn_write_file could write `path`, asked before long work; nothing is created or changed. */
LIMN_API limn_status limn_check_output(const char *path);

/* For a SIGBUS handler: the path of the mapped file that holds `address`, or NULL. Async-signal-safe. */
LIMN_API const char *limn_mapped_file_at(const void *address);

#ifdef __cplusplus
}
#endif

#endif
