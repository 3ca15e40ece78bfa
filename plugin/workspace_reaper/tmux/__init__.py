"""One tmux socket, read strictly and killed from under a guard. The first command loads libtmux, not an import."""
