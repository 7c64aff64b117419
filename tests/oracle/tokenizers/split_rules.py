"""How published byte-level tokenizers cut text: each rule as the model's own tokenizer.json states it, and the names
that GGUF files give it (tokenizer.ggml.pre). Cases for random_strings.py and make_golden.py: for each rule a
tokenizer.json, and for each GGUF name a GGUF file, both with a vocabulary whose merges pass over every cut, so that a
cut in another place gives other tokens."""
import json
import os

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

P = pre_tokenizers


def split(pattern, behaviour='isolated'):
    return P.Split(Regex(pattern), behaviour)


def bytes_only():
    return P.ByteLevel(add_prefix_space=False, use_regex=False)


def gpt2():
    return P.ByteLevel(add_prefix_space=False, use_regex=True)


LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
          r"\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace('{1,3}', '')
QWEN35 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|"
          r"\s*[\r\n]+|\s+(?!\S)|\s+")
SEED = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|"
        r"\s+(?!\S)|\s+")
BAILING = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|"
           r"\s+(?!\S)|\s+")
CL100K = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|"
          r"\s+(?!\S)|\s+")
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
TEKKEN = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|"
          r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|"
          r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
KIMI = (r"[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+"
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+"
        r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
        r"\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK3 = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|"
             r" ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK_LETTERS = (
    r"\s?[\x{41}-\x{5a}\x{61}-\x{7a}\x{b5}\x{c0}-\x{d6}\x{d8}-\x{f6}\x{f8}-\x{1ba}\x{1bc}-\x{1bf}\x{1c4}-"
    r"\x{293}\x{295}-\x{2af}\x{370}-\x{373}\x{376}\x{377}\x{37b}-\x{37d}\x{37f}\x{386}\x{388}-\x{38a}\x{38c}"
    r"\x{38e}-\x{3a1}\x{3a3}-\x{3f5}\x{3f7}-\x{481}\x{48a}-\x{52f}\x{531}-\x{556}\x{10a0}-\x{10c5}\x{13a0}-"
    r"\x{13f5}\x{13f8}-\x{13fd}\x{1c90}-\x{1cba}\x{1cbd}-\x{1cbf}\x{1d00}-\x{1d2b}\x{1d6b}-\x{1d77}\x{1d79}-"
    r"\x{1d9a}\x{1e00}-\x{1f15}\x{1f18}-\x{1f1d}\x{1f20}-\x{1f45}\x{1f48}-\x{1f4d}\x{1f50}-\x{1f57}\x{1f59}"
    r"\x{1f5b}\x{1f5d}\x{1f5f}-\x{1f7d}\x{1f80}-\x{1fb4}\x{1fb6}-\x{1fbc}\x{1fbe}\x{1fc2}-\x{1fc4}\x{1fc6}-"
    r"\x{1fcc}\x{1fd0}-\x{1fd3}\x{1fd6}-\x{1fdb}\x{1fe0}-\x{1fec}\x{1ff2}-\x{1ff4}\x{1ff6}-\x{1ffc}\x{2102}"
    r"\x{2107}\x{210a}-\x{2113}\x{2115}\x{2119}-\x{211d}\x{2124}\x{2126}\x{2128}\x{212a}-\x{212d}\x{212f}-"
    r"\x{2134}\x{2139}\x{213c}-\x{213f}\x{2145}-\x{2149}\x{214e}\x{2183}\x{2184}\x{2c00}-\x{2c7b}\x{2c7e}-"
    r"\x{2ce4}\x{2ceb}-\x{2cee}\x{2cf2}\x{2cf3}\x{a640}-\x{a66d}\x{a680}-\x{a69b}\x{a722}-\x{a76f}\x{a771}-"
    r"\x{a787}\x{a78b}-\x{a78e}\x{ab70}-\x{abbf}\x{fb00}-\x{fb06}\x{fb13}-\x{fb17}\x{ff21}-\x{ff3a}\x{ff41}-"
    r"\x{ff5a}\x{10400}-\x{1044f}\x{104b0}-\x{104d3}\x{104d8}-\x{104fb}\x{10c80}-\x{10cb2}\x{10cc0}-\x{10cf2}"
    r"\x{118a0}-\x{118df}\x{1e900}-\x{1e943}]+")
CJK = '[一-龥ࠀ-一가-퟿]+'
BLOOM = r' ?[^(\s|[.,!?…。，、।۔،])]+'

