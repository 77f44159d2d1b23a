"""minddpm: Denoising Diffusion Probabilistic Models, rebuilt one notebook at a time."""
