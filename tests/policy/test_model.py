"""The policy is made, saved and loaded; CodeT5+'s path works with a tiny T5 and tokenizer of its kind."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import AutoConfig, PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

import codeit.policy.model
from codeit.config import TrainingConfig, PolicyConfig
from codeit.language import Grid, Program, run_batch
from codeit.policy import SHIPPED
from codeit.policy import model as model_module
from codeit.policy.encoding import NotEncodableError, PaperEncoding, sparse_text, well_formed_lines
from codeit.policy.training import TrainingExample, Trainer
from codeit.policy.model import _CARD_KEYS, Policy, PolicyError, choose_device
from codeit.policy.sampling import sample
from codeit.data.tasks import Task

SIZES: dict[str, Any] = {"d_model": 16, "d_ff": 16, "heads": 2, "layers_encoder": 1, "layers_decoder": 1}
PAIRS = [(Grid([[0, 0, 3], [0, 3, 0]]), Grid([[2, 2, 3], [2, 3, 1]])), (Grid([[1]]), Grid([[4]]))]
PROGRAM = Program.parse("x1 = objects(I, T, F, F)\nO = paint(I, x1)")


def random_policy(**changes: Any) -> PolicyConfig:
    return PolicyConfig(init="random", encoding="runs", device="cpu", **{**SIZES, **changes})


def paper_policy(init: object, **changes: Any) -> PolicyConfig:
    return PolicyConfig(init=str(init), encoding="paper", device="cpu", **changes)


@pytest.fixture(scope="module")
def codet5p(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as CodeT5+'s: a T5 and a byte-level tokenizer that writes <s> … </s>; tiny."""
    folder = tmp_path_factory.mktemp("codet5p")
    words = ["<pad>", "<s>", "</s>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    bpe = Tokenizer(models.BPE({word: id for id, word in enumerate(words)}, []))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    bpe.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe, pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )
    tokenizer.save_pretrained(folder)
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
    T5ForConditionalGeneration(config).save_pretrained(folder)
    return folder


def test_random_weights_come_from_the_seed() -> None:
    state = torch.random.get_rng_state()
    first, again, other = (Policy.create(random_policy(), seed) for seed in (1, 1, 2))
    assert torch.equal(state, torch.random.get_rng_state())
    assert torch.equal(first.model.shared.weight, again.model.shared.weight)
    assert not torch.equal(first.model.shared.weight, other.model.shared.weight)
    assert first.parameters == sum(p.numel() for p in set(first.model.parameters()))


def test_a_saved_policy_comes_back(tmp_path: Path) -> None:
    policy = Policy.create(random_policy(max_program_tokens=30, demonstrations=3, dropout=0.2), 1)
    policy.save(tmp_path)
    loaded = Policy.load(tmp_path, "cpu")
    for name, value in policy.model.state_dict().items():
        assert torch.equal(value, loaded.model.state_dict()[name]), name
    assert (loaded.encoding.encode_task(PAIRS) == policy.encoding.encode_task(PAIRS)).all()
    assert loaded.encoding.max_program_tokens == 30
    assert loaded.model.config.dropout_rate == 0.2
    started_from = Policy.create(random_policy().model_copy(update={"init": str(tmp_path)}), seed=9)
    assert torch.equal(started_from.model.shared.weight, policy.model.shared.weight)


def test_weights_come_back_from_several_files_in_half_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codeit.policy.model, "SHARD", 8192)
    policy = Policy.create(random_policy(), 1)
    policy.save(tmp_path, torch.float16)
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    loaded = Policy.load(tmp_path, "cpu")
    for name, value in policy.model.state_dict().items():
        assert torch.equal(value.half().float(), loaded.model.state_dict()[name]), name


def test_errors_name_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PolicyError, match=r"policy.init = '/no/such': no such folder"):
        Policy.create(paper_policy("/no/such"), 0)
    with pytest.raises(PolicyError, match=r"policy.json: no such file"):
        Policy.load(tmp_path)
    (tmp_path / "policy.json").write_text('{"encoding": "runs"}')
    with pytest.raises(PolicyError, match=r"policy.json: lacks patch, dropout, demonstrations, max_input"):
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
    with pytest.raises(PolicyError, match=r"Salesforce/codet5p-220m.*hf download.*policy.init to a folder"):
        Policy.create(paper_policy("codet5p-220m"), 0)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_missing_gpu_is_said() -> None:
    assert choose_device("auto").type == "cpu"
    with pytest.raises(PolicyError, match=r"policy.device = 'cuda'.*no GPU"):
        choose_device("cuda")


