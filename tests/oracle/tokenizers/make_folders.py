#!/usr/bin/env python3
"""Writes tests/text/golden/folders.json: tokenizers of several files that do not say the same, and what the reference's
AutoTokenizer makes of a few texts.

Usage: make_folders.py tests/text/golden/folders.json           (needs transformers, sentencepiece, protobuf)
       make_folders.py tests/text/golden/folders.json --agree   (again, with another version: what differs is dropped,
                                                                  what that version cannot open stays)
A case holds its files; {"$base": NAME, "with": {...}} stands for a file of `bases` with other values at its top, and
{"$bytes": BASE64} for a file that is not JSON. `ids` has one list for each text, `decoded` the texts again.
"""
import base64
import json
import os
import sys
import tempfile

os.environ['TRANSFORMERS_VERBOSITY'] = 'critical'
os.environ['HF_HUB_OFFLINE'] = '1'

TEXTS = ['the bank <|tool|>opened', 'a bankrun is $BTC', 'Bank é 中文 run', 'the</s>bank', '</s> the  bank', ' x\n y', '',
         'the [NEW] <|tool|> x[MASK] .', 'bankrun, bankruns "bankrun"', '<s>the<mask> bank', "it is n't , the ' bank . 's"]

WORDS = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'bank', 'Bank', 'run', 'the', 'e', 'é', '中', '文', '中文', 'a', 'is',
         'x', '##s', ',', '.', "'", 'it', 'n', "##'", 't', 's', 'y']


def byte_level():
    from tokenizers import pre_tokenizers
    pieces = ['<s>', '<pad>', '</s>', '<unk>', '<mask>'] + sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [('t', 'h'), ('th', 'e'), ('Ġ', 'the'), ('a', 'n'), ('Ġ', 'b'), ('b', 'an'), ('ban', 'k'), ('Ġ', 'bank'),
              ('r', 'u'), ('ru', 'n'), ('i', 's'), ('Ġ', 'is')]
    pieces += [a + b for a, b in merges]
    return {piece: i for i, piece in enumerate(pieces)}, merges


def bert_json():
    tokens = [{'id': i, 'content': w, 'single_word': False, 'lstrip': False, 'rstrip': False, 'normalized': False,
               'special': True} for i, w in enumerate(WORDS[:5])]
    return {'version': '1.0', 'truncation': None, 'padding': None, 'added_tokens': tokens,
            'normalizer': {'type': 'BertNormalizer', 'clean_text': True, 'handle_chinese_chars': True,
                           'strip_accents': None, 'lowercase': True},
            'pre_tokenizer': {'type': 'BertPreTokenizer'},
            'post_processor': {'type': 'TemplateProcessing',
                               'single': [{'SpecialToken': {'id': '[CLS]', 'type_id': 0}},
                                          {'Sequence': {'id': 'A', 'type_id': 0}},
                                          {'SpecialToken': {'id': '[SEP]', 'type_id': 0}}],
                               'pair': [{'Sequence': {'id': 'A', 'type_id': 0}}, {'Sequence': {'id': 'B', 'type_id': 1}}],
                               'special_tokens': {'[CLS]': {'id': '[CLS]', 'ids': [2], 'tokens': ['[CLS]']},
                                                  '[SEP]': {'id': '[SEP]', 'ids': [3], 'tokens': ['[SEP]']}}},
            'decoder': {'type': 'WordPiece', 'prefix': '##', 'cleanup': True},
            'model': {'type': 'WordPiece', 'unk_token': '[UNK]', 'continuing_subword_prefix': '##',
                      'max_input_chars_per_word': 100, 'vocab': {w: i for i, w in enumerate(WORDS)}}}


def gpt2_json():
    vocabulary, merges = byte_level()
    tokens = [{'id': vocabulary[t], 'content': t, 'single_word': False, 'lstrip': False, 'rstrip': False,
               'normalized': False, 'special': True} for t in ('<s>', '</s>', '<unk>')]
    level = {'type': 'ByteLevel', 'add_prefix_space': False, 'trim_offsets': True, 'use_regex': True}
    return {'version': '1.0', 'truncation': None, 'padding': None, 'added_tokens': tokens, 'normalizer': None,
            'pre_tokenizer': level, 'post_processor': None, 'decoder': dict(level, add_prefix_space=True),
            'model': {'type': 'BPE', 'dropout': None, 'unk_token': None, 'continuing_subword_prefix': None,
                      'end_of_word_suffix': None, 'fuse_unk': False, 'byte_fallback': False, 'ignore_merges': False,
                      'vocab': vocabulary, 'merges': [' '.join(pair) for pair in merges]}}


