# A result asked for in Chinese speaks Chinese: titles, notes, checks, warnings and names of columns, of every command.
. "$(dirname "$0")/expect.sh"
letters_model
words="$work/words"

# What stands in quotes or backticks is the model's or a command; small letters of a row of four are English, but for
# names that are the same in both languages.
same='limn|llama|data|samples|jsonl|brier|logit|softmax|bootstrap|[Kk]endall|[Ss]pearman|Wilson|Fisher|Mc[A-Z]emar|Nemar|Tango|Brier|Kernel|byte|level|ratio|impact|harness|(resid|attn|mlp|hook|ln)_[a-z_]*|blocks|embed|attn|gate|letters|LlamaForCausal|grad|shap|samp|les|message|content|begin|share|changed|loss|lm'
speaks_chinese() {
    limn "$@" --language zh
    [ "$code" -le 1 ] || [ "$code" -eq 4 ] || problem "exit code $code: $*"
    sed -e 's/`[^`]*`//g' -e 's/“[^”]*”//g' -e 's/"[^"]*"//g' -e "s#[^ ]*/[^ ]*##g" "$out" "$err" | grep -oE '[A-Za-z_]*[a-z]{4,}[a-z_]*' |
        grep -vxE "$same" >"$words" && problem "English in '$*': $(sort -u "$words" | tr '\n' ' ')"
    return 0
}

speaks_chinese info "$letters"
speaks_chinese tokenize "$letters" --text 'a cab'
speaks_chinese sites "$letters"
speaks_chinese run "$letters" -p 'a cab' --target d
speaks_chinese run "$letters" -p 'a cab' --estimate
speaks_chinese generate "$letters" -p abc --max-tokens 3
speaks_chinese ig "$letters" -p 'a cab' --target d
speaks_chinese ig "$letters" -p 'a cab' --target d --baseline token:a --baseline mean --matrix --steps 4
speaks_chinese grad "$letters" -p 'a cab' --target d
speaks_chinese grad "$letters" -p 'a cab' --target d --kind norm --metric nll
speaks_chinese lrp "$letters" -p 'a cab' --target d
speaks_chinese rollout "$letters" -p 'a cab' --target d
speaks_chinese attention "$letters" -p 'a cab a cab'
speaks_chinese ablate "$letters" -p 'a cab' --target d
speaks_chinese ablate "$letters" -p 'a cab' --target d --estimate
speaks_chinese lens "$letters" -p 'a cab' --target d
speaks_chinese shap "$letters" -p 'a cab' --target d --samples 20
speaks_chinese lime "$letters" -p 'a cab' --target d --samples 20 --repeats 2
speaks_chinese compare methods "$letters" -p 'a cab de' --target d --methods grad,lrp,shap:samples=20 --sets 4
speaks_chinese compare methods "$letters" -p 'a cab de' --target d --methods grad,lrp --draws 0 --rationale cab
speaks_chinese causal-grad "$letters" -p 'a cab' --corrupt 'a dab' --target d
speaks_chinese patch "$letters" -p 'a cab' --corrupt 'a dab' --target d
speaks_chinese patch "$letters" -p 'a cab' --corrupt 'a dab' --target d --estimate
speaks_chinese mediate "$letters" -p 'a cab' --subject c --target d --samples 6
speaks_chinese why "$letters" -p 'a cab is red' --target d
speaks_chinese why "$letters" -p 'a cab is red' --target d --contrast e --methods grad,lrp
speaks_chinese replace "$letters" -p 'a cab is red' --target d --pairs
speaks_chinese reasons "$letters" -p 'a cab is red' --target d
printf '{"text": "a cab", "l": "d", "g": "x"}\n{"text": "ab", "l": "f", "g": "y"}\n{"text": "", "l": "d", "g": "x"}\n' >"$work/data.jsonl"
speaks_chinese predict "$letters" "$work/data.jsonl" --prompt-field text --choices d,f --limit 2 --at-least share:d=0
speaks_chinese predict "$letters" "$work/data.jsonl" --prompt-field text --choices d,f --label-field l --group-field g \
    --where 'text != ""' --decisions "$work/d.jsonl"
sed 's/"pred": "[df]"/"pred": "f"/' "$work/d.jsonl" >"$work/e.jsonl"
speaks_chinese compare decisions "$work/d.jsonl" "$work/e.jsonl" --at-most changed=1
speaks_chinese diff "$letters" "$golden/adapters/layers/merged"
speaks_chinese diff "$letters" "$golden/adapters/layers/merged" --ids 1,2,3
finish
