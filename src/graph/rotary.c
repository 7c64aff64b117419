/* Frequencies of rotary embeddings, where they depend on the length of a text. */
#include <math.h>

#include "graph/graph.h"

float rotary_frequency(const OpAttributes *attributes, int64_t n, int64_t pair) {
    if (attributes->rotary_original == 0 || n <= attributes->rotary_original) {
        return attributes->inverse_freq[pair];
    }
    if (attributes->rotary_long != NULL) {
        return attributes->rotary_long[pair];
    }
    float dims = (float)attributes->rotary_dims, stretch = attributes->rotary_stretch;
    float longer = stretch * (float)n / (float)attributes->rotary_original - (stretch - 1.0f);
    float theta = attributes->rotary_theta * powf(longer, dims / (dims - 2.0f));
    return 1.0f / powf(theta, (float)(2 * pair) / dims);
}
