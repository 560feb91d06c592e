"""The trusted side of a language-model trial: its data, the feed that counts its budget, and the frozen evaluator."""

NEEDED = ("torch", "safetensors", "tokenizers")
"""The packages that training needs (extra `lm`)."""
