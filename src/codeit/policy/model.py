"""The policy: a network and its encoding, created at random, from CodeT5+, or from a directory.

The network is always a `T5ForConditionalGeneration`. There are two setups. One is CodeT5+ 220M with
its own tokenizer and the paper's text, as in Butt et al. 2024 (arXiv 2402.04858). The other is a
small T5 with the compact encoding, with the weights shipped in this package or with random ones.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoTokenizer, T5Config, T5ForConditionalGeneration
from transformers.utils import logging as transformers_logging

from codeit.config import PolicyConfig
from codeit.policy import SHIPPED as SHIPPED
from codeit.policy.encoding import CompactEncoding, Encoding, PaperEncoding, VocabularyError
from codeit.policy.grid_tokens import Tokens
from codeit.storage.checksums import CHECKSUMS, ChecksumError, verify_checksums

CODET5P = "Salesforce/codet5p-220m"
"""The paper's model on the Hugging Face hub."""
MAX_SHARD_BYTES = 16 * 2**20
"""Largest size of a file of weights, in bytes."""
_CARD = "policy.json"
_WEIGHTS, _INDEX = "model.safetensors", "model.safetensors.index.json"
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
"""Files of weights that are never read, because reading a pickle can run code."""
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


_CACHED_KERNELS = 64
"""Kernels that torch keeps: more than the 40 shapes of matrix products in a training step."""


class PolicyError(ValueError):
    """A policy that cannot be created or read. The message names field or file and a likely fix."""


class DamagedPolicyError(PolicyError):
    """A policy or checkpoint with a file that is lost, damaged or does not fit the others."""

    def __init__(self, damage: str, fix: str = "restore the file from a backup, or make the policy anew"):
        super().__init__(damage, fix)
        self.damage = damage
        """What was found, without the fix."""

    def __str__(self) -> str:
        return "; ".join(self.args)


