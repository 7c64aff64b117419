#!/usr/bin/env python3
"""Writes tests/golden/gguf/blocks.gguf and blocks.safetensors: quantised blocks of every kind, and their values.

    python3 make_blocks.py [--out tests/golden/gguf]      (needs `gguf` and `safetensors`)

For each kind a tensor KIND of random bytes (scales and offsets: positive, negative, subnormal, the largest, zero) and,
where the reference can quantise, KIND.quantised made from ordinary numbers. The values are the reference's, in f32:
dequantisation must give the same bits. The metadata holds a key of every type.
"""
import argparse
import os

import gguf
import numpy as np
from safetensors.numpy import save_file

# where the f16 scales and offsets of a block lie
HALVES = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108],
          "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}
SCALES = np.array([0.0123, -0.75, 3e-7, 65504.0, 0.0, 1.0, -65504.0, 6e-5], dtype=np.float16)
ROWS = 2


def random_blocks(kind, random):
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    count = ROWS * max(1024, elements) // elements // 2
    blocks = random.integers(0, 256, (count, size), dtype=np.uint8)
    for which, at in enumerate(HALVES[kind.name]):
        for i in range(count):
            value = SCALES[(i + 3 * which) % len(SCALES)] if i < 8 else np.float16(random.normal())
            blocks[i, at:at + 2] = np.frombuffer(value.tobytes(), dtype=np.uint8)
    return blocks.reshape(ROWS, -1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here = os.path.dirname(os.path.abspath(__file__))
    parser.add_argument("--out", default=os.path.join(here, "..", "..", "golden", "gguf"))
    out = parser.parse_args().out
    random = np.random.default_rng(4)
    writer = gguf.GGUFWriter(os.path.join(out, "blocks.gguf"), "llama")
    for key, add, value in (("u8", writer.add_uint8, 200), ("i8", writer.add_int8, -100), ("u16", writer.add_uint16, 65000),
                            ("i16", writer.add_int16, -30000), ("u32", writer.add_uint32, 4000000000),
                            ("i32", writer.add_int32, -2000000000), ("f32", writer.add_float32, 0.5),
                            ("u64", writer.add_uint64, 1 << 62), ("i64", writer.add_int64, -(1 << 62)),
                            ("f64", writer.add_float64, 1e-300), ("bool", writer.add_bool, True),
                            ("string", writer.add_string, "naïve 世界"), ("reals", writer.add_array, [0.25, -2.0]),
                            ("integers", writer.add_array, [3, -4]), ("strings", writer.add_array, ["a", "", "é"])):
        add("test." + key, value)
    values = {}
    for name in HALVES:
        kind = gguf.GGMLQuantizationType[name]
        tensors = {name: random_blocks(kind, random)}
        ordinary = random.normal(size=(ROWS, 256)).astype(np.float32)
        try:
            tensors[name + ".quantised"] = gguf.quantize(ordinary, kind)
        except NotImplementedError:
            pass
        for tensor, data in tensors.items():
            writer.add_tensor(tensor, data, raw_dtype=kind)
            values[tensor] = np.ascontiguousarray(gguf.dequantize(data, kind), dtype=np.float32)
    for name, dtype in (("F32", np.float32), ("F16", np.float16), ("F64", np.float64), ("I8", np.int8),
                        ("I16", np.int16), ("I32", np.int32), ("I64", np.int64)):
        data = (random.normal(size=(3, 5)) * 100).astype(dtype)
        writer.add_tensor(name, data)
        values[name] = data.astype(np.float32)
    numbers = random.normal(size=(3, 64)).astype(np.float32)
    data = gguf.quantize(numbers, gguf.GGMLQuantizationType.BF16)
    writer.add_tensor("BF16", data, raw_dtype=gguf.GGMLQuantizationType.BF16)
    values["BF16"] = gguf.dequantize(data, gguf.GGMLQuantizationType.BF16)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    save_file(values, os.path.join(out, "blocks.safetensors"))


if __name__ == "__main__":
    main()
