/* Random directions that vary as a site's values do: a draw from the normal distribution with their covariance is
 *
 *     v = sum_i g_i (x_i - mean)      g_i independent, standard normal
 *
 * over the rows x_i of the site, so the covariance itself is never made. Directions of one draw are made orthonormal
 * (edits of several directions erase their span). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "method/causal/surgery.h"

enum { RECORDS_MAX = 256, PROMPT_MAX = 4096 };

/* The sums of one cut. */
typedef struct Sums {
    const Cut *cut;
    int32_t vectors;  /* draws x rank */
    int64_t width;    /* of a direction: the row, or one head */
    double *weighted; /* [vectors, width] sum g x */
    double *weights;  /* [vectors] sum g */
    double *mean;     /* [width] sum x */
    int64_t n;
} Sums;

typedef struct Drawing {
    Surgery *surgery;
    Sums *sums;   /* [n_cuts], vectors 0: no directions */
    NodeId *taps; /* [n_taps] */
    int32_t n_taps;
    int32_t records;
    Random random;
    Arena *arena;
} Drawing;

static void add_value(Sums *sums, const float *x, Random *random) {
    for (int32_t v = 0; v < sums->vectors; v++) {
        double g = random_normal(random), *to = sums->weighted + (int64_t)v * sums->width;
        sums->weights[v] += g;
        for (int64_t i = 0; i < sums->width; i++) {
            to[i] += g * (double)x[i];
        }
    }
    for (int64_t i = 0; i < sums->width; i++) {
        sums->mean[i] += (double)x[i];
    }
    sums->n++;
}

static void add_rows(Sums *sums, const float *values, int32_t rows, int64_t row_width, Random *random) {
    const SiteEdit *edit = sums->cut->edit;
    for (int32_t t = 0; t < rows; t++) {
        const float *row = values + t * row_width;
        if (edit->head != EDIT_ALL) {
            add_value(sums, row + edit->head * sums->width, random);
        } else {
            for (int64_t at = 0; at + sums->width <= row_width; at += sums->width) {
                add_value(sums, row + at, random);
            }
        }
    }
}

static limn_status add_prompt(Drawing *drawing, Text prompt) {
    Surgery *surgery = drawing->surgery;
    Encoding encoding = {0};
    TRY(tokenizer_encode(&encoding, surgery->model->tokenizer, prompt.bytes, prompt.length, NULL, 0, &surgery->encode));
    int32_t n = encoding.n < PROMPT_MAX ? encoding.n : PROMPT_MAX;
    int32_t *ids = ARENA_ARRAY(drawing->arena, int32_t, n + 1);
    for (int32_t i = 0; ids != NULL && i < n; i++) {
        ids[i] = encoding.tokens[i].id;
    }
    encoding_free(&encoding);
    if (ids == NULL) {
        return method_no_memory(surgery->call);
    }
    const SequenceInput sequence = {.ids = ids, .n = n};
    const RunRequest request = {
        .sequences = &sequence, .n_sequences = 1, .taps = drawing->taps, .n_taps = drawing->n_taps};
    TRY(n > 0 ? engine_run(surgery->engine, &request, surgery->call->progress) : LIMN_OK);
    for (int32_t c = 0; c < surgery->plan.n && n > 0; c++) {
        Sums *sums = &drawing->sums[c];
        if (sums->vectors > 0) {
            int32_t rows;
            int64_t width;
            const float *values = engine_tap(surgery->engine, sums->cut->edit->node, &rows, &width);
            add_rows(sums, values, rows, width, &drawing->random);
        }
    }
    drawing->records++;
    return LIMN_OK;
}

static limn_status take_window(void *context, const Text *prompts, const int64_t *records, int32_t n) {
    (void)records;
    Drawing *drawing = context;
    for (int32_t i = 0; i < n && drawing->records < RECORDS_MAX; i++) {
        TRY(add_prompt(drawing, prompts[i]));
    }
    return LIMN_OK;
}

