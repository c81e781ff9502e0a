"""Everything that knows a foreign toolbox. Imports `streamnet_plugin`, never the reverse."""
