"""The commands, a module each or a family; they say what happens, the modules beside them how."""
