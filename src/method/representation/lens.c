/* Reading the stream through the model's own head: what would it say if it stopped here, and who wrote that?
 *
 *     lens(l, t)    log p(target) when the stream behind layer l at position t is given to the last norm and the
 *                   unembedding (nostalgebraist 2020, the logit lens)
 *     share(part)   g . (what the part wrote at the answer's row), g: the logit's gradient along the stream alone,
 * norms' scales as they are (Elhage et al. 2021, direct logit attribution); of a head W_O z, of a neuron its activation
 * times its output vector
 *
 * Invariants (checked): behind the last layer the lens is the model's answer; where the head is linear in the stream,
 * shares of embeddings, attention, MLPs and the last norm's bias add up to the logit. Equal to PyTorch on Hugging Face
 * models (tests/oracle/attention/make_lens.py).
 *
 * How it fails: early streams are in no state to be read by the head: nonsense there does not say that the model knows
 * nothing. A share is direct: what a head does through later layers is not in it (limn ablate, limn patch), and a part
 * that raises every logit alike has a large share of each one (--contrast). */
#include "method/representation/lens.h"

#include "measure/target_score.h"

static limn_status check_question(const Lens *lens) {
    if (lens->contrast.kind != TARGET_NONE && (lens->target.n != 1 || lens->contrast.n != 1)) {
        return fail(LIMN_USAGE, "lens: option 'contrast' is for single tokens; the target has %d and the contrast %d",
                    (int)lens->target.n, (int)lens->contrast.n);
    }
    if (lens->params->of == (int32_t)LENS_OF_FINAL && lens->contrast.kind != TARGET_NONE) {
        return fail(LIMN_USAGE, "lens: --of final reads each position's own answer, which --contrast is not about");
    }
    return LIMN_OK;
}

static limn_status run(MethodCall *call, Result *result) {
    Lens lens = {.call = call, .params = call->params, .result = result};
    ValuesFile values;
    TRY(values_file_open(&values, call, &lens.params->values));
    TRY(method_engine(call, lens.params->model.bytes, &lens.engine));
    lens.model = engine_model(lens.engine);
    if (lens.model->config.task == TASK_ENCODER) {
        return fail(LIMN_USAGE, "%s (%s) is a bare encoder: it has no head to read its layers by", lens.model->path,
                    lens.model->config.architecture);
    }
    lens.n_layers = lens.model->config.n_layers;
    TRY(prompt_read(&lens.prompt, call, lens.model, &lens.params->prompt));
    prompt_describe(result, call, lens.model, &lens.prompt);
    TRY(target_resolve(&lens.target, &lens.contrast, call, lens.engine, &lens.prompt, &lens.params->target, NULL,
                       result));
    TRY(check_question(&lens));
    lens.sequence = target_sequence(&lens.target);
    lens.n_best = lens.target.n_outputs < LENS_FIRST ? lens.target.n_outputs : LENS_FIRST;
    TRY(lens_read(&lens));
    TRY(lens_direct(&lens));
    TRY(lens_report(&lens, &values));
    TRY(values_file_write(&values, lens.model));
    return result_status(result);
}

static const limn_param rows[] = {
    MODEL_ROW(LensParams, model),
    PROMPT_ROWS(LensParams, prompt),
    PROMPT_PAIR_ROWS(LensParams, prompt),
    TARGET_ROWS(LensParams, target),
    TARGET_MORE_ROWS(LensParams, target),
    {"of", 0, LIMN_PARAM_CHOICE, .metavar = "WHAT", .default_text = "target", .choices = "target|final",
     .help = "what is read at each position: the target, or what the model says there in the end",
     .field = offsetof(LensParams, of)},
    {"top", 0, LIMN_PARAM_INTEGER, .metavar = "K", .default_text = "10", .minimum = 1, .maximum = 10000,
     .help = "how many heads and neurons are listed", .field = offsetof(LensParams, top)},
    VALUES_ROW(LensParams, values),
};

const Method method_lens = {
    .command = {.name = "lens",
                .summary = "what each layer would say, and who wrote the answer",
                .description =
                    "Gives the stream behind every layer to the model's own head, at every position, and says from "
                    "which layer on the answer stands there. Beside it what embeddings, attention, MLPs, heads and "
                    "neurons write towards the answer directly.",
                .examples = "limn lens MODEL -p 'The capital of France is'\n"
                            "limn lens MODEL -p 'The capital of France is' --contrast ' London'\n"
                            "limn lens MODEL -p 'The capital of France is' --of final -o lens.html",
                .params = rows,
                .n_params = sizeof rows / sizeof rows[0]},
    .title = "Logit lens",
    .params_bytes = sizeof(LensParams),
    .run = run,
    .explains = true,
    .about = {.answers = "From which layer on does the answer stand in the stream, and which parts wrote it there?",
              .formula =
                  "lens(l, t) = log p(target) by the last norm and the unembedding, from the stream behind layer "
                  "l    share(part) = gradient of the logit along the stream, times what the part wrote",
              .paper = "nostalgebraist 2020 (interpreting GPT: the logit lens), Elhage et al. 2021 (A mathematical "
                       "framework for transformer circuits)",
              .cost = "1 forward pass, the head once for each layer, 1 forward and backward pass",
              .lies = "Early streams are in no state to be read by the head. A share is direct: what a head does "
                      "through later layers is not in it, and a part that raises every logit alike has a large share "
                      "of each (`--contrast`)."},
};
