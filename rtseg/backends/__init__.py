"""The runtimes that execute an engine, behind one contract."""
