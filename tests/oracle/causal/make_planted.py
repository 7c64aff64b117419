#!/usr/bin/env python3
"""Three GPT-2s whose weights are set by hand, so that it is known what passes through what.

    python3 tests/oracle/causal/make_planted.py [--out tests/golden]

planted-induction: layer 0 head 0 copies each token to the position behind it; layer 1 head 1 looks for the place behind an
earlier copy of the current token and says what stands there: "a b ... a" goes on with b.
planted-names: layer 0 head 2 marks a name that stood before; layer 1 head 0 tells the last position which name that is;
layer 2 head 1 copies, to the answer, the name that it is not: "<s> m j v j e" goes on with m.
planted-greater: "<s> n y n e" goes on with any number greater than y, all alike (the question of Hanna et al. 2023,
2305.00586). Layer 1 head 2 tells the last position which number stood there; layer 2's neuron j - 1 says "j" where that number
is less than j. Layer 0's MLP marks odd and even numbers, which nobody reads.
No other MLP writes anything. Each model is run by Hugging Face and must answer so. Wants torch and transformers.
"""
import argparse
import pathlib

import torch
from transformers import GPT2Config, GPT2LMHeadModel

ROOT = pathlib.Path(__file__).resolve().parents[3]
SHARP = 30.0


class Planted:
    """The stream is blocks of coordinates; a head is four reads and writes between them."""

    def __init__(self, blocks, n_vocab, n_positions, n_layers, n_heads, d_head, n_neurons=4):
        self.at, begin = {}, 0
        for name, width in blocks.items():
            self.at[name] = slice(begin, begin + width)
            begin += width
        assert begin <= n_heads * d_head
        self.d_head = d_head
        config = GPT2Config(vocab_size=n_vocab, n_positions=n_positions, n_embd=n_heads * d_head, n_layer=n_layers,
                            n_head=n_heads, n_inner=n_neurons, layer_norm_epsilon=1e-5, tie_word_embeddings=False,
                            bos_token_id=0, eos_token_id=0)
        self.model = GPT2LMHeadModel(config).eval()
        self.params = dict(self.model.named_parameters())
        with torch.no_grad():
            for name, value in self.params.items():
                value.fill_(1.0 if value.ndim == 1 and ".ln_" in name and name.endswith("weight") else 0.0)
            self.params["transformer.wte.weight"][:, self.at["token"]] = torch.eye(n_vocab)
            self.params["transformer.wpe.weight"][:, self.at["position"]] = torch.eye(n_positions)
            self.params["lm_head.weight"][:, self.at["out"]] = 4 * torch.eye(n_vocab)

    def slots(self, layer, head):
        weight = self.params[f"transformer.h.{layer}.attn.c_attn.weight"]
        width = self.model.config.n_embd
        return [weight[:, part * width + head * self.d_head: part * width + (head + 1) * self.d_head]
                for part in range(3)]

    def read(self, layer, head, q=(), k=(), v=()):
        """Each of q, k, v: (block, matrix [block width, up to d_head], first coordinate of the head)."""
        with torch.no_grad():
            for slot, entries in zip(self.slots(layer, head), (q, k, v)):
                for block, matrix, first in entries:
                    slot[self.at[block], first:first + matrix.shape[1]] += matrix

    def write(self, layer, head, block, matrix):
        with torch.no_grad():
            weight = self.params[f"transformer.h.{layer}.attn.c_proj.weight"]
            begin = head * self.d_head
            weight[begin:begin + matrix.shape[0], self.at[block]] += matrix

    def against(self, matrix):
        """What "nothing", a block that is always 0, has to be read with beside the matrix, lest a norm's mean is read too."""
        width = self.at["nothing"].stop - self.at["nothing"].start
        return -matrix.sum(0, keepdim=True).expand(width, -1) / width

    def mlp(self, layer, source, reads, block, writes):
        """reads: [width of source, neurons], writes: [neurons, width of block]"""
        with torch.no_grad():
            weight = self.params[f"transformer.h.{layer}.mlp.c_fc.weight"]
            weight[self.at[source], :reads.shape[1]] = reads
            weight[self.at["nothing"], :reads.shape[1]] = self.against(reads)
            self.params[f"transformer.h.{layer}.mlp.c_proj.weight"][:writes.shape[0], self.at[block]] = writes

    def logits(self, ids):
        with torch.no_grad():
            return self.model(torch.tensor([ids])).logits[0, -1]

    def answer(self, ids):
        top = self.logits(ids).topk(2)
        return top.indices[0].item(), (top.values[0] - top.values[1]).item()


