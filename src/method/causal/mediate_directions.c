/* What the key words write at each layer: with --values, the direction
 *
 *     d = mean over units and key tokens of (value in the run as it is - value in the spoilt run)
 *
 * of each site and layer (difference in means; Marks and Tegmark 2023, 2310.06824), under the site's name as one row,
 * so that `limn surgery --set SITE=erase:FILE:SITE` can remove what the mediator carries and show whether the answer
 * needs it. Key tokens without a counterpart have no part in it. Sites of heads have none: their rows are not of one
 * part. */
#include <stdio.h>
#include <stdlib.h>

#include "method/causal/mediate_work.h"

static int32_t keys_with_counterpart(const MediatePair *pair) {
    int32_t n = 0;
    for (int32_t k = 0; k < pair->n_keys; k++) {
        n += alignment_source(&pair->pair.alignment, pair->keys[k]) >= 0;
    }
    return n;
}

/* to: [width] += the mean over the n key tokens that have a counterpart. */
static void add_keys(double *to, const MediatePair *pair, int32_t n, const float *clean, const float *spoilt,
                     int64_t width) {
    for (int32_t k = 0; k < pair->n_keys; k++) {
        int64_t row = pair->keys[k], source = alignment_source(&pair->pair.alignment, pair->keys[k]);
        for (int64_t i = 0; source >= 0 && i < width; i++) {
            to[i] += ((double)clean[source * width + i] - (double)spoilt[row * width + i]) / n;
        }
    }
}

static limn_status add_site(const MediateWork *work, int32_t s, int32_t n, CleanRun *spoilt) {
    const Mediate *mediate = work->mediate;
    MediateSite *site = &work->mediate->sites[s];
    for (int32_t layer = mediate->layer_begin; layer < mediate->layer_end; layer++) {
        const Donor *donor = &work->donors[s][layer];
        const float *values;
        int64_t width;
        TRY(clean_run_value(spoilt, mediate->engine, donor->node, &values, &width, work->call->progress));
        if (site->directions == NULL) {
            site->direction_width = width;
            site->directions = calloc((size_t)(mediate->model->config.n_layers * width), sizeof(double));
        }
        if (site->directions == NULL) {
            return method_no_memory(work->call);
        }
        add_keys(site->directions + layer * width, work->pair, n, donor->values, values, width);
    }
    return LIMN_OK;
}

limn_status mediate_add_directions(MediateWork *work, CleanRun *spoilt) {
    Mediate *mediate = work->mediate;
    int32_t n = mediate->values.path != NULL ? keys_with_counterpart(work->pair) : 0;
    for (int32_t s = 0; n > 0 && s < mediate->n_sites; s++) {
        TRY(mediate->sites[s].site->heads ? LIMN_OK : add_site(work, s, n, spoilt));
    }
    mediate->n_directions += n > 0;
    return LIMN_OK;
}

static limn_status keep_layer(Mediate *mediate, const MediateSite *site, int32_t layer) {
    double *row = site->directions + layer * site->direction_width;
    for (int64_t i = 0; i < site->direction_width; i++) {
        row[i] /= mediate->n_directions;
    }
    const int64_t shape[] = {1, site->direction_width};
    char name[80];
    snprintf(name, sizeof name, "blocks.%d.%s", (int)layer, site->site->hook);
    return values_file_add(&mediate->values, name, row, 2, shape);
}

limn_status mediate_keep_directions(Mediate *mediate) {
    for (int32_t s = 0; s < mediate->n_sites; s++) {
        const MediateSite *site = &mediate->sites[s];
        int32_t end = site->directions != NULL ? mediate->layer_end : 0;
        for (int32_t layer = mediate->layer_begin; layer < end; layer++) {
            TRY(keep_layer(mediate, site, layer));
        }
    }
    return LIMN_OK;
}

void mediate_free_directions(Mediate *mediate) {
    for (int32_t s = 0; s < mediate->n_sites; s++) {
        free(mediate->sites[s].directions);
    }
}
