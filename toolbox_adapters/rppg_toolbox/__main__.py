"""`python -m toolbox_adapters.rppg_toolbox --config_file X.yaml`: the toolbox, with plugins."""

from streamnet_plugin.cli import run_app
from toolbox_adapters.rppg_toolbox.command import toolbox

if __name__ == "__main__":
    run_app(toolbox)
