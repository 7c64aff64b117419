#!/usr/bin/env python3
"""Writes tests/golden/keys.json: every key that the reference's classes put beside a model's weights.

Usage: make_keys.py tests/golden/keys.json   (needs transformers; peft and sentence_transformers where they are there)
Sections of other versions that the file holds already stay, so that it can be run once with each version of interest.
A section has: `config` (by the family's model_type: what its configuration class saves, takes and renames),
`generation` (GenerationConfig), `tokenizer` (what save_pretrained writes and what the classes' constructors take),
`classes` (tokenizer classes: whether one is a program of its own or needs no more than a tokenizer.json), `adapter`
(LoraConfig), `sentence` (the files of sentence-transformers by their names).
"""
import dataclasses
import inspect
import json
import os
import re
import sys

os.environ['TRANSFORMERS_VERBOSITY'] = 'critical'
import transformers
from transformers import AutoConfig

HERE = os.path.dirname(os.path.abspath(__file__))


def families():
    """The values of model_type in src/model/archs.def, and the folders around a text part."""
    with open(os.path.join(HERE, '../../../src/model/archs.def'), encoding='utf-8') as file:
        rows = re.findall(r'^ARCH\(\w+, "([^"]+)"', file.read(), re.MULTILINE)
    return [name for row in rows for name in row.split()]


OUTER = ['llava', 'llava_next', 'mistral3', 'qwen2_vl', 'qwen2_5_vl', 'qwen3_vl', 'gemma3']


def config_keys(kind):
    config = AutoConfig.for_model(kind)
    keys = set(config.to_dict()) | set(getattr(config, 'attribute_map', {}))
    for base in type(config).__mro__:
        if base is not object and '__init__' in vars(base):
            keys |= set(inspect.signature(base.__init__).parameters) - {'self', 'kwargs', 'args'}
    return sorted(keys)


def tokenizer_classes():
    """name -> is its text cut by a program of its own, so that a tokenizer.json would not say how?"""
    from transformers.models.auto import tokenization_auto as auto
    names = set()
    for value in auto.TOKENIZER_MAPPING_NAMES.values():
        for name in value if isinstance(value, tuple) else (value,):
            if name:
                names.add(name)
    result = {}
    for name in sorted(names):
        if name.endswith('Fast') and name[:-4] in names:
            continue
        found = auto.tokenizer_class_from_name(name)
        fast = found is not None and getattr(found, 'is_fast', None) is not None and any(
            'TokenizersBackend' in base.__name__ or 'PreTrainedTokenizerFast' in base.__name__ for base in found.__mro__)
        result[name] = not fast and name + 'Fast' not in names
    return result


def tokenizer_keys():
    keys = set()
    from transformers import PreTrainedTokenizerBase
    from transformers.models.auto import tokenization_auto as auto
    for name in ('BertTokenizer', 'GPT2Tokenizer', 'LlamaTokenizer', 'GemmaTokenizer', 'Qwen2Tokenizer',
                 'GPTNeoXTokenizer', 'RobertaTokenizer', 'XLMRobertaTokenizer', 'DistilBertTokenizer',
                 'CodeGenTokenizer', 'PreTrainedTokenizerFast'):
        for found in (auto.tokenizer_class_from_name(name), auto.tokenizer_class_from_name(name + 'Fast')):
            if found is not None:
                keys |= set(inspect.signature(found.__init__).parameters)
    source = inspect.getsource(PreTrainedTokenizerBase) + inspect.getsource(transformers.PreTrainedTokenizerFast)
    keys |= set(re.findall(r'kwargs\.(?:pop|get|setdefault)\(\s*"(\w+)"', source))
    keys |= set(re.findall(r'"(\w+)" (?:not )?in (?:init_)?kwargs', source))
    keys |= set(PreTrainedTokenizerBase.SPECIAL_TOKENS_ATTRIBUTES)
    keys |= {'tokenizer_class', 'auto_map', 'added_tokens_decoder', 'processor_class', 'init_inputs'}
    return sorted(keys - {'self', 'args', 'kwargs', 'vocab', 'merges', 'tokenizer_object'})


def sentence_keys():
    try:
        import sentence_transformers
        from sentence_transformers import models
    except ImportError:
        return {}
    pooling = list(models.Pooling.config_keys)
    for renames in (getattr(models.Pooling, 'config_key_renames', {}),
                    getattr(sys.modules[models.Pooling.__module__], '_LEGACY_POOLING_MODE_KWARGS', {})):
        pooling += list(renames)
    transformer = list(models.Transformer.config_keys) + ['max_seq_length', 'do_lower_case']
    return {'modules.json': ['idx', 'name', 'path', 'type', 'kwargs'], 'pooling': sorted(set(pooling)),
            'normalize': sorted(models.Normalize.config_keys), 'sentence_bert_config.json': sorted(set(transformer)),
            'config_sentence_transformers.json': ['__version__', 'default_prompt_name', 'model_type', 'prompts',
                                                  'similarity_fn_name'],
            'modules': sorted(name for name, found in vars(models).items()
                              if inspect.isclass(found) and hasattr(found, 'config_keys')),
            'version': sentence_transformers.__version__}


def adapter_keys():
    try:
        import peft
    except ImportError:
        return []
    config = peft.LoraConfig()
    return sorted({field.name for field in dataclasses.fields(config)} | set(config.to_dict()))


def main():
    path = sys.argv[1]
    sections = {}
    if os.path.exists(path):
        with open(path, encoding='utf-8') as file:
            sections = json.load(file)
    config = {}
    for kind in families() + OUTER:
        try:
            config[kind] = config_keys(kind)
        except (KeyError, ValueError) as error:
            print('%s: %s' % (kind, str(error)[:60]), file=sys.stderr)
    shared = sorted(set.intersection(*(set(keys) for keys in config.values())))
    config = {kind: [key for key in keys if key not in shared] for kind, keys in config.items()}
    generation = transformers.GenerationConfig()
    sections['transformers ' + transformers.__version__] = {
        'shared': shared, 'config': config,
        'generation': sorted(set(generation.to_dict()) | {k for k in vars(generation) if not k.startswith('_')}),
        'tokenizer': tokenizer_keys(), 'classes': tokenizer_classes(), 'adapter': adapter_keys(),
        'sentence': sentence_keys()}
    with open(path, 'w', encoding='utf-8') as file:
        json.dump(sections, file, indent=None, separators=(',', ':'), sort_keys=True)
        file.write('\n')


if __name__ == '__main__':
    main()
