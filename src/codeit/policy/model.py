"""The policy: a network and its encoding, created at random, from CodeT5+, or from a directory.

The network is always a `T5ForConditionalGeneration`. There are two setups. One is CodeT5+ 220M with
its own tokenizer and the paper's text, as in Butt et al. 2024 (arXiv 2402.04858). The other is a
small T5 with the compact encoding, with the weights shipped in this package or with random ones.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoConfig, AutoTokenizer, T5Config, T5ForConditionalGeneration
from transformers.utils import logging as transformers_logging

from codeit.config import PolicyConfig
from codeit.policy import SHIPPED as SHIPPED
from codeit.policy.encoding import CompactEncoding, Encoding, PaperEncoding, VocabularyError
from codeit.policy.grid_tokens import Tokens

CODET5P = "Salesforce/codet5p-220m"
"""The paper's model on the Hugging Face hub."""
MAX_SHARD_BYTES = 16 * 2**20
"""Largest size of a file of weights, in bytes."""
_CARD = "policy.json"
_CARD_KEYS = (
    *("encoding", "patch_size", "dropout"),
    *("demonstrations", "max_input_tokens", "max_output_tokens", "max_program_tokens"),
)
_SIZES = {
    **{"d_model": "d_model", "d_ff": "d_ff", "heads": "num_heads"},
    **{"layers_encoder": "num_layers", "layers_decoder": "num_decoder_layers"},
}
"""Sizes of a random network: fields of `PolicyConfig` and their names in transformers."""

# The progress bars of transformers would garble our own display.
transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]


class PolicyError(ValueError):
    """A policy that cannot be created or read. The message names field or file and a likely fix."""


class Policy:
    """A T5 on a device, and the encoding of its source and target tokens."""

    def __init__(self, model: T5ForConditionalGeneration, encoding: Encoding, device: torch.device) -> None:
        self.model: Any = model.to(device)  # type: ignore[arg-type]  # wrong in transformers' stubs
        if device.type == "cpu":
            # Trains a fifth faster, at these lengths, than torch's fused attention.
            self.model.set_attn_implementation("eager")
        self.encoding = encoding
        self.device = device

    @classmethod
    def create(cls, config: PolicyConfig, seed: int) -> Policy:
        """Return the initial policy of a run, selected by `config.init`.

        "shipped" reads the policy in this package. "random" draws the weights with `seed`; the
        network has the sizes in `config` with the compact encoding, and CodeT5+'s architecture with
        the paper's encoding (ablation A4). "codet5p-220m" loads that model from the Hugging Face
        hub or its cache. Any other value is a directory: one written by `save`, or a transformers
        directory with a T5 and its tokenizer. Raises PolicyError if a part is missing or does not
        fit, or if `config` sets sizes that differ from those of the weights.
        """
        policy = cls._create(config, seed)
        for name, transformers_name in _SIZES.items():
            expected, found = getattr(config, name), getattr(policy.model.config, transformers_name)
            if expected not in (found, PolicyConfig.model_fields[name].default):
                raise PolicyError(
                    f"policy.{name}: expected {found}, as in the weights of policy.init = {config.init!r}, "
                    f"found {expected}; remove the setting, or set policy.init = 'random' for a network of "
                    "this size"
                )
        return policy

    @classmethod
    def _create(cls, config: PolicyConfig, seed: int) -> Policy:
        device = choose_device(config.device)
        if config.init == "random" and config.encoding != "paper":
            return cls(*_small_t5(config, seed), device)
        if config.init == "shipped":
            return cls._read(SHIPPED, config, device)
        if config.init not in ("random", "codet5p-220m"):
            directory = Path(config.init)
            if not directory.is_dir():
                raise PolicyError(
                    "policy.init: expected 'shipped', 'random', 'codet5p-220m' or a directory, found "
                    f"{config.init!r}, which does not exist"
                )
            if (directory / _CARD).exists():
                return cls._read(directory, config, device)
        if config.encoding != "paper":
            raise PolicyError(
                f"policy.encoding: expected 'paper', because policy.init = {config.init!r} has its own "
                f"tokenizer, found {config.encoding!r}"
            )
        source = CODET5P if config.init in ("random", "codet5p-220m") else config.init
        return cls(*_pretrained(source, config, None if config.init != "random" else seed), device)

    def save(self, directory: Path, dtype: torch.dtype = torch.float32) -> None:
        """Write the policy into a directory.

        The files are model.safetensors, config.json, tokenizer files, and policy.json (encoding,
        dropout, limits). The weights are stored as `dtype`, in several files if they exceed 16 MiB.
        """
        directory.mkdir(parents=True, exist_ok=True)
        weights = {name: value.to(dtype) for name, value in self.model.state_dict().items()}
        self.model.save_pretrained(directory, state_dict=weights, max_shard_size=MAX_SHARD_BYTES)
        self.encoding.save(directory)
        card = {name: getattr(self.encoding.config, name) for name in _CARD_KEYS}
        card["dropout"] = self.model.config.dropout_rate
        (directory / _CARD).write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, directory: Path, device: str = "auto") -> Policy:
        """Read a directory written by `save`, with its limits and dropout. Raises PolicyError."""
        card = _read_card(directory)
        fields = {name: card[name] for name in _CARD_KEYS}
        config = PolicyConfig(init=str(directory), device=device, **fields)
        return cls._read(directory, config, choose_device(device))

    @classmethod
    def _read(cls, directory: Path, config: PolicyConfig, device: torch.device) -> Policy:
        card = _read_card(directory)
        for name in ("encoding", "patch_size") if config.encoding == "patches" else ("encoding",):
            if card[name] != getattr(config, name):
                raise PolicyError(
                    f"{directory}: expected policy.{name} = {card[name]!r}, as it was saved, "
                    f"found {getattr(config, name)!r}"
                )
        if config.encoding == "paper":
            return cls(*_pretrained(str(directory), config, None), device)
        try:
            encoding = CompactEncoding.load(directory, config)
            model = T5ForConditionalGeneration.from_pretrained(
                directory, dropout_rate=config.dropout, dtype=torch.float32, local_files_only=True
            )
        except VocabularyError as error:
            raise PolicyError(f"{directory}: {error}") from error
        except OSError as error:
            raise PolicyError(f"{directory}: incomplete: {error}") from error
        return cls(model, encoding, device)

    def embed(self, source: torch.Tensor) -> torch.Tensor:
        """Return the encoder's input for source ids, shape (rows, tokens) or (rows, tokens, words).

        A bag of n words is the sum of their embeddings divided by √n, which keeps the norm of a
        single word if the embeddings are orthogonal.
        """
        embedded: torch.Tensor = self.model.shared(source.int())
        if source.ndim == 2:
            return embedded
        words = (source != self.encoding.pad_id).unsqueeze(-1)
        return (embedded * words).sum(2) * words.sum(2).clamp(min=1) ** -0.5

    @property
    def parameters(self) -> int:
        """Number of parameters. Tied ones count once."""
        return sum(weight.numel() for weight in self.model.parameters())


