#!/usr/bin/env python3
"""Writes tests/text/golden/tokenizers.json: small tokenizers and what the reference makes of a few texts.

Usage: make_golden.py > tests/text/golden/tokenizers.json   (needs `tokenizers` and `sentencepiece`)
Each case: the tokenizer (JSON, or a SentencePiece model in base64), options for encode, and texts in hex with rows
of [id, begin, end, type id] and the text decoded without special tokens. SentencePiece cases have no offsets.
"""
import base64
import json
import os
import sys
import tempfile

import tokenizers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import random_strings as R

TEXTS = ["Hello the World's  best 12345 things, don't you think?\n\n  I'LL see", '', ' ', '\t \u3000\u00a0x',
         'naïve cafe\u0301 a\u0323\u0302 ä\u0327 \u1112\u1161\u11ab ﬁ ① ㎏ Å', '世界the世 界和平 中文。', '👨‍👩‍👧‍👦 👍🏽 🇩🇪 ❤️ z',
         'é  the don  ingthe<s>[CLS]<unk>', 'a\x00b\x01\x7f\ufffd\u200b\ufeffc', '▁▁a ▁b', 'ababababa the then thin']
BROKEN = [b'a\xff\xe4\xbdb\xf0\x9f\x98', b'\xed\xa0\x80 \xc0\xaf the']


def rule_file(folder):
    """Normalisation rules for SentencePiece: code points in hex, replaced by others."""
    path = os.path.join(folder, 'rules.tsv')
    rules = [('FB01', '66 69'), ('2460', '31'), ('41 30A', 'C5'), ('65 301', 'E9'), ('200B', ''), ('7F', ''),
             ('3000', '20'), ('338F', '6B 67'), ('3', '20'), ('9', '20'), ('A', '20')]
    with open(path, 'w') as file:
        file.writelines('%s\t%s\n' % rule for rule in rules)
    return path


def train(folder, name, **settings):
    import sentencepiece
    corpus, prefix = os.path.join(folder, 'corpus.txt'), os.path.join(folder, name)
    with open(corpus, 'w', encoding='utf-8') as file:
        for i in range(400):
            file.write(' '.join(['the world', 'hello', 'then', 'things %d' % i, 'think', '世界 和平', 'café', 'naïve'][:i % 8 + 1])
                       + '\n')
    sentencepiece.SentencePieceTrainer.train(input=corpus, model_prefix=prefix, minloglevel=2, hard_vocab_limit=False,
                                             normalization_rule_tsv=rule_file(folder), **settings)
    return prefix + '.model'


def charsmap(path):
    """ModelProto.normalizer_spec (field 3) .precompiled_charsmap (field 2)."""
    def fields(data):
        at = 0

        def varint():
            nonlocal at
            value = shift = 0
            while True:
                byte = data[at]
                at += 1
                value |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    return value
        while at < len(data):
            tag = varint()
            if tag & 7 == 2:
                n = varint()
                at += n
                yield tag >> 3, data[at - n:at]
            elif tag & 7 == 0:
                yield tag >> 3, varint()
            else:
                at += 4 if tag & 7 == 5 else 8
    with open(path, 'rb') as file:
        spec = dict(fields(file.read()))[3]
    return dict(fields(spec))[2]


def entry(reference, raws, offsets):
    rows = reference.rows(raws)
    result = {'hex': [raw.hex() for raw in raws], 'rows': [list(row) if offsets else [row[0]] for row in rows],
              'decoded': reference.decode([row[0] for row in rows])}
    return result


def case(name, reference, options, **where):
    raws = [(text.encode(),) for text in TEXTS] + [(raw,) for raw in BROKEN]
    entries = [entry(reference, raw, reference.offsets) for raw in raws
               if not (reference.offsets and reference.offsets_slip(raw[0]))]
    if reference.offsets:
        entries.append(entry(reference, (TEXTS[0].encode(), TEXTS[5].encode()), True))
    return dict(name=name, options=options, texts=entries, **where)


