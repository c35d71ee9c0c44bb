import jax

# Tests run each compiled program once or twice: compiling it fast matters more than running it fast.
jax.config.update("jax_disable_most_optimizations", True)
