"""What a clip shows over time: cuts, camera moves, speed and loudness, for warnings before anything is paid.

`findings` and `advice` are light values; the rest is heavy and runs in children (`viewer` starts them).
"""