def sentencepiece(folder):
    import sentencepiece
    corpus = os.path.join(folder, 'corpus.txt')
    with open(corpus, 'w', encoding='utf-8') as file:
        for i in range(300):
            file.write(' '.join(['the bank', 'bank run', 'a bank is', 'the run', 'opened'][:i % 5 + 1]) + '\n')
    sentencepiece.SentencePieceTrainer.train(
        input=corpus, model_prefix=os.path.join(folder, 'spm'), model_type='bpe', vocab_size=290, byte_fallback=True,
        minloglevel=2, hard_vocab_limit=False, normalization_rule_name='identity', remove_extra_whitespaces=False)
    with open(os.path.join(folder, 'spm.model'), 'rb') as file:
        return file.read()


def llama_json(model):
    """What version 4 made of such a model for `legacy`: a mark before each stretch of text."""
    from sentencepiece import SentencePieceProcessor
    processor = SentencePieceProcessor(model_proto=model)
    pieces = [processor.id_to_piece(i) for i in range(processor.get_piece_size())]
    known = {piece: i for i, piece in enumerate(pieces)}
    merges = sorted((known[left + right], left, right) for piece in pieces for k in range(1, len(piece))
                    for left, right in [(piece[:k], piece[k:])] if left in known and right in known)
    tokens = [{'id': i, 'content': t, 'single_word': False, 'lstrip': False, 'rstrip': False, 'normalized': False,
               'special': True} for i, t in enumerate(('<unk>', '<s>', '</s>'))]
    return {'version': '1.0', 'truncation': None, 'padding': None, 'added_tokens': tokens,
            'normalizer': {'type': 'Sequence', 'normalizers': [
                {'type': 'Prepend', 'prepend': '▁'}, {'type': 'Replace', 'pattern': {'String': ' '}, 'content': '▁'}]},
            'pre_tokenizer': None, 'post_processor': {
                'type': 'TemplateProcessing', 'single': [{'SpecialToken': {'id': '<s>', 'type_id': 0}},
                                                         {'Sequence': {'id': 'A', 'type_id': 0}}],
                'pair': [{'Sequence': {'id': 'A', 'type_id': 0}}, {'Sequence': {'id': 'B', 'type_id': 1}}],
                'special_tokens': {'<s>': {'id': '<s>', 'ids': [1], 'tokens': ['<s>']}}},
            'decoder': {'type': 'Sequence', 'decoders': [
                {'type': 'Replace', 'pattern': {'String': '▁'}, 'content': ' '}, {'type': 'ByteFallback'},
                {'type': 'Fuse'}, {'type': 'Strip', 'content': ' ', 'start': 1, 'stop': 0}]},
            'model': {'type': 'BPE', 'dropout': None, 'unk_token': '<unk>', 'continuing_subword_prefix': None,
                      'end_of_word_suffix': None, 'fuse_unk': True, 'byte_fallback': True, 'ignore_merges': False,
                      'vocab': known, 'merges': [left + ' ' + right for _, left, right in merges]}}


def token(content, **flags):
    return dict({'content': content, 'lstrip': False, 'normalized': False, 'rstrip': False, 'single_word': False,
                 'special': True}, **flags)


