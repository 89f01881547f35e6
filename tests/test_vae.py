"""A variational autoencoder on real images: the same program, run by this engine and by PyTorch, takes the same steps."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rp as tg

CODES, HIDDEN, BATCH, STEPS = 4, 64, 64, 200


def vae_of(torch):
    """The class of the autoencoder, for an engine with PyTorch's names."""
    nn = torch.nn

    class VAE(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = nn.Sequential(nn.Linear(64, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 2 * CODES))
            self.decoder = nn.Sequential(nn.Linear(CODES, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 64))

        def forward(self, x, eps):
            """The negative ELBO of images with pixels in [0, 1], in nats an image; ``eps`` is the noise of the codes."""
            mean, log_std = self.encoder(x).chunk(2, dim=-1)
            z = mean + log_std.exp() * eps
            error = nn.functional.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="sum")
            kl = 0.5 * (mean**2 + (2 * log_std).exp() - 1 - 2 * log_std).sum()
            return (error + kl) / len(x)

    return VAE


def losses_of(torch, weights, batches, noise):
    """The loss of each step of training with Adam."""
    model = vae_of(torch)().to(getattr(torch, noise.dtype.name))
    model.load_state_dict({name: torch.tensor(value) for name, value in weights.items()})
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for x, eps in zip(batches, noise, strict=True):
        loss = model(torch.tensor(x), torch.tensor(eps))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return np.array(losses)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-4), ("float64", 1e-10)])
def test_a_vae_takes_the_same_200_steps_as_in_pytorch(dtype, tolerance):
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)  # the layers are small
    images = pytest.importorskip("sklearn.datasets").load_digits().data.astype(dtype) / 16
    tg.manual_seed(0)
    weights = {name: value.numpy().astype(dtype) for name, value in vae_of(tg)().state_dict().items()}
    rng = np.random.default_rng(0)
    batches = images[rng.integers(0, len(images), (STEPS, BATCH))]
    noise = rng.standard_normal((STEPS, BATCH, CODES)).astype(dtype)

    ours = losses_of(tg, weights, batches, noise)
    theirs = losses_of(torch, weights, batches, noise)

    assert ours[-1] < 0.7 * ours[0], "it learned nothing, so that the steps would agree whatever they were"
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=0)
