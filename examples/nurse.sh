#!/bin/sh
# Does the model think that a nurse is a woman? "The nurse said that" goes on with " she" far more often than " he".
# Change the jobs, or the pronouns, and look again.
. "$(dirname "$0")/common.sh"

echo "1. Pronouns after a job:"
for job in nurse doctor teacher mechanic; do
    for pronoun in ' she' ' he' ' they'; do
        printf '%-28s %-6s' "The $job said that" "$pronoun"
        probability "The $job said that" "$pronoun"
    done
done

echo "2. Which word is it? ' she' rather than ' he', word by word:"
"$LIMN" why "$MODEL" -p 'The nurse said that' --target ' she' --contrast ' he'

echo "3. In which layer does the job reach the last word? Switch off attention at the last word, layer by layer:"
for layer in 0 5 10 15 20 25 29; do
    printf '%-10s she' "layer $layer"
    probability 'The nurse said that' ' she' --set "blocks.$layer.hook_attn_out[pos=-1]=zero"
    printf '%-10s  he' "layer $layer"
    probability 'The nurse said that' ' he' --set "blocks.$layer.hook_attn_out[pos=-1]=zero"
done