class Policy:
    """A T5 on a device, and the encoding of its source and target tokens."""

    def __init__(self, model: T5ForConditionalGeneration, encoding: Encoding, device: torch.device) -> None:
        self.model: Any = model.to(device)  # type: ignore[arg-type]  # wrong in transformers' stubs
        if device.type == "cpu":
            # Trains a fifth faster, at these lengths, than torch's fused attention.
            self.model.set_attn_implementation("eager")
            _bound_kernel_caches()
        self.encoding = encoding
        self.device = device

    def __reduce__(self) -> tuple[Any, ...]:
        return Policy, (self.model, self.encoding, self.device)

    @classmethod
    def create(cls, config: PolicyConfig, seed: int) -> Policy:
        """Return the initial policy of a run, selected by `config.init`.

        "shipped" reads the policy in this package. "random" draws the weights with `seed`; the
        network has the sizes in `config` with the compact encoding, and CodeT5+'s architecture with
        the paper's encoding (ablation A4). "codet5p-220m" loads that model from the Hugging Face
        hub or its cache. Any other value is a directory: one written by `save`, or a transformers
        directory with a T5 and its tokenizer. Raises PolicyError if a part is missing or does not
        fit, or if `config` sets sizes that differ from those of the weights. Weights are read only
        from safetensors files, never from pickles.
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
                _verify(directory)
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
        """Read a directory written by `save`, with its limits and dropout.

        Raises PolicyError, which is a DamagedPolicyError if a file is lost or damaged. Files are
        compared with their checksums if the directory has `checksums.json`.
        """
        _verify(directory)
        card = _read_card(directory)
        fields = {name: card[name] for name in _CARD_KEYS}
        with _finding_damage(directory / _CARD):
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
            with _finding_damage(directory / CompactEncoding.file):
                encoding = CompactEncoding.load(directory, config)
        except VocabularyError as error:
            raise PolicyError(f"{directory}: {error}") from error
        model = _read_t5(directory, config.dropout)
        if model.config.vocab_size != encoding.vocab_size:
            raise DamagedPolicyError(
                f"{directory}: expected weights for {encoding.vocab_size} words, as in {encoding.file}, "
                f"found {model.config.vocab_size}"
            )
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


def _bound_kernel_caches() -> None:
    """Limit the kernels that torch keeps on a CPU, unless the environment sets other limits.

    On a CPU with bf16 instructions, torch compiles a kernel for each shape of a matrix product. Its
    two caches, of oneDNN and of the binding to it, hold 1,024 kernels each by default. Batches of
    ever new lengths fill them with kernels that are rarely used again: over a gigabyte. Torch
    reads the variables at the first such product.
    """
    for name in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
        os.environ.setdefault(name, str(_CACHED_KERNELS))


def cpu_has_bf16() -> bool:
    """Return whether the CPU has bf16 instructions. Without them, bf16 is slower than fp32."""
    has = torch.cpu.get_capabilities()
    return bool(has.get("avx512_bf16") or has.get("amx_bf16"))


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
    known = ["cpu"]
    if torch.cuda.is_available():
        known += ["cuda", *(f"cuda:{k}" for k in range(torch.cuda.device_count()))]
    if name not in known:
        raise PolicyError(
            f"policy.device: expected one of {', '.join(known)}, which torch finds here, found {name!r}; "
            "set policy.device = 'auto'"
        )
    return torch.device(name)


def _verify(directory: Path) -> None:
    """Raise DamagedPolicyError if a file differs from its checksum."""
    try:
        verify_checksums(directory)
    except ChecksumError as error:
        raise DamagedPolicyError(
            str(error), f"restore the file from a backup, or delete {CHECKSUMS} if you edited the file"
        ) from None


@contextmanager
def _finding_damage(path: Path) -> Iterator[None]:
    """Turn any error of reading a file into a DamagedPolicyError that names it.

    All kinds of errors are caught, because the readers of transformers and tokenizers raise
    whichever error a damaged file leads to, and some of them a plain Exception.
    """
    try:
        yield
    except (PolicyError, VocabularyError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DamagedPolicyError(
            f"{path}: expected a file of a policy, found damage: {reason:.300}"
        ) from error


def _read_card(directory: Path) -> dict[str, Any]:
    path = directory / _CARD
    try:
        card: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DamagedPolicyError(
            f"{path}: no such file", "expected a directory written by Policy.save"
        ) from None
    except (OSError, ValueError) as error:
        raise DamagedPolicyError(f"{path}: not JSON: {error}") from None
    if not isinstance(card, dict):
        raise DamagedPolicyError(f"{path}: expected a JSON object, found {card!r:.40}")
    if "patch" in card:  # written by version 0.1
        card["patch_size"] = card.pop("patch")
        if card.get("encoding") == "clues":
            card["encoding"] = "signatures"
    missing = [name for name in _CARD_KEYS if name not in card]
    if missing:
        raise DamagedPolicyError(
            f"{path}: {', '.join(missing)} missing", "expected a file written by Policy.save"
        )
    return card


def _read_t5(directory: Path, dropout: float) -> T5ForConditionalGeneration:
    """Read the network in a directory, from safetensors files only. Raises PolicyError."""
    with _finding_damage(directory / "config.json"):
        architecture = AutoConfig.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
        if not isinstance(architecture, T5Config):
            raise PolicyError(
                f"{directory / 'config.json'}: expected a T5 (model_type 't5'), "
                f"found {architecture.model_type!r}; choose another directory"
            )
        architecture.dropout_rate = dropout
    state: dict[str, torch.Tensor] = {}
    for path in _weight_files(directory):
        with _finding_damage(path):
            state |= load_file(path)
    with _finding_damage(directory):
        model, info = _from_pretrained(None, config=architecture, state_dict=state)
    for name in sorted(info["unexpected_keys"]):
        if name.startswith(("encoder.", "decoder.")):
            raise DamagedPolicyError(f"{directory}: expected no weights {name} by config.json, found them")
    _check_weights(str(directory), model, info)
    return model


def _weight_files(directory: Path) -> list[Path]:
    """Return the files of weights in a directory. Raises PolicyError if they are not safetensors."""
    if (directory / _WEIGHTS).exists():
        return [directory / _WEIGHTS]
    index = directory / _INDEX
    if not index.exists():
        pickles = sorted(path.name for pattern in _PICKLES for path in directory.glob(pattern))
        if pickles:
            raise PolicyError(
                f"{directory}: expected {_WEIGHTS}, found {pickles[0]}; {_convert(str(directory))}"
            )
        raise DamagedPolicyError(f"{directory}: incomplete: expected {_WEIGHTS}, found no such file")
    with _finding_damage(index):
        names = sorted(set(json.loads(index.read_bytes())["weight_map"].values()))
        for name in names:
            if Path(name).name != name or not name.endswith(".safetensors"):
                raise PolicyError(
                    f"{index}: expected the names of safetensors files in this directory, found {name!r}; "
                    f"{_convert(str(directory))}"
                )
    return [directory / name for name in names]


def _convert(source: str) -> str:
    """Return how to convert weights that are a pickle, for an error message."""
    return (
        "a pickle can run code, so it is not read. If you trust it, convert it with safetensors: python -c "
        f'"from transformers import AutoTokenizer as A, T5ForConditionalGeneration as T; s = {source!r}; '
        "d = 'converted'; A.from_pretrained(s).save_pretrained(d); "
        "T.from_pretrained(s).save_pretrained(d)\"; then set policy.init = 'converted'"
    )


def _check_weights(source: str, model: T5ForConditionalGeneration, info: dict[str, Any]) -> None:
    """Raise DamagedPolicyError if weights are missing, of other shapes, or not finite."""
    missing = sorted(info["missing_keys"])
    if missing:
        raise DamagedPolicyError(f"{source}: expected weights {missing[0]}, as in config.json, found none")
    for name, found, expected in sorted(info["mismatched_keys"]):
        raise DamagedPolicyError(
            f"{source}: expected weights {name} of shape {tuple(expected)}, as in config.json, "
            f"found {tuple(found)}"
        )
    for name, weight in model.named_parameters():
        if not torch.isfinite(weight).all():
            raise DamagedPolicyError(f"{source}: expected finite weights, found NaN or infinity in {name}")


def _from_pretrained(source: str | None, **options: Any) -> tuple[T5ForConditionalGeneration, dict[str, Any]]:
    """Return a network, and what transformers says about weights that do not fit.

    Transformers would also print it.
    """
    load: Any = T5ForConditionalGeneration.from_pretrained
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        model, info = load(
            source,
            dtype=torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are in `info`
            **options,
        )
    finally:
        transformers_logging.set_verbosity(verbosity)
    return model, info


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
    directory = Path(source) if Path(source).is_dir() else None
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
        if seed is not None:
            architecture = AutoConfig.from_pretrained(source, trust_remote_code=False)
            architecture.dropout_rate = config.dropout
            model = _random_t5(architecture, seed)
        elif directory:
            model = _read_t5(directory, config.dropout)
        else:
            model = _hub_t5(source, config.dropout)
        start = model.config.decoder_start_token_id
        if start is None:
            raise PolicyError(f"{source}: config.json: expected decoder_start_token_id, found none")
        return model, PaperEncoding(config, tokenizer, model.config.vocab_size, start)
    except PolicyError:
        raise
    except Exception as error:  # transformers and tokenizers raise many kinds, see _finding_damage
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DamagedPolicyError(
            f"policy.init = {config.init!r}: cannot load {source!r} from disk, the cache or the Hugging Face "
            f"hub: {reason}",
            f"fill the cache with `hf download {CODET5P}`, or set policy.init to a directory with "
            "config.json, model.safetensors and the tokenizer's files",
        ) from error


def _hub_t5(source: str, dropout: float) -> T5ForConditionalGeneration:
    """Load a network from the Hugging Face hub or its cache, from safetensors files only."""
    try:
        model, info = _from_pretrained(source, dropout_rate=dropout, use_safetensors=True)
    except OSError as error:
        if "safetensors" not in str(error):
            raise
        raise PolicyError(
            f"policy.init: expected {_WEIGHTS} in {source!r}, found none (pytorch_model.bin is a pickle); "
            f"{_convert(source)}"
        ) from error
    _check_weights(source, model, info)
    return model
