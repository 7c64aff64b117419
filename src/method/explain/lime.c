/* LIME (Ribeiro, Singh and Guestrin 2016, 1602.04938): a sparse linear model of the answer near the prompt.
 *
 *     scores = argmin over b, c of sum over samples s of w_s (F_s - z_s . b - c)^2 / (2 sum w) + alpha |b|_1
 *     w_s = exp(-(1 - cos(z_s, 1))^2 / (2 width^2))
 *
 * z_s says which words sample s has; each other word is exchanged for one that fits its place (measure/draws.h), so
 * that a sample is a text that could have been. F is the lead of the answer (measure/answer.h).
 *
 * Invariants: on the same samples the same coefficients as Captum's LimeBase with its kernel and lasso
 * (tests/oracle/surrogate); the same seed gives the same bytes; `--repeats` fits say how other samples would have it.
 *
 * How it fails: it is a line through a curve: check "linear" says how much of the answer's variance the words explain
 * one by one. Scores depend on the samples: there are 2^n sets of n words, and check "sign flips" says how often a sign
 * does. The lasso sets small effects to 0. */
#include "method/explain/surrogate.h"

static limn_status run(MethodCall *call, Result *result) {
    return surrogate_run(call, result, SURROGATE_LIME);
}

static limn_status score_tokens(TokenScores *scores, MethodCall *call, const TokenQuestion *question) {
    return surrogate_score(scores, call, question, SURROGATE_LIME);
}

static const limn_param rows[] = {
    SURROGATE_ROWS,
    {"alpha", 0, LIMN_PARAM_NUMBER, .metavar = "A", .default_text = "0.01", .minimum = 0, .maximum = 1e6,
     .help = "how strongly small scores are set to 0", .field = offsetof(SurrogateParams, alpha)},
    {"kernel-width", 0, LIMN_PARAM_NUMBER, .metavar = "W", .default_text = "1", .minimum = 0.001, .maximum = 1e6,
     .help = "how far from the prompt samples still count", .field = offsetof(SurrogateParams, width)},
    SURROGATE_MORE_ROWS,
};

const Method method_lime = {
    .command = {.name = "lime",
                .summary = "a linear model of the answer near the prompt (LIME)",
                .description =
                    "Asks the model about many versions of the prompt in which words are exchanged for others "
                    "that fit, and fits a sparse linear model to its answers. Says how much of the answer "
                    "such a model explains, and how its scores and signs change with other samples.",
                .examples = "limn lime MODEL -p 'The capital of France is'\n"
                            "limn lime MODEL -p 'The nurse said that' --target ' she' --contrast ' he' --repeats 10\n"
                            "limn lime MODEL -p 'The capital of France is' --samples 500 --alpha 0.001 --json",
                .params = rows,
                .n_params = sizeof rows / sizeof rows[0]},
    .title = "LIME",
    .params_bytes = sizeof(SurrogateParams),
    .run = run,
    .explains = true,
    .score_tokens = score_tokens,
    .about = {.answers = "Which words does a sparse linear model of the answer near the prompt hang on?",
              .formula = "scores = argmin sum of w_s (F_s - z_s . b - c)^2 / (2 sum w) + alpha |b|_1\n"
                         "z_s: the words that sample s has, the others exchanged; w_s = exp(-(1 - cos(z_s, 1))^2 / (2 "
                         "width^2))",
              .paper = "Ribeiro, Singh and Guestrin 2016 (1602.04938)",
              .cost = "`--samples` forward passes for each of `--repeats` fits (eight for each word, three fits)",
              .lies =
                  "A line through a curve: its own check says how much it explains. With n words there are 2^n sets, "
                  "so that scores, and signs, change with the samples. Small effects are set to 0.",
              .measured =
                  "names the planted word first in 4 of the first 4 turned tweets of `examples/bankrun` (64 samples)"},
};