static limn_status prepare(Drawing *drawing) {
    Surgery *surgery = drawing->surgery;
    Arena *arena = surgery->call->arena;
    int32_t n = surgery->plan.n, draws = (int32_t)surgery->params->draws;
    drawing->sums = ARENA_ARRAY(drawing->arena, Sums, n + 1);
    drawing->taps = ARENA_ARRAY(drawing->arena, NodeId, n + 1);
    surgery->directions = (Directions){ARENA_ARRAY(arena, float *, n + 1), draws};
    if (drawing->sums == NULL || drawing->taps == NULL || surgery->directions.drawn == NULL) {
        return method_no_memory(surgery->call);
    }
    for (int32_t c = 0; c < n; c++) {
        const Cut *cut = &surgery->cuts[c];
        if (cut->kind != CUT_DIRECTION) {
            continue;
        }
        bool heads = cut->edit->map_per_head || cut->edit->head != EDIT_ALL;
        Sums *sums = &drawing->sums[c];
        *sums = (Sums){.cut = cut,
                       .vectors = draws * cut->edit->rank,
                       .width = heads ? cut->edit->shape->dims[1] : row_shape_width(cut->edit->shape, 0)};
        sums->weighted = ARENA_ARRAY(drawing->arena, double, sums->vectors * sums->width);
        sums->weights = ARENA_ARRAY(drawing->arena, double, sums->vectors);
        sums->mean = ARENA_ARRAY(drawing->arena, double, sums->width);
        surgery->directions.drawn[c] = ARENA_ARRAY(arena, float, sums->vectors * sums->width);
        if (sums->weighted == NULL || sums->weights == NULL || sums->mean == NULL ||
            surgery->directions.drawn[c] == NULL) {
            return method_no_memory(surgery->call);
        }
        bool there = false;
        for (int32_t t = 0; t < drawing->n_taps; t++) {
            there = there || drawing->taps[t] == cut->edit->node;
        }
        drawing->taps[drawing->n_taps] = cut->edit->node;
        drawing->n_taps += !there;
    }
    return LIMN_OK;
}

/* v less its parts along the rows before it, to length 1; 0 where nothing is left. */
static void make_orthonormal(double *v, const double *before, int32_t n_before, int64_t width) {
    for (int pass = 0; pass < 2; pass++) {
        for (int32_t k = 0; k < n_before; k++) {
            double part = 0;
            for (int64_t i = 0; i < width; i++) {
                part += v[i] * before[k * width + i];
            }
            for (int64_t i = 0; i < width; i++) {
                v[i] -= part * before[k * width + i];
            }
        }
    }
    double length = 0;
    for (int64_t i = 0; i < width; i++) {
        length += v[i] * v[i];
    }
    for (int64_t i = 0; i < width; i++) {
        v[i] = length > 0 ? v[i] / sqrt(length) : 0;
    }
}

static void finish(const Sums *sums, float *drawn) {
    int32_t rank = sums->cut->edit->rank;
    for (int32_t v = 0; v < sums->vectors; v++) {
        double *x = sums->weighted + (int64_t)v * sums->width;
        for (int64_t i = 0; i < sums->width; i++) {
            x[i] -= sums->weights[v] * sums->mean[i] / (double)sums->n;
        }
        int32_t n_before = v % rank;
        make_orthonormal(x, x - n_before * sums->width, n_before, sums->width);
        for (int64_t i = 0; i < sums->width; i++) {
            drawn[(int64_t)v * sums->width + i] = (float)x[i];
        }
    }
}

static limn_status draw(Drawing *drawing) {
    Surgery *surgery = drawing->surgery;
    TRY(prepare(drawing));
    if (drawing->n_taps == 0) {
        return LIMN_OK;
    }
    TRY(model_need_tokenizer(surgery->model, "so no directions can be drawn"));
    TRY(surgery_each_window(surgery, HALF_JUDGE, take_window, drawing));
    for (int32_t c = 0; c < surgery->plan.n; c++) {
        if (drawing->sums[c].vectors > 0 && drawing->sums[c].n > 0) {
            finish(&drawing->sums[c], surgery->directions.drawn[c]);
        }
    }
    return LIMN_OK;
}

limn_status surgery_draw_directions(Surgery *surgery) {
    Arena arena;
    arena_init(&arena);
    Drawing drawing = {.surgery = surgery, .arena = &arena};
    random_seed(&drawing.random, (uint64_t)surgery->call->common.seed ^ 0x4449ULL);
    limn_status status = draw(&drawing);
    arena_free(&arena);
    return status;
}
