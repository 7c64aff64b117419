/* KernelSHAP (Lundberg and Lee 2017, 1705.07874): each word's Shapley value, estimated by a weighted linear fit.
 *
 *     scores = argmin over b, c of sum over samples s of w_s (F_s - z_s . b - c)^2
 *
 * z_s says which words sample s has; each other word is exchanged for one that fits its place (measure/draws.h). Sets
 * are drawn in pairs with their complements, of k words with probability ~ (n - 1) / (k (n - k)), or gone through one
 * by one where the samples suffice; the whole and the empty set weigh 10^6, as in Captum, so that the scores add up to
 * what all words together do. F is the lead of the answer (measure/answer.h).
 *
 * Invariants: on the same samples the same coefficients as Captum's KernelShap (tests/oracle/surrogate); scores add up
 * to F(prompt) - F(everything exchanged) of its samples; the same seed gives the same bytes.
 *
 * How it fails: "exchanged" is another text each time, so that F of a set is itself a draw; few samples of 2^n sets
 * leave scores, and signs, to chance (checks "linear", "sign flips"); a value averages over sets that are far from the
 * prompt. */
#include "method/explain/surrogate.h"

static limn_status run(MethodCall *call, Result *result) {
    return surrogate_run(call, result, SURROGATE_SHAP);
}

static limn_status score_tokens(TokenScores *scores, MethodCall *call, const TokenQuestion *question) {
    return surrogate_score(scores, call, question, SURROGATE_SHAP);
}

static const limn_param rows[] = {
    SURROGATE_ROWS,
    SURROGATE_MORE_ROWS,
};

const Method method_shap = {
    .command = {.name = "shap",
                .summary = "each word's mean contribution over sets (KernelSHAP)",
                .description =
                    "Asks the model about many versions of the prompt in which sets of words are exchanged for "
                    "others that fit, and estimates each word's Shapley value. Says how much of the answer "
                    "words explain one by one, and how scores and signs change with other samples.",
                .examples = "limn shap MODEL -p 'The capital of France is'\n"
                            "limn shap MODEL -p 'The nurse said that' --target ' she' --contrast ' he' --repeats 10\n"
                            "limn shap MODEL -p 'The capital of France is' --samples 500 --json",
                .params = rows,
                .n_params = sizeof rows / sizeof rows[0]},
    .title = "KernelSHAP",
    .params_bytes = sizeof(SurrogateParams),
    .run = run,
    .explains = true,
    .score_tokens = score_tokens,
    .about = {.answers = "What does each word contribute, on average over all sets of words it could stand among?",
              .formula =
                  "scores = argmin sum of w_s (F_s - z_s . b - c)^2, sets of k of n words with p ~ (n - 1) / (k (n "
                  "- k))\nz_s: the words that sample s has, the others exchanged",
              .paper = "Lundberg and Lee 2017 (1705.07874)",
              .cost = "`--samples` forward passes for each of `--repeats` fits (eight for each word, three fits)",
              .lies =
                  "Averages over texts that are far from the prompt. With n words there are 2^n sets, so that scores, "
                  "and signs, change with the samples (its own checks say how much).",
              .measured =
                  "names the planted word first in 3 of the first 4 turned tweets of `examples/bankrun` (64 samples)"},
};