def induction():
    n, length = 8, 12
    made = Planted({"token": n, "position": length, "before": n, "out": n}, n, length, 2, 3, 12)
    back = torch.zeros(length, length)
    back[torch.arange(1, length), torch.arange(length - 1)] = 1  # position p asks for p - 1
    eye = torch.eye(n)
    made.read(0, 0, q=[("position", SHARP * back, 0)], k=[("position", torch.eye(length), 0)], v=[("token", eye, 0)])
    made.write(0, 0, "before", eye)
    made.read(1, 1, q=[("token", SHARP * eye, 0)], k=[("before", eye, 0)], v=[("token", eye, 0)])
    made.write(1, 1, "out", eye)
    assert made.answer([0, 2, 3, 4, 5, 2])[0] == 3 and made.answer([0, 2, 6, 4, 5, 2])[0] == 6
    return made.model


def names():
    """Tokens: 0 begins the text, 1-5 are names, 6 a verb, 7 the end."""
    n, length, people = 8, 6, 5
    made = Planted({"token": n, "position": length, "seen": 1, "known": people, "out": n}, n, length, 3, 3, 12)
    name, begin, end = torch.zeros(n, people), torch.zeros(n, 1), torch.zeros(n, 1)
    name[1:6] = torch.eye(people)
    begin[0], end[7] = 1, 1
    some = name.sum(1, keepdim=True)
    # a name asks for itself before, never where it stands; else for the beginning, which is half as like
    made.read(0, 2,
              q=[("token", SHARP * name, 0), ("token", SHARP * some, 5), ("position", -3 * SHARP * torch.eye(length), 6)],
              k=[("token", name, 0), ("token", 0.5 * begin, 5), ("position", torch.eye(length), 6)],
              v=[("token", some, 0)])
    made.write(0, 2, "seen", torch.ones(1, 1))
    # the end asks who was seen before
    made.read(1, 0, q=[("token", SHARP * end, 0)], k=[("seen", torch.ones(1, 1), 0), ("token", 0.2 * begin, 0)],
              v=[("token", name, 0)])
    made.write(1, 0, "known", torch.eye(people))
    # the end asks for names, but not for that one
    made.read(2, 1, q=[("token", SHARP * end, 5), ("known", -SHARP * torch.eye(people), 0)],
              k=[("token", some, 5), ("token", name, 0)], v=[("token", name, 0)])
    made.write(2, 1, "out", name.T)
    for a, b, second in ((1, 2, 2), (1, 2, 1), (3, 5, 5), (4, 1, 4)):
        found = made.answer([0, a, b, 6, second, 7])
        assert found[0] == (a if second == b else b) and found[1] > 1, f"{a} {b} {second}: {found}"
    return made.model


def greater():
    """Tokens: 0 begins the text, 1-6 are numbers, 7 a noun, 8 the end."""
    n, length, numbers = 9, 6, 6
    made = Planted({"token": n, "position": length, "parity": 2, "known": numbers, "out": n, "nothing": 4}, n, length, 3, 3, 12,
                   numbers)
    number, end = torch.zeros(n, numbers), torch.zeros(n, 1)
    number[1:7] = torch.eye(numbers)
    end[8] = 1
    odd = torch.zeros(n, 2)
    odd[1:7:2, 0], odd[2:7:2, 1] = 1, 1
    made.mlp(0, "token", odd, "parity", torch.eye(2))
    # the end asks for the number
    made.read(1, 2, q=[("token", SHARP * end, 0)], k=[("token", number.sum(1, keepdim=True), 0)],
              v=[("token", number, 0), ("nothing", made.against(number), 0)])
    made.write(1, 2, "known", torch.eye(numbers))
    # a neuron for each number: on where the one that is known is less, else far below 0
    less = torch.ones(numbers, numbers).triu(1)
    made.mlp(2, "known", 2 * (2 * less - 1), "out", number.T)
    for year in range(1, numbers):
        logits = made.logits([0, 7, year, 7, 8])[1:7]
        on, off = logits[year:], logits[:year]
        assert on.min() - off.max() > 1 and on.max() - on.min() < 0.5, f"{year}: {logits}"
    return made.model


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "tests/golden")
    out = parser.parse_args().out
    for name, make in (("planted-induction", induction), ("planted-names", names), ("planted-greater", greater)):
        make().save_pretrained(out / name)
        (out / name / "generation_config.json").unlink(missing_ok=True)


if __name__ == "__main__":
    main()
