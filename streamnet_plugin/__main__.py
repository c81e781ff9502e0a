"""`python -m streamnet_plugin`, and what `torchrun -m streamnet_plugin train ...` starts."""

from streamnet_plugin.cli import main

if __name__ == "__main__":
    main()
