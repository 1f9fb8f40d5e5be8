"""The policy's network and its encoding: made afresh, from CodeT5+, or from a folder.

One class, `T5ForConditionalGeneration`, in two set-ups (Butt et al. 2024, arXiv 2402.04858, use the first):
CodeT5+ 220M with its own tokenizer and the paper's text, and a small T5 with the compact encoding, as it
comes in this package or of random weights.
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
from codeit.policy.encoding import CompactEncoding, Encoding, PaperEncoding
from codeit.policy.grid_tokens import Tokens

CODET5P = "Salesforce/codet5p-220m"
"""The paper's model on the Hugging Face hub."""
SHARD = 16 * 2**20
"""Most bytes of a file of weights."""
_CARD = "policy.json"
_CARD_KEYS = (
    *("encoding", "patch_size", "dropout"),
    *("demonstrations", "max_input_tokens", "max_output_tokens", "max_program_tokens"),
)
_SIZES = {
    **{"d_model": "d_model", "d_ff": "d_ff", "heads": "num_heads"},
    **{"layers_encoder": "num_layers", "layers_decoder": "num_decoder_layers"},
}
"""Settings of `PolicyConfig` that a random network is made by, and what transformers calls them."""

# Its bars would tear a live display.
transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]


class PolicyError(ValueError):
    """A policy that cannot be made or read: the message names the folder or field and the likely fix."""


class Policy:
    """A T5 on a device, and the encoding that it reads and writes."""

    def __init__(self, model: T5ForConditionalGeneration, encoding: Encoding, device: torch.device) -> None:
        self.model: Any = model.to(device)  # type: ignore[arg-type]  # transformers' stubs take a device amiss
        if device.type == "cpu":
            # A fifth faster in learning, at these lengths, than torch's fused attention.
            self.model.set_attn_implementation("eager")
        self.encoding = encoding
        self.device = device

    @classmethod
    def create(cls, config: PolicyConfig, seed: int) -> Policy:
        """The policy that a run starts from, as `config.init` says.

        "shipped" reads the one in this package. "random" draws a network with `seed`: of the sizes in
        `config` with the compact encoding, of CodeT5+'s architecture with the paper's (ablation A4).
        "codet5p-220m" loads that model from the Hugging Face hub or its cache. Anything else is a folder:
        one written by `save`, or a transformers folder of a T5 and its tokenizer. Raises PolicyError if a
        part is missing or does not fit, or if sizes are asked for that the weights do not have.
        """
        policy = cls._create(config, seed)
        for name, theirs in _SIZES.items():
            asked, found = getattr(config, name), getattr(policy.model.config, theirs)
            if asked not in (found, PolicyConfig.model_fields[name].default):
                raise PolicyError(
                    f"policy.{name} = {asked}: the network of policy.init = {config.init!r} has {found}; "
                    "leave the setting out, or set policy.init = 'random' for a network of other sizes"
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
            folder = Path(config.init)
            if not folder.is_dir():
                raise PolicyError(
                    f"policy.init = {config.init!r}: no such folder, nor 'shipped', 'random', 'codet5p-220m'"
                )
            if (folder / _CARD).exists():
                return cls._read(folder, config, device)
        if config.encoding != "paper":
            raise PolicyError(
                f"policy.encoding: expected 'paper', as policy.init = {config.init!r} has its own tokenizer, "
                f"found {config.encoding!r}"
            )
        source = CODET5P if config.init in ("random", "codet5p-220m") else config.init
        return cls(*_pretrained(source, config, None if config.init != "random" else seed), device)

    def save(self, folder: Path, dtype: torch.dtype = torch.float32) -> None:
        """Write model.safetensors, config.json, the tokenizer and policy.json (encoding, dropout, limits).

        `dtype` is that of the weights in the file, of which there are several if they pass 16 MiB.
        """
        folder.mkdir(parents=True, exist_ok=True)
        weights = {name: value.to(dtype) for name, value in self.model.state_dict().items()}
        self.model.save_pretrained(folder, state_dict=weights, max_shard_size=SHARD)
        self.encoding.save(folder)
        card = {name: getattr(self.encoding.config, name) for name in _CARD_KEYS}
        card["dropout"] = self.model.config.dropout_rate
        (folder / _CARD).write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, device: str = "auto") -> Policy:
        """Read a folder written by `save`, limits and dropout as they were. Raises PolicyError."""
        card = _read_card(folder)
        config = PolicyConfig(init=str(folder), device=device, **{name: card[name] for name in _CARD_KEYS})
        return cls._read(folder, config, choose_device(device))

    @classmethod
    def _read(cls, folder: Path, config: PolicyConfig, device: torch.device) -> Policy:
        card = _read_card(folder)
        for name in ("encoding", "patch_size") if config.encoding == "patches" else ("encoding",):
            if card[name] != getattr(config, name):
                raise PolicyError(
                    f"{folder}: expected policy.{name} = {card[name]!r}, in which it was saved, "
                    f"found {getattr(config, name)!r}"
                )
        if config.encoding == "paper":
            return cls(*_pretrained(str(folder), config, None), device)
        try:
            encoding = CompactEncoding.load(folder, config)
            model = T5ForConditionalGeneration.from_pretrained(
                folder, dropout_rate=config.dropout, dtype=torch.float32, local_files_only=True
            )
        except OSError as error:
            raise PolicyError(f"{folder}: incomplete: {error}") from error
        return cls(model, encoding, device)

    def embed(self, source: torch.Tensor) -> torch.Tensor:
        """What the encoder reads for source ids (rows, tokens) or (rows, tokens, words).

        Of a bag of n words it is their sum over the root of n: as long as one word, for words unlike.
        """
        embedded: torch.Tensor = self.model.shared(source.int())
        if source.ndim == 2:
            return embedded
        words = (source != self.encoding.pad_id).unsqueeze(-1)
        return (embedded * words).sum(2) * words.sum(2).clamp(min=1) ** -0.5

    @property
    def parameters(self) -> int:
        """Number of parameters, tied ones counted once."""
        return sum(weight.numel() for weight in self.model.parameters())


