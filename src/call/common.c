/* The options every command takes. */
#include <string.h>

#include "call/method.h"

#define OPTION(name, letter, kind, metavar, default_text, choices, minimum, maximum, help, member)                     \
    {                                                                                                                  \
        name, letter, LIMN_PARAM_##kind, false, false, false, false, false, metavar, default_text, choices, minimum,   \
            maximum, help, offsetof(CommonOptions, member)                                                             \
    }
#define FACE_OPTION(name, letter, kind, metavar, default_text, choices, help)                                          \
    { name, letter, LIMN_PARAM_##kind, false, false, false, true, false, metavar, default_text, choices, 0, 0, help, 0 }

#ifdef LIMN_REF_ONLY /* the thread sanitizer's build has no other */
#define DEFAULT_BACKEND "ref"
#else
#define DEFAULT_BACKEND "cpu"
#endif

/* "|terminal|json|..." */
static const char formats[] =
#define FORMAT(name, ending, media_type, help) "|" #name
#include "result/formats.def"
#undef FORMAT
    ;

const limn_param common_params[] = {
    OPTION("dtype", 0, CHOICE, "TYPE", "f32", "f32|bf16", 0, 0,
           "number type of matrix products: f32 is the reference, bf16 the fast mode", dtype),
    OPTION("bos", 0, CHOICE, "WHEN", "auto", "auto|yes|no", 0, 0,
           "begin-of-text token: auto does what the model's own tokenizer does", bos),
    OPTION("frame", 0, CHOICE, "FRAME", "hf", "hf|transformerlens", 0, 0,
           "whose weights the values are: raw Hugging Face ones, or folded and centred as TransformerLens does", frame),
    {"adapter", 0, LIMN_PARAM_FILE, .repeated = true, .metavar = "DIR[:WEIGHT]",
     .help = "a PEFT LoRA adapter on top of the model, its scaling times WEIGHT; may be given several times",
     .field = offsetof(CommonOptions, adapters)},
    {"edit", 0, LIMN_PARAM_FILE, .repeated = true, .metavar = "FILE",
     .help = "an edit file made for this model (limn surgery, limn live): its edits are in force in all that is asked; "
             "may be given several times",
     .field = offsetof(CommonOptions, edits)},
    OPTION("backend", 0, CHOICE, "NAME", DEFAULT_BACKEND, "cpu|ref", 0, 0,
           "kernels: fast ones, or the plain C reference", backend),
    OPTION("language", 0, CHOICE, "LANGUAGE", "en", "en|zh", 0, 0, "language of the texts in the answer", language),
    OPTION("seed", 0, INTEGER, "N", "0", NULL, 0, (double)INT64_MAX, "seed of everything random", seed),
    {"threads", 0, LIMN_PARAM_INTEGER, .effort = true, .metavar = "N", .default_text = "0", .maximum = 4096,
     .help = "processor cores to use; 0: all", .field = offsetof(CommonOptions, threads)},
    {"memory", 0, LIMN_PARAM_BYTES, .effort = true, .metavar = "LIMIT",
     .help = "most memory for activations and a model's converted weights together, as 512M or 4G; min: as little as "
             "possible",
     .field = offsetof(CommonOptions, memory)},
    FACE_OPTION("format", 0, CHOICE, "FORMAT", NULL, &formats[1],
                "how the result is written; without it, by the ending of the output file, else terminal"),
    FACE_OPTION("json", 0, FLAG, NULL, NULL, NULL, "the same as --format json"),
    {"output", 'o', LIMN_PARAM_OUTPUT, .repeated = true, .face = true, .metavar = "FILE",
     .help = "write the result to FILE, whole or not at all (-: to standard output), in the format of its ending:"
#define FORMAT(name, ending, media_type, help) " ." ending
#include "result/formats.def"
#undef FORMAT
    },
    FACE_OPTION("show", 0, FLAG, NULL, NULL, NULL, "with --output FILE: print the result as well"),
    FACE_OPTION("quiet", 'q', FLAG, NULL, NULL, NULL, "no progress and no remarks on stderr"),
    FACE_OPTION("color", 0, CHOICE, "WHEN", "auto", "auto|always|never",
                "colours; auto: on a terminal, unless NO_COLOR is set"),
};
const size_t common_params_count = sizeof common_params / sizeof common_params[0];

bool command_takes(const limn_command *command, const limn_param *common) {
    for (size_t i = 0; i < command->n_params; i++) {
        if (strcmp(command->params[i].name, common->name) == 0) {
            return false;
        }
    }
    return !command->from_record || common->face || common->effort;
}