def test_the_papers_text() -> None:
    assert sparse_text(PAIRS[0][0]) == "2x3 background=0 3=0,2 1,1"
    assert sparse_text(PAIRS[0][1]) == "2x3 background=2 1=1,2 3=0,2 1,1"
    assert sparse_text(Grid([[9, 5], [5, 9]])) == "2x2 background=5 9=0,0 1,1"  # a tie goes to the smaller
    assert sparse_text(Grid([[7]])) == "1x1 background=7"


def test_text_ends_at_the_first_foreign_token() -> None:
    def kept(text: str) -> str:
        return "\n".join(well_formed_lines(text))

    assert kept(str(PROGRAM)) == str(PROGRAM)
    assert kept(f"{PROGRAM} and more\nx9 = I") == str(PROGRAM)
    assert kept(f"{PROGRAM}\nx3 = vmirror(I)") == str(PROGRAM)
    assert kept(" x1=objects( I,T , F,F )\n\n O = paint(I,x1)  ") == str(PROGRAM)
    assert kept("x1 = vmirror(I)\nx2 = import os\nO = vmirror(I)") == "x1 = vmirror(I)"
    assert kept("x1 = vmirror(I)\nO = paint(I, ") == "x1 = vmirror(I)"
    assert kept("O = vmirror()") == kept("print(1)") == kept("") == ""


def test_the_papers_encoding_of_tasks_and_programs(codet5p: Path) -> None:
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


def test_codet5p_learns_and_samples(codet5p: Path, tmp_path: Path) -> None:
    policy = Policy.create(paper_policy(codet5p, dropout=0.0, max_program_tokens=64), 0)
    example = TrainingExample(policy.encoding.encode_task(PAIRS), policy.encoding.encode_program(PROGRAM))
    learner = Trainer(policy, TrainingConfig(learning_rate=1e-2, epochs=100, micro_batch_tokens=1000))
    assert learner.epoch([example], 0).loss < 3.5
    learner.epoch([example], 1)
    learner.save(tmp_path)
    policy = Policy.load(tmp_path, "cpu")
    ((_, texts),) = sample(policy, [PAIRS], 4, temperature=0.01, seeds=[0])
    assert texts == [str(PROGRAM)] * 4


def test_random_weights_of_codet5ps_architecture(codet5p: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ablation A4."""
    monkeypatch.setattr(model_module, "CODET5P", str(codet5p))
    pretrained = Policy.create(paper_policy("codet5p-220m"), 0)
    first, again, other = (Policy.create(paper_policy("random"), seed) for seed in (1, 1, 2))
    weights = [each.model.shared.weight for each in (pretrained, first, again, other)]
    assert {tuple(weight.shape) for weight in weights} == {tuple(weights[0].shape)}
    assert torch.equal(weights[1], weights[2])
    assert not torch.equal(weights[0], weights[1]) and not torch.equal(weights[1], weights[3])


def test_the_policy_of_the_package_is_what_the_defaults_say() -> None:
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


@pytest.mark.parametrize("name", [*SIZES])
def test_sizes_that_the_weights_do_not_have(name: str, codet5p: Path) -> None:
    for config in (PolicyConfig(device="cpu", **{name: 24}), paper_policy(codet5p, **{name: 24})):
        with pytest.raises(PolicyError, match=rf"policy.{name} = 24: the network .* has \d+; .* 'random'"):
            Policy.create(config, 0)


def test_the_policy_of_the_package_writes_programs_that_run(training: dict[str, Task]) -> None:
    task = training["67a3c6ac"]  # each grid mirrored
    policy = Policy.create(PolicyConfig(device="cpu"), seed=0)
    ((_, texts),) = sample(policy, [task.train], 24, seeds=[0])
    inputs = [pair.input for pair in task.train]
    outcomes = run_batch([Program.parse(text) for text in texts], [inputs] * len(texts))
    ran = [of for of in outcomes if all(outcome.grid is not None for outcome in of)]
    assert len(ran) >= 10