def whole_tokenizers(folder):
    """One small tokenizer of each family, with everything such a file has."""
    byte_chars = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [('Ġ', 't'), ('h', 'e'), ('Ġt', 'he'), ('i', 'n'), ('l', 'l'), ('Ġ', 'Ġ'), ('1', '2'), ('ä', '¸'),
              ('ä¸', 'ĸ')]
    pieces = byte_chars + [a + b for a, b in merges] + ['<s>', '</s>', '<mask>', '<unk>']
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    N, P, D, A = normalizers, pre_tokenizers, decoders, tokenizers.AddedToken
    roberta = Tokenizer(models.BPE(vocabulary, merges))
    roberta.pre_tokenizer, roberta.decoder = P.ByteLevel(False), D.ByteLevel()
    roberta.add_special_tokens(['<s>', '</s>', A('<mask>', lstrip=True), '<unk>'])
    roberta.post_processor = processors.RobertaProcessing(('</s>', vocabulary['</s>']), ('<s>', vocabulary['<s>']))
    yield 'roberta', roberta

    llama3 = Tokenizer(models.BPE(vocabulary, merges, ignore_merges=True))
    llama3.pre_tokenizer = P.Sequence([P.Split(tokenizers.Regex(
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
        r"\s+(?!\S)|\s+"), 'isolated'), P.ByteLevel(False, use_regex=False)])
    llama3.decoder = D.ByteLevel()
    llama3.add_special_tokens(['<s>', '</s>'])
    llama3.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), processors.TemplateProcessing(
        '<s> $A', '<s> $A <s>:1 $B:1', [('<s>', vocabulary['<s>'])])])
    yield 'llama3', llama3

    words = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'the', 'hello', 'world', 'cafe', 'na', '##ive', 'th',
             '##in', '##k', '##g', '##s', 'best', "'", '?', ',', '世', '界', '1', '##2', '##3', 's', 'a', '##b', 'z']
    bert = Tokenizer(models.WordPiece({w: i for i, w in enumerate(words)}, unk_token='[UNK]'))
    bert.normalizer, bert.pre_tokenizer = N.BertNormalizer(), P.BertPreTokenizer()
    bert.decoder = D.WordPiece()
    bert.add_special_tokens(words[:5])
    bert.post_processor = processors.BertProcessing(('[SEP]', 3), ('[CLS]', 2))
    yield 'bert', bert

    sp = ['<unk>', '<s>', '</s>'] + ['<0x%02X>' % b for b in range(256)] + ['▁', *'abdehilnostw'] + [
        '▁t', 'he', '▁the', 'in', '▁▁', 'll']
    spm = [('▁', 't'), ('h', 'e'), ('▁t', 'he'), ('i', 'n'), ('▁', '▁'), ('l', 'l')]
    llama = Tokenizer(models.BPE({p: i for i, p in enumerate(sp)}, spm, unk_token='<unk>', fuse_unk=True,
                                 byte_fallback=True))
    llama.normalizer = N.Sequence([N.Prepend('▁'), N.Replace(' ', '▁')])
    llama.decoder = D.Sequence([D.Replace('▁', ' '), D.ByteFallback(), D.Fuse(), D.Strip(' ', 1, 0)])
    llama.add_special_tokens([A('<unk>', normalized=True), A('<s>', normalized=True), A('</s>', normalized=True)])
    llama.post_processor = processors.TemplateProcessing('<s> $A', '<s> $A <s>:1 $B:1', [('<s>', 1)])
    yield 'llama2', llama

    t5 = Tokenizer(R.small_unigram(False)())
    t5.normalizer = N.Precompiled(charsmap(train(folder, 'rules', model_type='bpe', vocab_size=60)))
    t5.pre_tokenizer = P.Sequence([P.WhitespaceSplit(), P.Metaspace()])
    t5.decoder = D.Metaspace()
    t5.add_special_tokens(['<unk>', '</s>'])
    t5.post_processor = processors.TemplateProcessing('$A </s>', '$A </s> $B </s>', [('</s>', t5.token_to_id('</s>'))])
    yield 't5', t5


def main():
    cases = []
    with tempfile.TemporaryDirectory() as folder:
        run = R.Run(folder)
        for name, make in R.component_cases().items():
            path, reference, options = make(run)
            with open(path, encoding='utf-8') as file:
                cases.append(case(name, reference, options, tokenizer=json.load(file)))
        pieces, _ = R.split_rules.vocabulary(TEXTS, 420)
        path = os.path.join(folder, 'tekken.json')
        R.write_tekken(path, pieces, R.split_rules.TEKKEN)
        with open(path, encoding='utf-8') as file:
            cases.append(case('tekken', R.tekken_reference(path), ['no-special'], tokenizer=json.load(file)))
        for name, tokenizer in whole_tokenizers(folder):
            text = tokenizer.to_str()
            cases.append(case(name, R.HuggingFace(Tokenizer.from_str(text)), [], tokenizer=json.loads(text)))
        for name, settings in (('unigram', dict(model_type='unigram', vocab_size=70)),
                               ('unigram-bytes', dict(model_type='unigram', vocab_size=330, byte_fallback=True,
                                                      user_defined_symbols=['the', '  '])),
                               ('bpe', dict(model_type='bpe', vocab_size=70, user_defined_symbols=['世界'])),
                               ('bpe-bytes', dict(model_type='bpe', vocab_size=330, byte_fallback=True,
                                                  add_dummy_prefix=False, remove_extra_whitespaces=False))):
            path = train(folder, name, **settings)
            with open(path, 'rb') as file:
                model = base64.b64encode(file.read()).decode()
            cases.append(case('sentencepiece-' + name, R.SentencePiece(path), ['no-special', 'plain'], model=model))
    lines = ',\n'.join(json.dumps(c, ensure_ascii=True, separators=(',', ':')) for c in cases)
    print('{"made_with":"tokenizers %s","cases":[\n%s\n]}' % (tokenizers.__version__, lines))


if __name__ == '__main__':
    main()
