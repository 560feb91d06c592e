"""Prompts: files under `prompts/`, rendered strictly. A copy in the working directory's `prompts/` wins."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2

from agentopt.errors import UsageError
from agentopt.paths import data_dirs


def render(name: str, variables: Mapping[str, Any]) -> str:
    """Returns the text of the prompt `prompts/<name>.md.j2`; a variable that the file needs and lacks is an error."""
    folders = tuple(data_dirs("prompts"))
    try:
        return _environment(folders).get_template(f"{name}.md.j2").render(variables).strip()
    except jinja2.TemplateNotFound as error:
        places = ", ".join(str(folder) for folder in folders)
        raise UsageError(f"There is no prompt {error.name} in {places}.") from error
    except jinja2.TemplateError as error:
        raise UsageError(f"The prompt {name}.md.j2 cannot be rendered: {error}.") from error


@lru_cache(maxsize=8)
def _environment(folders: tuple[Path, ...]) -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader([str(folder) for folder in folders]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
        autoescape=False,  # noqa: S701 - prompts are plain text
    )
