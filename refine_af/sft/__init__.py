"""Supervised fine-tuning (SFT) on instruction-input-output rows, with TRL's trainer.

Read in this order: ``settings``, ``selection`` (which rows), ``templates`` (rows to text),
``encoding`` (text to tokens), ``order`` (which row in which step), ``base_model``, ``trainer``
(the loop), ``checkpoints``, ``portable_state``, ``model_card``.

Source: Self-Instruct (arXiv 2212.10560), section 2.3 and appendix A.3 (two epochs, no loss on the
prompt); REFINE-AF (arXiv 2505.06548), stage 3. LoRA instead of full fine-tuning is the default.
"""
