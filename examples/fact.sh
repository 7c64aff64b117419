#!/bin/sh
# A fact: why does "The capital of France is" go on with " Paris"?
. "$(dirname "$0")/common.sh"

echo "1. What would the model say?"
"$LIMN" run "$MODEL" -p 'The capital of France is' --top 5

echo "2. Which words made it say so? Each is exchanged for others that fit:"
"$LIMN" why "$MODEL" -p 'The capital of France is' --target ' Paris'

echo "3. Change a word, and the fact changes with it:"
for country in France Germany Italy Spain; do
    for city in ' Paris' ' Berlin' ' Rome' ' Madrid'; do
        printf '%-28s %-8s' "The capital of $country is" "$city"
        probability "The capital of $country is" "$city"
    done
done

echo "4. Take the word away inside the network instead (its embedding becomes zero):"
printf '%-28s %-8s' 'France -> nothing' ' Paris'
probability 'The capital of France is' ' Paris' --set 'hook_embed[pos=3]=zero'