def cases(bases):
    """name, files"""
    n, g, s = len(WORDS), len(bases['vocab.json']), bases['pieces']
    bert, gpt2, spm = {'$base': 'bert'}, {'$base': 'gpt2'}, {'$base': 'spm'}
    words, vocab, merges = {'$base': 'vocab.txt'}, {'$base': 'vocab.json'}, {'$base': 'merges.txt'}
    lower = dict(bases['bert']['normalizer'])

    def normal(**settings):
        return {'$base': 'bert', 'with': {'normalizer': dict(lower, **settings)}}

    def config(kind, model_type=None, **settings):
        files = {'tokenizer_config.json': dict({'tokenizer_class': kind} if kind else {}, **settings)}
        return dict(files, **({'config.json': {'model_type': model_type}} if model_type else {}))

    # BERT's settings against tokenizer.json's
    yield 'bert-cased', {'tokenizer.json': bert, **config('BertTokenizer', do_lower_case=False)}
    yield 'bert-uncased', {'tokenizer.json': normal(lowercase=False), **config('BertTokenizer', do_lower_case=True)}
    yield 'bert-default', {'tokenizer.json': normal(lowercase=False), **config('BertTokenizerFast')}
    yield 'bert-by-type', {'tokenizer.json': normal(lowercase=False), 'config.json': {'model_type': 'bert'}}
    yield 'bert-accents', {'tokenizer.json': bert, **config('DistilBertTokenizer', strip_accents=False)}
    yield 'bert-accents-off', {'tokenizer.json': normal(strip_accents=False), **config('BertTokenizer')}
    yield 'bert-chinese', {'tokenizer.json': bert, **config('ElectraTokenizer', tokenize_chinese_chars=False)}
    yield 'bert-generic', {'tokenizer.json': bert, **config('PreTrainedTokenizerFast', do_lower_case=False)}
    yield 'bert-other-normaliser', {'tokenizer.json': {'$base': 'bert', 'with': {'normalizer': {'type': 'Lowercase'}}},
                                    **config('PreTrainedTokenizerFast')}
    yield 'bert-words', {'vocab.txt': words, **config('BertTokenizer', do_lower_case=False, strip_accents=True)}
    yield 'bert-words-default', {'vocab.txt': words, 'config.json': {'model_type': 'distilbert'}}
    yield 'bert-words-names', {'vocab.txt': words, **config('BertTokenizer', cls_token='bank', sep_token='[NEW]',
                                                            mask_token='x')}
    yield 'bert-words-added', {'vocab.txt': words, 'added_tokens.json': {'bankrun': n, '$BTC': n + 1},
                               **config('BertTokenizer')}
    yield 'bert-words-map', {'vocab.txt': words, 'added_tokens.json': {'[NEW]': n, '<|tool|>': n + 1},
                             'special_tokens_map.json': {'pad_token': token('[NEW]', lstrip=True),
                                                         'additional_special_tokens': ['<|tool|>']},
                             **config('BertTokenizer')}
    yield 'bert-clean-up', {'tokenizer.json': bert, **config('BertTokenizer', clean_up_tokenization_spaces=True)}

    # a space before the text
    on = {'$base': 'gpt2', 'with': {'pre_tokenizer': dict(bases['gpt2']['pre_tokenizer'], add_prefix_space=True)}}
    names = {'bos_token': '<s>', 'eos_token': '</s>', 'unk_token': '<unk>'}
    for kind in ('GPT2Tokenizer', 'RobertaTokenizer', 'CodeGenTokenizer'):
        ends = {'post_processor': {'type': 'RobertaProcessing', 'sep': ['</s>', 2], 'cls': ['<s>', 0], 'trim_offsets': True,
                                   'add_prefix_space': kind == 'RobertaTokenizer'}} if kind == 'RobertaTokenizer' else {}
        gpt2, on = {'$base': 'gpt2', 'with': ends}, {'$base': 'gpt2', 'with': dict(on['with'], **ends)}
        yield 'prefix-on-' + kind, {'tokenizer.json': gpt2, **config(kind, add_prefix_space=True, **names)}
        yield 'prefix-off-' + kind, {'tokenizer.json': on, **config(kind, add_prefix_space=False, **names)}
        yield 'prefix-default-' + kind, {'tokenizer.json': on, **config(kind, **names)}
    gpt2, on = {'$base': 'gpt2'}, {'$base': 'gpt2', 'with': {'pre_tokenizer': on['with']['pre_tokenizer']}}
    yield 'prefix-by-type', {'tokenizer.json': on, 'config.json': {'model_type': 'gpt2'},
                             'special_tokens_map.json': names}
    for kind in ('GPT2Tokenizer', 'RobertaTokenizer', 'Qwen2Tokenizer', 'GPTNeoXTokenizer'):
        for prefix in (False, True):
            yield 'merges-%s-%d' % (kind, prefix), {'vocab.json': vocab, 'merges.txt': merges,
                                                    **config(kind, add_prefix_space=prefix, **names)}
    yield 'merges-added', {'vocab.json': vocab, 'merges.txt': merges, 'added_tokens.json': {'<|tool|>': g},
                           **config('GPT2Tokenizer', **names)}
    yield 'merges-class-names', {'vocab.json': vocab, 'merges.txt': merges, **config('GPT2Tokenizer')}

    # added tokens
    decoder = {str(bases['vocab.json'][t]): token(t) for t in ('<s>', '</s>', '<unk>')}
    plain = token('bankrun', normalized=True, special=False)
    for name, flags in (('plain', {}), ('left', {'lstrip': True}), ('right', {'rstrip': True}),
                        ('word', {'single_word': True}), ('raw', {'normalized': False})):
        yield 'decoder-' + name, {'tokenizer.json': gpt2, **config(
            'PreTrainedTokenizerFast', added_tokens_decoder={**decoder, str(g): token('<|tool|>', **flags),
                                                             str(g + 1): dict(plain, **flags)}, **names)}
    yield 'decoder-other-ids', {'tokenizer.json': gpt2, **config('PreTrainedTokenizerFast', added_tokens_decoder={
        **decoder, str(g + 7): token('<|tool|>'), str(g + 3): dict(plain)}, **names)}
    yield 'decoder-new-flags', {'tokenizer.json': gpt2, **config('PreTrainedTokenizerFast', added_tokens_decoder={
        **decoder, str(bases['vocab.json']['</s>']): token('</s>', lstrip=True, rstrip=True)}, **names)}
    yield 'decoder-hides-map', {'tokenizer.json': gpt2, 'added_tokens.json': {'$BTC': g},
                                'special_tokens_map.json': {'pad_token': '[NEW]'},
                                **config('PreTrainedTokenizerFast', added_tokens_decoder=decoder, **names)}
    yield 'named-missing', {'tokenizer.json': gpt2, **config('PreTrainedTokenizerFast', pad_token='[NEW]',
                                                             additional_special_tokens=['<|tool|>', '$BTC'], **names)}
    yield 'named-objects', {'tokenizer.json': gpt2, **config(
        'PreTrainedTokenizerFast', mask_token=dict(token('[MASK]', lstrip=True), __type='AddedToken'), **names)}
    yield 'named-in-vocabulary', {'tokenizer.json': gpt2, **config('PreTrainedTokenizerFast', mask_token='<mask>',
                                                                   **names)}
    yield 'map-wins', {'tokenizer.json': gpt2, 'special_tokens_map.json': {'pad_token': token('[NEW]')},
                       **config('PreTrainedTokenizerFast', pad_token='$BTC', **names)}
    yield 'extra-names', {'tokenizer.json': gpt2, **config(
        'PreTrainedTokenizerFast', extra_special_tokens={'tool_token': '<|tool|>', 'coin_token': '$BTC'}, **names)}
    yield 'split-special', {'tokenizer.json': gpt2, **config('PreTrainedTokenizerFast', split_special_tokens=True,
                                                             pad_token='[NEW]', **names)}
    yield 'long-length', {'tokenizer.json': gpt2, **config('PreTrainedTokenizerFast', model_max_length=10 ** 30, **names)}

    # SentencePiece alone
    ends = {'bos_token': '<s>', 'eos_token': '</s>', 'unk_token': '<unk>', 'add_bos_token': True}
    for kind in ('llama', 'mistral'):
        yield 'spm-first-' + kind, {'tokenizer.model': spm, **config('LlamaTokenizer', kind, legacy=False, **ends)}
    yield 'spm-legacy', {'tokenizer.model': spm, **config('LlamaTokenizer', 'mistral', legacy=True, **ends)}
    yield 'spm-no-space', {'tokenizer.model': spm, **config('LlamaTokenizer', 'llama', legacy=False,
                                                            add_prefix_space=False, **ends)}
    yield 'spm-no-space-legacy', {'tokenizer.model': spm, **config('LlamaTokenizer', 'llama', legacy=True,
                                                                   add_prefix_space=False, **ends)}
    yield 'spm-ends', {'tokenizer.model': spm, **config('LlamaTokenizer', 'llama', legacy=False, add_eos_token=True,
                                                        **dict(ends, add_bos_token=False))}
    yield 'spm-added', {'tokenizer.model': spm, 'added_tokens.json': {'<|tool|>': s, 'bankrun': s + 1},
                        **config('LlamaTokenizer', 'llama', legacy=False, **ends)}
    yield 'spm-new-bos', {'tokenizer.model': spm, **config('LlamaTokenizer', 'llama', legacy=False,
                                                           **dict(ends, bos_token='[NEW]'))}

    # a tokenizer.json of Llama's class, with its model beside it
    both = {'tokenizer.json': {'$base': 'llama'}, 'tokenizer.model': spm}
    yield 'llama-first', {**both, **config('LlamaTokenizer', 'llama', add_prefix_space=True, legacy=False, **ends)}
    yield 'llama-no-space', {**both, **config('LlamaTokenizer', 'llama', add_prefix_space=False, legacy=False, **ends)}


