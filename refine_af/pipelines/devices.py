"""What a task may use: a GPU, or without one the memory of its pod."""

from dataclasses import dataclass

GIB = 1024.0**3
MEMORY_SHARE = 0.9
"""Share of a GPU's memory that may be planned with: its context and what the allocator cannot use
again take the rest. Of a pod's memory likewise: Python and libraries take it. Presets of 1 to 2 B
are held to 0.85 of a GPU by a test."""


@dataclass(frozen=True, slots=True)
class Device:
    """One GPU, or the processor of a pod.

    Attributes:
        memory: Bytes.
        peak: bfloat16 operations a second without sparsity; None where hours are not estimated.
        bandwidth: Bytes a second; None likewise.
        gpu: Whether it is a GPU, which works in bfloat16 unless a parameter says otherwise; a
            processor works in float32.
    """

    memory: float
    peak: float | None = None
    bandwidth: float | None = None
    gpu: bool = True

    @property
    def width(self) -> int:
        """Return the bytes of a number where a precision is left to the device (``auto``)."""
        return 2 if self.gpu else 4


GPUS = {
    "l4": Device(24 * GIB, 121e12, 300e9),
    "a100-40": Device(40 * GIB, 312e12, 1555e9),
    "a100": Device(80 * GIB, 312e12, 2039e9),
    "h100": Device(80 * GIB, 989e12, 3350e9),
}
"""By kind, as the maker states."""
