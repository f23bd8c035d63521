"""TeaMs-RL: a learned policy chooses which textual operation rewrites an instruction next."""
