"""Writes a trained network as a GGUF file that llama.cpp serves, chat template included."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import gguf
import numpy as np

from router_models.demo_pair import tool_chats
from router_models.demo_pair.network import Network
from router_models.demo_pair.vocab import END, END_OF_TEXT, SPECIALS, START, Vocabulary

# ChatML; tools are told of and called in <tool_call> tags, a convention that llama.cpp knows.
_TEMPLATE: Final = r"""
{%- if tools %}
{{- START + 'system\n' }}
{%- if messages[0].role == 'system' %}{{- messages[0].content + '\n\n' }}{% endif %}
{{- TOOLS_HEAD }}
{%- for tool in tools %}{{- '\n' }}{{- tool | tojson }}{% endfor %}
{{- TOOLS_TAIL + END + '\n' }}
{%- endif %}
{%- for message in messages %}
{%- if message.role == 'tool' %}
{{- START + 'user\n' + RESULT_HEAD + message.content + RESULT_TAIL + END + '\n' }}
{%- elif message.role == 'assistant' and message.tool_calls %}
{{- START + 'assistant\n' }}
{%- if message.content %}{{- message.content + '\n' }}{% endif %}
{%- for call in message.tool_calls %}
{{- CALL_HEAD + '{"name": "' + call.function.name + '", "arguments": ' }}
{{- call.function.arguments | tojson }}
{{- '}' + CALL_TAIL }}
{%- if not loop.last %}{{- '\n' }}{% endif %}
{%- endfor %}
{{- END + '\n' }}
{%- elif not (tools and loop.first and message.role == 'system') %}
{{- START + ('system' if message.role == 'developer' else message.role) + '\n' }}
{{- (message.content or '') + END + '\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- START + 'assistant\n' }}{% endif %}"""


def chat_template() -> str:
    """The Jinja template that llama.cpp runs, its literals those that the models were taught."""
    marks = {"START": START, "END": END}
    names = ("TOOLS_HEAD", "TOOLS_TAIL", "CALL_HEAD", "CALL_TAIL", "RESULT_HEAD", "RESULT_TAIL")
    literals = marks | {name: getattr(tool_chats, name) for name in names}
    template = _TEMPLATE
    for name, text in literals.items():
        quoted = "'" + text.replace("\n", r"\n") + "'"
        template = re.sub(rf"\b{name}\b", quoted.replace("\\", r"\\"), template)
    return template


def export(path: Path, name: str, vocabulary: Vocabulary, network: Network) -> None:
    """Writes the file; matrices as 16-bit floats, norms as 32-bit ones."""
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_name(name)
    writer.add_license("Apache-2.0")
    _add_shape(writer, vocabulary, network)
    _add_vocabulary(writer, vocabulary)
    for parameter, tensor in network.state_dict().items():
        array = tensor.detach().float().numpy()
        kind = np.float32 if array.ndim == 1 else np.float16
        writer.add_tensor(parameter, np.ascontiguousarray(array.astype(kind)))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_shape(writer: Any, vocabulary: Vocabulary, network: Network) -> None:
    shape = network.shape
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.hidden)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.heads)
    writer.add_layer_norm_rms_eps(shape.epsilon)
    writer.add_rope_dimension_count(shape.width // shape.heads)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_vocab_size(len(vocabulary.tokens))
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)


def _add_vocabulary(writer: Any, vocabulary: Vocabulary) -> None:
    control, normal = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama-bpe")
    writer.add_token_list(list(vocabulary.tokens))
    writer.add_token_types([control if t in SPECIALS else normal for t in vocabulary.tokens])
    # llama.cpp insists on a list of merges; whole pieces need none, and this pair never occurs.
    space = vocabulary.tokens[0]
    writer.add_token_merges([f"{space} {space}"])
    writer.add_bos_token_id(vocabulary.ids[END_OF_TEXT])
    writer.add_eos_token_id(vocabulary.ids[END])
    writer.add_pad_token_id(vocabulary.ids[END_OF_TEXT])
    writer.add_add_bos_token(False)
    writer.add_chat_template(chat_template())
