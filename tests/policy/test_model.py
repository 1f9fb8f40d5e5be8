"""Policies are created, saved and loaded. A tiny T5 acts as CodeT5+."""

import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import AutoConfig, PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

from codeit.config import PolicyConfig, SamplingConfig, TrainingConfig
from codeit.data.tasks import Task
from codeit.language import Grid, Program, run_batch
from codeit.policy import SHIPPED
from codeit.policy import model as model_module
from codeit.policy.encoding import NotEncodableError, PaperEncoding, sparse_text, well_formed_lines
from codeit.policy.model import _CARD_KEYS, DamagedPolicyError, Policy, PolicyError, choose_device
from codeit.policy.sampling import sample
from codeit.policy.training import Trainer, TrainingExample

SIZES: dict[str, Any] = {"d_model": 16, "d_ff": 16, "heads": 2, "layers_encoder": 1, "layers_decoder": 1}
PAIRS = [(Grid([[0, 0, 3], [0, 3, 0]]), Grid([[2, 2, 3], [2, 3, 1]])), (Grid([[1]]), Grid([[4]]))]
PROGRAM = Program.parse("x1 = objects(I, T, F, F)\nO = paint(I, x1)")


def random_policy(**changes: Any) -> PolicyConfig:
    return PolicyConfig(init="random", device="cpu", **{"encoding": "runs", **SIZES, **changes})


def paper_policy(init: object, **changes: Any) -> PolicyConfig:
    return PolicyConfig(init=str(init), encoding="paper", device="cpu", **changes)