def pad_sources(sources: Sequence[Tokens], pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Sources in one tensor, padded to the longest, and a mask (sources, longest): true where a token is.

    Ids are of the sources' own type, which may be narrow: many batches may wait for their turn.
    """
    longest = max(map(len, sources))
    ids = np.full((len(sources), longest, *np.shape(sources[0])[1:]), pad_id, sources[0].dtype)
    mask = np.zeros((len(sources), longest), np.bool_)
    for row, source in enumerate(sources):
        ids[row, : len(source)], mask[row, : len(source)] = source, True
    return torch.from_numpy(ids), torch.from_numpy(mask)


def choose_device(name: str) -> torch.device:
    """For "auto" a GPU if there is one, else the CPU. Raises PolicyError if a GPU asked for is missing."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise PolicyError(f"policy.device = {name!r}: torch sees no GPU; set policy.device = 'cpu' or 'auto'")
    return torch.device(name)


def _read_card(folder: Path) -> dict[str, Any]:
    path = folder / _CARD
    try:
        card: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PolicyError(f"{path}: no such file; expected a folder written by Policy.save") from None
    except ValueError as error:
        raise PolicyError(f"{path}: not JSON: {error}") from None
    if "patch" in card:  # written by version 0.1
        card["patch_size"] = card.pop("patch")
        card["encoding"] = "signatures" if card.get("encoding") == "clues" else card.get("encoding")
    missing = [name for name in _CARD_KEYS if name not in card]
    if missing:
        raise PolicyError(f"{path}: lacks {', '.join(missing)}; expected a file written by Policy.save")
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
    """The T5 and tokenizer of a folder or hub name; random weights of its architecture if a seed is given."""
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
            f"policy.init = {config.init!r}: cannot load {source!r} from disk, cache or Hugging Face hub: "
            f"{str(error).splitlines()[0]} Fix: fill the cache with `hf download {CODET5P}`, "
            "or set policy.init to a folder with config.json, model.safetensors and the "
            "tokenizer's files"
        ) from error
    start = model.config.decoder_start_token_id
    if start is None:
        raise PolicyError(f"{source}: config.json lacks decoder_start_token_id")
    return model, PaperEncoding(config, tokenizer, model.config.vocab_size, start)
