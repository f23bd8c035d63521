"""Proximal policy optimisation (PPO) of a causal language model from automated feedback.

Read in this order: ``params``, ``episodes`` (what crosses the boundary), ``padding`` and
``policy`` (the model), ``rollout``, ``kl``, ``rewards``, ``advantages``, ``losses`` (the formulas),
``schedule`` (what is random), ``experience`` and ``update`` (one update), ``trainer`` (the loop),
``checkpoint``, ``metrics``, ``result``. Beside it: ``vllm_rollout``, ``sharding``, ``critic_free``.

Dimensions, everywhere in this folder: B episodes of a batch, T tokens of the longest episode,
prompt and action together, A tokens of the longest action (A < T), H hidden size, V vocabulary.
Every tensor of token rows is padded at the left only, so each episode ends in the last column.
"""