@pytest.fixture(scope="module")
def codet5p(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory like CodeT5+'s: a tiny T5 and a byte-level tokenizer that writes <s> … </s>."""
    directory = tmp_path_factory.mktemp("codet5p")
    words = ["<pad>", "<s>", "</s>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    bpe = Tokenizer(models.BPE({word: k for k, word in enumerate(words)}, []))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    bpe.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe, pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )
    tokenizer.save_pretrained(directory)
    config = T5Config(
        vocab_size=len(words) + 5,
        d_model=16,
        d_kv=8,
        d_ff=16,
        num_heads=2,
        num_layers=1,
        pad_token_id=0,
        eos_token_id=2,
        decoder_start_token_id=0,
    )
    torch.manual_seed(0)
    T5ForConditionalGeneration(config).save_pretrained(directory)
    return directory


def test_random_weights_depend_on_the_seed() -> None:
    state = torch.random.get_rng_state()
    first, again, other = (Policy.create(random_policy(), seed) for seed in (1, 1, 2))
    assert torch.equal(state, torch.random.get_rng_state())
    assert torch.equal(first.model.shared.weight, again.model.shared.weight)
    assert not torch.equal(first.model.shared.weight, other.model.shared.weight)
    assert first.parameters == sum(p.numel() for p in set(first.model.parameters()))


def test_saved_policy_is_loaded_unchanged(tmp_path: Path) -> None:
    policy = Policy.create(random_policy(max_program_tokens=30, demonstrations=3, dropout=0.2), 1)
    policy.save(tmp_path)
    loaded = Policy.load(tmp_path, "cpu")
    for name, value in policy.model.state_dict().items():
        assert torch.equal(value, loaded.model.state_dict()[name]), name
    assert (loaded.encoding.encode_task(PAIRS) == policy.encoding.encode_task(PAIRS)).all()
    assert loaded.encoding.max_program_tokens == 30
    assert loaded.model.config.dropout_rate == 0.2
    initialized = Policy.create(random_policy().model_copy(update={"init": str(tmp_path)}), seed=9)
    assert torch.equal(initialized.model.shared.weight, policy.model.shared.weight)


def test_policy_of_another_vocabulary_is_refused(tmp_path: Path) -> None:
    Policy.create(random_policy(), 1).save(tmp_path)
    file = tmp_path / "tokenizer.json"
    file.write_text(file.read_text(encoding="utf-8").replace('"vmirror"', '"wmirror"'), encoding="utf-8")
    with pytest.raises(PolicyError, match=r"words of this version.*train a new policy"):
        Policy.load(tmp_path, "cpu")


def test_weights_are_loaded_from_several_files_in_half_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_module, "MAX_SHARD_BYTES", 8192)
    policy = Policy.create(random_policy(), 1)
    policy.save(tmp_path, torch.float16)
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    loaded = Policy.load(tmp_path, "cpu")
    for name, value in policy.model.state_dict().items():
        assert torch.equal(value.half().float(), loaded.model.state_dict()[name]), name


def test_errors_name_file_or_field_and_the_fix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PolicyError, match=r"policy.init: expected 'shipped'.*found '/no/such'"):
        Policy.create(paper_policy("/no/such"), 0)
    with pytest.raises(PolicyError, match=r"policy.json: no such file"):
        Policy.load(tmp_path)
    (tmp_path / "policy.json").write_text('{"encoding": "runs"}')
    with pytest.raises(
        PolicyError, match=r"policy.json: patch_size, dropout, demonstrations, max_input.* missing"
    ):
        Policy.load(tmp_path)
    Policy.create(random_policy(), 0).save(tmp_path)
    with pytest.raises(PolicyError, match=r"expected policy.encoding = 'runs'.*found 'paper'"):
        Policy.create(paper_policy(tmp_path), 0)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(PolicyError, match="incomplete"):
        Policy.load(tmp_path, "cpu")

    def unreachable(*_: object, **__: object) -> None:
        raise OSError("We couldn't connect to the hub")

    monkeypatch.setattr(AutoConfig, "from_pretrained", unreachable)
    with pytest.raises(
        PolicyError, match=r"Salesforce/codet5p-220m.*hf download.*policy.init to a directory"
    ):
        Policy.create(paper_policy("codet5p-220m"), 0)


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.file),)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.safetensors"])
@pytest.mark.parametrize("saved", [True, False], ids=["saved", "transformers"])
def test_pickles_are_never_read(name: str, saved: bool, codet5p: Path, tmp_path: Path) -> None:
    directory, exploded = tmp_path / "policy", tmp_path / "exploded"
    pickle.loads(pickle.dumps(Bomb(exploded)))
    exploded.rmdir()  # it was there
    shutil.copytree(codet5p, directory)
    if saved:
        Policy.create(paper_policy(codet5p), 0).save(directory)
    (directory / "model.safetensors").unlink()
    (directory / name).write_bytes(pickle.dumps(Bomb(exploded)))
    with pytest.raises(PolicyError) as error:
        Policy.create(paper_policy(directory), 0)
    if name != "model.safetensors":
        assert f"expected model.safetensors, found {name}; " in str(error.value)
        assert "convert it with safetensors: python -c" in str(error.value)
    # An index of shards, or the configuration, may name a pickle.
    for listed in (name, "../bomb.bin", 3):
        (directory / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"x": listed}}))
        (tmp_path / "bomb.bin").write_bytes(pickle.dumps(Bomb(exploded)))
        with pytest.raises(PolicyError):
            Policy.create(paper_policy(directory), 0)
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps({**config, "transformers_weights": name}))
    with pytest.raises(PolicyError):
        Policy.create(paper_policy(directory), 0)
    assert "\n" not in str(error.value)
    assert not exploded.exists()


