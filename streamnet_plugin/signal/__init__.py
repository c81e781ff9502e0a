"""Pure functions on arrays: detrending, filters, spectra, heart rate, signal quality."""