def pad_sources(sources: Sequence[Tokens], pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Stack sources, padded to the longest; return ids and a mask.

    The mask has shape (sources, longest) and is true at tokens. Ids keep the integer type of the
    sources, which may be narrow, so that waiting batches need less memory.
    """
    longest = max(map(len, sources))
    ids = np.full((len(sources), longest, *np.shape(sources[0])[1:]), pad_id, sources[0].dtype)
    mask = np.zeros((len(sources), longest), np.bool_)
    for row, source in enumerate(sources):
        ids[row, : len(source)], mask[row, : len(source)] = source, True
    return torch.from_numpy(ids), torch.from_numpy(mask)


def choose_device(name: str) -> torch.device:
    """Return the device of that name; "auto" is a GPU if there is one, else the CPU.

    Raises PolicyError for a GPU that does not exist.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise PolicyError(
            f"policy.device: found {name!r}, but torch finds no GPU; set policy.device = 'cpu' or 'auto'"
        )
    return torch.device(name)


def _read_card(directory: Path) -> dict[str, Any]:
    path = directory / _CARD
    try:
        card: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PolicyError(f"{path}: no such file; expected a directory written by Policy.save") from None
    except ValueError as error:
        raise PolicyError(f"{path}: not JSON: {error}") from None
    if "patch" in card:  # written by version 0.1
        card["patch_size"] = card.pop("patch")
        if card.get("encoding") == "clues":
            card["encoding"] = "signatures"
    missing = [name for name in _CARD_KEYS if name not in card]
    if missing:
        raise PolicyError(f"{path}: {', '.join(missing)} missing; expected a file written by Policy.save")
    return card


def _random_t5(config: T5Config, seed: int) -> T5ForConditionalGeneration:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return T5ForConditionalGeneration(config)


def _small_t5(config: PolicyConfig, seed: int) -> tuple[T5ForConditionalGeneration, Encoding]:
    encoding = CompactEncoding(config)
    architecture = T5Config(
        vocab_size=encoding.vocab_size,
        d_model=config.d_model,
        d_kv=config.d_model // config.heads,
        d_ff=config.d_ff,
        num_heads=config.heads,
        num_layers=config.layers_encoder,
        num_decoder_layers=config.layers_decoder,
        dropout_rate=config.dropout,
        pad_token_id=encoding.pad_id,
        eos_token_id=encoding.eos_id,
        decoder_start_token_id=encoding.start_id,  # type: ignore[call-arg]
    )
    return _random_t5(architecture, seed), encoding


def _pretrained(
    source: str, config: PolicyConfig, seed: int | None
) -> tuple[T5ForConditionalGeneration, Encoding]:
    """Load a T5 and its tokenizer by path or hub name. With a seed, the weights are random."""
    try:
        architecture = AutoConfig.from_pretrained(source)
        tokenizer = AutoTokenizer.from_pretrained(source)
        if seed is None:
            model = T5ForConditionalGeneration.from_pretrained(
                source, dropout_rate=config.dropout, dtype=torch.float32
            )
        else:
            architecture.dropout_rate = config.dropout
            model = _random_t5(architecture, seed)
    except (OSError, ValueError) as error:
        raise PolicyError(
            f"policy.init = {config.init!r}: cannot load {source!r} from disk, the cache or the Hugging Face "
            f"hub: {str(error).splitlines()[0]} Fix: fill the cache with `hf download {CODET5P}`, or set "
            "policy.init to a directory with config.json, model.safetensors and the tokenizer's files"
        ) from error
    start = model.config.decoder_start_token_id
    if start is None:
        raise PolicyError(f"{source}: config.json: expected decoder_start_token_id, found none")
    return model, PaperEncoding(config, tokenizer, model.config.vocab_size, start)