def test_weights_on_the_hub_that_are_pickles_say_how_to_convert_them(
    codet5p: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def no_safetensors(source: str, **options: Any) -> None:
        asked.update(options)
        raise OSError(f"{source} does not appear to have a file named model.safetensors")

    tokenizer = model_module.AutoTokenizer.from_pretrained(codet5p)
    monkeypatch.setattr(model_module.AutoTokenizer, "from_pretrained", lambda *_, **__: tokenizer)
    monkeypatch.setattr(T5ForConditionalGeneration, "from_pretrained", no_safetensors)
    with pytest.raises(
        PolicyError, match=r"model.safetensors in 'Salesforce/codet5p-220m'.*convert it with safetensors"
    ):
        Policy.create(paper_policy("codet5p-220m"), 0)
    assert asked["use_safetensors"] is True


def test_code_in_a_directory_is_never_run(codet5p: Path, tmp_path: Path) -> None:
    directory, ran = tmp_path / "policy", tmp_path / "ran"
    shutil.copytree(codet5p, directory)
    (directory / "evil.py").write_text(f"import os\nos.mkdir({str(ran)!r})\n")
    for name, auto_map in (
        ("config.json", {"AutoConfig": "evil.Config", "AutoModelForSeq2SeqLM": "evil.Model"}),
        ("tokenizer_config.json", {"AutoTokenizer": ["evil.Slow", "evil.Fast"]}),
    ):
        whole = json.loads((directory / name).read_text())
        for changes in ({}, {"model_type": "evil"} if name == "config.json" else {"tokenizer_class": "Evil"}):
            (directory / name).write_text(json.dumps({**whole, **changes, "auto_map": auto_map}))
            try:
                Policy.create(paper_policy(directory), 0)
            except PolicyError as error:
                assert "\n" not in str(error)
        (directory / name).write_text(json.dumps(whole))
    assert not ran.exists()


def change_weights(directory: Path, change: Any) -> None:
    """Let `change` alter the weights in a directory."""
    path = directory / "model.safetensors"
    weights = load_file(path)
    change(weights)
    save_file(weights, path, metadata={"format": "pt"})


@pytest.mark.parametrize("paper", [False, True], ids=["saved", "transformers"])
def test_weights_that_do_not_fit_are_one_error(
    paper: bool, codet5p: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    name = "decoder.block.0.layer.0.SelfAttention.k.weight"

    def lose(weights: dict[str, torch.Tensor]) -> None:
        del weights[name]

    def reshape(weights: dict[str, torch.Tensor]) -> None:
        weights[name] = weights[name][1:].clone()

    def blank(weights: dict[str, torch.Tensor]) -> None:
        weights[name][0, 0] = torch.nan

    for number, (change, message) in enumerate(
        ((lose, f"expected weights {name}.*found none"), (reshape, name), (blank, f"found NaN.* in {name}"))
    ):
        directory = tmp_path / str(number)
        if paper:
            shutil.copytree(codet5p, directory)
        else:
            Policy.create(random_policy(), 0).save(directory)
        change_weights(directory, change)
        config = (
            paper_policy(directory) if paper else random_policy().model_copy(update={"init": str(directory)})
        )
        with pytest.raises(DamagedPolicyError, match=message) as error:
            Policy.create(config, 0)
        assert str(directory) in str(error.value) and "\n" not in str(error.value)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("policy.json", "[1]", "expected a JSON object, found"),
        ("policy.json", "{", "not JSON"),
        ("config.json", "[]", "config.json: expected a file of a policy"),
        ("config.json", '{"model_type": "bert"}', "expected a T5 .*found 'bert'"),
        ("tokenizer.json", "{}", "tokenizer.json: expected a file of a policy"),
        ("model.safetensors", "", "model.safetensors: expected a file of a policy"),
    ],
)
def test_files_that_are_something_else_are_one_error(
    name: str, text: str, message: str, tmp_path: Path
) -> None:
    Policy.create(random_policy(), 0).save(tmp_path)
    (tmp_path / name).write_text(text)
    with pytest.raises(PolicyError, match=message) as error:
        Policy.load(tmp_path, "cpu")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("layers", [1, 3])
def test_configuration_of_another_depth_is_one_error(layers: int, tmp_path: Path) -> None:
    Policy.create(random_policy(layers_decoder=2), 0).save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "num_decoder_layers": layers}))
    with pytest.raises(DamagedPolicyError, match=r"expected .*weights decoder.block.\d.* config.json, found"):
        Policy.load(tmp_path, "cpu")


