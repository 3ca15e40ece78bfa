"""Run the demo and write its output to ``docs/_static/demo.svg`` for the README: ``python -m tests.tools.demo_picture``."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

PICTURE = Path(__file__).parents[2] / "docs" / "_static" / "demo.svg"
WIDTH = 80


def main() -> None:
    """Run the demo and write the picture.

    Raises:
        CalledProcessError: The demo failed; the picture stays as it was.
    """
    command = [sys.executable, "-c", "from workspace_reaper.cli import main; main()", "demo"]
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    console.print(Text("$ workspace-reaper demo\n" + output.rstrip()), soft_wrap=False)
    svg = console.export_svg(title="workspace-reaper demo")
    # The picture uses the reader's own monospace font and loads nothing from the network.
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL).replace("Fira Code, monospace", "monospace")
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
