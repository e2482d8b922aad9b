"""The shot list: YAML text → nodes with positions → records → jobs. Text and values only."""