def test_limits_of_another_kind_are_one_error(tmp_path: Path) -> None:
    Policy.create(random_policy(), 0).save(tmp_path)
    card = json.loads((tmp_path / "policy.json").read_text())
    (tmp_path / "policy.json").write_text(json.dumps({**card, "demonstrations": "many"}))
    with pytest.raises(DamagedPolicyError, match=r"policy.json: expected .*demonstrations") as error:
        Policy.load(tmp_path, "cpu")
    assert "\n" not in str(error.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_missing_gpu_is_an_error() -> None:
    assert choose_device("auto").type == "cpu"
    with pytest.raises(PolicyError, match=r"policy.device: expected one of cpu, .* found 'cuda'"):
        choose_device("cuda")


def test_gpu_beyond_those_of_the_machine_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(PolicyError, match=r"expected one of cpu, cuda, cuda:0, cuda:1, .* found 'cuda:7'"):
        choose_device("cuda:7")


def test_sparse_text_of_the_paper() -> None:
    assert sparse_text(PAIRS[0][0]) == "2x3 background=0 3=0,2 1,1"
    assert sparse_text(PAIRS[0][1]) == "2x3 background=2 1=1,2 3=0,2 1,1"
    assert (
        sparse_text(Grid([[9, 5], [5, 9]])) == "2x2 background=5 9=0,0 1,1"
    )  # the smaller colour wins a tie
    assert sparse_text(Grid([[7]])) == "1x1 background=7"


def test_well_formed_lines_end_at_the_first_other_token() -> None:
    def kept(text: str) -> str:
        return "\n".join(well_formed_lines(text))

    assert kept(str(PROGRAM)) == str(PROGRAM)
    assert kept(f"{PROGRAM} and more\nx9 = I") == str(PROGRAM)
    assert kept(f"{PROGRAM}\nx3 = vmirror(I)") == str(PROGRAM)
    assert kept(" x1=objects( I,T , F,F )\n\n O = paint(I,x1)  ") == str(PROGRAM)
    assert kept("x1 = vmirror(I)\nx2 = import os\nO = vmirror(I)") == "x1 = vmirror(I)"
    assert kept("x1 = vmirror(I)\nO = paint(I, ") == "x1 = vmirror(I)"
    assert kept("O = vmirror()") == kept("print(1)") == kept("") == ""


def test_paper_encoding_of_tasks_and_programs(codet5p: Path) -> None:
    encoding = Policy.create(paper_policy(codet5p), 0).encoding
    assert isinstance(encoding, PaperEncoding)
    ids = encoding.encode_task(PAIRS)
    text = "1x1 background=1|2x3 background=0 3=0,2 1,1\n1x1 background=4|2x3 background=2 1=1,2 3=0,2 1,1"
    assert encoding.tokenizer.decode(ids) == f"<s>{text}</s>"
    target = encoding.encode_program(PROGRAM)
    assert encoding.tokenizer.decode(target) == f"<s>{PROGRAM}</s>"
    assert encoding.decode_program([*target, 0, 0]) == str(PROGRAM)
    assert encoding.decode_program([*target, 77, 78]) == str(PROGRAM)

    short = Policy.create(paper_policy(codet5p, max_input_tokens=20, max_output_tokens=17), 0).encoding
    assert encoding.tokenizer.decode(short.encode_task(PAIRS)) == f"<s>{text[:20]}\n1x1 background=4|</s>"
    with pytest.raises(NotEncodableError, match=r"policy.max_program_tokens = 30"):
        Policy.create(paper_policy(codet5p, max_program_tokens=30), 0).encoding.encode_program(PROGRAM)


def test_codet5p_is_trained_and_sampled(codet5p: Path, tmp_path: Path) -> None:
    policy = Policy.create(paper_policy(codet5p, dropout=0.0, max_program_tokens=64), 0)
    example = TrainingExample(policy.encoding.encode_task(PAIRS), policy.encoding.encode_program(PROGRAM))
    trainer = Trainer(policy, TrainingConfig(learning_rate=1e-2, epochs=100, micro_batch_tokens=1000))
    assert trainer.epoch([example], 0).loss < 3.5
    trainer.epoch([example], 1)
    trainer.save(tmp_path)
    policy = Policy.load(tmp_path, "cpu")
    settings = SamplingConfig(samples_per_task=4, temperature=0.01, distinct=False)
    ((_, texts),) = sample(policy, [PAIRS], settings, seeds=[0])
    assert texts == [str(PROGRAM)] * 4


def test_random_weights_with_the_architecture_of_codet5p(
    codet5p: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ablation A4."""
    monkeypatch.setattr(model_module, "CODET5P", str(codet5p))
    pretrained = Policy.create(paper_policy("codet5p-220m"), 0)
    first, again, other = (Policy.create(paper_policy("random"), seed) for seed in (1, 1, 2))
    weights = [each.model.shared.weight for each in (pretrained, first, again, other)]
    assert {tuple(weight.shape) for weight in weights} == {tuple(weights[0].shape)}
    assert torch.equal(weights[1], weights[2])
    assert not torch.equal(weights[0], weights[1]) and not torch.equal(weights[1], weights[3])


def test_shipped_policy_matches_the_default_settings() -> None:
    policy = Policy.create(PolicyConfig(device="cpu"), seed=0)
    defaults, config = PolicyConfig(), policy.model.config
    assert (config.d_model, config.d_ff, config.num_heads) == (
        defaults.d_model, defaults.d_ff, defaults.heads
    )  # fmt: skip
    assert (config.num_layers, config.num_decoder_layers) == (
        defaults.layers_encoder, defaults.layers_decoder
    )  # fmt: skip
    saved = Policy.load(SHIPPED, "cpu").encoding.config
    card = {name: getattr(saved, name) for name in _CARD_KEYS}
    assert card == {name: getattr(defaults, name) for name in _CARD_KEYS}
    assert policy.parameters <= 31_000_000
    files = [path for path in SHIPPED.iterdir() if path.is_file()]
    assert max(path.stat().st_size for path in files) <= 16 * 2**20
    assert {path.name for path in files} >= {"README.md", "model.safetensors", "tokenizer.json"}


def test_policy_of_version_0_1_is_loaded(tmp_path: Path) -> None:
    directory = tmp_path / "policy"
    shutil.copytree(SHIPPED, directory)
    card = json.loads((directory / "policy.json").read_text())
    card["encoding"], card["patch"] = "clues", card.pop("patch_size")
    (directory / "policy.json").write_text(json.dumps(card))
    old, new = Policy.load(directory, "cpu"), Policy.load(SHIPPED, "cpu")
    assert old.encoding.config.model_copy(update={"init": str(SHIPPED)}) == new.encoding.config
    assert old.encoding.config.encoding == "signatures"
    assert torch.equal(old.model.shared.weight, new.model.shared.weight)
    assert (old.encoding.encode_task(PAIRS) == new.encoding.encode_task(PAIRS)).all()
    Policy.create(PolicyConfig(init=str(directory), device="cpu"), seed=0)
    old.save(tmp_path / "saved")
    saved = json.loads((tmp_path / "saved" / "policy.json").read_text())
    assert saved == json.loads((SHIPPED / "policy.json").read_text())

    policy = Policy.create(random_policy(encoding="patches", patch_size=2), 0)
    policy.save(directory)
    card = json.loads((directory / "policy.json").read_text())
    card["patch"] = card.pop("patch_size")
    (directory / "policy.json").write_text(json.dumps(card))
    config = Policy.load(directory, "cpu").encoding.config
    assert (config.encoding, config.patch_size) == ("patches", 2)


@pytest.mark.parametrize("name", [*SIZES])
def test_sizes_that_differ_from_the_weights_are_refused(name: str, codet5p: Path) -> None:
    for config in (PolicyConfig(device="cpu", **{name: 24}), paper_policy(codet5p, **{name: 24})):
        with pytest.raises(PolicyError, match=rf"policy.{name}: expected \d+, .* found 24; .* 'random'"):
            Policy.create(config, 0)


def test_shipped_policy_writes_programs_that_run(training: dict[str, Task]) -> None:
    task = training["67a3c6ac"]  # the output is the input mirrored
    policy = Policy.create(PolicyConfig(device="cpu"), seed=0)
    ((_, texts),) = sample(policy, [task.train], SamplingConfig(), seeds=[0])
    inputs = [pair.input for pair in task.train]
    outcomes = run_batch([Program.parse(text) for text in texts], [inputs] * len(texts))
    ran = [some for some in outcomes if all(outcome.grid is not None for outcome in some)]
    assert len(ran) >= 10
