#!/bin/sh
# Who gets the drink? "When Mary and John went to the store, John gave a drink to" goes on with " Mary", not " John".
# Which attention heads carry that? Switch each head of a layer off and look.
# LAYERS="8 9 10" examples/indirect_object.sh looks at other layers.
. "$(dirname "$0")/common.sh"
prompt='When Mary and John went to the store, John gave a drink to'

echo "1. Why ' Mary' rather than ' John'?"
"$LIMN" why "$MODEL" -p "$prompt" --target ' Mary' --contrast ' John'

echo "2. ' Mary' with everything in place, and with one head at a time switched off at the last word:"
printf '%-20s' 'everything'
probability "$prompt" ' Mary'
for layer in ${LAYERS:-16 20 24}; do
    for head in 0 1 2 3 4 5 6 7 8; do
        printf '%-20s' "layer $layer, head $head"
        probability "$prompt" ' Mary' --set "blocks.$layer.attn.hook_z[pos=-1,head=$head]=zero"
    done
done