def read_bases(folder):
    vocabulary, merges = byte_level()
    model = sentencepiece(folder)
    llama = llama_json(model)
    return {'bert': bert_json(), 'gpt2': gpt2_json(), 'llama': llama, 'vocab.json': vocabulary,
            'pieces': len(llama['model']['vocab']), 'spm': {'$bytes': base64.b64encode(model).decode()},
            'vocab.txt': {'$bytes': base64.b64encode(('\n'.join(WORDS) + '\n').encode()).decode()},
            'merges.txt': {'$bytes': base64.b64encode(('#version: 0.2\n' + ''.join(
                '%s %s\n' % pair for pair in merges)).encode()).decode()}}


def write(folder, files, bases):
    for name, value in files.items():
        if isinstance(value, dict) and '$base' in value:
            base = bases[value['$base']]
            value = dict(base, **value.get('with', {})) if isinstance(base, dict) else base
        data = base64.b64decode(value['$bytes']) if '$bytes' in value else json.dumps(value).encode()
        with open(os.path.join(folder, name), 'wb') as file:
            file.write(data)


def answer(files, bases):
    from transformers import AutoTokenizer
    with tempfile.TemporaryDirectory() as folder:
        write(folder, files, bases)
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder)
            ids = [tokenizer(text)['input_ids'] for text in TEXTS]
            return ids, [tokenizer.decode(row) for row in ids]
        except Exception as error:  # whatever a version does not take
            print('%s: %s' % (type(error).__name__, str(error)[:100]), file=sys.stderr)
            return None, None


