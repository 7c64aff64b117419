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

/* [D] to [D] += the mean over key tokens; false: none has a counterpart. */
static bool add_keys(double *to, const MediateWork *work, const float *clean, const float *spoilt, int64_t width) {
    const MediatePair *pair = work->pair;
    int32_t n = 0;
    for (int32_t k = 0; k < pair->n_keys; k++) {
        n += alignment_source(&pair->pair.alignment, pair->keys[k]) >= 0;
    }
    for (int32_t k = 0; k < pair->n_keys; k++) {
        int64_t row = pair->keys[k], source = alignment_source(&pair->pair.alignment, pair->keys[k]);
        for (int64_t i = 0; source >= 0 && i < width; i++) {
            to[i] += ((double)clean[source * width + i] - (double)spoilt[row * width + i]) / n;
        }
    }
    return n > 0;
}

limn_status mediate_add_directions(MediateWork *work, CleanRun *spoilt) {
    Mediate *mediate = work->mediate;
    bool any = false;
    for (int32_t s = 0; mediate->values.path != NULL && s < mediate->n_sites; s++) {
        MediateSite *site = &mediate->sites[s];
        for (int32_t layer = mediate->layer_begin; !site->site->heads && layer < mediate->layer_end; layer++) {
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
            any = add_keys(site->directions + layer * width, work, donor->values, values, width);
        }
    }
    mediate->n_directions += any;
    return LIMN_OK;
}

limn_status mediate_keep_directions(Mediate *mediate) {
    for (int32_t s = 0; s < mediate->n_sites; s++) {
        const MediateSite *site = &mediate->sites[s];
        for (int32_t layer = mediate->layer_begin;
             mediate->n_directions > 0 && site->directions != NULL && layer < mediate->layer_end; layer++) {
            double *row = site->directions + layer * site->direction_width;
            for (int64_t i = 0; i < site->direction_width; i++) {
                row[i] /= mediate->n_directions;
            }
            const int64_t shape[] = {1, site->direction_width};
            char name[80];
            snprintf(name, sizeof name, "blocks.%d.%s", (int)layer, site->site->hook);
            TRY(values_file_add(&mediate->values, name, row, 2, shape));
        }
    }
    return LIMN_OK;
}

void mediate_free_directions(Mediate *mediate) {
    for (int32_t s = 0; s < mediate->n_sites; s++) {
        free(mediate->sites[s].directions);
    }
}
