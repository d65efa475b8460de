"""The vllm engine: ``vllm.LLM`` in this process, which is always a child that can be killed.

Each prompt is one request of n = K completions with its own seed; child k of n gets seed + k. vLLM
batches continuously. With a GPU its engine has a process of its own and begins with the first
prompt, while pictures are decoded (:mod:`qibox.engines.pictures`) and the next ones tokenised here;
without one, all prompts of a call go in before any runs. Built by
:func:`qibox.engines.load.load_engine` inside :class:`qibox.engines.process.parent.ChildEngine`:
ending that process frees the GPU's memory whatever state vLLM is in.
"""

import math
import os
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from qibox.engines.batching import BrokenEngineError, is_broken
from qibox.engines.chat import Neutraliser, messages, template_text
from qibox.engines.completions import Completion, assemble, completed, explain, failure
from qibox.engines.marks import keeping
from qibox.engines.noise import prompt_seed
from qibox.engines.pictures import Picture, pictures
from qibox.errors import QiboxError
from qibox.manifests.asking import USUAL_MANNER, Manner
from qibox.manifests.sampling import Sampling
from qibox.manifests.settings import VLLMSettings
from qibox.pool.images import ImageError
from qibox.torchvision_ops import declare_missing_operators


class VLLMEngine:
    """Runs one model with vLLM."""

    def __init__(
        self,
        model: str,
        source: str,
        settings: VLLMSettings,
        revision: str | None = None,
        trust_remote_code: bool = False,
        manner: Manner = USUAL_MANNER,
    ) -> None:
        """Load a model from a directory or a hub id; ``model`` keys its noise.

        Raises:
            QiboxError: the model cannot be loaded; the message says why.
        """
        # Asking CUDA itself for its devices would forbid vLLM to fork; vLLM sets this too late.
        os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
        declare_missing_operators()
        import torch

        self.progress: Callable[[], None] = lambda: None
        self._id = model
        self._template = template_text(settings.chat_template)
        gpu = torch.cuda.is_available()
        prepare_environment(settings, gpu)
        import vllm

        options = {"model": source, "revision": revision, "trust_remote_code": trust_remote_code}
        try:
            self._llm = vllm.LLM(**options, **arguments(settings, gpu))
        except Exception as error:
            plain = isinstance(error, OSError | ValueError | ImportError)
            why = error if plain else explain(error)
            raise QiboxError(f"model '{model}' ({source}) cannot be loaded: {why}") from error
        tokenizer = self._llm.get_tokenizer()
        self._neutralise = Neutraliser.of_tokenizer(tokenizer)
        self._reading = keeping(tokenizer, manner.marks)
        self._manner = manner

    def generate(self, prompts: pa.Table, sampling: Sampling) -> pa.Table:
        """Complete each prompt ``sampling.samples`` times; see the module's head.

        Raises:
            BrokenEngineError: vLLM's engine died.
        """
        rows = prompts.to_pylist()
        done: list[Sequence[Completion]] = [()] * len(rows)
        asked = []  # the rows that vLLM took
        shown = pictures(rows, self._manner.max_pixels)
        for index, (row, picture) in enumerate(zip(rows, shown, strict=True)):
            try:
                self._enqueue(row, picture, sampling)
                asked.append(index)
            except ImageError as error:
                done[index] = [failure(str(error))] * sampling.samples
            except Exception as error:  # too long, say: this prompt's own, unless all is lost
                if is_broken(error):
                    raise BrokenEngineError(explain(error)) from error
                done[index] = [failure(explain(error))] * sampling.samples
            self.progress()  # a large picture takes a second
        for index, output in zip(asked, self._outputs(), strict=True):
            done[index] = self._completions(output, sampling)
        return assemble([row["key"] for row in rows], done)

    def close(self) -> None:
        """Stop vLLM's own processes; the memory is freed with this one."""
        del self._llm

    def _conversation(self, row: dict[str, Any], picture: Picture) -> list[dict[str, Any]]:
        if isinstance(picture, ImageError):
            raise picture
        image = None if picture is None else {"type": "image_pil", "image_pil": picture}
        return messages(self._neutralise(row["text"]), row["system"], image)

    def _params(self, key: str, sampling: Sampling) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import StructuredOutputsParams

        schema = sampling.json_schema
        greedy = sampling.temperature == 0  # all K are the same one, and vLLM refuses n > 1
        return SamplingParams(
            n=1 if greedy else sampling.samples,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=sampling.max_tokens,
            seed=prompt_seed(sampling.seed, self._id, key),
            structured_outputs=None if schema is None else StructuredOutputsParams(json=schema),
        )

    def _enqueue(self, row: dict[str, Any], picture: Picture, sampling: Sampling) -> None:
        """Hand one prompt to vLLM.

        Raises:
            ImageError: the picture cannot be read.
            Exception: vLLM refuses the prompt; it has none of it then.
        """
        conversation = self._conversation(row, picture)
        params = self._params(row["key"], sampling)
        self._llm.enqueue_chat(
            [conversation],
            [params],
            use_tqdm=False,
            chat_template=self._template,
            chat_template_kwargs=self._manner.template_arguments,
        )

    def _outputs(self) -> list[Any]:
        """Run all requests; their outputs in the order in which they were handed in."""
        outputs = []
        engine = self._llm.llm_engine
        try:
            while engine.has_unfinished_requests():
                outputs += [output for output in engine.step() if output.finished]
                self.progress()
        except Exception as error:  # requests are left inside: this engine cannot be used again
            raise BrokenEngineError(explain(error)) from error
        return sorted(outputs, key=lambda output: int(output.request_id))

    def _completions(self, output: Any, sampling: Sampling) -> list[Completion]:
        done = []
        for one in sorted(output.outputs, key=lambda one: one.index):
            if one.finish_reason in ("stop", "length"):
                text = one.text if self._reading is None else self._reading(one.token_ids)
                done.append(completed(text, one.finish_reason, len(one.token_ids)))
            else:
                done.append(failure(f"vLLM ended the request ({one.finish_reason})"))
        return done * sampling.samples if sampling.temperature == 0 else done


