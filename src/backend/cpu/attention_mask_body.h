/* Which keys of a tile of attention a lane sees. */

/* score, or -infinity where the lane does not see the key */
static inline V SIMD(mask)(const AttentionTile *tile, V score, int64_t key, int64_t lane) {
    V hidden = v_set(-__builtin_inff());
    if (tile->is_key != NULL && !tile->is_key[key]) {
        return hidden;
    }
    V place = v_set((float)(tile->first_key + key));
    score = v_if_less(v_load(tile->last_key + lane), place, hidden, score);
    return v_if_less(place, v_load(tile->least_key + lane), hidden, score);
}