def main():
    import transformers
    path = sys.argv[1]
    if '--agree' in sys.argv:
        with open(path, encoding='utf-8') as file:
            golden = json.load(file)
        kept = []
        for case in golden['cases']:
            ids, decoded = answer(case['files'], golden['bases'])
            if ids is not None and ids != case['ids']:
                print('%s: dropped' % case['name'], file=sys.stderr)
                continue
            if decoded != case['decoded']:
                case['decoded'] = None
            kept.append(case)
        golden['cases'] = kept
        golden['made_with'] += ', transformers ' + transformers.__version__
    else:
        with tempfile.TemporaryDirectory() as folder:
            bases = read_bases(folder)
        golden = {'made_with': 'transformers ' + transformers.__version__, 'texts': TEXTS, 'bases': bases, 'cases': []}
        for name, files in cases(bases):
            ids, decoded = answer(files, bases)
            if ids is not None:
                golden['cases'].append({'name': name, 'files': files, 'ids': ids, 'decoded': decoded})
    with open(path, 'w', encoding='utf-8') as file:
        file.write('{"made_with":%s,"texts":%s,"bases":%s,"cases":[\n%s\n]}\n' % (
            json.dumps(golden['made_with']), json.dumps(golden['texts']),
            json.dumps(golden['bases'], separators=(',', ':')),
            ',\n'.join(json.dumps(case, separators=(',', ':')) for case in golden['cases'])))


if __name__ == '__main__':
    main()