def arguments(settings: VLLMSettings, gpu: bool) -> dict[str, Any]:
    """The arguments of ``vllm.LLM`` for these settings, besides the model's own."""
    eager = not gpu if settings.enforce_eager is None else settings.enforce_eager
    chosen: dict[str, Any] = {
        "tensor_parallel_size": settings.tensor_parallel_size,
        "max_model_len": settings.max_model_len,
        "quantization": settings.quantization,
        "enforce_eager": eager,
        "enable_prefix_caching": settings.enable_prefix_caching,
        "limit_mm_per_prompt": {"image": 1, "video": 0},
        # Weak models can write white space without end inside JSON; only these two forbid it.
        "structured_outputs_config": {"backend": "xgrammar", "disable_any_whitespace": True},
        "load_format": "safetensors",
        "disable_log_stats": True,
        "seed": 0,
        "dtype": settings.dtype,
    }
    if settings.max_num_seqs is not None:
        chosen["max_num_seqs"] = settings.max_num_seqs
    if settings.mm_processor_kwargs:
        chosen["mm_processor_kwargs"] = settings.mm_processor_kwargs
    if gpu:
        chosen["gpu_memory_utilization"] = settings.gpu_memory_utilization
    else:
        chosen["mm_processor_cache_gb"] = 0
        # A prompt prefilled in parts makes vLLM rewind its seed, which processors' generators
        # cannot ("CPU Generator does not use offset").
        chosen["enable_chunked_prefill"] = False
        if settings.dtype == "auto":
            chosen["dtype"] = "float32"  # half precision is several times slower on CPUs
    return {**chosen, **settings.extra}


def prepare_environment(settings: VLLMSettings, gpu: bool) -> None:
    """What vLLM reads from the environment when it is imported."""
    os.environ.update(VLLM_NO_USAGE_STATS="1", VLLM_DO_NOT_TRACK="1", DO_NOT_TRACK="1")
    if not gpu:
        os.environ["VLLM_CPU_KVCACHE_SPACE"] = str(math.ceil(settings.cpu_kv_cache_gb))
    own = gpu if settings.own_process is None else settings.own_process
    if settings.tensor_parallel_size == 1 and not own:
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"  # this process is the child already
    else:
        os.environ.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "spawn")  # CUDA does not survive fork