# name: (parts, NFC first, GGUF names)
RULES = {
    'gpt2': (lambda: [gpt2()], False, ['gpt-2', 'exaone4', 'trillion']),
    'starcoder': (lambda: [P.Digits(True), gpt2()], False, ['starcoder', 'refact', 'smollm', 'minerva-7b']),
    'falcon': (lambda: [P.Punctuation('contiguous'), P.ByteLevel(False, use_regex=True), P.Digits(False),
                        split('[0-9][0-9][0-9]')], False, []),
    'llama3': (lambda: [split(LLAMA3), bytes_only()], False,
               ['llama-bpe', 'falcon3', 'lfm2', 'midm-2.0', 'pixtral', 'glm4', 'chatglm-bpe']),
    'cl100k': (lambda: [split(CL100K), bytes_only()], False, []),
    'o200k': (lambda: [split(O200K), bytes_only()], False, ['gpt-4o', 'llama4']),
    'tekken': (lambda: [split(TEKKEN), bytes_only()], False, ['tekken']),
    'kimi-k2': (lambda: [split(KIMI), bytes_only()], False, ['kimi-k2']),
    'seed': (lambda: [split(SEED), bytes_only()], False, ['seed-coder']),
    'bailing': (lambda: [split(BAILING), bytes_only()], False, ['bailingmoe']),
    'qwen2': (lambda: [split(QWEN2), bytes_only()], True, ['qwen2']),
    'qwen35': (lambda: [split(QWEN35), bytes_only()], True, ['qwen35']),
    'deepseek-v3': (lambda: [split(r'\p{N}{1,3}'), split('[一-龥぀-ゟ゠-ヿ]+'), split(DEEPSEEK3), bytes_only()], False,
                    ['deepseek-v3', 'hunyuan-dense']),
    'deepseek-llm': (lambda: [split(r'[\r\n]'), split(DEEPSEEK_LETTERS), split(r'\s?[!-/:-~！-／：-～‘-‟　-。]+'),
                              split(r'\s+$'), split(CJK), P.Digits(False), bytes_only()], False, ['deepseek-llm']),
    'deepseek-coder': (lambda: [split(r'[\r\n]'), split(r'\s?\p{L}+'), split(r'\s?\p{P}+'), split(CJK), P.Digits(True),
                                bytes_only()], False, ['deepseek-coder']),
    'bloom': (lambda: [split(BLOOM), bytes_only()], False, ['bloom', 'poro-chat']),
    'viking': (lambda: [split(BLOOM), P.Digits(True), bytes_only()], False, ['viking']),
}
# llama.cpp's rule for these names ignores merges that a whole piece makes needless
IGNORES_MERGES = {'llama-bpe', 'falcon3', 'midm-2.0', 'lfm2', 'pixtral', 'tekken'}

cache = {}


def vocabulary(texts, size):
    """Byte-level pieces and merges learnt from whole texts, uncut: they pass over every place where a rule cuts."""
    key = (tuple(texts), size)
    if key not in cache:
        trained = Tokenizer(models.BPE())
        trained.pre_tokenizer = bytes_only()
        trained.train_from_iterator(texts, trainers.BpeTrainer(
            vocab_size=size, min_frequency=1, show_progress=False, special_tokens=['<s>', '<|end|>'],
            initial_alphabet=P.ByteLevel.alphabet()))
        model = json.loads(trained.to_str())['model']
        merges = [tuple(m.split(' ')) if isinstance(m, str) else tuple(m) for m in model['merges']]
        cache[key] = sorted(model['vocab'], key=model['vocab'].get), merges
    return cache[key]


def reference(rule, pieces, merges, ignore_merges=False):
    parts, composes, _ = RULES[rule]
    tokenizer = Tokenizer(models.BPE({p: i for i, p in enumerate(pieces)}, merges, ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = P.Sequence(parts())
    if composes:
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(['<s>', '<|end|>'])
    return tokenizer


def write_gguf(path, pre, pieces, merges):
    import gguf
    writer = gguf.GGUFWriter(path, 'llama')
    writer.add_tokenizer_model('gpt2')
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(pieces)
    writer.add_token_types([3 if piece in ('<s>', '<|end|>') else 1 for piece in pieces])
    writer.add_token_merges([' '.join(merge) for merge in merges])
    writer.add_bos_token_id(pieces.index('<s>'))
    writer.add_eos_token_id(pieces.index('<|end|>'))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()


def all_cases(texts, size):
    """name: (rule, GGUF name or None, pieces, merges, reference)"""
    pieces, merges = vocabulary(texts, size)
    for rule, (_, _, names) in RULES.items():
        yield 'split-' + rule, (rule, None, pieces, merges, reference(rule, pieces, merges))
        for pre in names:
            yield 'gguf-split-' + pre, (rule, pre, pieces, merges, reference(rule, pieces, merges, pre in IGNORES_MERGES))


def save_case(folder, name, pre, pieces, merges, made):
    path = os.path.join(folder, name + ('.gguf' if pre else '.json'))
    if pre:
        write_gguf(path, pre, pieces, merges)
    else:
        made.save(path)
    return path
